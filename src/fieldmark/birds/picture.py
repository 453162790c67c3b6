"""Draws one bird of a species: plumage as coats of paint, then light, then its surroundings.

Every random draw comes from a stream of its own (pose, light, background, perch, plumage) that does not depend on
the species' marks, so that twins drawn with one seed differ in their telling mark and nowhere else.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops

from fieldmark.birds import scene
from fieldmark.birds.painting import OVER, Easel, feather_strokes, paint_bird
from fieldmark.birds.plumage import Species
from fieldmark.birds.scene import Light, faded, lay, mask_of, softened
from fieldmark.birds.shapes import EYE, Anatomy, disc, mark_shapes, pose_bird, random_pose
from fieldmark.data.dataset import Box
from fieldmark.errors import UserError

_VISIBLE = 100  # mask value from which a pixel counts as part of a mark


class Drawing(NamedTuple):
    """A picture of a bird: ``image`` RGB, the boxes of the visible parts of its ``marks``, and of the whole ``bird``.

    The box of a mark that the species lacks is where it would be. Boxes are in pixels of the image, inside it, and
    tight to about a pixel. A bill's box is that of this bird's bill.
    """

    image: Image.Image
    marks: dict[str, Box]
    bird: Box


def draw_bird(species: Species, *, size: int, seed: int | Sequence[int]) -> Drawing:
    """A picture of ``size`` x ``size`` pixels, the same for the same species, size and seed.

    Raises ``UserError`` for a size below 32.
    """
    if size < 32:
        raise UserError(f"size {size} is too small to draw a bird: take 32 pixels or more")
    entropy = [seed] if isinstance(seed, int) else list(seed)
    pose, light, far, perch, plumage, near = (np.random.default_rng([*entropy, stream]) for stream in range(6))
    side = size * OVER
    bird = pose_bird(species.build, random_pose(pose), side)
    canvas = scene.background(side, far)
    paint = Image.new("RGB", (side, side))
    easel = Easel(
        species,
        bird,
        scene.random_light(light),
        paint,
        feather_strokes(bird, side, plumage),
        mark_shapes(bird, plumage),
        {},
        side,
    )
    scene.paint_perch(canvas, bird.feet, bird.world.unit, easel.light, perch)
    _shadow(canvas, bird)
    alpha = paint_bird(easel, plumage)
    light_up(easel, canvas, alpha)
    paint_eye(canvas, easel)
    _leaf_in_front(canvas, easel, near)
    boxes = {name: box_of(easel.masks[name], size) for name in species.marks._fields}
    return Drawing(_finished(canvas, easel.light, size, near), boxes, box_of(alpha, size))


def _shadow(canvas: Image.Image, bird: Anatomy) -> None:
    """The shade of the bird on what it stands on."""
    x, y = (bird.feet[2] + bird.feet[5]) / 2
    unit = bird.world.unit
    shade = faded(mask_of(canvas.width, [disc(x, y + 0.04 * unit, 0.035 * unit, long=4)], soft=unit * 0.02), 0.4)
    lay(canvas, (26, 22, 24), shade)


def _relief(easel: Easel, core: Image.Image) -> np.ndarray:
    """Surface normals ``(h, w, 2)`` (x and y, at a quarter of the size) of the rounded body, from blurred outlines."""
    small = easel.side // 4
    unit = easel.bird.world.unit / 4
    shrunk = core.resize((small, small), Image.Resampling.BOX)
    head = mask_of(small, [easel.bird.head.at(disc(0, 0, 0.95)) / 4])
    wing = mask_of(small, [easel.bird.wing / 4])
    height = np.zeros((small, small), np.float32)
    for mask, blur, rise in ((shrunk, 0.14, 0.42), (shrunk, 0.05, 0.09), (head, 0.09, 0.10), (wing, 0.035, 0.055)):
        height += rise * unit / 255 * np.asarray(softened(mask.copy(), blur * unit), np.float32)
    down, right = np.gradient(height)
    return np.stack([-right, -down], -1)


def light_up(easel: Easel, canvas: Image.Image, alpha: Image.Image) -> None:
    """Shades the painted bird and lays it on the canvas."""
    light, side = easel.light, easel.side
    normal = _relief(easel, easel.masks["core"])
    depth = 1 / np.sqrt(1 + (normal**2).sum(-1))
    facing = np.maximum((normal @ light.direction[:2].astype(np.float32) + np.float32(light.direction[2])) * depth, 0)
    glow = 1.08 * light.sun * facing + light.sky * (0.94 - 0.15 * normal[..., 1] * depth) + 0.10 * (1 - depth) * facing
    shade = Image.fromarray(glow.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR)
    strokes = ImageChops.composite(easel.strokes, Image.new("L", (side, side), 128), easel.masks["core"])
    box = _whole_box(easel)
    gain = np.asarray(shade.crop(box)) * (1 + (np.asarray(strokes.crop(box), np.float32) - 128) * np.float32(0.0017))
    pixels = np.asarray(easel.paint.crop(box), np.float32) * gain[..., None]
    pixels -= np.float32(0.55) * np.maximum(pixels - 205, 0)  # white plumage keeps its form in the sun
    canvas.paste(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), box, alpha.crop(box))


def _whole_box(easel: Easel) -> tuple[int, int, int, int]:
    """The part of the canvas that any bird of this pose can cover, whatever its bill."""
    bird = easel.bird
    points = np.concatenate(
        [bird.outline, bird.feet, bird.wing, bird.head.at([(2.6, 0.6)]), bird.tail.at([(-1.1, -0.25), (-1.1, 0.25)])]
    )
    pad = 0.15 * bird.world.unit
    low, high = np.clip(points.min(0) - pad, 0, easel.side), np.clip(points.max(0) + pad, 0, easel.side)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def paint_eye(canvas: Image.Image, easel: Easel) -> None:
    """The eye, over everything, with a glint on the side of the light."""
    head = easel.bird.head
    to_light = float(np.sign(easel.light.direction[0] * head.along[0]))
    for shape, colour in (
        (disc(*EYE, 0.17), (24, 18, 16)),
        (disc(EYE[0], EYE[1] + 0.03, 0.12), (58, 36, 26)),
        (disc(*EYE, 0.10), (10, 8, 10)),
        (disc(EYE[0] + 0.07 * to_light, EYE[1] - 0.07, 0.052), (250, 250, 250)),
    ):
        lay(canvas, colour, mask_of(easel.side, [head.at(shape)], soft=head.unit * 0.012))


def _leaf_in_front(canvas: Image.Image, easel: Easel, rng: np.random.Generator) -> None:
    """Sometimes a leaf near the lens; never over the head or over the telling mark."""
    if rng.random() > 0.3:
        return
    mask, colour = scene.front_leaf(easel.side, rng)
    head = mask_of(easel.side, [easel.bird.head.at([(-1.2, -1.2), (2.5, -1.2), (2.5, 1.2), (-1.2, 1.2)])])
    telling = easel.masks[easel.species.telling_mark or "throat"]
    kept = ImageChops.lighter(head, telling)
    if ImageChops.multiply(mask, kept).getbbox() is None:
        lay(canvas, colour, mask)


def _finished(canvas: Image.Image, light: Light, size: int, rng: np.random.Generator) -> Image.Image:
    """Scaled down, tinted by the light, darker to the corners, with a little grain."""
    pixels = np.asarray(canvas.resize((size, size), Image.Resampling.LANCZOS), np.float32)
    ramp = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    corner = 1 - 0.09 * (ramp[:, None] + ramp[None, :])
    grain = np.float32(1.5) * rng.standard_normal((size, size), np.float32)
    lit = (pixels - 128) * light.contrast + 128
    lit = lit * (corner[..., None] * light.tint.astype(np.float32)) + grain[..., None]
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def box_of(mask: Image.Image, size: int) -> Box:
    """The box of the mask's pixels in the finished picture, rounded outwards."""
    corners = mask.point([255 * (v >= _VISIBLE) for v in range(256)]).getbbox()
    assert corners is not None, "a mark lies outside the bird"
    left, top = corners[0] // OVER, corners[1] // OVER
    right, bottom = min(-(-corners[2] // OVER), size), min(-(-corners[3] // OVER), size)
    return Box(left, top, right - left, bottom - top)
