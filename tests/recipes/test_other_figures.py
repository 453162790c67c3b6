"""Figures that are no accuracy of a recipe: typed once more, so that none drifts unseen."""

from collections import Counter

from fieldmark.recipes import ROWS
from fieldmark.recipes.other_figures import OTHER_FIGURES, REPEATED

PRINTED = {
    ("pc", "Table 1", "classes"): (102, 200, 196, 550, 100, 120, 100, 1000, 10, 10),
    ("pc", "Table 1", "photos"): (10, 29.97, 41.55, 43.5, 100, 100, 500, 1200, 5000, 7325.7),
    ("pc", "Table 4", "mean IoU"): (0.29, 0.31, 0.32, 0.34, 0.37, 0.35, 0.34, 0.35, 0.37, 0.39),
    ("mc-loss", "Table I", "classes"): (200, 100, 196, 102),
    ("mc-loss", "Table I", "photos"): (5994, 6667, 8144, 2040, 5794, 3333, 8041, 6149),
    ("cin", "Table 1, time", "ms a photo"): (
        *(22.1, 12.5, 22.4, 14.0, 14.2, 14.8, 15.0),
        *(17.2, 17.2, 17.2, 23.6, 17.2, 27.2),
    ),
    ("s3n", "Table 1", "% of peaks"): (94.63, 97.22, 98.76),
    ("s3n", "Table 2", "% of photos"): (57.7, 59.2, 56.6, 62.6, 65.2),
    ("s3n", "Table 2", "% top-1"): (86, 87, 86.5, 86.8, 85.3, 87.1, 85.6, 87.9, 86.7, 85.1),
}


def test_figures_are_those_that_are_printed():
    found: dict[tuple[str, str, str], list[float]] = {}
    for figure in OTHER_FIGURES:
        if figure.kind != "channels":
            found.setdefault((figure.paper, figure.table, figure.unit), []).append(float(figure.figure))
    assert {key: Counter(values) for key, values in found.items()} == {
        key: Counter(map(float, values)) for key, values in PRINTED.items()
    }


def test_each_category_of_table_ix_has_ten_channels():
    rows = [figure.figure.split() for figure in OTHER_FIGURES if figure.table == "Table IX"]
    assert [len({*row}) for row in rows] == [10] * 5
    assert all(0 <= int(channel) < 2048 for row in rows for channel in row)


def test_repeated_figures_are_of_rows():
    assert all(repeated.recipe in ROWS for repeated in REPEATED)
    assert len({*REPEATED}) == len(REPEATED)
