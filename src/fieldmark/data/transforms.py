"""From an upright RGB picture to the network's pixels: one resize of one region, written without torch.

A view is a region of the picture, in fractions of pixels, and where it lands on the square output; both training and
evaluation compute a view and draw it the same way, so that they differ in nothing but the region.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fieldmark.data.dataset import Box
from fieldmark.errors import UserError
from fieldmark.recipe import Pixels

_MARGIN = 0.1  # of a box's longer side, added all around: annotations are tight
_RATIO = (3 / 4, 4 / 3)
_TRIES = 10


@dataclass(frozen=True)
class Frame:
    """What ``fit`` shows of a picture: left, top, width, height; it may reach beyond the picture ("pad")."""

    left: float
    top: float
    width: float
    height: float


def frame_of(size: tuple[int, int], pixels: Pixels, box: Box | None) -> Frame:
    """The region of a picture of ``size`` (width, height) that ``pixels.fit`` shows.

    Raises:
        UserError: ``fit`` is "box" and there is none.
    """
    width, height = size
    if pixels.fit == "pad":
        side = max(width, height)
        return Frame((width - side) / 2, (height - side) / 2, side, side)
    if pixels.fit != "box":
        return Frame(0, 0, width, height)
    if box is None:
        raise UserError("--fit box needs the object's box of every photo: give a table (CSV) with a box column")
    margin = _MARGIN * max(box.width, box.height)
    left, top = max(0.0, box.x - margin), max(0.0, box.y - margin)
    right, bottom = min(width, box.x + box.width + margin), min(height, box.y + box.height + margin)
    if right - left < 1 or bottom - top < 1:
        raise UserError(f"the box {tuple(box)} lies outside the picture of {width} x {height} px")
    return Frame(left, top, right - left, bottom - top)


def evaluation_view(image: Image.Image, pixels: Pixels, box: Box | None = None) -> np.ndarray:
    """The picture as evaluation, prediction and serving see it: uint8 (S, S, 3) with S = ``pixels.eval_size``."""
    frame = frame_of(image.size, pixels, box)
    if pixels.fit in ("crop", "box"):
        side = min(frame.width, frame.height) * pixels.eval_crop
        left, top = frame.left + (frame.width - side) / 2, frame.top + (frame.height - side) / 2
        frame = Frame(left, top, side, side)
    return draw(image, frame, pixels.eval_size)


def training_view(image: Image.Image, pixels: Pixels, rng: np.random.Generator, box: Box | None = None) -> np.ndarray:
    """A random area of the picture, mirrored half of the time: uint8 (S, S, 3) with S = ``pixels.size``."""
    frame = random_area(frame_of(image.size, pixels, box), pixels, rng)
    view = draw(image, frame, pixels.size)
    return view[:, ::-1] if pixels.flip and rng.random() < 0.5 else view


def random_area(frame: Frame, pixels: Pixels, rng: np.random.Generator) -> Frame:
    """A random part of ``frame``: area in [``min_scale``, 1], shape in [3/4, 4/3] (GoogLeNet's distribution)."""
    draws = rng.random((_TRIES, 4))
    shape = frame.width / frame.height if pixels.fit == "stretch" else 1.0
    areas = frame.width * frame.height * (pixels.min_scale + (1 - pixels.min_scale) * draws[:, 0])
    ratios = shape * np.exp(math.log(_RATIO[0]) + math.log(_RATIO[1] / _RATIO[0]) * draws[:, 1])
    widths, heights = np.rint(np.sqrt(areas * ratios)), np.rint(np.sqrt(areas / ratios))
    fits = np.flatnonzero((widths > 0) & (widths <= frame.width) & (heights > 0) & (heights <= frame.height))
    if not len(fits):  # very long pictures: the middle, as near to the allowed shapes as it goes
        width = min(frame.width, frame.height * shape * _RATIO[1])
        height = min(frame.height, frame.width / shape / _RATIO[0])
        return Frame(frame.left + (frame.width - width) / 2, frame.top + (frame.height - height) / 2, width, height)
    first = fits[0]
    width, height = float(widths[first]), float(heights[first])
    left = frame.left + math.floor(draws[first, 2] * (frame.width - width + 1))
    top = frame.top + math.floor(draws[first, 3] * (frame.height - height + 1))
    return Frame(left, top, width, height)


def draw(image: Image.Image, frame: Frame, size: int) -> np.ndarray:
    """``frame`` of the picture, scaled (bicubic, antialiased) to uint8 (size, size, 3).

    What lies beyond the picture is mid-grey, near the mean of every normalisation.
    """
    left, top = max(frame.left, 0.0), max(frame.top, 0.0)
    right = min(frame.left + frame.width, image.width)
    bottom = min(frame.top + frame.height, image.height)
    x0, x1 = (round((x - frame.left) / frame.width * size) for x in (left, right))
    y0, y1 = (round((y - frame.top) / frame.height * size) for y in (top, bottom))
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)  # a sliver is a pixel thick
    # reducing_gap takes whole-number steps first where a large picture shrinks a lot; below that it changes nothing
    part = image.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=(left, top, right, bottom), reducing_gap=3.0)
    if (x1 - x0, y1 - y0) == (size, size):
        return np.asarray(part)
    canvas = np.full((size, size, 3), 128, dtype=np.uint8)
    x0, y0 = min(x0, size - part.width), min(y0, size - part.height)
    canvas[y0 : y0 + part.height, x0 : x0 + part.width] = np.asarray(part)
    return canvas


def smallest_useful_side(pixels: Pixels) -> int | None:
    """The shorter side below which a photo may not be decoded for training; None: at full scale.

    The smallest crop that ``min_scale`` allows still has ``size`` pixels a side.
    """
    if pixels.fit == "box":
        return None  # boxes are in pixels of the full picture
    return math.ceil(pixels.size / math.sqrt(pixels.min_scale * _RATIO[0]))
