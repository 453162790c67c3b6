"""Pairwise Confusion's settings as the authors' solver files have them, and what is told where classes are few."""

import pytest

from fieldmark.papers.pairwise_confusion import PER_CLASS
from fieldmark.recipe import Model, Part
from fieldmark.recipes.pairwise_confusion import COMPOSITION, FEW, ROWS, TABLE_2


def test_rows_make_as_many_updates_as_were_published():
    other = {"cub-googlenet": 37_600, "cub-vgg16": 20_000}
    elsewhere = ("-bcnn", "imagenet")  # typed in test_printed.py
    for row in (row for row in ROWS if not any(word in row.name for word in elsewhere)):
        (stage,), (entry, *_) = row.recipe.stages, [e for e in TABLE_2.values() if e.data == row.data] or [None]
        per_epoch = (entry.photos if entry else 50_000) // row.recipe.batches.size
        of_the_set = entry.updates * 144 // row.recipe.batches.size if entry else 60_000
        published = other.get(row.name.removesuffix("-plain"), of_the_set)
        assert abs(stage.epochs * per_epoch - published) <= per_epoch / 2, row.name


def test_a_rate_that_falls_at_updates_falls_at_epochs():
    """VGG-16's: halved every 3,000 of 20,000 updates of 32 photos."""
    ((stage,),) = (row.recipe.stages for row in ROWS if row.name == "cub-vgg16")
    for updates in range(500, 20_000, 1_000):  # far from any fall
        factor = stage.schedule.at(updates / (TABLE_2["cub"].photos // 32), stage.epochs)
        assert factor == 0.5 ** (updates // 3_000), updates


@pytest.mark.parametrize(
    ("terms", "classes", "lines"),
    [
        (COMPOSITION.terms, 20, 1),
        ((Part("PairwiseConfusion"),), FEW - 1, 1),
        ((Part("PairwiseConfusion"), Part("PairwiseConfusion", {"weight": 5.0})), 3, 1),
        ((Part("PairwiseConfusion"),), FEW, 0),
        ((Part("PairwiseConfusion", {"weight": 0.0}),), 20, 0),
        ((Part("MutualChannelLoss"),), 20, 0),
        ((), 20, 0),
    ],
)
def test_what_it_costs_is_told_where_classes_are_few(terms: tuple[Part, ...], classes: int, lines: int):
    told = list(COMPOSITION.notices(Model(terms=terms), classes))
    assert len(told) == lines
    for line in told:
        assert "\n" not in line
        assert "56.1 % at lambda 10, 73.3 % without it (held-out photos)" in line
        assert f"for {classes} classes is {0.05 * classes:g} to {0.15 * classes:g}" in line


def test_its_weight_per_class_is_the_least_of_the_paper_s():
    (term,) = COMPOSITION.terms
    assert term.options == {"weight": None, "per_class": PER_CLASS}
