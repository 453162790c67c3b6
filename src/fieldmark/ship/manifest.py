"""What an exported model says of itself: everything that its answers need beside the network."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from fieldmark.confidence.taxonomy import Groups
from fieldmark.errors import UserError
from fieldmark.plain import Count, Natural, Positive, Range, from_plain, to_plain
from fieldmark.recipe import Pixels
from fieldmark.ship.parity import Parity

FORMAT_VERSION = 1
Finite = Annotated[float, Range()]
Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class HeldOutScores:
    """What answers to photos kept out of training say, one number a photo: for sets of answers and refusals.

    ``labels`` are their classes, ``doubts`` one less the probability of the right class, and ``logits`` their largest
    logits; ``cosines`` are those to the nearest photo of the gallery, where the run has one.
    """

    labels: tuple[Natural, ...]
    doubts: tuple[Finite, ...]
    logits: tuple[Finite, ...]
    cosines: tuple[Finite, ...] = ()

    def __post_init__(self) -> None:
        """Refuses lists of different lengths."""
        lengths = {len(self.labels), len(self.doubts), len(self.logits), len(self.cosines) or len(self.labels)}
        if len(lengths) > 1:
            raise UserError("scores of held-out photos have different lengths")


@dataclass(frozen=True)
class Licences:
    """Of what a model was made from, as far as they were stated: ``photos``, and ``weights`` that it began from."""

    photos: str = ""
    weights: str = ""


UNSTATED = Licences()


@dataclass(frozen=True)
class Origin:
    """Where a model comes from: method and backbone, ``run`` (its weights' digest), and who exported it with what."""

    method: str
    backbone: str
    run: str
    fieldmark: str = ""
    torch: str = ""
    onnx: str = ""


@dataclass(frozen=True)
class Manifest:
    """The metadata of an exported model.

    ``mean`` and ``std`` are of pixels in [0, 1], by channel; ``temperature`` is what logits are divided by, with
    ``calibrated`` False where nothing is known of it and it is 1. ``outputs`` are the network's, always "logits",
    "probabilities" and "embedding"; "maps" where class-response maps are exact, else ``no_maps`` says why not.
    ``takes`` says what the network is given: "images" (normalised, float32 (N, 3, S, S)) or "pixels" (a picture of any
    size, uint8 (H, W, 3), upright RGB, for users of other languages). ``parity`` says how the file compared with the
    network when it was written.
    """

    classes: tuple[str, ...]
    pixels: Pixels
    mean: tuple[Finite, ...]
    std: tuple[Positive, ...]
    outputs: tuple[str, ...]
    origin: Origin
    embedding: Count
    temperature: Positive = 1.0
    calibrated: bool = False
    groups: Groups | None = None
    held_out: HeldOutScores | None = None
    licences: Licences = Licences()
    precision: Precision = "fp32"
    takes: Literal["images", "pixels"] = "images"
    no_maps: str = ""
    parity: Parity | None = None

    def __post_init__(self) -> None:
        """Refuses parts that do not fit each other."""
        if len(self.mean) != 3 or len(self.std) != 3:
            raise UserError("mean and std must have three numbers each")
        if len(self.classes) < 2 or len({*self.classes}) < len(self.classes):
            raise UserError("classes must be two or more, each once")
        if self.groups is not None and self.groups.classes != self.classes:
            raise UserError("groups are of other classes")
        if self.held_out is not None and any(label >= len(self.classes) for label in self.held_out.labels):
            raise UserError("held-out photos are of other classes")

    @property
    def shift(self) -> np.ndarray:
        """What is subtracted from a pixel's channels, float32 (3,): evaluation's arithmetic, bit for bit."""
        return np.float32(255) * np.array(self.mean, np.float32)

    @property
    def scale(self) -> np.ndarray:
        """What is multiplied with after that, float32 (3,)."""
        return np.float32(1) / (np.float32(255) * np.array(self.std, np.float32))


def manifest_to_json(manifest: Manifest) -> str:
    """One line of JSON."""
    return json.dumps({"format_version": FORMAT_VERSION} | to_plain(manifest), ensure_ascii=True)


def manifest_from_json(text: str, *, name: str) -> Manifest:
    """What ``manifest_to_json`` gave.

    Args:
        text: the JSON.
        name: of the file, in messages.

    Raises:
        UserError: no JSON, another version of the format, or values that are no manifest's.
    """
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}: its manifest cannot be read ({error})") from None
    version = value.pop("format_version", None) if isinstance(value, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(f"{name} has format {version!r}; this version of Fieldmark reads {FORMAT_VERSION}")
    try:
        return from_plain(value, Manifest)
    except UserError as error:
        raise UserError(f"{name}: its manifest cannot be used: {error}") from None
