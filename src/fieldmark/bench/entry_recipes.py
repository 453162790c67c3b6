"""From an entry of a plan to the recipe that is followed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fieldmark.bench.plan import Entry
from fieldmark.bench.provenance import file_digest
from fieldmark.core.weights import weights_file
from fieldmark.errors import UserError
from fieldmark.plain import did_you_mean, from_plain, to_plain
from fieldmark.recipe import FORMAT_VERSION, Recipe
from fieldmark.recipes import ROWS
from fieldmark.training.automatic import draft_of
from fieldmark.training.overrides import read_recipe, stretched, with_places
from fieldmark.training.settings import RecipeSettings

SETTINGS = tuple(
    name
    for name in (field.name for field in fields(RecipeSettings))
    if name not in ("recipe", "set", "seed", "train_on")
)
"""Settings of ``fieldmark train`` that an entry may hold; a plan says the others in places of their own."""


@dataclass(frozen=True)
class RecipeContext:
    """What a recipe depends on besides its entry: numbers of photos and classes, kind of machine, the plan's folder.

    ``external`` are the classes from elsewhere that the user named, by the names given: no plan imports any other.
    """

    photos: int
    classes: int
    device: str
    folder: Path
    external: Mapping[str, type] = field(default_factory=dict)


def recipe_of(entry: Entry, context: RecipeContext, *, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of an entry, with ``changes`` (of a trial) beyond its own; seed and ``train_on`` are left as they are.

    Raises:
        UserError: what does not stand in a recipe, or names nothing.
    """
    try:
        recipe = _named(entry.recipe, context) if entry.recipe else _chosen(entry, context)
        recipe = with_places(recipe, {**entry.changes, **(changes or {})})
    except (UserError, TypeError) as error:  # a date of TOML's is no value of JSON's
        raise UserError(f"{entry.name}: {error}") from error
    return recipe


def with_weights(recipe: Recipe, files: Mapping[str, Path]) -> Recipe:
    """The recipe with the file that ``--weights NAME=FILE`` gives for its weights' word, or for its backbone's name."""
    file = files.get(recipe.model.weights) or files.get(recipe.model.backbone)
    return replace(recipe, model=replace(recipe.model, weights=str(file))) if file else recipe


def settings_of(said: Mapping[str, Any]) -> RecipeSettings:
    """An entry's settings as ``fieldmark train`` has them.

    Raises:
        UserError: an unknown one, or a value of another kind or out of its range.
    """
    if unknown := [name for name in said if name not in SETTINGS]:
        raise UserError(f"there is no setting {unknown[0]}; {did_you_mean(unknown[0], SETTINGS)}")
    return from_plain(dict(said), RecipeSettings)


def shortened(recipe: Recipe, share: float) -> Recipe:
    """The same recipe in a share of its epochs: stages, milestones and warm-ups shrink alike, to whole epochs."""
    if share >= 1:
        return recipe
    stages = (stretched(stage, max(1, math.ceil(stage.epochs * share - 1e-9))) for stage in recipe.stages)
    return replace(recipe, stages=tuple(stages))


def described(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data in which weights stand by their file's name, as folders differ between machines."""
    data = {"format_version": FORMAT_VERSION} | to_plain(recipe)
    data["model"]["weights"] = Path(data["model"]["weights"]).name
    return data


def weights_digest(recipe: Recipe) -> str:
    """The digest of a recipe's file of weights; "" for weights that come from elsewhere."""
    path = weights_file(recipe.model.weights)
    return file_digest(path) if path.is_file() else ""


def _chosen(entry: Entry, context: RecipeContext) -> Recipe:
    """The recipe that the entry's settings make; batches that are changed as a whole need no size before."""
    said = dict(entry.settings)
    if "batches" in entry.changes:
        said.pop("batch", None)
    settings = settings_of(said)
    draft = draft_of(settings, device=context.device, external=context.external)
    return draft.fitted(photos=context.photos, classes=context.classes)


def _named(name: str, context: RecipeContext) -> Recipe:
    """A row of a paper's table, or a recipe's file beside the plan."""
    place = name if name in ROWS else context.folder / name
    return read_recipe(str(place))
