"""Pairwise Confusion (Dubey et al., ECCV 2018, arXiv:1705.08016): cross-entropy and the confusion of random pairs.

    fieldmark train DATA --recipe pc/cub-resnet50          with the confusion
    fieldmark train DATA --recipe pc/cub-resnet50-plain    the paper's baseline, the same without it

Top-1 in % on the official test images, Table 2 of the paper (means of 5 trials, the best weight for each):

    data             ResNet-50  with PC   DenseNet-161  with PC   ours
    CUB-200-2011         78.15    80.21          84.21    86.87   not yet run
    Stanford Cars        91.71    93.43          91.83    92.86   not yet run
    FGVC-Aircraft        81.19    83.40          86.30    89.24   not yet run
    NABirds              63.55    68.15          79.35    82.79   not yet run
    Flowers-102          92.46    93.50          90.07    91.39   not yet run
    Stanford Dogs        69.92    73.35          81.18    83.75   not yet run

    data             Bilinear CNN, VGG-16  with PC   ours
    CUB-200-2011                    84.10    85.58   not yet run
    Stanford Cars                   91.20    92.45   not yet run
    FGVC-Aircraft                   84.10    85.78   not yet run
    NABirds                         80.90    82.01   not yet run
    Flowers-102                     92.52    93.65   not yet run
    Stanford Dogs                   82.13    83.04   not yet run

Top-1 in % from scratch on the test images, Table 3:

    data             GoogLeNet  with PC  ResNet-50  with PC  DenseNet-161  with PC   ours
    CIFAR-10             86.63    87.02      93.17    93.46         95.15    95.08   not yet run
    CIFAR-100            73.35    76.02      72.16    73.14         78.60    79.56   not yet run
    ImageNet-Random      71.85    72.09      82.01    82.65         78.34    79.10   not yet run
    ImageNet-Dogs        62.35    64.17      73.81    75.92         70.15    71.44   not yet run
    ImageNet (text)                          76.15    76.28                          not yet run

From the paper: the networks, that they are fine-tuned (Table 2) or not (Table 3), one crop in evaluation, and lambda:
10 to 20, or 0.05 to 0.15 times the classes. 10 on all sets of Table 2 is within 0.08 points of the best for bilinear
networks, and taken here; in Table 3 it is 0.1 per class, but for all of ImageNet 10, as the text has it.

From the authors' solver files, as the text has no settings: SGD with momentum 0.9, not Nesterov's, and no label
smoothing; photos squashed to 256 x 256 with crops of 224 (CUB: squashed to 224 x 224), half of them mirrored; and

    network    data           photos per update  rate, falling to 0 as   updates  weight decay
    ResNet-50  CUB, NABirds   12 x 12            0.1, straight line       10,000  1e-4
               Aircraft       12 x 12            0.1, straight line       20,000  1e-4
               Cars           12 x 12            0.08, straight line      80,000  1e-4
               Flowers        12 x 12            0.08, straight line      40,000  1e-4
    DenseNet   Aircraft       4 x 12             0.1, straight line       60,000  1e-4
    GoogLeNet  CIFAR-10       32                 0.01, square root        60,000  2e-4 (theirs on CUB)
               CUB            32                 0.01, square root        37,600  2e-4
    VGG-16     CUB            32                 5e-4, halved each 3,000  20,000  5e-4

    B-CNN      head alone     4 x 8              1.0, times 0.25 at       60,000  5e-6
                                                 20, 30, 40, 50 thousand          (Dogs: at 60, 70 of 80, too)
               then all       4 x 8              1e-3                     40,000  5e-4 (CUB, Aircraft: 20,000)

12 x 12 are 12 pieces of 12 photos, each with pairs and batch norms of its own (``accumulate``); all of the network has
one rate, and all of it decays but GoogLeNet's biases and norms; numbers are float32. Updates become the nearest whole
epochs (``epochs_of``): 244 on CUB, 5,714 on Flowers-102.

Where they published no file, the rows take what is nearest. DenseNet-161 elsewhere: ResNet-50's rate and as many photos
in all, that is three times the updates at a third of the size, which is what they did on Aircraft. Stanford Dogs: the
rate and updates of the other animals, CUB and NABirds. All else on CIFAR: GoogLeNet's on CIFAR-10, but that evaluation
sees the whole picture, where theirs takes the middle 224 of 256 pixels. On ImageNet and its subsets: GoogLeNet the rate
of their other file, for 60 epochs, the length of Caffe's for this network; ResNet-50 and DenseNet-161 what their
authors have there, batches of 256 for 90 epochs and a rate of 0.1, divided by 10 at epochs 30 and 60.

ImageNet-Dogs and -Random are 117 of ImageNet's classes; ``benchmarks/imagenet_subsets.py`` makes them from its folder
and says which. Its figures for Random are the mean of three draws. The paper searches lambda on an 80-20 split of the
training photos, as ``benchmarks/pc_imagenet.toml`` does, and does not print what it found. It does not name the network
of all of ImageNet: 76.15 is what torchvision published for its ResNet-50 then, so the rows have that.

Ours: only pairs of different classes count, as the text has it (the solver's networks take all: ``label_aware=False``);
weights are those of the paper's time. Flowers-102 is trained on its 1,020 training
images, which the paper counts apart from the validation images; FGVC-Aircraft on train + val, as the set's own protocol
does.

``--method pc`` on your own photos takes lambda 0.05 per class and no label smoothing, which works in the same direction
as the confusion. Compare it with a plain classifier without, too: ``--method plain --smoothing 0``.

The bilinear rows (``cub-bcnn`` and so on) see crops of 448 px out of photos squashed to 512 x 512, as the file for Cars
has it. No file says how many photos an update of the second stage has: as many as in the first.

Left out: the object boxes of Grad-CAM (Table 4), which are not accuracies. GoogLeNet and VGG-16 on CUB
(``cub-googlenet``, ``cub-vgg16``) are in Fig. 2 and Table 4, without an accuracy in figures; their photos are squashed
as ResNet-50's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fieldmark.batches import Shuffled
from fieldmark.recipe import Decayed, Model, Part, Pixels, Poly, Recipe, Sgd, Stage, StepDecay
from fieldmark.recipes.composition import UNSMOOTHED, Composition, Row, epochs_of

FEW = 100
"""Classes; no fine-grained set of the paper has fewer."""


def _notices(model: Model, classes: int) -> Iterator[str]:
    """What the confusion costs where classes are few; benchmarks/README.md has the figures."""
    weighty = any(part.name == "PairwiseConfusion" and part.options.get("weight") != 0 for part in model.terms)
    if weighty and classes < FEW:
        yield (
            "Pairwise Confusion can cost accuracy where classes are few: on 20 classes of birds 56.1 % at lambda 10, "
            f"73.3 % without it (held-out photos); the paper's range for {classes} classes is "
            f"{0.05 * classes:g} to {0.15 * classes:g}"
        )


COMPOSITION = Composition(
    "pc",
    terms=(Part("PairwiseConfusion", {"weight": None, "per_class": 0.05}),),
    parts={"term": ("PairwiseConfusion",)},
    smoothing=0.0,
    notices=_notices,
)

RESNET, DENSENET = "resnet50.tv_in1k", "densenet161.tv_in1k"
PIECES = 12
"""An update is computed in as many pieces, of this many photos by network."""
PER_PIECE = {RESNET: 12, DENSENET: 4}
CROP = 224 / 256


@dataclass(frozen=True)
class _Set:
    """A set of Table 2: training photos, ResNet-50's rate and updates, the paper's top-1 without and with confusion."""

    data: str
    photos: int
    rate: float
    updates: int
    figures: dict[str, tuple[float, float]]
    crop: float = CROP


TABLE_2 = {
    "cub": _Set("CUB-200-2011", 5994, 0.1, 10_000, {RESNET: (78.15, 80.21), DENSENET: (84.21, 86.87)}, crop=1.0),
    "cars": _Set("Stanford Cars", 8144, 0.08, 80_000, {RESNET: (91.71, 93.43), DENSENET: (91.83, 92.86)}),
    "aircraft": _Set("FGVC-Aircraft", 6667, 0.1, 20_000, {RESNET: (81.19, 83.40), DENSENET: (86.30, 89.24)}),
    "nabirds": _Set("NABirds", 23_929, 0.1, 10_000, {RESNET: (63.55, 68.15), DENSENET: (79.35, 82.79)}),
    "flowers": _Set("Flowers-102", 1020, 0.08, 40_000, {RESNET: (92.46, 93.50), DENSENET: (90.07, 91.39)}),
    "dogs": _Set("Stanford Dogs", 12_000, 0.1, 10_000, {RESNET: (69.92, 73.35), DENSENET: (81.18, 83.75)}),
}

BILINEAR = {
    "cub": (84.10, 85.58), "cars": (91.20, 92.45), "aircraft": (84.10, 85.78), "nabirds": (80.90, 82.01),
    "flowers": (92.52, 93.65), "dogs": (82.13, 83.04),
}  # fmt: skip
"""Table 2's bilinear networks: top-1 without and with confusion."""

TABLE_3 = (
    ("cifar10", "CIFAR-10", 1.0, {"googlenet": (86.63, 87.02), RESNET: (93.17, 93.46), DENSENET: (95.15, 95.08)}),
    ("cifar100", "CIFAR-100", 10.0, {"googlenet": (73.35, 76.02), RESNET: (72.16, 73.14), DENSENET: (78.60, 79.56)}),
)
"""Name, data, weight, and the paper's top-1 without and with confusion by network, from scratch."""

IMAGENET = (
    (
        "imagenet-random", "ImageNet-Random", 11.7,
        {"googlenet": (71.85, 72.09), RESNET: (82.01, 82.65), DENSENET: (78.34, 79.10)},
    ),
    (
        "imagenet-dogs", "ImageNet-Dogs", 11.7,
        {"googlenet": (62.35, 64.17), RESNET: (73.81, 75.92), DENSENET: (70.15, 71.44)},
    ),
    ("imagenet", "ImageNet", 10.0, {RESNET: (76.15, 76.28)}),
)  # fmt: skip
"""The same of ImageNet: Table 3, and the text."""


def _pixels(crop: float) -> Pixels:
    """Squashed, and a crop of this share of each side."""
    return Pixels(224, 224, eval_crop=crop, fit="stretch", min_scale=crop**2, max_scale=crop**2, ratio=1.0)


def _sgd(rate: float, weight_decay: float, decayed: Decayed = "all") -> Sgd:
    return Sgd(rate, nesterov=False, weight_decay=weight_decay, decayed=decayed)


GOOGLENETS = _sgd(0.01, 2e-4, "weights")


def _tuned(entry: _Set, network: str) -> Recipe:
    """Table 2: whatever the network, as many photos in all."""
    batch = PIECES * PER_PIECE[network]
    updates = entry.updates * PER_PIECE[RESNET] // PER_PIECE[network]
    stage = Stage(epochs_of(updates, photos=entry.photos, batch=batch), _sgd(entry.rate, 1e-4), Poly())
    model = Model(backbone=network, criterion=UNSMOOTHED)
    train_on = ("train", "val") if entry.data == "FGVC-Aircraft" else ("train",)
    recipe = Recipe(model, _pixels(entry.crop), Shuffled(batch), (stage,), precision="fp32", train_on=train_on)
    return replace(recipe, accumulate=PIECES)


def _in_batches_of_32(
    network: str, sgd: Sgd, schedule: Poly | StepDecay, *, updates: int, photos: int, scratch: bool = False
) -> Recipe:
    """Table 3 from scratch, and Fig. 2."""
    model = Model(backbone=network, weights="none" if scratch else "hub", criterion=UNSMOOTHED)
    stage = Stage(epochs_of(updates, photos=photos, batch=32), sgd, schedule)
    pixels = _pixels(CROP if scratch else TABLE_2["cub"].crop)
    return Recipe(model, pixels, Shuffled(32), (stage,), precision="fp32")


def _on_imagenet(network: str) -> Recipe:
    """Table 3 and the text, from scratch."""
    model = Model(backbone=network, weights="none", criterion=UNSMOOTHED)
    if network == "googlenet":
        return Recipe(model, _pixels(CROP), Shuffled(32), (Stage(60, GOOGLENETS, Poly(0.5)),), precision="fp32")
    stage = Stage(90, _sgd(0.1, 1e-4), StepDecay((30, 60)))
    return Recipe(model, _pixels(CROP), Shuffled(256), (stage,), precision="fp32")


def _bilinear(name: str, entry: _Set) -> Recipe:
    """Table 2's bilinear networks, in two stages: the head alone, and all."""
    updates = {"cub": 20_000, "aircraft": 20_000}.get(name, 40_000)
    first, falls = (80_000, (20, 30, 40, 50, 60, 70)) if name == "dogs" else (60_000, (20, 30, 40, 50))
    batch = 4 * 8

    def epochs(count: int) -> int:
        return epochs_of(count, photos=entry.photos, batch=batch)

    steps = StepDecay(tuple(epochs(1000 * at) for at in falls), 0.25)
    head = Stage(epochs(first), _sgd(1.0, 5e-6), steps, frozen=("backbone",))
    whole = Stage(epochs(updates), _sgd(1e-3, 5e-4), StepDecay())
    model = Model(pool=Part("Bilinear"), backbone="vgg16.tv_in1k", criterion=UNSMOOTHED)
    crop = 448 / 512
    pixels = Pixels(448, 448, eval_crop=crop, fit="stretch", min_scale=crop**2, max_scale=crop**2, ratio=1.0)
    train_on = ("train", "val") if name == "aircraft" else ("train",)
    recipe = Recipe(model, pixels, Shuffled(batch), (head, whole), precision="fp32", train_on=train_on)
    return replace(recipe, accumulate=4)


def _short(network: str) -> str:
    """The network's name without its weights'."""
    return network.split(".")[0]


def _pair(row: Row, plain: float | None, *, weight: float) -> tuple[Row, Row]:
    """The baseline of a row, and the row with the confusion."""
    term = Part("PairwiseConfusion", {"weight": weight})
    confused = replace(row.recipe, model=replace(row.recipe.model, terms=(term,)))
    return replace(row, name=f"{row.name}-plain", paper=plain), replace(row, recipe=confused)


def _rows() -> Iterator[Row]:
    for name, entry in TABLE_2.items():
        for network, (plain, confused) in entry.figures.items():
            row = Row(f"{name}-{_short(network)}", _tuned(entry, network), entry.data, "Table 2", confused)
            yield from _pair(row, plain, weight=10.0)
    for name, (plain, confused) in BILINEAR.items():
        entry = TABLE_2[name]
        yield from _pair(
            Row(f"{name}-bcnn", _bilinear(name, entry), entry.data, "Table 2", confused), plain, weight=10.0
        )
    cub = TABLE_2["cub"]
    halved = StepDecay(tuple(epochs_of(at, photos=cub.photos, batch=32) for at in range(3_000, 20_000, 3_000)), 0.5)
    for network, sgd, schedule, updates in (
        ("googlenet", GOOGLENETS, Poly(0.5), 37_600),
        ("vgg16.tv_in1k", _sgd(5e-4, 5e-4), halved, 20_000),
    ):
        recipe = _in_batches_of_32(network, sgd, schedule, updates=updates, photos=cub.photos)
        yield from _pair(Row(f"cub-{_short(network)}", recipe, cub.data, "Fig. 2", None), None, weight=10.0)
    for name, data, weight, figures in TABLE_3:
        for network, (plain, confused) in figures.items():
            short = _short(network)
            recipe = _in_batches_of_32(short, GOOGLENETS, Poly(0.5), updates=60_000, photos=50_000, scratch=True)
            if (name, short) != ("cifar10", "googlenet"):  # the one with a file of the authors'
                recipe = replace(recipe, pixels=replace(recipe.pixels, eval_crop=1.0))
            yield from _pair(Row(f"{name}-{short}", recipe, data, "Table 3", confused), plain, weight=weight)
    for name, data, weight, figures in IMAGENET:
        for network, (plain, confused) in figures.items():
            short, table = _short(network), "text" if name == "imagenet" else "Table 3"
            yield from _pair(Row(f"{name}-{short}", _on_imagenet(short), data, table, confused), plain, weight=weight)


ROWS: tuple[Row, ...] = tuple(_rows())
