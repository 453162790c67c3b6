"""What surrounds a drawn bird: light, a blurred background, something to perch on, a leaf before the lens."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from fieldmark.birds.shapes import Points, curve, disc, pen_points, ribbon

# Top, middle and bottom of the background, then its foliage.
_MOODS = (
    ((206, 222, 228), (176, 200, 180), (116, 146, 100), (92, 128, 74)),
    ((236, 222, 190), (214, 188, 138), (150, 126, 82), (176, 142, 84)),
    ((150, 184, 212), (196, 212, 220), (146, 160, 140), (120, 146, 116)),
    ((98, 124, 92), (72, 104, 74), (50, 76, 54), (124, 152, 92)),
    ((220, 214, 208), (196, 190, 182), (150, 144, 132), (140, 138, 118)),
    ((232, 206, 196), (198, 176, 172), (126, 124, 120), (158, 132, 122)),
    ((176, 200, 202), (128, 166, 170), (86, 126, 130), (150, 176, 150)),
    ((196, 206, 148), (150, 176, 96), (98, 126, 62), (202, 206, 122)),
)


class Light(NamedTuple):
    """Direction ``(3,)`` to the sun (x right, y down, z to the viewer), strength of sun and sky, RGB tint ``(3,)``."""

    direction: np.ndarray
    sun: float
    sky: float
    tint: np.ndarray
    contrast: float


def random_light(rng: np.random.Generator) -> Light:
    """Light from above left to above right: soft or harsh, warm or cold."""
    across, ahead = rng.uniform(-0.8, 0.8), rng.uniform(0.35, 0.8)
    direction = np.array([across, -0.75, ahead])
    sun, warmth = rng.uniform(0.35, 0.75), rng.uniform(-0.05, 0.07)
    bright = rng.uniform(0.93, 1.08)
    tint = bright * np.array([1 + warmth, 1 + 0.15 * warmth, 1 - warmth])
    return Light(
        direction / np.linalg.norm(direction),
        float(sun),
        float(1.02 - 0.55 * sun),
        tint,
        float(rng.uniform(0.92, 1.08)),
    )


def shade_of(rng: np.random.Generator, colour: tuple[int, ...], spread: float) -> tuple[int, int, int]:
    """The colour a little lighter or darker and off its hue."""
    r, g, b = np.clip(np.array(colour) * (1 + rng.normal(0, spread)) + rng.normal(0, 40 * spread, 3), 0, 255)
    return int(r), int(g), int(b)


def mask_of(side: int, shapes: list[Points], *, soft: float = 0.0) -> Image.Image:
    """A mask ("L") of the closed shapes, blurred by ``soft`` pixels."""
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    for shape in shapes:
        pen.polygon(pen_points(shape), fill=255)
    return softened(mask, soft)


def softened(mask: Image.Image, radius: float) -> Image.Image:
    """The mask blurred; only the part that is not empty is worked on."""
    box = mask.getbbox()
    if radius <= 0 or box is None:
        return mask
    pad = int(3 * radius) + 2
    box = (max(box[0] - pad, 0), max(box[1] - pad, 0), min(box[2] + pad, mask.width), min(box[3] + pad, mask.height))
    mask.paste(mask.crop(box).filter(ImageFilter.GaussianBlur(radius)), box)
    return mask


def faded(mask: Image.Image, share: float) -> Image.Image:
    """The mask at ``share`` of its strength."""
    return mask.point([int(v * share) for v in range(256)])


def lay(canvas: Image.Image, colour: tuple[int, int, int], mask: Image.Image) -> None:
    """A coat of ``colour`` where the mask is; only the part that is not empty is worked on."""
    box = mask.getbbox()
    if box is not None:
        canvas.paste(colour, box, mask.crop(box))


def background(side: int, rng: np.random.Generator) -> Image.Image:
    """A soft painterly background: sky to ground, blurred foliage, reeds and discs of light."""
    small = 128  # all is out of focus: painted small, enlarged smoothly
    top, middle, bottom, leaf = _MOODS[rng.integers(len(_MOODS))]
    knots = np.array([top, middle, bottom], float)[:, None, :].astype(np.uint8)
    canvas = Image.fromarray(knots).resize((small, small), Image.Resampling.BICUBIC)
    _foliage(canvas, leaf, rng)
    canvas = canvas.filter(ImageFilter.GaussianBlur(9))
    _stems(canvas, leaf, rng)
    _bokeh(canvas, rng)
    return canvas.filter(ImageFilter.GaussianBlur(1.6)).resize((side, side), Image.Resampling.BICUBIC)


def _foliage(canvas: Image.Image, leaf: tuple[int, ...], rng: np.random.Generator) -> None:
    pen = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(10, 22)):
        x, y = rng.uniform(-10, 138), 128 * rng.beta(2.2, 1.2)
        blot = disc(x, y, rng.uniform(6, 20), long=rng.uniform(1, 2), angle=rng.uniform(0, np.pi))
        pen.polygon(pen_points(blot), fill=shade_of(rng, leaf, 0.22))


def _stems(canvas: Image.Image, leaf: tuple[int, ...], rng: np.random.Generator) -> None:
    """Out-of-focus stems or twigs far behind the bird."""
    colour, lean = shade_of(rng, leaf, 0.12), rng.normal(0, 22)
    layer = Image.new("L", canvas.size)
    pen = ImageDraw.Draw(layer)
    for _ in range(rng.integers(0, 7)):
        x, bow = rng.uniform(-10, 138), rng.normal(0, 8)
        stem = ribbon([(x, 140), (x + lean * 0.5 + bow, 70), (x + lean, -12)], [rng.uniform(2, 5), 1.5])
        pen.polygon(pen_points(stem), fill=int(rng.integers(50, 120)))
    canvas.paste(colour, mask=layer.filter(ImageFilter.GaussianBlur(rng.uniform(2.0, 4.0))))


def _bokeh(canvas: Image.Image, rng: np.random.Generator) -> None:
    """Pale discs: highlights out of focus."""
    glow = np.clip(np.array(canvas.getpixel((64, 8)), float) * 0.5 + 128, 0, 255)
    layer = Image.new("L", canvas.size)
    for _ in range(rng.integers(0, 14)):
        disc_mask = Image.new("L", canvas.size)
        shape = disc(rng.uniform(0, 128), rng.uniform(0, 110), rng.uniform(2.5, 8))
        ImageDraw.Draw(disc_mask).polygon(pen_points(shape), fill=int(rng.integers(18, 70)))
        layer = ImageChops.add(layer, disc_mask)
    canvas.paste((int(glow[0]), int(glow[1]), int(glow[2])), mask=layer)


def paint_perch(canvas: Image.Image, feet: Points, unit: float, light: Light, rng: np.random.Generator) -> None:
    """A branch, reed, rock or post under the feet, ``(6, 2)`` as in ``Anatomy``; ``unit`` is the bird's in pixels."""
    spot = (feet[2] + feet[5]) / 2
    kind = rng.choice(["branch", "branch", "twig", "rock", "post"])
    {"branch": _branch, "twig": _twig, "rock": _rock, "post": _post}[str(kind)](canvas, spot, unit, light, rng)


def paint_wood(
    canvas: Image.Image, shape: Points, colour: tuple[int, ...], light: Light, rng: np.random.Generator
) -> None:
    """A solid: its colour, grain along it, light from one side."""
    side = canvas.width
    mask = mask_of(side, [shape])
    box = mask.getbbox() or (0, 0, 0, 0)
    width, height = box[2] - box[0], box[3] - box[1]
    if min(width, height) < 2:  # outside the picture, or a sliver at its border
        return
    coarse = rng.normal(0, 1, (max(height // 24, 2), max(width // 30, 2))).astype(np.float32)
    fine = rng.normal(0, 1, (max(height // 4, 2), max(width // 7, 2))).astype(np.float32)
    grain = sum(
        w * np.asarray(Image.fromarray(n).resize((width, height), Image.Resampling.BICUBIC))
        for w, n in ((9, coarse), (4, fine))
    )
    round_ = softened(mask.copy(), max(side * 0.016, 1)).crop(box)
    slope_y, slope_x = np.gradient(np.asarray(round_, np.float32) / 255 * side * 0.045)
    glow = 0.72 + 0.5 * light.sun * np.clip(-(slope_x * light.direction[0] + slope_y * light.direction[1]), -0.7, 0.8)
    pixels = (np.array(colour, np.float32) + np.asarray(grain)[..., None]) * glow[..., None]
    canvas.paste(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), box, mask.crop(box))


def _branch(canvas: Image.Image, spot: Points, unit: float, light: Light, rng: np.random.Generator) -> None:
    slope, bow, thick = rng.uniform(-0.28, 0.28), rng.uniform(-0.12, 0.12) * unit, rng.uniform(0.085, 0.13) * unit
    colour = shade_of(rng, (118, 98, 78), 0.16)
    far, x, y = 1.6 * canvas.width, spot[0], spot[1] + thick * 0.36
    line = [
        (x - far, y - slope * far + bow * 4),
        (x - far / 3, y - slope * far / 3 + bow),
        (x, y),
        (x + far / 3, y + slope * far / 3 + bow),
        (x + far, y + slope * far),
    ]
    for _ in range(rng.integers(1, 4)):
        paint_sprig(canvas, np.array([x + rng.uniform(-0.9, 0.9) * unit, y]), slope, unit, light, rng)
    paint_wood(canvas, ribbon(line, [thick * 1.25, thick, thick * 0.8]), colour, light, rng)


def paint_sprig(
    canvas: Image.Image, base: Points, slope: float, unit: float, light: Light, rng: np.random.Generator
) -> None:
    """A side twig with leaves, growing away from the bird."""
    x, y = float(base[0]), float(base[1] + slope * (base[0] - canvas.width / 2))
    reach, side = rng.uniform(0.25, 0.5) * unit, rng.choice([-1, 1])
    tip = (x + side * reach, y + rng.uniform(0.1, 0.7) * reach)
    paint_wood(canvas, ribbon([(x, y), tip], [0.03 * unit, 0.014 * unit]), (112, 94, 72), light, rng)
    green = shade_of(rng, (112, 140, 70), 0.2)
    for share in (0.35, 0.6, 0.8, 1.0):
        stalk = np.array([x + (tip[0] - x) * share, y + (tip[1] - y) * share])
        _leaf(
            canvas,
            stalk,
            rng.uniform(0.13, 0.2) * unit,
            rng.uniform(-0.4, 2.2) if side > 0 else rng.uniform(0.9, 3.5),
            shade_of(rng, green, 0.08),
        )


def _leaf(canvas: Image.Image, base: Points, size: float, angle: float, colour: tuple[int, int, int]) -> None:
    cos, sin = np.cos(angle) * size, np.sin(angle) * size
    turn = np.array([[cos, sin], [-sin, cos]])
    blade = (
        curve(np.array([(0, 0), (0.3, -0.2), (0.7, -0.17), (1.0, 0.02), (0.7, 0.19), (0.3, 0.2)]), steps=5) @ turn
        + base
    )
    vein = np.array([(-0.05, 0), (0.95, 0.02)]) @ turn + base
    pen = ImageDraw.Draw(canvas)
    pen.polygon(pen_points(blade), fill=colour)
    half = np.concatenate([blade[: len(blade) // 2], vein[::-1]])
    pen.polygon(pen_points(half), fill=tuple(min(int(c * 1.13), 255) for c in colour))
    pen.line(pen_points(vein), fill=tuple(int(c * 0.8) for c in colour), width=max(int(size * 0.04), 1))


def _twig(canvas: Image.Image, spot: Points, unit: float, light: Light, rng: np.random.Generator) -> None:
    """A steep reed or stalk with a few long blades."""
    lean = rng.uniform(0.35, 0.75) * rng.choice([-1, 1])
    colour, far = shade_of(rng, (164, 152, 98), 0.14), 2.0 * canvas.width
    x, y = float(spot[0]), float(spot[1] + 0.015 * unit)
    for _ in range(rng.integers(1, 4)):
        root, reach = rng.uniform(0.2, 0.9) * unit, rng.uniform(0.5, 1.0) * unit
        side = rng.choice([-1, 1])
        u, v = x + root * np.cos(lean) * np.sign(lean), y + root * np.sin(abs(lean))
        blade = [(u, v), (u + side * reach * 0.5, v - 0.4 * reach), (u + side * reach, v - 0.2 * reach)]
        paint_wood(
            canvas, ribbon(blade, [0.03 * unit, 0.055 * unit, 0.0]), shade_of(rng, (142, 156, 88), 0.12), light, rng
        )
    step = np.array([np.cos(lean), np.sin(lean)]) * far
    line = [(x - step[0], y - step[1]), (x, y), (x + step[0], y + step[1])]
    paint_wood(canvas, ribbon(line, [0.055 * unit, 0.055 * unit]), colour, light, rng)


def _rock(canvas: Image.Image, spot: Points, unit: float, light: Light, rng: np.random.Generator) -> None:
    colour, far = shade_of(rng, (150, 144, 136), 0.12), canvas.width * 1.2
    x, y = float(spot[0]), float(spot[1])
    rough = rng.uniform(-0.02, 0.05, 7) * unit
    spread = np.array([-3.2, -1.2, -0.5, 0.0, 0.55, 1.3, 3.3]) * unit
    fall = np.array([1.3, 0.22, 0.04, 0.0, 0.05, 0.25, 1.4]) * unit * rng.uniform(0.5, 1.2)
    top = [(x + s, y + f + r * (s != 0)) for s, f, r in zip(spread, fall, rough, strict=True)]
    shape = np.concatenate([curve(top, closed=False), [[x + 3.3 * unit, y + far], [x - 3.2 * unit, y + far]]])
    paint_wood(canvas, shape, colour, light, rng)
    for _ in range(rng.integers(3, 8)):
        centre, size = (
            (x + rng.uniform(-1, 1) * unit, y + rng.uniform(0.15, 0.5) * unit),
            rng.uniform(0.02, 0.07) * unit,
        )
        moss = mask_of(canvas.width, [disc(*centre, size, long=rng.uniform(1, 2.5))], soft=size * 0.35)
        lay(canvas, shade_of(rng, (128, 136, 84), 0.15), faded(moss, 0.5))


def _post(canvas: Image.Image, spot: Points, unit: float, light: Light, rng: np.random.Generator) -> None:
    x, y, half = float(spot[0]), float(spot[1]), rng.uniform(0.2, 0.3) * unit
    colour, low = shade_of(rng, (134, 118, 100), 0.12), canvas.width * 1.3
    drop = rng.uniform(-0.03, 0.03) * unit
    face = np.array([(x - half, y - drop), (x + half, y + drop), (x + half * 1.04, low), (x - half * 1.04, low)])
    paint_wood(canvas, face, colour, light, rng)
    pen = ImageDraw.Draw(canvas)
    for _ in range(6):
        crack, top = x + rng.uniform(-0.85, 0.85) * half, y + rng.uniform(0.02, 0.4) * unit
        pen.line(
            [(crack, top), (crack + rng.normal(0, 0.02) * unit, top + rng.uniform(0.2, 0.8) * unit)],
            fill=tuple(int(c * 0.5) for c in colour),
        )


def front_leaf(side: int, rng: np.random.Generator) -> tuple[Image.Image, tuple[int, int, int]]:
    """Mask and colour of a leaf close to the lens, far out of focus, reaching in from the border."""
    edge = rng.uniform(0, 2 * np.pi)
    x, y = side / 2 + np.cos(edge) * side * 0.62, side / 2 + np.sin(edge) * side * 0.62
    shape = (
        disc(x, y, side * rng.uniform(0.08, 0.14), long=rng.uniform(1.5, 2.4), angle=rng.uniform(0, np.pi)) / side * 128
    )
    colour = shade_of(rng, (128, 150, 80), 0.25)
    small = Image.new("L", (128, 128))
    ImageDraw.Draw(small).polygon(pen_points(shape), fill=235)
    return small.filter(ImageFilter.GaussianBlur(3.5)).resize((side, side), Image.Resampling.BICUBIC), colour
