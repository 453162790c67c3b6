"""A recipe that is followed, and what is said beside it: any field can be given another value.

``with_settings`` says what ``--epochs``, ``--backbone`` and the others mean for a recipe; ``--set`` reaches every field
by its path. Settings come first, then each ``--set`` in its order.
"""

import dataclasses
import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fieldmark.batches import Balanced, Batches, Shuffled
from fieldmark.errors import UserError, printable
from fieldmark.recipe import (
    TAGGED,
    Cosine,
    Fit,
    Model,
    Part,
    Pixels,
    Recipe,
    Stage,
    StepDecay,
    recipe_from_json,
    recipe_to_json,
)
from fieldmark.recipes import KNOWN, ROWS
from fieldmark.recipes.naming import composition_of, part_of
from fieldmark.training.ranges import refuse_numbers_of
from fieldmark.training.settings import Choices

_AS_THEY_ARE = ("smoothing", "balance", "clip", "ema", "precision", "accumulate", "seed")


def followed(choices: Choices, recipe: Recipe | None, external: Sequence[type] = ()) -> Recipe | None:
    """The recipe given, or that of ``--recipe``, with all that is said beside it; None where there is neither.

    Args:
        choices: what the user said.
        recipe: what to follow in place of ``choices.recipe``.
        external: classes from elsewhere that the user has named.

    Raises:
        UserError: no such recipe, or something beside it that does not fit.
    """
    recipe = recipe or read_recipe(choices.recipe, external)
    if recipe is None:
        return None
    recipe = with_fields(with_settings(recipe, choices), choices.set, external=external)
    refuse_numbers_of(recipe)
    return recipe


def read_recipe(named: str | Path | None, external: Sequence[type] = ()) -> Recipe | None:
    """The recipe of a row of a paper's table by its name (see ``fieldmark recipes``), else of a file.

    Raises:
        UserError: no such row or file, or no recipe in the file.
    """
    if named is None:
        return None
    if str(named) in ROWS:
        return ROWS[str(named)].recipe
    try:
        text = Path(named).read_text("utf-8")
    except FileNotFoundError as error:
        near = difflib.get_close_matches(str(named), ROWS, n=3, cutoff=0.5)
        advice = f"did you mean {', '.join(near)}?" if near else "fieldmark recipes lists the rows"
        raise UserError(f"--recipe {printable(str(named))}: no such file, nor row of a paper; {advice}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--recipe {printable(str(named))}: cannot be read ({printable(str(error))})") from error
    try:
        return recipe_from_json(text, KNOWN, external=external)
    except UserError as error:
        raise UserError(f"--recipe {printable(str(named))}: {error}") from error


def with_settings(recipe: Recipe, choices: Choices) -> Recipe:
    """The recipe with every setting that was said in the place of its own.

    ``method`` brings all parts of its paper, and the paper's batches where it has some; ``term`` adds to the terms;
    ``neck``, ``pool``, ``head``, ``backbone`` and ``weights`` replace. ``size`` counts for training and evaluation.
    ``batch`` keeps the kind of batches: balanced ones get as many classes as fit. ``epochs`` and ``lr`` are those of
    the only stage; what happens at an epoch (steps of the rate, warm-up, frozen epochs) moves along with ``epochs``.

    Raises:
        UserError: a setting that the recipe leaves no room for.
    """
    said: dict[str, Any] = {name: getattr(choices, name) for name in _AS_THEY_ARE if getattr(choices, name) is not None}
    if choices.train_on is not None:
        said["train_on"] = tuple(choices.train_on.split("+"))
    return replace(
        recipe,
        model=_model(recipe.model, choices),
        pixels=_pixels(recipe.pixels, choices),
        batches=_batches(recipe.batches, choices),
        stages=_stages(recipe.stages, choices),
        **said,
    )


def with_parts(model: Model, choices: Choices) -> Model:
    """The model with the neck, pool and head that were said, and with the terms that were said added to its own.

    Raises:
        UserError: no such part.
    """
    given = {name: getattr(choices, name) for name in ("neck", "pool", "head")}
    parts: dict[str, Part] = {name: part_of(text, option=f"--{name}") for name, text in given.items() if text}
    terms = tuple(part_of(text, option="--term") for text in choices.term)
    return replace(model, terms=model.terms + terms, **parts)


def _model(model: Model, choices: Choices) -> Model:
    model = replace(model, backbone=choices.backbone or model.backbone, weights=choices.weights or model.weights)
    if choices.method is not None:
        paper = composition_of(choices.method)
        model = replace(
            model, method=paper.method, neck=paper.neck, pool=paper.pool, head=paper.head, terms=paper.terms
        )
    return with_parts(model, choices)


def filled(pixels: Pixels, fit: Fit | None) -> Pixels:
    """The same with another ``fit``, if one is said; what is stretched is then seen to its edges."""
    return replace(pixels, fit=fit, eval_crop=1.0 if fit == "stretch" else Pixels.eval_crop) if fit else pixels


def _pixels(pixels: Pixels, choices: Choices) -> Pixels:
    pixels = filled(pixels, choices.fit)
    return replace(pixels, size=choices.size or pixels.size, eval_size=choices.size or pixels.eval_size)


def _batches(batches: Batches, choices: Choices) -> Batches:
    if choices.method is not None:
        batches = composition_of(choices.method).batches or batches
    if choices.batch is not None:
        batches = _resized(batches, choices.batch)
    if choices.balance is not None and isinstance(batches, Shuffled):
        return replace(batches, even=choices.balance == "sampler")
    if choices.balance == "sampler":
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


def _stages(stages: tuple[Stage, ...], choices: Choices) -> tuple[Stage, ...]:
    for name, field in (("epochs", "epochs"), ("lr", "optimiser.lr")):
        if getattr(choices, name) is not None and len(stages) != 1:
            example = f"--set stages.0.{field}={getattr(choices, name)}"
            raise UserError(f"--{name}: the recipe has {len(stages)} stages; say which: {example}")
    if choices.epochs is not None:
        stages = (stretched(stages[0], choices.epochs),)
    if choices.lr is not None:
        stages = (replace(stages[0], optimiser=replace(stages[0].optimiser, lr=choices.lr)),)
    return stages


def stretched(stage: Stage, epochs: int) -> Stage:
    """The stage in another number of epochs; whatever it does at an epoch moves along."""
    if stage.epochs < 1:
        return replace(stage, epochs=epochs)
    share, schedule = epochs / stage.epochs, stage.schedule
    if isinstance(schedule, StepDecay):
        steps = tuple(math.ceil(epoch * share) for epoch in schedule.epochs)
        schedule = replace(schedule, epochs=steps, warmup=schedule.warmup * share)
    elif isinstance(schedule, Cosine):
        schedule = replace(schedule, warmup=schedule.warmup * share)
    frozen = None if stage.frozen_epochs is None else int(stage.frozen_epochs * share)
    return replace(stage, epochs=epochs, schedule=schedule, frozen_epochs=frozen)


def with_fields(recipe: Recipe, changes: Sequence[str], *, external: Sequence[type] = ()) -> Recipe:
    """The recipe with fields replaced, each named by its path in the recipe's file.

    Args:
        recipe: is not changed.
        changes: such as ``stages.0.optimiser.lr=0.01``; the value is JSON, or else a word.
        external: classes from elsewhere that values may name.

    Raises:
        UserError: a path to nowhere, or a value that does not fit there.
    """
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise UserError(f"--set {printable(change)}: write a path and a value, such as stages.0.epochs=10")
        data = json.loads(recipe_to_json(recipe, KNOWN))
        _put(data, recipe, path, _value(text))
        elsewhere = (*_kinds(recipe.model), *external)
        try:
            recipe = recipe_from_json(json.dumps(data), KNOWN, external=elsewhere)
        except UserError as error:
            raise UserError(f"--set {printable(path)}: {printable(str(error))}") from None
    return recipe


def _put(place: Any, here: object, path: str, value: Any) -> None:
    """Puts a value into a recipe's data; ``here`` is the recipe itself, which says what each place may hold."""
    *way, last = path.split(".")
    for done, step in enumerate((*way, last)):
        where = ".".join(("recipe", *way[:done]))
        key = _key(here, step, path, where)
        if done == len(way):
            place[key] = value
            return
        if isinstance(place, dict) and key not in place:
            raise UserError(f"--set {printable(path)}: {where} has no {key!r} to change")
        place, here = place[key], _below(here, key)


def _below(here: Any, key: str | int) -> object:
    if isinstance(here, Part):
        return here.options.get(str(key))
    return getattr(here, str(key)) if dataclasses.is_dataclass(here) else here[key]


def _key(here: object, step: str, path: str, where: str) -> str | int:
    """The step of a path as the key of its place.

    Raises:
        UserError: there is nothing of that name.
    """
    said = f"--set {printable(path)}: {where}"
    if isinstance(here, Part | Mapping):
        return step
    if isinstance(here, tuple):
        if step.isdecimal() and int(step) < len(here):
            return int(step)
        raise UserError(f"{said} has {len(here)} entries, counted from 0, and no {step!r}")
    if not dataclasses.is_dataclass(here):
        raise UserError(f"{said} is {here!r} and has no fields")
    names = [field.name for field in dataclasses.fields(here)]
    if step in names:
        return step
    if step == "type" and isinstance(here, TAGGED):
        whole = f'{path.removesuffix(".type")}={{"type": "{type(here).__name__}"}}'
        raise UserError(f"{said} is replaced as a whole, such as --set '{whole}'")
    raise UserError(f"{said} has no field {step!r}; it has {', '.join(names)}")


def _value(text: str) -> Any:
    def no_number(word: str) -> Any:
        raise ValueError(word)

    try:
        return json.loads(text, parse_constant=no_number)
    except ValueError:
        return text


def _kinds(model: Model) -> list[type]:
    parts = (model.method, model.pool, model.head, *model.terms, *([model.neck] if model.neck else []))
    return [part.kind for part in parts]
