"""From an upright RGB picture to the network's pixels: one resize of one region, written without torch.

A view is a region of the picture, in fractions of pixels, and where it lands on the square output; both training and
evaluation compute a view and draw it the same way, so that they differ in nothing but the region.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from fieldmark.data.dataset import Box
from fieldmark.errors import UserError
from fieldmark.recipe import Pixels

_MARGIN = 0.1  # of a box's longer side, added all around: annotations are tight
_TRIES = 10
_MOST_STEPS = 8  # a JPEG is decoded at 1/8 of its size, but not at less
_SPARE = 1.5  # a view is drawn from so many times its pixels a side: the decoder's scaling is sharper than ours
GREY = 128


@dataclass(frozen=True)
class Frame:
    """What ``fit`` shows of a picture: left, top, width, height; it may reach beyond the picture ("pad")."""

    left: float
    top: float
    width: float
    height: float


def frame_of(size: tuple[int, int], pixels: Pixels, box: Box | None) -> Frame:
    """The region of a picture of ``size`` (width, height) that ``pixels.fit`` shows, in whole pixels.

    Raises:
        UserError: ``fit`` is "box" and there is none.
    """
    width, height = size
    if pixels.fit == "pad":
        side = max(width, height)
        return Frame((width - side) // 2, (height - side) // 2, side, side)
    if pixels.fit != "box":
        return Frame(0, 0, width, height)
    if box is None:
        raise UserError("this network was trained with --fit box: give the object's box with the photo")
    margin = _MARGIN * max(box.width, box.height)
    left, top = max(0, math.floor(box.x - margin)), max(0, math.floor(box.y - margin))
    right = min(width, math.ceil(box.x + box.width + margin))
    bottom = min(height, math.ceil(box.y + box.height + margin))
    if right - left < 1 or bottom - top < 1:
        raise UserError(f"the box {tuple(box)} lies outside the picture of {width} x {height} px")
    return Frame(left, top, right - left, bottom - top)


def evaluation_view(image: Image.Image, pixels: Pixels, box: Box | None = None) -> np.ndarray:
    """The picture as evaluation, prediction and serving see it: uint8 (S, S, 3) with S = ``pixels.eval_size``."""
    frame = frame_of(image.size, pixels, box)
    if pixels.fit != "pad":
        width, height = frame.width * pixels.eval_crop, frame.height * pixels.eval_crop
        if pixels.fit != "stretch":
            width = height = min(width, height)
        frame = Frame(frame.left + (frame.width - width) / 2, frame.top + (frame.height - height) / 2, width, height)
    return draw(image, frame, pixels.eval_size)


class RandomView:
    """The random view of one photo, drawn when the photo's size is known, which is before it is decoded.

    Args:
        pixels: what is drawn from.
        rng: of this view alone.
        box: of the object, for ``fit`` "box".
    """

    def __init__(self, pixels: Pixels, rng: np.random.Generator, box: Box | None = None) -> None:
        self._pixels, self._rng, self._box = pixels, rng, box
        self._drawn: tuple[Frame, tuple[int, int]] | None = None
        self.mirrored = False

    def side_needed(self, size: tuple[int, int]) -> int:
        """The shorter side that a photo of ``size`` may be decoded down to, with no visible change to the view."""
        area = self._draw(size)[0]
        steps = int(min(area.width, area.height) / (_SPARE * self._pixels.size))
        return min(size) // min(max(steps, 1), _MOST_STEPS)

    def area(self, size: tuple[int, int]) -> Frame:
        """The view on the picture as it was decoded, to ``size``."""
        area, full = self._draw(size)
        # not the quotient itself: the decoder rounds the size up
        steps = round(max(full) / max(size))
        return Frame(area.left / steps, area.top / steps, area.width / steps, area.height / steps)

    def _draw(self, size: tuple[int, int]) -> tuple[Frame, tuple[int, int]]:
        """The view on the photo at full size, and that size: what this is first called with."""
        if self._drawn is None:
            area = random_area(frame_of(size, self._pixels, self._box), self._pixels, self._rng)
            self._drawn = _on_picture(area, size) if self._pixels.fit == "pad" else area, size
            self.mirrored = self._pixels.flip and self._rng.random() < 0.5
        return self._drawn


def _on_picture(area: Frame, size: tuple[int, int]) -> Frame:
    """``area`` moved so that its middle lies on the picture: beside a very long one there is nothing to learn."""
    left = min(max(area.left, -(area.width // 2)), size[0] - area.width // 2 - 1)
    top = min(max(area.top, -(area.height // 2)), size[1] - area.height // 2 - 1)
    return Frame(left, top, area.width, area.height)


def random_area(frame: Frame, pixels: Pixels, rng: np.random.Generator) -> Frame:
    """A random part of ``frame``: its area in [min_scale, max_scale], its shape in [1 / ratio, ratio].

    The distribution is GoogLeNet's, evenly in the area and in the logarithm of the shape.
    """
    low, high = 1 / pixels.ratio, pixels.ratio
    shape = frame.width / frame.height if pixels.fit == "stretch" else 1.0
    whole = frame.width * frame.height
    # plain numbers: an array's first element is what is wanted nearly always
    for scale, ratio, across, down in rng.random((_TRIES, 4)).tolist():
        area = whole * (pixels.min_scale + (pixels.max_scale - pixels.min_scale) * scale)
        ratio = shape * low * (high / low) ** ratio
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= frame.width and 0 < height <= frame.height:
            left = frame.left + math.floor(across * (frame.width - width + 1))
            return Frame(left, frame.top + math.floor(down * (frame.height - height + 1)), width, height)
    # very long pictures: the middle, as near to the allowed shapes as it goes
    width = min(frame.width, max(1, round(frame.height * shape * high)))
    height = min(frame.height, max(1, round(frame.width / shape / low)))
    left, top = frame.left + (frame.width - width) // 2, frame.top + (frame.height - height) // 2
    return Frame(left, top, width, height)


class Placing(NamedTuple):
    """Which part of a picture lands where: left, top, right and bottom in the picture and in the view."""

    source: tuple[float, float, float, float]
    target: tuple[int, int, int, int]


def place(frame: Frame, picture: tuple[int, int], size: int) -> Placing:
    """How a picture of (width, height) fills the part of ``frame`` that it covers, drawn at ``size`` pixels a side."""
    left, top = max(frame.left, 0.0), max(frame.top, 0.0)
    right, bottom = min(frame.left + frame.width, picture[0]), min(frame.top + frame.height, picture[1])
    x0, x1 = _span((left - frame.left) / frame.width, (right - frame.left) / frame.width, size)
    y0, y1 = _span((top - frame.top) / frame.height, (bottom - frame.top) / frame.height, size)
    return Placing((left, top, right, bottom), (x0, y0, x1, y1))


def _span(start: float, end: float, size: int) -> tuple[int, int]:
    """The pixels from ``start`` to ``end`` in parts of ``size``; a sliver is a pixel thick."""
    first = min(round(start * size), size - 1)
    return first, max(round(end * size), first + 1)


def draw(image: Image.Image, frame: Frame, size: int) -> np.ndarray:
    """``frame`` of the picture, scaled (bicubic, antialiased) to uint8 (size, size, 3).

    What lies beyond the picture is mid-grey, near the mean of every normalisation.
    """
    source, (x0, y0, x1, y1) = place(frame, image.size, size)
    # reducing_gap takes whole-number steps first where a large picture shrinks a lot; below that it changes nothing
    part = image.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=source, reducing_gap=3.0)
    if part.size == (size, size):
        return np.asarray(part)
    canvas = np.full((size, size, 3), GREY, dtype=np.uint8)
    canvas[y0:y1, x0:x1] = np.asarray(part)
    return canvas
