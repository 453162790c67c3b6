"""What a setting means: the one place where ``--epochs``, ``--backbone`` and the others change a recipe.

The recipe is one that is followed, or the one that ``automatic.py`` makes. Settings come first, then each ``--set``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fieldmark.batches import Balanced, Batches, Shuffled
from fieldmark.errors import UserError, printable
from fieldmark.plain import changed, did_you_mean, to_plain, value_of
from fieldmark.recipe import (
    FORMAT_VERSION,
    Cosine,
    Model,
    Part,
    Pixels,
    Recipe,
    Stage,
    StepDecay,
    recipe_from_json,
    recipe_from_plain,
)
from fieldmark.recipes import ROWS
from fieldmark.recipes.naming import composition_of, part_of
from fieldmark.training.settings import RecipeSettings

_AS_THEY_ARE = ("clip", "ema", "precision", "accumulate", "seed")


def read_recipe(name: str) -> Recipe:
    """The recipe of a row of a paper's table by its name (see ``fieldmark recipes``), else of a file.

    Raises:
        UserError: no such row or file, or no recipe in the file.
    """
    if name in ROWS:
        return ROWS[name].recipe
    said = f"--recipe {printable(name)}"
    try:
        return recipe_from_json(Path(name).read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{said}: no such file, nor row of a paper; {did_you_mean(name, ROWS)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{said}: cannot be read ({printable(str(error))})") from error
    except UserError as error:
        raise UserError(f"{said}: {error}") from error


def with_model(model: Model, settings: RecipeSettings) -> Model:
    """The model with the parts, the backbone and its weights that were said, and terms added to its own.

    ``method`` brings all parts of its paper; ``neck``, ``pool``, ``head``, ``backbone`` and ``weights`` replace.

    Raises:
        UserError: no such method or part.
    """
    model = replace(model, backbone=settings.backbone or model.backbone, weights=settings.weights or model.weights)
    if settings.method is not None:
        paper = composition_of(settings.method)
        model = replace(
            model, method=paper.method, neck=paper.neck, pool=paper.pool, head=paper.head, terms=paper.terms
        )
    said = {name: getattr(settings, name) for name in ("neck", "pool", "head")}
    parts: dict[str, Part] = {name: part_of(text, option=f"--{name}") for name, text in said.items() if text}
    terms = tuple(part_of(text, option="--term") for text in settings.term)
    return replace(model, terms=model.terms + terms, criterion=_criterion(model.criterion, settings), **parts)


def with_settings(recipe: Recipe, settings: RecipeSettings) -> Recipe:
    """The recipe with all other settings that were said in the place of its own; its model is left as it is.

    ``method`` brings its paper's batches, where it has some. ``size`` counts for training and evaluation. ``batch``
    keeps the kind of batches: balanced ones get as many classes as fit. ``epochs`` and ``lr`` are those of the only
    stage; what happens at an epoch (steps of the rate, warm-up, frozen epochs) moves along with ``epochs``.

    Raises:
        UserError: a setting that the recipe leaves no room for.
    """
    values = {name: getattr(settings, name) for name in _AS_THEY_ARE}
    said: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if settings.train_on is not None:
        said["train_on"] = tuple(settings.train_on.split("+"))
    return replace(
        recipe,
        pixels=_pixels(recipe.pixels, settings),
        batches=_batches(recipe.batches, settings),
        stages=_stages(recipe.stages, settings),
        **said,
    )


def with_fields(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """The recipe with fields replaced, each named by its path in the recipe's file.

    Args:
        recipe: is not changed.
        changes: such as ``stages.0.optimiser.lr=0.01``; the value is JSON, or else a word.

    Raises:
        UserError: a path to nowhere, or a value that does not fit there.
    """
    places: dict[str, Any] = {}
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise UserError(f"--set {printable(change)}: write a path and a value, such as stages.0.epochs=10")
        places[path] = value_of(text)
    return with_places(recipe, places)


def with_places(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The same with values in place of texts, in their order.

    Raises:
        UserError: as for ``with_fields``.
    """
    if not changes:
        return recipe
    try:
        return recipe_from_plain({"format_version": FORMAT_VERSION} | changed(to_plain(recipe), changes))
    except UserError as error:
        raise UserError(f"--set {printable(str(error))}") from None


def _criterion(criterion: Part, settings: RecipeSettings) -> Part:
    options = dict(criterion.options)
    if settings.smoothing is not None:
        options["smoothing"] = settings.smoothing
    if settings.balance is not None:
        options.pop("adjust", None)
        options |= {"adjust": True} if settings.balance == "logit-adjust" else {}
    return replace(criterion, options=options)


def _pixels(pixels: Pixels, settings: RecipeSettings) -> Pixels:
    if settings.fit:  # what is stretched is seen to its edges
        crop = 1.0 if settings.fit == "stretch" else Pixels.eval_crop
        pixels = replace(pixels, fit=settings.fit, eval_crop=crop)
    return replace(pixels, size=settings.size or pixels.size, eval_size=settings.size or pixels.eval_size)


def _batches(batches: Batches, settings: RecipeSettings) -> Batches:
    if settings.method is not None:
        batches = composition_of(settings.method).batches or batches
    if settings.batch is not None:
        batches = _resized(batches, settings.batch)
    if settings.balance is not None and isinstance(batches, Shuffled):
        return replace(batches, even=settings.balance == "sampler")
    if settings.balance == "sampler":
        name = type(batches).__name__
        raise UserError(f"--balance sampler: the recipe makes batches of its own, {name}; leave it out")
    return batches


def _resized(batches: Batches, size: int) -> Batches:
    if not isinstance(batches, Balanced):
        return replace(batches, size=size)
    if size % batches.images:
        raise UserError(
            f"--batch {size}: the recipe has {batches.images} images of each class in a batch; choose a multiple, "
            "or say --set batches.classes=N --set batches.images=N"
        )
    return replace(batches, classes=size // batches.images)


def _stages(stages: tuple[Stage, ...], settings: RecipeSettings) -> tuple[Stage, ...]:
    for name, field in (("epochs", "epochs"), ("lr", "optimiser.lr")):
        if getattr(settings, name) is not None and len(stages) != 1:
            example = f"--set stages.0.{field}={getattr(settings, name)}"
            raise UserError(f"--{name}: the recipe has {len(stages)} stages; say which: {example}")
    if settings.epochs is not None:
        stages = (stretched(stages[0], settings.epochs),)
    if settings.lr is not None:
        stages = (replace(stages[0], optimiser=replace(stages[0].optimiser, lr=settings.lr)),)
    return stages


def stretched(stage: Stage, epochs: int) -> Stage:
    """The stage in another number of epochs; whatever it does at an epoch moves along."""
    share, schedule = epochs / stage.epochs, stage.schedule
    if isinstance(schedule, StepDecay):
        steps = tuple(math.ceil(epoch * share) for epoch in schedule.epochs)
        schedule = replace(schedule, epochs=steps, warmup=schedule.warmup * share)
    elif isinstance(schedule, Cosine):
        schedule = replace(schedule, warmup=schedule.warmup * share)
    frozen = None if stage.frozen_epochs is None else int(stage.frozen_epochs * share)
    return replace(stage, epochs=epochs, schedule=schedule, frozen_epochs=frozen)
