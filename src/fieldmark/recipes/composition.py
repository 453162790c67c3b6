"""What a paper is made of: the parts that ``--method NAME`` stands for."""

from dataclasses import dataclass

from fieldmark.batches import Batches
from fieldmark.recipe import AVERAGE, CROSS_ENTROPY, LINEAR, PLAIN, Part, Recipe

UNSMOOTHED = Part(CROSS_ENTROPY.name, {"smoothing": 0.0})
"""Cross-entropy as the papers have it."""


@dataclass(frozen=True)
class Composition:
    """The parts that a name for ``--method`` stands for.

    ``batches`` is how the paper makes its batches, None where any will do; ``parts`` names all classes of the paper
    that a recipe may hold. They are found in the module of ``fieldmark.papers`` that is called as the paper's recipes.
    """

    name: str
    method: Part = PLAIN
    neck: Part | None = None
    pool: Part = AVERAGE
    head: Part = LINEAR
    terms: tuple[Part, ...] = ()
    batches: Batches | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row of a paper's table that the paper ran itself, as a setting to run.

    ``name`` as in ``cub-resnet50``; ``data`` the set's name; ``table`` as the paper numbers it; ``paper`` the top-1
    accuracy that it prints, in %; ``ours`` what was measured here, and how.
    """

    name: str
    recipe: Recipe
    data: str
    table: str
    paper: float
    ours: str = "not yet run"
