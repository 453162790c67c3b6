"""A trained network with one class more or less: every tensor is carried over, layers that score classes row by row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from fieldmark.building import Classes, build_learner, is_per_class, widened
from fieldmark.core.contract import Method
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.recipe import Recipe

NEVER = -1e4
"""The bias of a class that no photo gets."""
_TERMS = "terms."


def with_one_more(
    learner: Learner, recipe: Recipe, *, classes: int, external: Classes
) -> tuple[Recipe, Learner, dict[str, Tensor]]:
    """The same network with a further class, the last, that no photo gets yet, in eval mode.

    Args:
        learner: trained.
        recipe: that it was built by.
        classes: C, before.
        external: classes of the user's own that the recipe names.

    Returns:
        Its recipe, the network, and tensors of the old one that have no place in it.

    Raises:
        UserError: something in it depends on the number of classes in a way that is not known here.
    """
    wider = replace(recipe, model=widened(recipe.model, classes=classes, external=external))
    target = build_learner(wider, classes=classes + 1, weights="none", external=external).eval()
    dropped = [is_per_class(term, place="term", external=external) for term in recipe.model.terms]
    kept = [place for place, is_dropped in enumerate(dropped) if not is_dropped]
    state = learner.state_dict()
    _carry(state, target, rows=range(classes), origin=_renaming(dict(enumerate(kept))))
    with torch.no_grad():
        for scorer in scorers_of(target.method):
            assert scorer.bias is not None, "scorers_of refuses others"
            scorer.bias[classes] = NEVER
    left = tuple(f"{_TERMS}{place}." for place, is_dropped in enumerate(dropped) if is_dropped)
    return wider, target, {key: value for key, value in state.items() if left and key.startswith(left)}


def with_one_less(
    learner: Learner,
    *,
    recipe: Recipe,
    rows: Sequence[int],
    others: Mapping[str, Tensor] | None = None,
    external: Classes,
) -> Learner:
    """The network for some of the classes, in eval mode.

    Args:
        learner: trained.
        recipe: of the network that is returned.
        rows: its classes, by their indices in ``learner``.
        others: its tensors that ``learner`` has no place for; the recipe is the original one, with all terms.
        external: classes of the user's own that the recipe names.

    Raises:
        UserError: as for ``with_one_more``.
    """
    target = build_learner(recipe, classes=len(rows), weights="none", external=external).eval()
    places = range(len(recipe.model.terms))
    if others is not None:
        places = [p for p in places if not is_per_class(recipe.model.terms[p], place="term", external=external)]
    origin = _renaming({place: number for number, place in enumerate(places)})
    _carry(learner.state_dict(), target, rows=rows, origin=origin, others=others or {})
    return target


def scorers_of(method: Method) -> list[nn.Linear]:
    """The layers that score the classes, in one list.

    Raises:
        UserError: a layer that has no bias, or not an output for each class.
    """
    layers = [layer for group in method.scorers() for layer in group]
    for layer in layers:
        if layer.bias is None or layer.out_features != method.classifier.classes:
            size = f"{layer.out_features} outputs" if layer.bias is not None else "no bias"
            raise UserError(
                f"{type(method).__name__}: a layer that scores the {method.classifier.classes} classes has {size};\n"
                "such a network gets no further class without training: train anew with all classes"
            )
    return layers


def _renaming(terms: Mapping[int, int]) -> Callable[[str], str]:
    """From a key of the target to that of the source, where the target's terms have other numbers."""

    def origin(key: str) -> str:
        if not key.startswith(_TERMS):
            return key
        number, _, rest = key.removeprefix(_TERMS).partition(".")
        return f"{_TERMS}{terms.get(int(number), number)}.{rest}"

    return origin


def _carry(
    source: Mapping[str, Tensor],
    target: Learner,
    *,
    rows: Sequence[int],
    origin: Callable[[str], str],
    others: Mapping[str, Tensor] | None = None,
) -> None:
    """Fills the target: ``rows`` of the source's scoring layers become the first ones, and all else stays as it is."""
    own = {id(parameter) for layer in scorers_of(target.method) for parameter in (layer.weight, layer.bias)}
    scoring = {name for name, parameter in target.named_parameters(remove_duplicate=False) if id(parameter) in own}
    state = target.state_dict()
    for key, value in state.items():
        if others and key in others:
            given = others[key]
        elif key in scoring:
            given = torch.zeros_like(value)
            given[: len(rows)] = source[origin(key)][list(rows)]
        else:
            given = source.get(origin(key), value.new_empty(0))
        if given.shape != value.shape:
            raise UserError(
                f"{key} depends on the number of classes, and how it should for one more is not known;\n"
                "train anew with all classes (a method of your own names its scoring layers by scorers())"
            )
        state[key] = given
    target.load_state_dict(state)
