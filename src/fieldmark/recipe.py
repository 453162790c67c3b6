"""A run's settings as plain data: typed frozen dataclasses with a versioned JSON round trip. No class is looked up.

A part is given by name, one of Fieldmark's or "package.module:Class"; ``building.py`` finds its class.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fieldmark.batches import Batches, Shuffled
from fieldmark.errors import UserError
from fieldmark.plain import (
    TYPE,
    BelowOne,
    Count,
    Fraction,
    Natural,
    NotNegative,
    Positive,
    Range,
    Share,
    from_plain,
    json_text,
    shown,
    to_plain,
)

FORMAT_VERSION = 3
Fit = Literal["crop", "pad", "stretch", "box"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Start = Literal["probe", "zero"]
Decayed = Literal["weights", "all"]


@dataclass(frozen=True)
class Part:
    """The name of a class and the options it is built with.

    What depends on the part's place is not an option: a parameter called ``channels``, ``classes``, ``width``,
    ``classifier``, ``criterion`` or ``counts`` is filled in when it is built.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """A table of its options, with its name as "type"."""
        return {TYPE: self.name} | to_plain(self.options)

    @classmethod
    def from_plain(cls, data: Any, where: str) -> "Part":
        """Reads what ``to_plain`` returned; options are checked when the part is built.

        Raises:
            UserError: not a table with a "type".
        """
        if not isinstance(data, Mapping) or not isinstance(data.get(TYPE), str):
            raise UserError(f'{where} is {shown(data)}; it must be a table such as {{"type": "Plain"}}')
        return cls(data[TYPE], {key: _tuples(item) for key, item in data.items() if key != TYPE})


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with Nesterov momentum.

    ``decayed`` says which parameters ``weight_decay`` shrinks: "weights", matrices and kernels alone, or "all", biases,
    norms and radii too, as PyTorch's optimisers do. ``scales`` multiplies the learning rate of parameter groups by name
    ("backbone", "neck", "head", "terms"; else 1).
    """

    lr: NotNegative = 0.1
    momentum: BelowOne = 0.9
    nesterov: bool = True
    weight_decay: NotNegative = 1e-4
    decayed: Decayed = "weights"
    scales: Mapping[str, NotNegative] = field(default_factory=dict)


@dataclass(frozen=True)
class AdamW:
    """AdamW; ``decayed`` and ``scales`` as in ``Sgd``."""

    lr: NotNegative = 1e-3
    weight_decay: NotNegative = 0.05
    decayed: Decayed = "weights"
    scales: Mapping[str, NotNegative] = field(default_factory=dict)


@dataclass(frozen=True)
class StepDecay:
    """Multiplies the learning rate by ``factor`` at each of ``epochs``, after a linear warm-up."""

    epochs: tuple[Natural, ...] = ()
    factor: NotNegative = 0.1
    warmup: NotNegative = 0.0

    def at(self, epoch: float, total: float) -> float:
        """The factor at a (fractional) epoch."""
        return _warm(epoch, self.warmup) * self.factor ** sum(epoch >= milestone for milestone in self.epochs)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to ``floor`` after a linear warm-up of ``warmup`` epochs."""

    warmup: NotNegative = 0.0
    floor: Share = 0.0

    def at(self, epoch: float, total: float) -> float:
        """The factor at a (fractional) epoch of ``total``."""
        if epoch < self.warmup:
            return _warm(epoch, self.warmup)
        done = min((epoch - self.warmup) / max(total - self.warmup, 1e-9), 1.0)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class OneCycle:
    """Up along a cosine from 1/``start`` in the first ``rise`` of the stage, then down to 1/``end`` (Smith 2018)."""

    rise: Share = 0.3
    start: Positive = 25.0
    end: Positive = 1e4

    def at(self, epoch: float, total: float) -> float:
        """The factor at a (fractional) epoch of ``total``."""
        done = min(epoch / total, 1.0)
        if done < self.rise:
            low, high, part = 1 / self.start, 1.0, done / self.rise
        else:
            low, high, part = 1.0, 1 / self.end, (done - self.rise) / max(1 - self.rise, 1e-9)
        return high + (low - high) * 0.5 * (1 + math.cos(math.pi * part))


@dataclass(frozen=True)
class Poly:
    """Falls to 0 as a power of what is left of the stage, as Caffe's "poly": a straight line for the power 1."""

    power: Positive = 1.0

    def at(self, epoch: float, total: float) -> float:
        """The factor at a (fractional) epoch of ``total``."""
        return max(1 - epoch / total, 0.0) ** self.power


def _warm(epoch: float, warmup: float) -> float:
    return min(1.0, (epoch + 1e-3) / warmup) if warmup else 1.0


@dataclass(frozen=True)
class Stage:
    """Epochs under one optimiser and schedule; ``frozen`` groups are so for the first ``frozen_epochs`` (None: all)."""

    epochs: Count = 20
    optimiser: Sgd | AdamW = field(default_factory=Sgd)
    schedule: OneCycle | Cosine | StepDecay | Poly = field(default_factory=OneCycle)
    frozen: tuple[str, ...] = ()
    frozen_epochs: Natural | None = None


PLAIN, AVERAGE, LINEAR = Part("Plain"), Part("Average"), Part("Linear")
CROSS_ENTROPY = Part("CrossEntropy", {"smoothing": 0.1})


@dataclass(frozen=True)
class Model:
    """What is trained, and with which loss.

    ``weights`` are the backbone's initial ones; a saved run has its own. ``output_stride`` is the side in pixels of the
    square that a position of the maps stands for (8, 16, 32; 0: the network's own).
    """

    method: Part = PLAIN
    pool: Part = AVERAGE
    head: Part = LINEAR
    backbone: str = "resnet50"
    weights: str = "hub"
    neck: Part | None = None
    terms: tuple[Part, ...] = ()
    criterion: Part = CROSS_ENTROPY
    output_stride: Natural = 0

    @property
    def from_scratch(self) -> bool:
        """Whether the backbone starts from random weights."""
        return self.weights == "none"

    @property
    def parts(self) -> Iterator[tuple[str, Part]]:
        """The parts, each with its place; of terms each."""
        if self.neck:
            yield "neck", self.neck
        yield from (("pool", self.pool), ("head", self.head), ("criterion", self.criterion), ("method", self.method))
        yield from (("term", term) for term in self.terms)


@dataclass(frozen=True)
class Pixels:
    """From a photograph, refused unread above ``megapixels``, to the network's input.

    ``size`` is its height and width in training, ``eval_size`` in evaluation. ``fit``: "crop" takes the centre square
    after the shorter side is scaled to ``eval_size / eval_crop``; "pad" keeps all of the image; "stretch" ignores its
    shape and takes the centre likewise; "box" first crops to the object's box with a margin. Training crops random
    areas of ``min_scale`` to ``max_scale`` of what ``fit`` shows, one side up to ``ratio`` times the other, half of
    them mirrored if ``flip``.
    """

    size: Count = 224
    eval_size: Count = 224
    eval_crop: Fraction = 0.875
    fit: Fit = "crop"
    min_scale: Fraction = 0.25
    max_scale: Fraction = 1.0
    ratio: Annotated[float, Range(least=1)] = 4 / 3
    flip: bool = True
    megapixels: Positive = 64.0

    def __post_init__(self) -> None:
        """Refuses a range whose ends are in the wrong order."""
        if self.min_scale > self.max_scale:
            raise UserError(f"min_scale is {self.min_scale}; it must be at most max_scale, {self.max_scale}")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run's outcome, apart from data and machine.

    ``ema`` is the decay per step of the weights' moving average, which is kept instead of them (0: none); ``clip`` the
    largest gradient norm (0: none); ``accumulate`` the number of pieces that a batch is computed in, each with losses
    of its own; ``micro_batch`` the images whose activations are held at once while the losses are those of the whole
    batch (0: all). ``start`` "probe" makes the head begin as a logistic regression on the pretrained features; without
    stages, that is all. With ``length_by_start``, the epochs of the only stage are those for features that fit badly,
    and the better the regression is, the fewer are trained. The first ``frozen_stages`` stages of the backbone never
    change; with ``frozen_norms`` its batch norms keep their pretrained statistics. ``average_degree`` is that of a
    polynomial average, in which the weights after step n count about n^degree times, and which is kept in place of a
    moving one (0: none).
    """

    model: Model = field(default_factory=Model)
    pixels: Pixels = field(default_factory=Pixels)
    batches: Batches = field(default_factory=Shuffled)
    stages: tuple[Stage, ...] = (Stage(),)
    clip: NotNegative = 0.0
    ema: BelowOne = 0.0
    precision: Precision = "auto"
    accumulate: Count = 1
    micro_batch: Natural = 0
    seed: Natural = 0
    train_on: tuple[str, ...] = ("train",)
    start: Start = "zero"
    length_by_start: bool = False
    frozen_stages: Natural = 0
    frozen_norms: bool = False
    average_degree: NotNegative = 0.0

    def __post_init__(self) -> None:
        """Refuses a recipe without training splits, or without stages where nothing else gives an answer."""
        for name in ("stages", "train_on"):
            if not getattr(self, name) and not (name == "stages" and self.start == "probe"):
                raise UserError(f"{name} is empty; it must have at least one entry")
        if self.length_by_start and (self.start != "probe" or len(self.stages) != 1):
            raise UserError("length_by_start needs start = probe and one stage")
        if self.micro_batch and self.accumulate > 1:
            raise UserError("micro_batch and accumulate both divide a batch: leave one of them out")
        if self.ema and self.average_degree:
            raise UserError("ema and average_degree are two averages, of which one can be kept: set one of them to 0")

    @property
    def epochs(self) -> int:
        """Of all stages."""
        return sum(stage.epochs for stage in self.stages)


External = str | type | Sequence[str | type]
"""Classes of the user's own, or their names as "package.module:Class"; one may stand alone."""


def external_name(kind: type) -> str:
    """The name in a recipe of a class from a user's module."""
    return f"{kind.__module__}:{kind.__qualname__}"


def recipe_to_json(recipe: Recipe) -> str:
    """The recipe as the text of its file."""
    return json_text({"format_version": FORMAT_VERSION} | to_plain(recipe))


def recipe_from_json(text: str) -> Recipe:
    """Reads what ``recipe_to_json`` wrote, of this format or an earlier one.

    Raises:
        UserError: another version, an unknown key, a value of the wrong type or out of range.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not a recipe: {error}") from error
    return recipe_from_plain(data)


def recipe_from_plain(data: Any) -> Recipe:
    """The same from plain data.

    Raises:
        UserError: as for ``recipe_from_json``.
    """
    version: Any = data.get("format_version") if isinstance(data, dict) else None
    if version not in range(1, FORMAT_VERSION + 1):
        format_ = "no format_version" if version is None else f"format {shown(version)}"
        raise UserError(f"not a recipe that this Fieldmark reads: it has {format_}, and {FORMAT_VERSION} is the newest")
    settings = {key: value for key, value in data.items() if key != "format_version"}
    if version == 1:
        settings = _from_first_format(settings)
    if version < FORMAT_VERSION:
        settings = _from_second_format(settings)
    settings = {key: value for key, value in settings.items() if key != "blend"}  # for a while part of format 3
    return from_plain(settings, Recipe)


def _from_first_format(data: Mapping[str, Any]) -> dict[str, Any]:
    """In format 1, label smoothing and the remedy for uneven classes were beside the model."""
    data = dict(data)
    smoothing, balance = data.pop("smoothing", 0.1), data.pop("balance", "none")
    options: dict[str, Any] = {"smoothing": smoothing}
    if balance == "logit-adjust":
        options["adjust"] = True
    if isinstance(model := data.get("model", {}), Mapping):
        data["model"] = {**model, "criterion": {TYPE: CROSS_ENTROPY.name} | options}
    return data


def _from_second_format(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Until format 2, S3N without the option took all peaks."""
    match data:
        case {"model": {"method": {"type": "S3N"} as method} as model}:
            return {**data, "model": {**model, "method": {"peaks": "all", **method}}}
    return data


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
