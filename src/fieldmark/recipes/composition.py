"""What a paper is made of: the parts that ``--method NAME`` stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fieldmark.batches import Batches
from fieldmark.recipe import AVERAGE, CROSS_ENTROPY, LINEAR, PLAIN, Part, Recipe

UNSMOOTHED = Part(CROSS_ENTROPY.name, {"smoothing": 0.0})
"""Cross-entropy as in the papers."""


@dataclass(frozen=True)
class Composition:
    """The parts that a name for ``--method`` stands for.

    ``batches`` is how the paper makes its batches, None if any will do; ``parts`` names all classes of the paper that a
    recipe may hold, by place ("neck", "pool", "head", "criterion", "method" or "term"). They are in the module of
    ``fieldmark.papers`` that has the name of the paper's recipes.
    """

    name: str
    method: Part = PLAIN
    neck: Part | None = None
    pool: Part = AVERAGE
    head: Part = LINEAR
    terms: tuple[Part, ...] = ()
    batches: Batches | None = None
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A row of a paper's table that its authors ran themselves, as a setting to run.

    ``name`` as in ``cub-resnet50``; ``data`` is the data set's name; ``table`` the table's number in the paper;
    ``paper`` the top-1 accuracy printed there, in %; ``ours`` what was measured here, and how.
    """

    name: str
    recipe: Recipe
    data: str
    table: str
    paper: float
    ours: str = "not yet run"
