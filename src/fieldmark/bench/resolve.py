"""From an entry of a plan to the recipe that is followed."""

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fieldmark.bench.plan import Entry
from fieldmark.bench.provenance import file_digest
from fieldmark.errors import UserError
from fieldmark.recipe import Recipe, recipe_to_json
from fieldmark.recipes import KNOWN, ROWS
from fieldmark.training.automatic import choose
from fieldmark.training.overrides import read_recipe, stretched, with_fields
from fieldmark.training.settings import Choices, refuse_numbers

SETTINGS = tuple(
    name
    for name in (field.name for field in fields(Choices))
    if name
    not in ("recipe", "set", "seed", "train_on", "annotation", "device", "workers", "start", "splits", "hold_out")
)
"""Settings of ``fieldmark train`` that an entry may hold; a plan says the others in places of their own."""


@dataclass(frozen=True)
class Surroundings:
    """What a recipe depends on besides its entry: numbers of photos and classes, kind of machine, the plan's folder.

    ``external`` are the classes from elsewhere that the user named, by the names given: no plan imports any other.
    """

    photos: int
    classes: int
    device: str
    folder: Path
    external: Mapping[str, type] = field(default_factory=dict)


def recipe_of(entry: Entry, around: Surroundings, *, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of an entry, with ``changes`` (of a trial) beyond its own; seed and ``train_on`` are left as they are.

    Raises:
        UserError: what does not stand in a recipe, or names nothing.
    """
    try:
        recipe = _named(entry.recipe, around) if entry.recipe else _chosen(entry.settings, around)
        fields = [f"{place}={json.dumps(value)}" for place, value in {**entry.changes, **(changes or {})}.items()]
        recipe = with_fields(recipe, fields, external=tuple(around.external.values()))
    except (UserError, TypeError) as error:  # a date of TOML's is no value of JSON's
        raise UserError(f"{entry.name}: {error}") from error
    return recipe


def with_weights(recipe: Recipe, files: Mapping[str, Path]) -> Recipe:
    """The recipe with the file that ``--weights NAME=FILE`` gives for its weights' word, or for its backbone's name."""
    file = files.get(recipe.model.weights) or files.get(recipe.model.backbone)
    return replace(recipe, model=replace(recipe.model, weights=str(file))) if file else recipe


def choices_of(settings: Mapping[str, Any]) -> Choices:
    """An entry's settings as ``fieldmark train`` has them.

    Raises:
        UserError: an unknown one, or a value of another kind.
    """
    hints = typing.get_type_hints(Choices)
    said: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in SETTINGS:
            raise UserError(f"no setting {name}; there are {', '.join(SETTINGS)}")
        value = tuple(value) if isinstance(value, list) else value
        value = float(value) if type(value) is int and float in (hints[name], *typing.get_args(hints[name])) else value
        if not _fits(value, hints[name]):
            raise UserError(f"{name} cannot be {value!r}")
        said[name] = value
    choices = replace(Choices(), **said)
    refuse_numbers(choices)
    return choices


def shortened(recipe: Recipe, share: float) -> Recipe:
    """The same recipe in a share of its epochs: stages, milestones and warm-ups shrink alike, to whole epochs."""
    if share >= 1:
        return recipe
    stages = (stretched(stage, max(1, math.ceil(stage.epochs * share - 1e-9))) for stage in recipe.stages)
    return replace(recipe, stages=tuple(stages))


def described(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data in which weights stand by their file's name, as folders differ between machines."""
    data = json.loads(recipe_to_json(recipe, KNOWN))
    data["model"]["weights"] = Path(data["model"]["weights"]).name
    return data


def weights_digest(recipe: Recipe) -> str:
    """The digest of a recipe's file of weights; "" for weights that come from elsewhere."""
    path = Path(recipe.model.weights)
    return file_digest(path) if path.is_file() else ""


def _chosen(settings: Mapping[str, Any], around: Surroundings) -> Recipe:
    choices = choices_of(settings)
    for text in (choices.method, choices.neck, choices.pool, choices.head, *choices.term):
        name = (text or "").split(",")[0]
        if ":" in name and name not in around.external:
            raise UserError(f"{name} is a class from elsewhere; name it again to use it (--external {name})")
    return choose(choices, photos=around.photos, device=around.device, classes=around.classes)


def _named(name: str, around: Surroundings) -> Recipe:
    """A row of a paper's table, or a recipe's file beside the plan."""
    place = name if name in ROWS else around.folder / name
    recipe = read_recipe(place, tuple(around.external.values()))
    assert recipe is not None
    return recipe


def _fits(value: Any, wanted: Any) -> bool:
    origin, choices = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, choice) for choice in choices)
    if origin is typing.Literal:
        return value in choices
    if origin is tuple:
        return isinstance(value, tuple) and all(type(one) is choices[0] for one in value)
    return type(value) is wanted
