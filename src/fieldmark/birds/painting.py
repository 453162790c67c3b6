"""The coats of paint of one bird: legs, bill, tail, plumage, marks and wing, before any light falls on it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from fieldmark.birds.plumage import COLOURS, NONE, Colour, Species
from fieldmark.birds.scene import Light, faded, lay, mask_of
from fieldmark.birds.shapes import Anatomy, Points, bill_shape, curve, disc, pen_points, ribbon, tail_feathers

OVER = 2  # pixels drawn per pixel of the picture, in each direction
_CUT = [min(max((v - 128) * 5 // 2 + 128, 0), 255) for v in range(256)]  # steepens a blurred edge
_BODY_MARKS = ("rump", "nape", "cap", "crown_stripe", "throat", "breast_spots", "whisker", "eyebrow", "eye_ring")
_PATCHES = {"rump": 0.025, "nape": 0.035, "cap": 0.014, "throat": 0.02}  # how ragged their edges are
# Zones of the plumage: the first two in the body's frame, the others in the head's.
_BELLY = ((0.52, 0.06), (0.30, 0.02), (0.0, 0.06), (-0.4, 0.05), (-0.62, 0.02), (-0.5, 0.3), (0.0, 0.5), (0.5, 0.4))
_BREAST = ((0.70, -0.08), (0.46, -0.08), (0.30, 0.02), (0.06, 0.10), (0.02, 0.26), (0.2, 0.42), (0.6, 0.32))
_HOOD = ((1.3, -0.2), (0.9, 0.2), (0.3, 0.62), (-0.2, 0.85), (-0.9, 0.75), (-1.3, -0.3), (-0.6, -1.4), (0.8, -1.3))
_CHIN = ((1.0, 0.22), (0.5, 0.42), (0.15, 0.85), (0.3, 1.5), (1.0, 1.5), (1.4, 0.6))


class Easel(NamedTuple):
    """One picture while it is painted, enlarged ``OVER`` times."""

    species: Species
    bird: Anatomy
    light: Light
    paint: Image.Image
    strokes: Image.Image
    shapes: dict[str, list[Points]]
    masks: dict[str, Image.Image]
    side: int


def paint_bird(easel: Easel, rng: np.random.Generator) -> Image.Image:
    """All coats of paint; returns the bird's mask."""
    legs = _paint_legs(easel)
    bill = _paint_bill(easel)
    tail = _paint_tail(easel, rng)
    body = _feathered(easel, easel.bird.outline, 0.008)
    wing = _tucked_wing(easel)
    _paint_plumage(easel, body)
    _paint_body_marks(easel, body, wing)
    _paint_wing(easel, wing, rng)
    whole = ImageChops.lighter(body, wing)
    easel.masks["tail_band"] = ImageChops.subtract(easel.masks["tail_band"], whole)
    easel.masks["legs"] = ImageChops.subtract(ImageChops.subtract(legs, whole), tail)
    easel.masks["bill"] = ImageChops.subtract(bill, body)
    easel.masks["core"] = ImageChops.lighter(whole, tail)
    return ImageChops.lighter(ImageChops.lighter(easel.masks["core"], legs), bill)


def _mixed(first: Sequence[float], second: Sequence[float], share: float) -> Colour:
    r, g, b = (int(np.clip(a + (b - a) * share, 0, 255)) for a, b in zip(first, second, strict=True))
    return r, g, b


def _feathered(easel: Easel, shape: Points, fuzz: float) -> Image.Image:
    """A mask whose edge is as ragged as plumage: blurred, then cut again along the feather strokes."""
    mask = mask_of(easel.side, [shape], soft=fuzz * easel.bird.world.unit)
    return ImageChops.add(mask, easel.strokes, 1, -128).point(_CUT)


def _tucked_wing(easel: Easel) -> Image.Image:
    """The folded wing, its bend hidden by the feathers of breast and back."""
    frame, depth = easel.bird.body, (1.0, easel.bird.build.depth)
    wing = mask_of(easel.side, [easel.bird.wing], soft=OVER * 0.3)
    flank = curve([(0.44, -0.04), (0.345, 0.02), (0.30, 0.10), (0.10, 0.155), (-0.10, 0.19), (0.1, 0.27), (0.4, 0.25)])
    mantle = curve(
        [(0.44, -0.06), (0.31, -0.09), (0.18, -0.135), (0.0, -0.155), (-0.2, -0.16), (0.0, -0.27), (0.3, -0.25)]
    )
    for cover in (flank, mantle):
        wing = ImageChops.subtract(wing, _feathered(easel, frame.at(cover * depth), 0.016))
    return wing


def _paint_legs(easel: Easel) -> Image.Image:
    """Legs and toes; returns their mask."""
    side, unit = easel.side, easel.bird.world.unit
    colour = _mixed(COLOURS[easel.species.marks.legs], (60, 50, 46), 0.22)
    whole = Image.new("L", (side, side))
    for first, share in ((0, 0.25), (3, 0.0)):
        hip, ankle, foot = easel.bird.feet[first : first + 3]
        ahead = easel.bird.world.along / unit
        shapes = [ribbon([hip, ankle, foot], [0.05 * unit, 0.024 * unit, 0.024 * unit])]
        for reach in (0.09, 0.06, 0.025, -0.065):
            knuckle = foot + ahead * reach * unit * 0.6 + (0, -0.012 * unit)
            shapes.append(
                ribbon(
                    [foot, knuckle, foot + ahead * reach * unit + (0, 0.024 * unit)],
                    [0.024 * unit, 0.02 * unit, 0.007 * unit],
                )
            )
        mask = mask_of(side, shapes)
        lay(easel.paint, _mixed(colour, (20, 18, 18), share), mask)
        whole = ImageChops.lighter(whole, mask)
    return whole


def _paint_bill(easel: Easel) -> Image.Image:
    head, base = easel.bird.head, easel.species.palette.bill
    upper, lower = (head.at(shape) for shape in bill_shape(easel.species.marks.bill))
    whole = mask_of(easel.side, [upper, lower])
    lay(easel.paint, base, whole)
    lay(easel.paint, _mixed(base, (255, 236, 210), 0.22), mask_of(easel.side, [lower]))
    ridge = upper[: len(upper) // 2] + head.across * 0.06
    pen = ImageDraw.Draw(easel.paint)
    pen.line(pen_points(ridge), fill=_mixed(base, (255, 250, 240), 0.38), width=max(int(head.unit * 0.05), 1))
    pen.line(
        pen_points(upper[len(upper) // 2 :]), fill=_mixed(base, (16, 14, 14), 0.7), width=max(int(head.unit * 0.045), 1)
    )
    return whole


def _paint_tail(easel: Easel, rng: np.random.Generator) -> Image.Image:
    """Tail feathers and the band across them; returns the tail's mask."""
    base, tail = easel.species.palette.tail, easel.bird.tail
    feathers = tail_feathers(tail, easel.species.build.fork)
    whole = mask_of(easel.side, feathers)
    pen = ImageDraw.Draw(easel.paint)
    for shape in feathers:
        pen.polygon(pen_points(shape), fill=_mixed(base, (0, 0, 0), rng.uniform(0.0, 0.14)))
        pen.line(pen_points(shape), fill=_mixed(base, (255, 244, 226), 0.2), width=max(int(tail.unit * 0.009), 1))
    band = ImageChops.multiply(mask_of(easel.side, easel.shapes["tail_band"], soft=OVER * 0.5), whole)
    _paint_mark(easel, "tail_band", band)
    for shape in feathers:
        pen.line(pen_points(shape), fill=_mixed(base, (0, 0, 0), 0.35), width=1)
    return whole


def _paint_mark(easel: Easel, name: str, mask: Image.Image) -> None:
    """One mark in its colour, if the species has it; where it lies is remembered either way."""
    easel.masks[name] = mask
    value = getattr(easel.species.marks, name)
    if value != NONE:
        lay(easel.paint, _mixed(COLOURS[value], (128, 118, 106), 0.1), mask)


def _paint_plumage(easel: Easel, body: Image.Image) -> None:
    """Back, head, breast and belly, melting into one another."""
    palette, frame, head = easel.species.palette, easel.bird.body, easel.bird.head
    depth, dusk = easel.bird.build.depth, (24, 18, 14)
    lay(easel.paint, palette.back, body)
    zones = (
        (palette.belly, 0.05, frame.at(curve(_BELLY) * (1.0, depth))),
        (palette.breast, 0.05, frame.at(curve(_BREAST) * (1.0, depth))),
        (palette.head, 0.03, head.at(curve(_HOOD))),
        (palette.breast, 0.02, head.at(curve(_CHIN))),
    )
    for colour, fuzz, shape in zones:
        lay(easel.paint, colour, ImageChops.multiply(_feathered(easel, shape, fuzz), body))
    cheek = curve([(0.3, 0.05), (-0.1, -0.1), (-0.6, 0.08), (-0.5, 0.42), (0.0, 0.5)])
    lore = ribbon([(0.92, 0.0), (0.5, -0.06), (0.1, -0.06)], [0.16, 0.16, 0.1])
    for share, blur, shape in ((0.2, 0.13, cheek), (0.4, 0.06, lore)):
        lay(
            easel.paint, _mixed(palette.head, dusk, share), mask_of(easel.side, [head.at(shape)], soft=blur * head.unit)
        )
    _wing_shade(easel, body)


def _wing_shade(easel: Easel, body: Image.Image) -> None:
    """The soft shadow that the wing throws on the flank."""
    unit = easel.bird.world.unit
    shade = faded(mask_of(easel.side, [easel.bird.wing + np.array([0, 0.022 * unit])], soft=0.016 * unit), 0.4)
    lay(easel.paint, (48, 36, 34), ImageChops.multiply(shade, body))


def _paint_body_marks(easel: Easel, body: Image.Image, wing: Image.Image) -> None:
    shapes, unit = easel.shapes, easel.bird.world.unit
    bare = ImageChops.subtract(body, wing)
    for name in _BODY_MARKS:
        fuzz = _PATCHES.get(name)
        mask = (
            _feathered(easel, shapes[name][0], fuzz) if fuzz else mask_of(easel.side, shapes[name], soft=0.004 * unit)
        )
        _paint_mark(easel, name, ImageChops.multiply(mask, bare))
    easel.masks["wing_bars"] = mask_of(easel.side, shapes["wing_bars"], soft=0.004 * unit)


def _paint_wing(easel: Easel, wing: Image.Image, rng: np.random.Generator) -> None:
    """Long flight feathers with pale edges, then rows of coverts whose tips may bear the wing bars."""
    frame, depth, base = easel.bird.body, easel.bird.build.depth, easel.species.palette.wing
    layer = Image.new("RGB", easel.paint.size, base)
    pen = ImageDraw.Draw(layer)
    thin = max(int(frame.unit * 0.007), 1)
    for index, (root, tip, width) in enumerate(_flight_feathers(depth)):
        shape = frame.at(
            ribbon(
                [root, ((root[0] + tip[0]) / 2, (root[1] + tip[1]) / 2 + 0.012), tip],
                [width * 0.7, width, width * 0.9, width * 0.25],
            )
        )
        pen.polygon(
            pen_points(shape), fill=_mixed(base, (12, 10, 12), 0.10 + 0.25 * (index < 6) + rng.uniform(0, 0.08))
        )
        pen.line(pen_points(shape[: len(shape) // 2]), fill=_mixed(base, (255, 246, 228), 0.30), width=thin)
    _paint_coverts(easel, pen, rng)
    easel.paint.paste(layer, mask=wing)
    _paint_mark(easel, "wing_bars", ImageChops.multiply(easel.masks["wing_bars"], wing))


def _paint_coverts(easel: Easel, pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """Rows of small feathers over the roots of the long ones, smaller and more like the back towards the bend."""
    frame, depth = easel.bird.body, easel.bird.build.depth
    base, back = easel.species.palette.wing, easel.species.palette.back
    rows = (
        (0.10, 0.030, 1.9),
        (0.165, 0.024, 1.7),
        (0.215, 0.020, 1.5),
        (0.255, 0.018, 1.4),
        (0.295, 0.016, 1.3),
        (0.33, 0.015, 1.2),
    )
    for row, (u, radius, long) in enumerate(rows):
        for v in np.arange(-0.20 + radius * (row % 2), 0.21, radius * 1.5):
            shape = frame.at(disc(u - 0.05 * np.cos(v * 7) + rng.normal(0, 0.004), v * depth, radius, long=long))
            colour = _mixed(_mixed(base, back, 0.1 + 0.12 * row), (14, 12, 12), rng.uniform(0.0, 0.2))
            pen.polygon(pen_points(shape), fill=colour)
            pen.line(pen_points(shape[7:18]), fill=_mixed(colour, (255, 246, 228), 0.26 - 0.03 * row))


def _flight_feathers(depth: float) -> list[tuple[tuple[float, float], tuple[float, float], float]]:
    """Root, tip and width of the wing's long feathers in the body's frame, primaries first, tertials last."""
    rows = (
        # number, width, root and how it moves along the row, tip and how it moves
        (6, 0.042, (-0.05, 0.155), (0.0, -0.05), (-0.42, 0.115), (-0.32, -0.075)),
        (5, 0.055, (0.10, 0.16), (0.0, -0.20), (-0.30, 0.125), (-0.10, -0.13)),
        (3, 0.085, (0.12, 0.02), (0.0, -0.14), (-0.42, 0.0), (0.12, -0.09)),
    )
    return [
        (
            (root[0] + to_root[0] * step, (root[1] + to_root[1] * step) * depth),
            (tip[0] + to_tip[0] * step, (tip[1] + to_tip[1] * step) * depth),
            width,
        )
        for count, width, root, to_root, tip, to_tip in rows
        for step in np.linspace(0, 1, count).tolist()
    ]


def feather_strokes(bird: Anatomy, side: int, rng: np.random.Generator) -> Image.Image:
    """Feather strokes along the body and head: 128 is neutral."""
    layer = Image.new("L", (side, side), 128)
    pen = ImageDraw.Draw(layer)
    for frame, low, high, count, length in (
        (bird.body, (-0.65, -0.36), (0.6, 0.42), 620, 0.05),
        (bird.head, (-1.2, -1.1), (0.9, 1.1), 260, 0.17),
    ):
        starts = rng.uniform(low, high, (count, 2))
        steps = np.stack([-length * rng.uniform(0.6, 1.3, count), length * rng.normal(0.12, 0.25, count)], 1)
        ends, greys = frame.at(starts + steps), rng.integers(84, 172, count)
        wide = max(int(bird.world.unit * 0.008), 1)
        for a, b, grey in zip(frame.at(starts).tolist(), ends.tolist(), greys.tolist(), strict=True):
            pen.line([*a, *b], fill=grey, width=wide)
    return layer
