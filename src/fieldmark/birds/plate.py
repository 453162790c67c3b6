"""Look-alikes as a field guide shows them: in one pose, on one branch, on nothing but the paper."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from fieldmark.birds import scene
from fieldmark.birds.painting import OVER, Easel, feather_strokes, paint_bird
from fieldmark.birds.picture import box_of, light_up, paint_eye
from fieldmark.birds.plumage import Species
from fieldmark.birds.scene import Light
from fieldmark.birds.shapes import Anatomy, Pose, mark_shapes, pose_bird, ribbon
from fieldmark.data.dataset import Box

_FILL, _SHIFT = 0.47, 0.93
_FADE = 0.07  # of the width, at both ends of the branch
_LIGHT = Light(np.array([-0.44, -0.62, 0.65]), sun=0.62, sky=0.7, tint=np.ones(3), contrast=1.0)


class Plate(NamedTuple):
    """A picture RGBA, transparent around the birds, and for each bird the box of the mark that tells it."""

    image: Image.Image
    marks: tuple[Box, ...]


def draw_plate(species: Sequence[Species], *, width: int, seed: int) -> Plate:
    """Two look-alikes, ``width`` pixels wide together and as high as they are, the same for the same arguments."""
    side = width * OVER
    birds = [pose_bird(each.build, _pose(at), side) for at, each in enumerate(species)]
    black, masks = _painted(species, birds, (0, 0, 0), side, seed)
    white, _ = _painted(species, birds, (255, 255, 255), side, seed)
    image = _faded(_between(black, white).resize((width, width), Image.Resampling.LANCZOS))
    left, top, right, bottom = image.getbbox() or (0, 0, width, width)
    boxes = (box_of(mask, width) for mask in masks)
    marks = tuple(Box(box.x - left, box.y - top, box.width, box.height) for box in boxes)
    return Plate(image.crop((left, top, right, bottom)), marks)


def _pose(at: int) -> Pose:
    return Pose(1, tilt=0.5, nod=0.0, tail=0.02, neck=0.02, fluff=1.0, fill=_FILL, shift=(_SHIFT * (2 * at - 1), 0.0))


def _painted(
    species: Sequence[Species], birds: Sequence[Anatomy], ground: tuple[int, int, int], side: int, seed: int
) -> tuple[Image.Image, list[Image.Image]]:
    """The branch and the birds on a plain ground, and each bird's telling mark as a mask."""
    canvas, marks = Image.new("RGB", (side, side), ground), []
    _paint_branch(canvas, birds, np.random.default_rng([seed, 1]))
    for each, bird in zip(species, birds, strict=True):
        rng = np.random.default_rng([seed, 0])
        strokes, shapes = feather_strokes(bird, side, rng), mark_shapes(bird, rng)
        easel = Easel(each, bird, _LIGHT, Image.new("RGB", (side, side)), strokes, shapes, {}, side)
        light_up(easel, canvas, paint_bird(easel, rng))
        paint_eye(canvas, easel)
        marks.append(easel.masks[each.telling_mark or "throat"])
    return canvas, marks


def _paint_branch(canvas: Image.Image, birds: Sequence[Anatomy], rng: np.random.Generator) -> None:
    """One branch under all feet, with a sprig at either end and between the birds."""
    unit, width = birds[0].world.unit, canvas.width
    level = float(birds[0].feet[5][1]) + 0.035 * unit
    for share in (0.1, 0.52, 0.93):
        scene.paint_sprig(canvas, np.array([share * width, level]), 0.0, unit, _LIGHT, rng)
    knots = [(share * width, level + fall * unit) for share, fall in ((-0.1, 0.05), (0.25, 0), (0.7, 0), (1.1, 0.04))]
    scene.paint_wood(canvas, ribbon(knots, [0.1 * unit, 0.085 * unit, 0.06 * unit]), (122, 102, 82), _LIGHT, rng)


def _between(black: Image.Image, white: Image.Image) -> Image.Image:
    """The picture RGBA that looks like ``black`` on black and like ``white`` on white."""
    dark, bright = np.asarray(black, np.float32), np.asarray(white, np.float32)
    alpha = 255 - (bright - dark).clip(0, 255).mean(-1, keepdims=True)
    colour = np.where(alpha > 0, dark * 255 / np.maximum(alpha, 1), 0)
    return Image.fromarray(np.concatenate([colour, alpha], -1).clip(0, 255).round().astype(np.uint8))


def _faded(image: Image.Image) -> Image.Image:
    """The picture, fading out towards its left and right border."""
    pixels = np.asarray(image).copy()
    place = (np.arange(image.width) + 0.5) / image.width
    ramp = np.clip(np.minimum(place, 1 - place) / _FADE, 0, 1)
    pixels[..., 3] = np.round(pixels[..., 3] * (ramp * ramp * (3 - 2 * ramp)))
    return Image.fromarray(pixels)
