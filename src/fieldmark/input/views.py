"""From an upright RGB image to the network's pixels: one resize of one region, without torch.

A view is a region of the image, in fractions of pixels, and its place on the square output. Training and evaluation
both compute a view and draw it the same way, so that they differ only in the region.
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
_MOST_STEPS = 8  # a JPEG is decoded at 1/8 of its size at least
_SPARE = 1.5  # a view is drawn from this many times its side in pixels: the decoder's scaling is sharper than ours
GREY = 128


@dataclass(frozen=True)
class Frame:
    """A region of an image in pixels; with ``fit`` "pad" it may reach beyond the image."""

    left: float
    top: float
    width: float
    height: float


def frame_of(size: tuple[int, int], pixels: Pixels, box: Box | None) -> Frame:
    """The region of an image of ``size`` (width, height) that ``pixels.fit`` shows, in whole pixels.

    Raises:
        UserError: ``fit`` is "box", and ``box`` is missing or outside the image.
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
    """The image as evaluation, prediction and serving see it: uint8 (S, S, 3) with S = ``pixels.eval_size``."""
    return draw(image, evaluation_frame(image.size, pixels, box), pixels.eval_size)


def evaluation_frame(size: tuple[int, int], pixels: Pixels, box: Box | None = None) -> Frame:
    """The region of an image of ``size`` (width, height) that evaluation sees."""
    frame = frame_of(size, pixels, box)
    if pixels.fit == "pad":
        return frame
    width, height = frame.width * pixels.eval_crop, frame.height * pixels.eval_crop
    if pixels.fit != "stretch":
        width = height = min(width, height)
    return Frame(frame.left + (frame.width - width) / 2, frame.top + (frame.height - height) / 2, width, height)


class RandomView:
    """The random view of one photo, drawn as soon as the photo's size is known, before it is decoded.

    Args:
        pixels: settings of the views.
        rng: the generator of this view alone.
        box: the object's box, for ``fit`` "box".
    """

    def __init__(self, pixels: Pixels, rng: np.random.Generator, box: Box | None = None) -> None:
        self._pixels, self._rng, self._box = pixels, rng, box
        self._drawn: tuple[Frame, tuple[int, int]] | None = None
        self.mirrored = False

    def side_needed(self, size: tuple[int, int]) -> int:
        """The shorter side that a photo of ``size`` may be decoded down to without a visible change to the view."""
        area = self._draw(size)[0]
        steps = int(min(area.width, area.height) / (_SPARE * self._pixels.size))
        return min(size) // min(max(steps, 1), _MOST_STEPS)

    def area(self, size: tuple[int, int]) -> Frame:
        """The view on the image as it was decoded, at ``size``."""
        area, full = self._draw(size)
        # not the ratio itself: the decoder rounds the size up
        steps = round(max(full) / max(size))
        return Frame(area.left / steps, area.top / steps, area.width / steps, area.height / steps)

    def _draw(self, size: tuple[int, int]) -> tuple[Frame, tuple[int, int]]:
        """The view on the photo at full size, and that size, which is that of the first call."""
        if self._drawn is None:
            area = random_area(frame_of(size, self._pixels, self._box), self._pixels, self._rng)
            self._drawn = _on_image(area, size) if self._pixels.fit == "pad" else area, size
            self.mirrored = self._pixels.flip and self._rng.random() < 0.5
        return self._drawn


def _on_image(area: Frame, size: tuple[int, int]) -> Frame:
    """``area`` moved so that its middle lies on the image: beside a very long image there is nothing to learn."""
    left = min(max(area.left, -(area.width // 2)), size[0] - area.width // 2 - 1)
    top = min(max(area.top, -(area.height // 2)), size[1] - area.height // 2 - 1)
    return Frame(left, top, area.width, area.height)


def random_area(frame: Frame, pixels: Pixels, rng: np.random.Generator) -> Frame:
    """A random part of ``frame``: its area in [min_scale, max_scale], its shape in [1 / ratio, ratio].

    The distribution is GoogLeNet's: uniform in the area and in the logarithm of the shape.
    """
    low, high = 1 / pixels.ratio, pixels.ratio
    shape = frame.width / frame.height if pixels.fit == "stretch" else 1.0
    whole = frame.width * frame.height
    # plain numbers are faster than arrays: the first row is nearly always accepted
    for scale, ratio, across, down in rng.random((_TRIES, 4)).tolist():
        area = whole * (pixels.min_scale + (pixels.max_scale - pixels.min_scale) * scale)
        ratio = shape * low * (high / low) ** ratio
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= frame.width and 0 < height <= frame.height:
            left = frame.left + math.floor(across * (frame.width - width + 1))
            return Frame(left, frame.top + math.floor(down * (frame.height - height + 1)), width, height)
    # very long images: the middle, as near to the allowed shapes as possible
    width = min(frame.width, max(1, round(frame.height * shape * high)))
    height = min(frame.height, max(1, round(frame.width / shape / low)))
    left, top = frame.left + (frame.width - width) // 2, frame.top + (frame.height - height) // 2
    return Frame(left, top, width, height)


class Placing(NamedTuple):
    """Left, top, right and bottom of a region in the image (``source``) and in the view (``target``)."""

    source: tuple[float, float, float, float]
    target: tuple[int, int, int, int]


def place(frame: Frame, image: tuple[int, int], size: int) -> Placing:
    """How an image of (width, height) fills the part of ``frame`` that it covers, drawn at ``size`` pixels a side."""
    left, top = max(frame.left, 0.0), max(frame.top, 0.0)
    right, bottom = min(frame.left + frame.width, image[0]), min(frame.top + frame.height, image[1])
    x0, x1 = _span((left - frame.left) / frame.width, (right - frame.left) / frame.width, size)
    y0, y1 = _span((top - frame.top) / frame.height, (bottom - frame.top) / frame.height, size)
    return Placing((left, top, right, bottom), (x0, y0, x1, y1))


def _span(start: float, end: float, size: int) -> tuple[int, int]:
    """First and end pixel of ``start`` to ``end``, as fractions of ``size``; at least one pixel thick."""
    first = min(round(start * size), size - 1)
    return first, max(round(end * size), first + 1)


def draw(image: Image.Image, frame: Frame, size: int) -> np.ndarray:
    """``frame`` of the image, scaled (bicubic, antialiased) to uint8 (size, size, 3).

    What lies beyond the image is mid-grey, near the mean of every normalisation.
    """
    source, (x0, y0, x1, y1) = place(frame, image.size, size)
    # reducing_gap first reduces by a whole number where a large image shrinks a lot; otherwise it changes nothing
    part = image.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=source, reducing_gap=3.0)
    if part.size == (size, size):
        return np.asarray(part)
    canvas = np.full((size, size, 3), GREY, dtype=np.uint8)
    canvas[y0:y1, x0:x1] = np.asarray(part)
    return canvas
