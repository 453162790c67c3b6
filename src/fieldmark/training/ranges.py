"""The numbers of a recipe, and the ranges in which they mean something."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from fieldmark.errors import UserError
from fieldmark.recipe import AdamW, Cosine, OneCycle, Pixels, Recipe, Sgd, Stage, StepDecay


class _Held(NamedTuple):
    """A number held against its range, which ``words`` name."""

    name: str
    value: float
    fits: bool
    words: str


def refuse_numbers_of(recipe: Recipe) -> None:
    """Raises ``UserError`` for the first number of a recipe that is out of its range."""
    for name, value, fits, words in _all(recipe):
        if not fits:
            raise UserError(f"the recipe's {name} is {value}; it has to be {words}")


def _all(recipe: Recipe) -> Iterator[_Held]:
    yield _Held("seed", recipe.seed, recipe.seed >= 0, "at least 0")
    yield _Held("accumulate", recipe.accumulate, recipe.accumulate >= 1, "at least 1")
    yield _not_negative("clip", recipe.clip)
    yield _below_one("smoothing", recipe.smoothing)
    yield _below_one("ema", recipe.ema)
    yield from _pixels(recipe.pixels)
    yield _Held("number of splits trained on", len(recipe.train_on), bool(recipe.train_on), "at least 1")
    yield _Held("number of stages", len(recipe.stages), bool(recipe.stages), "at least 1")
    for at, stage in enumerate(recipe.stages):
        yield from _stage(stage, f"stages.{at}")


def _pixels(pixels: Pixels) -> Iterator[_Held]:
    low, high, part = pixels.min_scale, pixels.max_scale, "above 0 and at most 1"
    yield _Held("pixels.size", pixels.size, pixels.size >= 1, "at least 1")
    yield _Held("pixels.eval_size", pixels.eval_size, pixels.eval_size >= 1, "at least 1")
    yield _Held("pixels.eval_crop", pixels.eval_crop, 0 < pixels.eval_crop <= 1, part)
    yield _Held("pixels.min_scale", low, 0 < low <= 1, part)
    yield _Held("pixels.max_scale", high, low <= high <= 1, "at least min_scale and at most 1")
    yield _Held("pixels.ratio", pixels.ratio, 1 <= pixels.ratio < math.inf, "at least 1")
    yield _positive("pixels.megapixels", pixels.megapixels)


def _stage(stage: Stage, place: str) -> Iterator[_Held]:
    yield _Held(f"{place}.epochs", stage.epochs, stage.epochs >= 1, "at least 1")
    if stage.frozen_epochs is not None:
        yield _not_negative(f"{place}.frozen_epochs", stage.frozen_epochs)
    yield from _optimiser(stage.optimiser, f"{place}.optimiser")
    yield from _schedule(stage.schedule, f"{place}.schedule")


def _optimiser(optimiser: Sgd | AdamW, place: str) -> Iterator[_Held]:
    yield _not_negative(f"{place}.lr", optimiser.lr)
    yield _not_negative(f"{place}.weight_decay", optimiser.weight_decay)
    if isinstance(optimiser, Sgd):
        yield _below_one(f"{place}.momentum", optimiser.momentum)
    for group, scale in optimiser.scales.items():
        yield _not_negative(f"{place}.scales.{group}", scale)


def _schedule(schedule: OneCycle | Cosine | StepDecay, place: str) -> Iterator[_Held]:
    if isinstance(schedule, OneCycle):
        yield _share(f"{place}.rise", schedule.rise)
        yield _positive(f"{place}.start", schedule.start)
        yield _positive(f"{place}.end", schedule.end)
        return
    yield _not_negative(f"{place}.warmup", schedule.warmup)
    if isinstance(schedule, Cosine):
        yield _share(f"{place}.floor", schedule.floor)
        return
    yield _not_negative(f"{place}.factor", schedule.factor)
    for at, epoch in enumerate(schedule.epochs):
        yield _not_negative(f"{place}.epochs.{at}", epoch)


def _not_negative(name: str, value: float) -> _Held:
    return _Held(name, value, 0 <= value < math.inf, "at least 0")


def _positive(name: str, value: float) -> _Held:
    return _Held(name, value, 0 < value < math.inf, "above 0")


def _share(name: str, value: float) -> _Held:
    return _Held(name, value, 0 <= value <= 1, "from 0 to 1")


def _below_one(name: str, value: float) -> _Held:
    return _Held(name, value, 0 <= value < 1, "from 0 to below 1")
