"""Generated photos of bolts under a fixed camera: different things that look alike, on one and the same bench."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = (320, 240)
LENGTHS = (40, 44, 48)


def bench(seed: int = 0) -> Image.Image:
    """The bench without anything on it: grain at every scale."""
    random = np.random.default_rng(seed)
    total = np.zeros((SIZE[1], SIZE[0], 3))
    for cells in (3, 6, 12, 24):
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), dtype=float) / cells**0.5
    total = (total - total.min()) / (total.max() - total.min())
    return Image.fromarray((60 + 120 * total).astype(np.uint8))


def bolt(length: int, angle: float) -> Image.Image:
    """A bolt of ``length`` pixels lying flat, turned by ``angle`` degrees, on nothing."""
    tile = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    draw = ImageDraw.Draw(tile)
    left = 48 - length // 2
    draw.rectangle((left, 38, left + 8, 58), fill=(200, 200, 205, 255))
    draw.rectangle((left + 8, 43, left + length, 53), fill=(170, 172, 178, 255))
    for x in range(left + 14, left + length, 4):
        draw.line((x, 43, x + 2, 53), fill=(90, 92, 98, 255))
    return tile.rotate(angle, Image.Resampling.BICUBIC)


def photo(length: int, number: int, background: Image.Image) -> Image.Image:
    """A bolt shifted by up to 8 pixels and turned by up to 10 degrees, in other light, with noise of the sensor."""
    random = np.random.default_rng((length, number))
    picture = background.copy()
    x, y = random.integers(-8, 9, 2)
    tile = bolt(length, random.uniform(-10, 10))
    picture.paste(tile, (SIZE[0] // 2 - 48 + int(x), SIZE[1] // 2 - 48 + int(y)), tile)
    pixels = np.asarray(picture, dtype=float) * random.uniform(0.85, 1.15) * random.uniform(0.97, 1.03, 3)
    slope = np.linspace(random.uniform(0.9, 1.1), random.uniform(0.9, 1.1), SIZE[0])[None, :, None]
    return Image.fromarray(np.clip(pixels * slope + random.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8))


def write_bolts(root: Path, *, photos: int = 10, seed: int = 0) -> Path:
    """A folder of three class folders without splits."""
    background = bench(seed)
    for length in LENGTHS:
        folder = root / f"M{length}"
        folder.mkdir(parents=True)
        for number in range(photos):
            photo(length, number, background).save(folder / f"{number}.jpg", quality=90)
    return root
