"""A run's setting as plain data: typed frozen dataclasses with a versioned JSON round trip.

A class stands in the file by its name, looked up in a tuple, never by an import; one of the user's own stands as
"package.module:Class" and has to be named again by whoever reads the file.
"""

import dataclasses
import inspect
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from fieldmark.batches import Balanced, Batches, ExhaustivePairs, Shuffled, ShuffledPairs
from fieldmark.errors import UserError

FORMAT_VERSION = 1
Fit = Literal["crop", "pad", "stretch", "box"]
Balance = Literal["none", "sampler", "logit-adjust"]
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Part:
    """A class and the options it is built with.

    What depends on where the part is put is not an option: a parameter called ``channels``, ``classes``, ``width``,
    ``classifier`` or ``criterion`` is filled in when it is built.
    """

    kind: type
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self, context: Mapping[str, Any]) -> Any:
        """An instance, with what its constructor asks for out of ``context``."""
        return self.kind(**{name: context[name] for name in self.accepted if name in context}, **self.options)

    @property
    def accepted(self) -> list[str]:
        """What the constructor can be given by name."""
        parameters = inspect.signature(self.kind).parameters.values()
        return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with Nesterov momentum.

    ``scales`` multiplies the learning rate of named parameter groups ("backbone", "neck", "head", "terms"; others 1).
    """

    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    scales: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class AdamW:
    """AdamW; ``scales`` as in ``Sgd``."""

    lr: float = 1e-3
    weight_decay: float = 0.05
    scales: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StepDecay:
    """Multiplies the learning rate by ``factor`` at each of ``epochs``, after a linear warm-up."""

    epochs: tuple[int, ...] = ()
    factor: float = 0.1
    warmup: float = 0.0

    def at(self, epoch: float, total: float) -> float:
        """The factor at a (fractional) epoch."""
        return _warm(epoch, self.warmup) * self.factor ** sum(epoch >= milestone for milestone in self.epochs)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to ``floor`` after a linear warm-up of ``warmup`` epochs."""

    warmup: float = 0.0
    floor: float = 0.0

    def at(self, epoch: float, total: float) -> float:
        """The factor at a (fractional) epoch of ``total``."""
        if epoch < self.warmup:
            return _warm(epoch, self.warmup)
        done = min((epoch - self.warmup) / max(total - self.warmup, 1e-9), 1.0)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class OneCycle:
    """Up along a cosine from 1/``start`` in the first ``rise`` of the stage, then down to 1/``end`` (Smith 2018)."""

    rise: float = 0.3
    start: float = 25.0
    end: float = 1e4

    def at(self, epoch: float, total: float) -> float:
        """The factor at a (fractional) epoch of ``total``."""
        done = min(epoch / total, 1.0)
        if done < self.rise:
            low, high, part = 1 / self.start, 1.0, done / self.rise
        else:
            low, high, part = 1.0, 1 / self.end, (done - self.rise) / max(1 - self.rise, 1e-9)
        return high + (low - high) * 0.5 * (1 + math.cos(math.pi * part))


def _warm(epoch: float, warmup: float) -> float:
    return min(1.0, (epoch + 1e-3) / warmup) if warmup else 1.0


@dataclass(frozen=True)
class Stage:
    """Epochs under one optimiser and schedule; ``frozen`` groups rest for the first ``frozen_epochs`` (None: all)."""

    epochs: int = 20
    optimiser: Sgd | AdamW = field(default_factory=Sgd)
    schedule: OneCycle | Cosine | StepDecay = field(default_factory=OneCycle)
    frozen: tuple[str, ...] = ()
    frozen_epochs: int | None = None


@dataclass(frozen=True)
class Model:
    """What is trained. ``weights`` says where the backbone started from; a saved run has its own."""

    method: Part
    pool: Part
    head: Part
    backbone: str = "resnet50"
    weights: str = "hub"
    neck: Part | None = None
    terms: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Pixels:
    """From a photograph, refused unread above so many ``megapixels``, to the network's input.

    ``size`` pixels a side in training, ``eval_size`` else. ``fit``: "crop" takes the centre square after the shorter
    side is scaled to ``eval_size / eval_crop``; "pad" keeps all of the image; "stretch" ignores its shape and takes the
    centre likewise; "box" first crops to the object's box with a margin. Training takes random areas of ``min_scale``
    to ``max_scale`` of what ``fit`` shows, one side up to ``ratio`` times the other, half of them mirrored if ``flip``.
    """

    size: int = 224
    eval_size: int = 224
    eval_crop: float = 0.875
    fit: Fit = "crop"
    min_scale: float = 0.25
    max_scale: float = 1.0
    ratio: float = 4 / 3
    flip: bool = True
    megapixels: float = 64.0


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run's outcome, apart from data and machine.

    ``ema`` is the decay a step of the weights' moving average that is kept in their place (0: none); ``clip`` the
    largest gradient norm (0: none); ``accumulate`` the number of pieces that a batch is worked in.
    """

    model: Model
    pixels: Pixels = field(default_factory=Pixels)
    batches: Batches = field(default_factory=Shuffled)
    stages: tuple[Stage, ...] = (Stage(),)
    smoothing: float = 0.1
    balance: Balance = "none"
    clip: float = 0.0
    ema: float = 0.0
    precision: Precision = "auto"
    accumulate: int = 1
    seed: int = 0
    train_on: tuple[str, ...] = ("train",)

    @property
    def epochs(self) -> int:
        """Of all stages."""
        return sum(stage.epochs for stage in self.stages)


TAGGED: tuple[type, ...] = (Shuffled, Balanced, ShuffledPairs, ExhaustivePairs, Sgd, AdamW, StepDecay, Cosine, OneCycle)
"""The classes that stand in a file with a type tag, because a field may hold one of several."""


def external_name(kind: type) -> str:
    """How a class from a user's module stands in a file."""
    return f"{kind.__module__}:{kind.__qualname__}"


def recipe_to_json(recipe: Recipe, known: Sequence[type]) -> str:
    """The recipe as JSON; parts that are not in ``known`` are written as external."""
    return json.dumps({"format_version": FORMAT_VERSION} | _encode(recipe, known), indent=2) + "\n"


def recipe_from_json(text: str, known: Sequence[type], *, external: Sequence[type] = ()) -> Recipe:
    """Reads what ``recipe_to_json`` wrote.

    Args:
        text: the file's text.
        known: the classes of ours that may stand in it.
        external: classes from elsewhere that the user has named for this file.

    Raises:
        UserError: another version, an unknown key or class, a value of the wrong type.
    """
    try:
        version = (data := json.loads(text)).pop("format_version")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"not a recipe: {error!r}") from error
    if version != FORMAT_VERSION:
        raise UserError(f"this recipe has format {version}, and this Fieldmark reads {FORMAT_VERSION}")
    by_tag = {kind.__name__: kind for kind in known} | {external_name(kind): kind for kind in external}
    return _decode(data, Recipe, by_tag, "recipe")


def _encode(value: Any, known: Sequence[type]) -> Any:
    if isinstance(value, Part):
        tag = value.kind.__name__ if value.kind in known else external_name(value.kind)
        return {"type": tag, **value.options}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tag = {"type": type(value).__name__} if isinstance(value, TAGGED) else {}
        return tag | {f.name: _encode(getattr(value, f.name), known) for f in fields(value)}
    if isinstance(value, tuple):
        return [_encode(item, known) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _decode(value: Any, wanted: Any, by_tag: Mapping[str, type], where: str) -> Any:
    """``value`` as the annotated type ``wanted``; ``where`` names it in messages."""
    origin, choices = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(value, choices, by_tag, where)
    if wanted is Part:
        return _decode_part(value, by_tag, where)
    if isinstance(wanted, type) and dataclasses.is_dataclass(wanted):
        return _decode_fields(value, wanted, by_tag, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_decode(item, choices[0], by_tag, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Literal and value in choices:
        return value
    if origin is Mapping and isinstance(value, dict):
        return {key: _decode(item, choices[1], by_tag, f"{where}.{key}") for key, item in value.items()}
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(wanted, type) and type(value) is wanted:
        return value
    expected = ", ".join(map(str, choices)) if origin is Literal else getattr(wanted, "__name__", wanted)
    raise UserError(f"{where} is {value!r}, which does not fit; expected {expected}")


def _decode_union(value: Any, choices: tuple[Any, ...], by_tag: Mapping[str, type], where: str) -> Any:
    if value is None and types.NoneType in choices:
        return None
    rest = [choice for choice in choices if choice is not types.NoneType]
    if len(rest) == 1:
        return _decode(value, rest[0], by_tag, where)
    tag = (value := value if isinstance(value, dict) else {}).get("type")
    for choice in rest:
        if choice.__name__ == tag:
            return _decode_fields({key: item for key, item in value.items() if key != "type"}, choice, by_tag, where)
    raise UserError(f"{where} has type {tag!r}; choose {', '.join(choice.__name__ for choice in rest)}")


def _decode_part(value: Any, by_tag: Mapping[str, type], where: str) -> Part:
    if not isinstance(value, dict):
        raise UserError(f"{where} is {value!r}; expected a table with a type")
    tag = value.get("type")
    if not isinstance(tag, str) or tag not in by_tag:
        if isinstance(tag, str) and ":" in tag:
            raise UserError(f"{where} is {tag}, a class from elsewhere; name it again to use it (--external {tag})")
        raise UserError(f"{where} has the unknown type {tag!r}")
    return Part(by_tag[tag], {key: _tuples(item) for key, item in value.items() if key != "type"})


def _decode_fields(value: Any, kind: type, by_tag: Mapping[str, type], where: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where} is {value!r}; expected a table of settings")
    hints = typing.get_type_hints(kind)
    if unknown := [key for key in value if key not in hints]:
        raise UserError(f"{where} has no setting {unknown[0]!r}; it has {', '.join(hints)}")
    needed = {f.name for f in fields(kind) if f.default is f.default_factory is dataclasses.MISSING}
    if missing := sorted(needed - set(value)):
        raise UserError(f"{where} lacks the setting {missing[0]!r}")
    return kind(**{key: _decode(item, hints[key], by_tag, f"{where}.{key}") for key, item in value.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
