"""Refuses mistyped parameter groups in a recipe, before anything slow is done."""

from fieldmark.building import Classes, build_learner, build_part, class_of
from fieldmark.core.contract import Method
from fieldmark.recipe import Model, Recipe
from fieldmark.training.optim import refuse_groups


def refuse_unknown_groups(recipe: Recipe, *, external: Classes) -> None:
    """Checks the parameter groups that a recipe names, without building a network where possible.

    Raises:
        UserError: an unknown group.
    """
    usual = _groups(recipe.model, external)
    named = {name for stage in recipe.stages for name in (*stage.optimiser.scales, *stage.frozen)}
    if named <= set(usual):
        return
    method = class_of(recipe.model.method, external, place="method")
    if getattr(method, "parameter_groups", None) is Method.parameter_groups:
        refuse_groups({name: [] for name in usual}, recipe.stages)
    else:  # only the method itself knows groups of its own
        learner = build_learner(recipe, classes=2, weights="none", external=external)
        refuse_groups(learner.parameter_groups(), recipe.stages)


def _groups(model: Model, external: Classes) -> list[str]:
    """The parameter groups of a method without groups of its own; terms are built to see if they have parameters."""
    context = {"channels": 64, "classes": 2, "width": 64}
    terms = (build_part(term, context, place="term", external=external) for term in model.terms)
    learning = any(list(term.parameters()) for term in terms)
    return ["backbone", *(["neck"] if model.neck else []), "head", *(["terms"] if learning else [])]
