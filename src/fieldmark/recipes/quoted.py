"""Figures of other systems that the papers' tables quote: they were not run by the papers' authors, so no row has them.

Top-1 in %, from the tables as printed; ``None`` where a table has no figure.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple


class Quoted(NamedTuple):
    """A figure that a paper quotes.

    ``paper`` is the paper's name for ``--method``, ``table`` the table in it, ``data`` the data set's name as in
    ``Row``, ``system`` what the figure is of, ``figure`` its top-1 accuracy in %.
    """

    paper: str
    table: str
    data: str
    system: str
    figure: float


_Figures = Mapping[str, tuple[float | None, ...]]
_CUB, _AIRCRAFT, _CARS, _DOGS = ("CUB-200-2011", "FGVC-Aircraft", "Stanford Cars", "Stanford Dogs")
_NABIRDS, _FLOWERS = "NABirds", "Flowers-102"
_THREE = (_CUB, _AIRCRAFT, _CARS)

_TABLES: tuple[tuple[str, str, tuple[str, ...], _Figures], ...] = (
    (
        "pc", "Table 2", (_CUB,), {
            "Gao et al.": (84.00,), "STN": (84.10,), "Zhang et al.": (84.50,), "Lin et al.": (85.80,),
            "Cui et al.": (86.20,),
        },
    ),
    (
        "pc", "Table 2", (_CARS,), {
            "Wang et al.": (85.70,), "Liu et al.": (86.80,), "Lin et al.": (92.00,), "Cui et al.": (92.40,),
        },
    ),
    (
        "pc", "Table 2", (_AIRCRAFT,), {
            "Simon et al.": (85.50,), "Cui et al.": (86.90,), "LRBP": (87.30,), "Lin et al.": (88.50,),
        },
    ),
    ("pc", "Table 2", (_NABIRDS,), {"Branson et al.": (35.70,), "Van Horn et al.": (75.00,)}),
    ("pc", "Table 2", (_FLOWERS,), {"Det.+Seg.": (80.66,), "Overfeat": (86.80,)}),
    ("pc", "Table 2", (_DOGS,), {"Zhang et al.": (80.43,), "Krause et al.": (80.60,)}),
    (
        "mc-loss", "Table III", (_FLOWERS,), {
            "Det.+seg.": (80.7,), "Overfeat": (86.8,), "B-CNN, VGG-16": (92.5,),
            "Selective joint FT, ResNet-152": (95.8,), "PC, B-CNN": (93.7,), "PC, DenseNet-161": (91.2,),
        },
    ),
    (
        "mc-loss", "Table IV", _THREE, {
            "FT VGGNet, VGG-19": (77.8, 84.8, 84.9), "FT ResNet, ResNet-50": (84.1, 88.5, 91.7),
            "B-CNN, VGG-16": (84.1, 84.1, 91.3), "KA, VGG-16": (85.3, 88.3, 91.7), "KP, VGG-16": (86.2, 86.9, 92.4),
            "MA-CNN, VGG-19": (86.5, 89.9, 92.8), "PC, B-CNN": (85.6, 85.8, 92.5),
            "PC, DenseNet-161": (86.9, 89.2, 92.9), "DFL-CNN, VGG-16": (86.7, 92.0, 93.8),
            "DFL-CNN, ResNet-50": (87.4, 91.7, 93.1), "NTS-Net, ResNet-50": (87.5, 91.4, 93.9),
            "WPS-CPM, GoogLeNet and ResNet-50": (90.4, None, None), "TASN, ResNet-50": (87.9, None, 93.8),
        },
    ),
    (
        "api-net", "Table 6", (_CUB,), {
            "DeepLAC (extra supervision)": (80.3,), "Part-RCNN (extra supervision)": (81.6,),
            "PA-CNN (extra supervision)": (82.8,), "MG-CNN (extra supervision)": (83.0,),
            "FCAN (extra supervision)": (84.7,), "TA-FGVC (extra supervision)": (88.1,),
            "HSE (extra supervision)": (88.1,), "PDFR": (84.5,), "Grassmann Pool": (85.8,), "KP": (86.2,),
            "HBP": (87.1,), "G2DeNet": (87.1,), "MG-CNN": (81.7,), "B-CNN": (84.1,), "RACNN": (85.3,), "MACNN": (86.5,),
            "Deep KSPD": (86.5,), "ST-CNN": (84.1,), "FCAN": (84.3,), "DFL-CNN": (87.4,), "NTS-Net": (87.5,),
            "MAMC": (86.5,), "iSQRT-COV": (88.7,), "MaxEnt": (86.5,), "PC": (86.9,),
        },
    ),
    (
        "api-net", "Table 7", (_AIRCRAFT,), {
            "BoT (extra supervision)": (88.4,), "MG-CNN (extra supervision)": (86.6,), "KP": (86.9,), "LRBP": (87.3,),
            "G2DeNet": (89.0,), "Grassmann Pool": (89.8,), "HBP": (90.3,), "DFL-CNN": (92.0,), "B-CNN": (84.1,),
            "RACNN": (88.4,), "MACNN": (89.9,), "Deep KSPD": (91.5,), "NTS-Net": (91.4,), "iSQRT-COV": (91.4,),
            "PC": (89.2,), "MaxEnt": (89.8,),
        },
    ),
    (
        "api-net", "Table 8", (_CARS,), {
            "BoT (extra supervision)": (92.5,), "PA-CNN (extra supervision)": (92.8,),
            "FCAN (extra supervision)": (91.3,), "KP": (92.4,), "G2DeNet": (92.5,), "Grassmann Pool": (92.8,),
            "HBP": (93.7,), "DFL-CNN": (93.8,), "RACNN": (92.5,), "MACNN": (92.8,), "Deep KSPD": (93.2,),
            "FCAN": (89.1,), "NTS-Net": (93.9,), "MAMC": (93.0,), "iSQRT-COV": (93.3,), "PC": (92.9,),
            "MaxEnt": (93.0,),
        },
    ),
    (
        "api-net", "Table 9", (_DOGS,), {
            "TA-FGVC (extra supervision)": (88.9,), "PDFR": (72.0,), "DVAN": (81.5,), "B-CNN": (82.1,),
            "RACNN": (87.3,), "FCAN": (84.2,), "MAMC": (85.2,), "MaxEnt": (83.6,), "PC": (83.8,),
        },
    ),
    (
        "api-net", "Table 10", (_NABIRDS,), {
            "Van Horn et al. (extra supervision)": (75.0,), "Branson et al.": (35.7,), "PC": (82.8,), "MaxEnt": (83.0,),
        },
    ),
    (
        "cin", "Table 2", _THREE, {
            "MAMC": (86.5, None, 93.0), "CGNL": (87.0, None, None), "HBP": (87.1, 90.3, 93.7),
            "iSQRT-COV(8k)": (87.3, 89.5, 91.7), "RA-CNN": (85.3, None, 92.5), "Boost-CNN": (85.6, 88.5, 92.6),
            "DT-RAM": (86.0, None, 93.1), "MA-CNN": (86.5, 89.9, 92.8), "DFL-CNN": (87.4, 92.0, 93.8),
            "NTS": (87.5, 91.4, 93.9),
        },
    ),
    (
        "s3n", "Table 5", _THREE, {
            "B-CNN": (84.1, 84.1, 91.3), "Low-rank B-CNN": (84.2, 87.3, 90.9), "HIHCA": (85.3, 88.3, 91.7),
            "Boosted CNN": (85.6, 88.5, 92.1), "RA-CNN": (85.3, None, 92.5), "MA-CNN": (86.5, 89.9, 92.8),
            "DT-RAM": (86.0, None, 93.1), "DPL-CNN": (87.1, None, 93.1), "DFL-CNN": (87.4, 91.7, 93.1),
            "NTS": (87.5, 91.4, 93.9),
        },
    ),
)  # fmt: skip


def _figures() -> Iterator[Quoted]:
    for paper, table, sets, systems in _TABLES:
        for place, data in enumerate(sets):
            for system, figures in systems.items():
                if (figure := figures[place]) is not None:
                    yield Quoted(paper, table, data, system, figure)


QUOTED: tuple[Quoted, ...] = tuple(_figures())
"""All of them, by paper, table and data set, in the tables' order."""


def quoted_beside(rows: Iterable[str]) -> tuple[Quoted, ...]:
    """The figures that stand in the tables of the papers whose rows, as in ``ROWS``, have these names."""
    papers = {name.partition("/")[0] for name in rows}
    return tuple(quoted for quoted in QUOTED if quoted.paper in papers)
