"""Views of training as Pillow draws them: what the loader, which draws with torch, is held against."""

import numpy as np
from PIL import Image

from fieldmark.data.dataset import Box
from fieldmark.input.views import RandomView, draw
from fieldmark.recipe import Pixels


def training_view(image: Image.Image, pixels: Pixels, rng: np.random.Generator, box: Box | None = None) -> np.ndarray:
    """A random area of the picture, mirrored half of the time: uint8 (S, S, 3) with S = ``pixels.size``."""
    random_view = RandomView(pixels, rng, box)
    area = random_view.area(image.size)
    view = draw(image, area, pixels.size)
    return view[:, ::-1] if random_view.mirrored else view
