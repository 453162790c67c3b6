"""The one list of papers: names and classes are unambiguous, and every composition is complete."""

import re

import pytest

from fieldmark.recipe import TAGGED, Part
from fieldmark.recipes import COMPOSITIONS, KNOWN, PAPERS
from fieldmark.recipes.composition import Composition


def test_names_are_short_words_that_differ():
    names = [composition.name for composition in COMPOSITIONS]
    assert names[:2] == ["plain", "pc"]
    assert len(set(names)) == len(names) == len(PAPERS)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)


def test_class_names_differ_even_when_written_small():
    kinds = (*KNOWN, *TAGGED)
    assert len({kind.__name__.lower() for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_a_recipe_may_name_every_part_of_it(composition: Composition):
    used = [composition.method, composition.pool, composition.head, *composition.terms]
    used += [composition.neck] if composition.neck else []
    assert all(isinstance(part, Part) and part.kind in KNOWN for part in used)


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.__name__)
def test_a_papers_recipe_says_what_it_is(paper: object):
    assert (paper.__doc__ or "").strip()
