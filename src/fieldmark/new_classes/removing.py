"""``fieldmark remove-class``: undoes what ``add-class`` did, to the bit."""

from collections.abc import Sequence
from typing import NamedTuple

from fieldmark.building import Classes
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.evaluate import composed
from fieldmark.new_classes.widening import with_one_less
from fieldmark.recipe import Recipe
from fieldmark.runs.added import Additions
from fieldmark.runs.folder import Opened


class Narrowed(NamedTuple):
    """The network without a class, and what is left of the additions; None where the original is back."""

    recipe: Recipe
    learner: Learner
    classes: tuple[str, ...]
    additions: Additions | None


def narrow(opened: Opened, name: str, additions: Additions | None, *, external: Classes) -> Narrowed:
    """Takes away a class that was added.

    Args:
        opened: the run.
        name: the name of the class.
        additions: of the run; None if nothing was added to it.
        external: classes of the user's own that the run's recipe names.

    Raises:
        UserError: the run has no such class, or it was trained with it.
    """
    name = removable(name, opened.classes, additions)
    assert additions is not None, "removable refuses a run without any"
    rows = [row for row, own in enumerate(opened.classes) if own != name]
    left = additions.without(name)
    recipe, others = (opened.recipe, None) if left.classes else (additions.recipe, additions.tensors)
    learner = with_one_less(opened.learner, recipe=recipe, rows=rows, others=others, external=external)
    return Narrowed(recipe, learner, tuple(opened.classes[row] for row in rows), left if left.classes else None)


def removable(name: str, classes: Sequence[str], additions: Additions | None) -> str:
    """The class as the run spells it.

    Raises:
        UserError: the run has no such class, or it was trained with it.
    """
    added = additions.names if additions else ()
    spelt = {composed(own): own for own in classes}
    found = spelt.get(composed(name))
    if found is not None and found in added:
        return found
    can = f"it can lose {', '.join(map(printable, added))}" if added else "nothing was added to it"
    if found is None:
        raise UserError(f"the run has no class {printable(name)!r}; {can}")
    raise UserError(
        f"{printable(found)!r} was not added by add-class: the network was trained with it; {can}.\n"
        "To do without such a class, train without its photos"
    )
