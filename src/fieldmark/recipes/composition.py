"""What a paper is made of: the parts that ``--method NAME`` stands for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fieldmark.batches import Batches
from fieldmark.recipe import AVERAGE, CROSS_ENTROPY, LINEAR, PLAIN, Model, Part, Recipe

UNSMOOTHED = Part(CROSS_ENTROPY.name, {"smoothing": 0.0})
"""Cross-entropy as in the papers."""
BEST_EPOCH = "its released scripts report the epoch that was best on the test photos; a run here reports its last epoch"


@dataclass(frozen=True)
class Composition:
    """The parts that a name for ``--method`` stands for.

    ``batches`` is how the paper makes its batches, None if any will do; ``parts`` names all classes of the paper that a
    recipe may hold, by place ("neck", "pool", "head", "criterion", "method" or "term"). They are in the module of
    ``fieldmark.papers`` that has the name of the paper's recipes.
    ``criterion`` is None for the recipe's own; ``smoothing`` is that of the labels, None as the recipe has it;
    ``from_scratch`` are the terms of a network without pretrained weights, where they are others; ``notices`` tells in
    lines what one should know who trains a model with any of the parts on that many classes, ``remark`` what to know of
    the paper's figures before they are compared.
    """

    name: str
    method: Part = PLAIN
    neck: Part | None = None
    pool: Part = AVERAGE
    head: Part = LINEAR
    terms: tuple[Part, ...] = ()
    batches: Batches | None = None
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    criterion: Part | None = None
    smoothing: float | None = None
    from_scratch: tuple[Part, ...] = ()
    notices: Callable[[Model, int], Iterable[str]] = lambda model, classes: ()
    remark: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a paper's table that its authors ran themselves, as a setting to run.

    ``name`` as in ``cub-resnet50``; ``data`` is the data set's name; ``table`` the table's number in the paper;
    ``paper`` the top-1 accuracy printed there, in %, None for a setting without a figure of its own; ``ours`` what was
    measured here, and how.
    """

    name: str
    recipe: Recipe
    data: str
    table: str
    paper: float | None
    ours: str = "not yet run"


def epochs_of(iterations: int, *, photos: int, batch: int) -> int:
    """The whole epochs nearest to a published number of updates, or to the one at which a rate falls.

    An epoch has as many updates as whole batches: the last, smaller batch is left out.

    Args:
        iterations: updates of the weights.
        photos: of the training splits.
        batch: photos per update, all pieces of it together.
    """
    return max(1, round(iterations / (photos // batch)))
