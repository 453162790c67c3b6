"""What a paper is made of: the parts that ``--method NAME`` stands for."""

from dataclasses import dataclass, field

from fieldmark.batches import Batches
from fieldmark.core.classifier import Average, Linear
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Part, Recipe


@dataclass(frozen=True)
class Composition:
    """The parts that a name for ``--method`` stands for.

    ``batches`` is how the paper makes its batches, None where any will do; ``parts`` are all classes of the paper that
    a recipe may name.
    """

    name: str
    method: Part = field(default_factory=lambda: Part(Plain))
    neck: Part | None = None
    pool: Part = field(default_factory=lambda: Part(Average))
    head: Part = field(default_factory=lambda: Part(Linear))
    terms: tuple[Part, ...] = ()
    batches: Batches | None = None
    parts: tuple[type, ...] = ()


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
