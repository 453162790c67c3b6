"""The one list of papers: names are unambiguous, and every composition is complete."""

import re
from typing import get_args

import pytest

from fieldmark.batches import Batches, Shuffled
from fieldmark.building import GIVEN, check_part
from fieldmark.recipe import Model
from fieldmark.recipes import COMPOSITIONS, PAPERS, PARTS, SYSTEMS
from fieldmark.recipes.composition import Composition, epochs_of
from own_parts import KNOWN


def test_names_are_short_words_that_differ():
    names = [composition.name for composition in COMPOSITIONS]
    assert names[:2] == ["plain", "pc"]
    assert len(set(names)) == len(names) == len(PAPERS) + len(SYSTEMS)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)


def test_names_of_parts_differ_even_when_written_small_and_are_those_of_classes():
    names = [name for place in PARTS.values() for name in place]
    assert sorted(names) == sorted(name for paper in COMPOSITIONS for part in paper.parts.values() for name in part)
    assert len({name.lower() for name in names}) == len(names)
    assert [kind.__name__ for kind in KNOWN] == names
    assert tuple(PARTS) == tuple(GIVEN)
    assert not set(names) & {kind.__name__ for kind in get_args(Batches)}


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_a_recipe_may_name_every_part_of_it(composition: Composition):
    parts = {name: getattr(composition, name) for name in ("method", "neck", "pool", "head", "terms")}
    parts |= {"criterion": composition.criterion} if composition.criterion else {}
    for place, part in Model(**parts).parts:
        assert check_part(part, place=place, external={}) in KNOWN


@pytest.mark.parametrize("paper", [*PAPERS, *SYSTEMS], ids=lambda paper: paper.__name__)
def test_a_papers_recipe_says_what_it_is(paper: object):
    assert (paper.__doc__ or "").strip()


@pytest.mark.parametrize(
    ("iterations", "photos", "batch", "epochs"),
    [
        (10_000, 5994, 144, 244),
        (40_000, 1020, 144, 5714),
        (20_000, 5994, 32, 107),
        (3_000, 5994, 32, 16),
        (1, 99, 9, 1),
    ],
)
def test_updates_are_as_many_epochs_of_whole_batches(iterations: int, photos: int, batch: int, epochs: int):
    assert epochs_of(iterations, photos=photos, batch=batch) == epochs
    per_epoch = len(Shuffled(batch).epoch([0] * photos, seed=0, epoch=0))
    assert abs(epochs * per_epoch - iterations) <= per_epoch
