"""From an entry of a plan to the recipe that is followed."""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fieldmark.bench.plan import Entry
from fieldmark.errors import UserError
from fieldmark.plain import did_you_mean, from_plain, to_plain
from fieldmark.recipe import FORMAT_VERSION, Recipe
from fieldmark.recipes import ROWS
from fieldmark.training.automatic import draft_of
from fieldmark.training.overrides import read_recipe, stretched, with_places
from fieldmark.training.settings import RecipeSettings

NOTHING: Mapping[str, Any] = MappingProxyType({})
ELSEWHERE = ("recipe", "set", "seed", "train_on")
"""Settings of ``fieldmark train`` that a plan says in places of their own."""


def recipe_of(
    entry: Entry,
    *,
    photos: int,
    classes: int,
    device: str,
    folder: Path,
    external: Mapping[str, type] = NOTHING,
    changes: Mapping[str, Any] = NOTHING,
) -> Recipe:
    """The recipe of an entry, with a trial's ``changes`` beyond its own; seed and ``train_on`` are left as they are.

    It depends on the numbers of ``photos`` trained on and of ``classes``, on the kind of ``device``, on the plan's
    ``folder``, and on ``external``, the classes from elsewhere that the user named: no plan imports any other.

    Raises:
        UserError: what does not stand in a recipe, or names nothing.
    """
    said = dict(entry.settings)
    if "batches" in entry.changes:  # as a whole, they need no size before
        said.pop("batch", None)
    try:
        if entry.recipe:
            recipe = read_recipe(entry.recipe if entry.recipe in ROWS else str(folder / entry.recipe))
        else:
            draft = draft_of(settings_of(said), device=device, external=external)
            recipe = draft.fitted(photos=photos, classes=classes)
        return with_places(recipe, {**entry.changes, **changes})
    except (UserError, TypeError) as error:  # a date of TOML's is no value of JSON's
        raise UserError(f"{entry.name}: {error}") from error


def settings_of(said: Mapping[str, Any]) -> RecipeSettings:
    """An entry's settings as ``fieldmark train`` has them.

    Raises:
        UserError: an unknown one, or a value of another kind or out of its range.
    """
    known = [field.name for field in fields(RecipeSettings) if field.name not in ELSEWHERE]
    if unknown := [name for name in said if name not in known]:
        raise UserError(f"there is no setting {unknown[0]}; {did_you_mean(unknown[0], known)}")
    return from_plain(dict(said), RecipeSettings)


def with_weights(recipe: Recipe, files: Mapping[str, Path]) -> Recipe:
    """The recipe with the file that ``--weights NAME=FILE`` gives for its weights' word, or for its backbone's name."""
    file = files.get(recipe.model.weights) or files.get(recipe.model.backbone)
    return replace(recipe, model=replace(recipe.model, weights=str(file))) if file else recipe


def shortened(recipe: Recipe, share: float) -> Recipe:
    """The same recipe in a share of its epochs: stages, milestones and warm-ups shrink alike, to whole epochs."""
    stages = (stretched(stage, max(1, math.ceil(stage.epochs * share - 1e-9))) for stage in recipe.stages)
    return replace(recipe, stages=tuple(stages), length_by_start=False)


def are_alike(recipe: Recipe, other: Recipe) -> bool:
    """Whether they are the same, but for where weights lie, and for epochs that the start decides."""
    first, second = (
        replace(each, stages=tuple(stretched(stage, 1) for stage in each.stages)) if each.length_by_start else each
        for each in (recipe, other)
    )
    return described(first) == described(second)


def described(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data in which weights stand by their file's name, as folders differ between machines."""
    data = {"format_version": FORMAT_VERSION} | to_plain(recipe)
    data["model"]["weights"] = Path(data["model"]["weights"]).name
    return data
