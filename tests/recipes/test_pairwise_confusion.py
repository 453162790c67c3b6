"""Pairwise Confusion's settings as the authors' solver files have them, and what is told where classes are few."""

import pytest

from fieldmark.papers.pairwise_confusion import PER_CLASS
from fieldmark.recipe import Model, Part, StepDecay
from fieldmark.recipes.composition import epochs_of
from fieldmark.recipes.pairwise_confusion import COMPOSITION, FEW, ROWS, TABLE_2


def test_rows_make_as_many_updates_as_were_published():
    for row in ROWS:
        (stage,) = row.recipe.stages
        photos = {entry.data: entry.photos for entry in TABLE_2.values()}.get(row.data, 50_000)
        per_epoch = photos // row.recipe.batches.size
        published = 60_000
        if row.table == "Table 2":
            (entry,) = (entry for entry in TABLE_2.values() if entry.data == row.data)
            published = entry.updates * 144 // row.recipe.batches.size
        assert abs(stage.epochs * per_epoch - published) <= per_epoch / 2, row.name


def test_a_rate_that_falls_at_updates_falls_at_epochs():
    """VGG-16's solver on CUB, which no row needs: halved every 3,000 of 20,000 updates of 32 photos."""
    photos, batch = TABLE_2["cub"].photos, 32
    falls = tuple(epochs_of(updates, photos=photos, batch=batch) for updates in range(3_000, 20_000, 3_000))
    assert falls == (16, 32, 48, 64, 80, 96)
    schedule, total = StepDecay(falls, factor=0.5), epochs_of(20_000, photos=photos, batch=batch)
    for updates in range(0, 20_000, 1_000):
        # the middle of a thousand updates is far from any fall
        assert schedule.at((updates + 500) / (photos // batch), total) == 0.5 ** (updates // 3_000)


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
