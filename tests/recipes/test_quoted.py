"""The figures that the papers' tables quote: all of them, beside the rows of the same tables."""

from collections import Counter

from fieldmark.recipes import ROWS
from fieldmark.recipes.quoted import QUOTED, quoted_beside

COUNTS = {
    ("pc", "Table 2", "CUB-200-2011"): 5,
    ("pc", "Table 2", "Stanford Cars"): 4,
    ("pc", "Table 2", "FGVC-Aircraft"): 4,
    ("pc", "Table 2", "NABirds"): 2,
    ("pc", "Table 2", "Flowers-102"): 2,
    ("pc", "Table 2", "Stanford Dogs"): 2,
    ("mc-loss", "Table III", "Flowers-102"): 6,
    ("mc-loss", "Table IV", "CUB-200-2011"): 13,
    ("mc-loss", "Table IV", "FGVC-Aircraft"): 11,
    ("mc-loss", "Table IV", "Stanford Cars"): 12,
    ("api-net", "Table 6", "CUB-200-2011"): 25,
    ("api-net", "Table 7", "FGVC-Aircraft"): 16,
    ("api-net", "Table 8", "Stanford Cars"): 17,
    ("api-net", "Table 9", "Stanford Dogs"): 9,
    ("api-net", "Table 10", "NABirds"): 4,
    ("cin", "Table 2", "CUB-200-2011"): 10,
    ("cin", "Table 2", "FGVC-Aircraft"): 6,
    ("cin", "Table 2", "Stanford Cars"): 9,
    ("s3n", "Table 5", "CUB-200-2011"): 10,
    ("s3n", "Table 5", "FGVC-Aircraft"): 7,
    ("s3n", "Table 5", "Stanford Cars"): 10,
}


def test_all_figures_of_each_table_are_there():
    assert Counter((quoted.paper, quoted.table, quoted.data) for quoted in QUOTED) == COUNTS
    assert len(QUOTED) == 184


def test_a_system_stands_once_in_a_table():
    assert len({quoted._replace(figure=0.0) for quoted in QUOTED}) == len(QUOTED)
    assert all(30 < quoted.figure < 100 for quoted in QUOTED)


def test_the_tables_are_those_of_rows():
    tables = {(name.partition("/")[0], row.table, row.data) for name, row in ROWS.items()}
    assert COUNTS.keys() <= tables


def test_some_figures_as_printed():
    figures = {tuple(quoted[:4]): quoted.figure for quoted in QUOTED}
    assert figures["pc", "Table 2", "FGVC-Aircraft", "LRBP"] == 87.30
    assert figures["mc-loss", "Table IV", "Stanford Cars", "TASN, ResNet-50"] == 93.8
    assert figures["api-net", "Table 6", "CUB-200-2011", "FCAN (extra supervision)"] == 84.7
    assert figures["api-net", "Table 6", "CUB-200-2011", "FCAN"] == 84.3
    assert figures["cin", "Table 2", "Stanford Cars", "Boost-CNN"] == 92.6
    assert figures["s3n", "Table 5", "Stanford Cars", "Boosted CNN"] == 92.1


def test_those_of_the_papers_of_some_rows():
    beside = quoted_beside(["cin/cub-resnet50", "pc/cub-resnet50", "pc/dogs-resnet50"])
    assert {quoted.paper for quoted in beside} == {"cin", "pc"}
    assert len(beside) == 19 + 25
    assert quoted_beside([]) == ()
