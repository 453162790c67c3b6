"""What is mistyped in a recipe's parts and parameter groups, told before hours of other work."""

from collections.abc import Iterator

from fieldmark.core.building import GIVEN, build_learner, build_part, check_part
from fieldmark.core.contract import Method
from fieldmark.recipe import Model, Part, Recipe
from fieldmark.training.optim import refuse_groups


def refuse_parts(recipe: Recipe, *, classes: int) -> None:
    """Looks at options and parameter groups; no weights are read, and no network is built where it can be helped.

    Args:
        recipe: what is to be followed.
        classes: C.

    Raises:
        UserError: an option that a part does not have or that has another type, or a group that there is not.
    """
    for place, part in _placed(recipe.model):
        check_part(part, GIVEN[place], place=place)
    usual = _groups(recipe.model, classes=classes)
    named = {name for stage in recipe.stages for name in (*stage.optimiser.scales, *stage.frozen)}
    if named <= set(usual):
        return
    kind = recipe.model.method.kind
    if getattr(kind, "parameter_groups", None) is Method.parameter_groups:
        refuse_groups({name: [] for name in usual}, recipe.stages)
    else:  # a method with groups of its own: only the method itself can say which
        refuse_groups(build_learner(recipe, classes=classes, weights="none").parameter_groups(), recipe.stages)


def _placed(model: Model) -> Iterator[tuple[str, Part]]:
    """The parts, each with its place."""
    if model.neck:
        yield "neck", model.neck
    yield from (("pool", model.pool), ("head", model.head), ("method", model.method))
    yield from (("term", term) for term in model.terms)


def _groups(model: Model, *, classes: int) -> list[str]:
    """The parameter groups of a method that has none of its own; terms are built, to see whether they learn."""
    few = {"channels": 64, "classes": classes}
    terms = any(list(build_part(term, few, place="term").parameters()) for term in model.terms)
    return ["backbone", *(["neck"] if model.neck else []), "head", *(["terms"] if terms else [])]
