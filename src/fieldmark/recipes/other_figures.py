"""Figures of the papers' tables that are no accuracy of a recipe: statistics, localisation, times, learned channels."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["statistic", "localization", "time", "channels", "branch"]


class OtherFigure(NamedTuple):
    """A figure as printed.

    ``paper`` is the paper's name for ``--method``; ``figure`` the number, or numbers, as a text; ``unit`` what it
    counts; ``how`` the command that gives ours, or what it would take. ``recipe`` is the row that a time is of.
    """

    paper: str
    table: str
    data: str
    system: str
    figure: str
    unit: str
    kind: Kind
    how: str
    recipe: str = ""


CUB, AIRCRAFT, CARS, FLOWERS = "CUB-200-2011", "FGVC-Aircraft", "Stanford Cars", "Flowers-102"
LOCALIZE = "fieldmark evaluate RUN --localization"
COUNT = "fieldmark bench tables --data NAME=FOLDER"
TIME = "fieldmark bench tables cin --time"
_NETWORKS = ("GoogLeNet", "VGG-16", "ResNet-50", "DenseNet-161", "Bilinear CNN")


def _pairwise_confusion() -> Iterator[OtherFigure]:
    sizes = {
        FLOWERS: (102, "10"), CUB: (200, "29.97"), CARS: (196, "41.55"), "NABirds": (550, "43.5"),
        AIRCRAFT: (100, "100"), "Stanford Dogs": (120, "100"), "CIFAR-100": (100, "500"), "ImageNet": (1000, "1200"),
        "CIFAR-10": (10, "5000"), "SVHN": (10, "7325.7"),
    }  # fmt: skip
    for data, (classes, each) in sizes.items():
        yield OtherFigure("pc", "Table 1", data, "classes", str(classes), "classes", "statistic", COUNT)
        yield OtherFigure("pc", "Table 1", data, "photos per class", each, "photos", "statistic", COUNT)
    overlaps = zip(_NETWORKS, ("0.29 0.35", "0.31 0.34", "0.32 0.35", "0.34 0.37", "0.37 0.39"), strict=True)
    for network, pair in overlaps:
        for system, figure in zip((network, f"{network}, PC"), pair.split(), strict=True):
            yield OtherFigure("pc", "Table 4", CUB, system, figure, "mean IoU", "localization", LOCALIZE)


def _mutual_channel() -> Iterator[OtherFigure]:
    counts = {CUB: "200 5994 5794", AIRCRAFT: "100 6667 3333", CARS: "196 8144 8041", FLOWERS: "102 2040 6149"}
    for data, numbers in counts.items():
        for system, figure in zip(("classes", "training photos", "test photos"), numbers.split(), strict=True):
            unit = "classes" if system == "classes" else "photos"
            yield OtherFigure("mc-loss", "Table I", data, system, figure, unit, "statistic", COUNT)
    groups = {CUB: "88 112 152 48", CARS: "76 120 108 88", AIRCRAFT: "88 12 52 48", FLOWERS: "100 2 94 8"}
    for data, numbers in groups.items():
        fewer, more, fewer_wide, more_wide = numbers.split()
        for channels, pair in ((512, (fewer, more)), (2048, (fewer_wide, more_wide))):
            system, figure = f"{channels} channels: classes with fewer, with one more", "/".join(pair)
            yield OtherFigure("mc-loss", "Table II", data, system, figure, "classes", "channels", "")
    channels = (
        "175 1119 1844 628 833 815 819 1938 1837 1135",
        "175 1119 1577 628 1676 1837 1844 819 1135 1838",
        "775 1188 1914 668 465 1765 1066 591 1053 670",
        "257 1776 760 235 1739 753 1212 269 1215 1740",
        "1933 257 746 1066 1217 1219 1063 273 1740 1739",
    )
    how = "fieldmark figures RUN PHOTOS, of a run with --term soft-channel-labels"
    for category, numbers in enumerate(channels, 1):
        yield OtherFigure("mc-loss", "Table IX", CUB, f"category {category}", numbers, "channels", "channels", how)


def _channel_interaction() -> Iterator[OtherFigure]:
    times = {
        "vgg19-plain": "22.1", "resnet50-plain": "12.5", "resnet101-plain": "22.4", "resnet50-se": "14.0",
        "resnet50-non-local": "14.2", "resnet50-mamc": "14.8", "resnet50-cgnl": "15.0", "resnet50-pos-sci": "17.2",
        "resnet50-sci": "17.2", "resnet50-sci-cont": "17.2", "resnet50-nts": "23.6", "resnet50": "17.2",
        "resnet101": "27.2",
    }  # fmt: skip
    for name, figure in times.items():
        recipe = f"cin/cub-{name}"
        yield OtherFigure("cin", "Table 1, time", CUB, name, figure, "ms a photo", "time", TIME, recipe)


def _selective_sparse_sampling() -> Iterator[OtherFigure]:
    for data, figure in ((CUB, "94.63"), (AIRCRAFT, "97.22"), (CARS, "98.76")):
        system = "peaks inside the object's box"
        yield OtherFigure("s3n", "Table 1", data, system, figure, "% of peaks", "localization", LOCALIZE)
    located = {"O": "57.7", "O + D": "59.2", "O + C": "56.6", "D + C": "62.6", "O + D + C": "65.2"}
    for system, figure in located.items():
        yield OtherFigure(
            "s3n", "Table 2", CUB, f"{system}, localised", figure, "% of photos", "localization", LOCALIZE
        )
    branches = {"O": "86.0 - -", "O + D": "87.0 86.5 -", "O + C": "86.8 - 85.3", "D + C": "- 87.1 85.6"}
    for system, numbers in (branches | {"O + D + C": "87.9 86.7 85.1"}).items():
        for branch, figure in zip("ODC", numbers.split(), strict=True):
            if figure != "-":
                name, how = f"{system}, {branch}-branch", "fieldmark evaluate RUN, which has each branch apart"
                yield OtherFigure("s3n", "Table 2", CUB, name, figure, "% top-1", "branch", how)


class Repeated(NamedTuple):
    """A figure that stands in a further table: of the row ``recipe``, as in ``ROWS``, called ``system`` there."""

    table: str
    system: str
    recipe: str


def _repeated() -> Iterator[Repeated]:
    for table, system in (
        ("Table 1", "API-Net"), ("Table 2", "MLP"), ("Table 3", "gate: pair"), ("Table 3", "L_ce + L_rk"),
        ("Table 4", "intra S, inter S"), ("Table 5", "N_cl = 30"), ("Table 5", "N_im = 4"), ("Table 5", "(30, 4)"),
    ):  # fmt: skip
        yield Repeated(table, system, "api-net/cub-resnet101")
    for data in ("cub", "aircraft", "cars", "flowers"):
        yield Repeated("Table V", "xi = 3", f"mc-loss/{data}-vgg16-scratch")
        yield Repeated("Table VII", "MC-Loss", f"mc-loss/{data}-vgg16-scratch")
    for data in ("cub", "aircraft", "cars"):
        yield Repeated("Table VIII", "MC-Loss", f"mc-loss/{data}-resnet50")
        yield Repeated("Table 3", "CIN", f"cin/{data}-resnet50")
    yield Repeated("Table 3", "NTS", "cin/cub-resnet50-nts")
    for network in ("resnet50", "resnet101"):
        yield Repeated("Table 1", f"{network} + CIN", f"cin/cub-{network}")
    for table, system in (("Table 2", "O + D + C"), ("Table 3", "sparse attention"), ("Table 4", "probability")):
        yield Repeated(table, system, "s3n/cub-resnet50")
    yield Repeated("Table 5", "FT ResNet", "s3n/cub-resnet50-o")


REPEATED: tuple[Repeated, ...] = tuple(_repeated())
"""Figures of our rows that stand in more than one table."""

OTHER_FIGURES: tuple[OtherFigure, ...] = (
    *_pairwise_confusion(),
    *_mutual_channel(),
    *_channel_interaction(),
    *_selective_sparse_sampling(),
)
"""All of them, by paper and table."""
