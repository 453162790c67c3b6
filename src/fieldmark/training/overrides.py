"""What each setting means: the only place where ``--epochs``, ``--backbone`` and so on change a recipe.

The recipe is one that is followed, or the default of ``automatic.py``. Settings come first, then each ``--set``.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fieldmark.batches import Balanced, Batches, Shuffled
from fieldmark.data.dataset import SPLITS
from fieldmark.errors import UserError, printable
from fieldmark.plain import changed, did_you_mean, to_plain, value_of
from fieldmark.recipe import (
    FORMAT_VERSION,
    AdamW,
    Cosine,
    Model,
    Part,
    Pixels,
    Recipe,
    Sgd,
    Stage,
    StepDecay,
    recipe_from_json,
    recipe_from_plain,
)
from fieldmark.recipes import ROWS
from fieldmark.recipes.naming import composition_of, part_of, refuse_unknown
from fieldmark.training.settings import RecipeSettings

OPTIMISERS: dict[str, type[Sgd | AdamW]] = {"sgd": Sgd, "adamw": AdamW}
RATES = {Sgd: 0.1 / 16, AdamW: 1e-3 / 32}
"""Learning rates of the new layers, per photo of a batch."""
_COPIED = ("clip", "ema", "precision", "accumulate", "micro_batch", "seed")
_EPOCHS = re.compile(r"stages(\.\d+(\.epochs)?)?")
"""Places in a recipe that say how many epochs there are."""


def read_recipe(name: str) -> Recipe:
    """The recipe of a row of a paper's table by its name (see ``fieldmark recipes``), else of a file.

    Raises:
        UserError: no such row or file, or the file is not a recipe.
    """
    if name in ROWS:
        return ROWS[name].recipe
    option = f"--recipe {printable(name)}"
    try:
        recipe = recipe_from_json(Path(name).read_text("utf-8"))
        for place, part in recipe.model.parts:
            refuse_unknown(place, part)
        return recipe
    except FileNotFoundError as error:
        raise UserError(f"{option}: no such file, and no such row of a paper; {did_you_mean(name, ROWS)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{option}: cannot be read ({printable(str(error))})") from error
    except UserError as error:
        raise UserError(f"{option}: {error}") from error


def with_model(model: Model, settings: RecipeSettings) -> Model:
    """The model with the user's parts, backbone and weights, and further terms beside its own.

    ``method`` brings all parts of its paper, and the label smoothing that goes with them; ``neck``, ``pool``, ``head``,
    ``backbone`` and ``weights`` replace.

    Raises:
        UserError: no such method or part.
    """
    model = replace(model, backbone=settings.backbone or model.backbone, weights=settings.weights or model.weights)
    if settings.method is not None:
        paper = composition_of(settings.method)
        terms = (model.from_scratch and paper.from_scratch) or paper.terms
        model = replace(model, method=paper.method, neck=paper.neck, pool=paper.pool, head=paper.head, terms=terms)
    texts = {name: getattr(settings, name) for name in ("neck", "pool", "head")}
    parts: dict[str, Part] = {name: part_of(text, option=f"--{name}") for name, text in texts.items() if text}
    terms = tuple(part_of(text, option="--term") for text in settings.term)
    return replace(model, terms=model.terms + terms, criterion=_criterion(model.criterion, settings), **parts)


def with_settings(recipe: Recipe, settings: RecipeSettings) -> Recipe:
    """The recipe with all of the user's other settings; its model is left as it is.

    ``method`` brings its paper's batches, if it has its own. ``size`` applies to training and evaluation. ``batch``
    keeps the kind of batches: balanced ones get as many classes as fit. ``optimizer`` is that of all stages, its
    rate translated. ``epochs`` and ``lr`` are those of the only stage; what happens at an epoch (steps of the rate,
    warm-up, frozen epochs) moves along with ``epochs``.

    Raises:
        UserError: a setting that does not go with the recipe.
    """
    values = {name: getattr(settings, name) for name in _COPIED}
    copied: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if settings.ema is not None:
        copied["average_degree"] = 0.0
    if settings.quick or settings.start not in (None, "auto"):
        copied["start"] = "probe" if settings.quick else settings.start
    if settings.quick or settings.epochs is not None or settings.start == "zero":
        copied["length_by_start"] = False
    if settings.train_on is not None and settings.all:
        raise UserError("--all trains on every split, --train-on on those that it names: leave one of them out")
    if settings.train_on is not None or settings.all:
        copied["train_on"] = SPLITS if settings.all else tuple(str(settings.train_on).split("+"))
    return replace(
        recipe,
        pixels=_pixels(recipe.pixels, settings),
        batches=_batches(recipe.batches, settings),
        stages=_stages(recipe.stages, settings),
        **copied,
    )


def with_fields(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """The recipe with fields replaced, each named by its path in the recipe's file.

    Args:
        recipe: the original, which is not changed.
        changes: such as ``stages.0.optimiser.lr=0.01``; the value is JSON, or else taken as text.

    Raises:
        UserError: an unknown path, or a value that does not fit there.
    """
    values: dict[str, Any] = {}
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise UserError(f"--set {printable(change)}: write a path and a value, such as stages.0.epochs=10")
        values[path] = value_of(text)
    return with_places(recipe, values)


def with_places(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The same with values instead of texts, in their order; epochs that are said are no longer left to the start.

    Raises:
        UserError: as for ``with_fields``.
    """
    if not changes:
        return recipe
    if recipe.length_by_start and (any(map(_EPOCHS.fullmatch, changes)) or changes.get("start", "probe") != "probe"):
        changes = {"length_by_start": False} | dict(changes)
    try:
        recipe = recipe_from_plain({"format_version": FORMAT_VERSION} | changed(to_plain(recipe), changes))
        for place, part in recipe.model.parts:
            refuse_unknown(place, part)
        return recipe
    except UserError as error:
        raise UserError(f"--set {printable(str(error))}") from None


def _criterion(criterion: Part, settings: RecipeSettings) -> Part:
    paper = composition_of(settings.method) if settings.method is not None else None
    criterion = (paper and paper.criterion) or criterion
    criterion = part_of(settings.criterion, option="--criterion") if settings.criterion else criterion
    options, smoothing = dict(criterion.options), settings.smoothing
    if smoothing is None and paper is not None and "smoothing" in options:
        smoothing = paper.smoothing
    if smoothing is not None:
        options["smoothing"] = smoothing
    if settings.balance is not None:
        options.pop("adjust", None)
        options |= {"adjust": True} if settings.balance == "logit-adjust" else {}
    return replace(criterion, options=options)


def _pixels(pixels: Pixels, settings: RecipeSettings) -> Pixels:
    if settings.fit:  # a stretched photo is shown up to its edges
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
        raise UserError(f"--balance sampler: the recipe has its own kind of batches, {name}; leave it out")
    return batches


def _resized(batches: Batches, size: int) -> Batches:
    if not isinstance(batches, Balanced):
        return replace(batches, size=size)
    if size % batches.images:
        raise UserError(
            f"--batch {size}: the recipe has {batches.images} images of each class in a batch; choose a multiple, "
            "or use --set batches.classes=N --set batches.images=N"
        )
    return replace(batches, classes=size // batches.images)


def _stages(stages: tuple[Stage, ...], settings: RecipeSettings) -> tuple[Stage, ...]:
    if settings.quick:
        for name in ("epochs", "lr", "optimizer", "ema", "balance", "smoothing"):
            if getattr(settings, name) is not None:
                raise UserError(f"--quick trains the head alone, without steps: leave --{name} out")
        if settings.start == "zero":
            raise UserError("--quick is the start as a probe alone: leave --start zero out")
        return ()
    for name, field in (("epochs", "epochs"), ("lr", "optimiser.lr")):
        if getattr(settings, name) is not None and len(stages) != 1:
            example = f"--set stages.0.{field}={getattr(settings, name)}"
            raise UserError(f"--{name}: the recipe has {len(stages)} stages; name one, as in {example}")
    if settings.optimizer is not None:
        kind = OPTIMISERS[settings.optimizer]
        stages = tuple(replace(stage, optimiser=_converted(stage.optimiser, kind)) for stage in stages)
    if settings.epochs is not None:
        stages = (stretched(stages[0], settings.epochs),)
    if settings.lr is not None:
        stages = (replace(stages[0], optimiser=replace(stages[0].optimiser, lr=settings.lr)),)
    return stages


def _converted(optimiser: Sgd | AdamW, kind: type[Sgd | AdamW]) -> Sgd | AdamW:
    """The optimiser as one of another kind, whose rate is as many times that kind's usual one; groups keep theirs."""
    if isinstance(optimiser, kind):
        return optimiser
    rate = optimiser.lr * RATES[kind] / RATES[type(optimiser)]
    return kind(rate, decayed=optimiser.decayed, scales=optimiser.scales)


def stretched(stage: Stage, epochs: int) -> Stage:
    """The stage with another number of epochs; whatever happens at an epoch moves along."""
    share, schedule = epochs / stage.epochs, stage.schedule
    if isinstance(schedule, StepDecay):
        steps = tuple(math.ceil(epoch * share) for epoch in schedule.epochs)
        schedule = replace(schedule, epochs=steps, warmup=schedule.warmup * share)
    elif isinstance(schedule, Cosine):
        schedule = replace(schedule, warmup=schedule.warmup * share)
    frozen = None if stage.frozen_epochs is None else int(stage.frozen_epochs * share)
    return replace(stage, epochs=epochs, schedule=schedule, frozen_epochs=frozen)
