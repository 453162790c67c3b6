"""What a method might have shown of photos, for the tests of localisation."""

from pathlib import Path

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.explanations.annotations import Parts
from fieldmark.explanations.localization import Localization
from fieldmark.explanations.sights import CLASS, GRAD_CAM, Peaks, Sights, Source

COUNT, HEIGHT, WIDTH = 30, 5, 7
FRAMES = np.tile([10.0, 20, 40, 80], (COUNT, 1))


def boxes(rng: np.random.Generator, count: int = COUNT) -> np.ndarray:
    """Left, top, right and bottom between 0 and 1, in hundredths."""
    corners = np.sort(rng.integers(0, 101, (count, 2, 2)), axis=1)
    return corners.reshape(count, 4) / 100


def localization(*, peaked: float = 0.2, parts: tuple[str, ...] = ("head", "tail"), boxless: int = 0) -> Localization:
    """Random; photo 0 has an object outside of its frame, photo 1 no peak, no Grad-CAM and no part."""
    rng = np.random.default_rng(0)
    objects, found = boxes(rng), {Source(name, level): boxes(rng) for name in (GRAD_CAM, CLASS) for level in (0.5, 0.2)}
    found[Source(GRAD_CAM, 0.2)] = np.clip(objects + rng.normal(0, 0.03, (COUNT, 4)), 0, 1)
    objects[0], found[Source(GRAD_CAM, 0.5)][1] = [1, 0.2, 1, 0.6], 0
    point, places = rng.random((COUNT, 2)), rng.uniform(20, 50, (COUNT, len(parts), 2))
    point[1], places[1] = np.nan, np.nan
    cells, heatmap = rng.random((COUNT, HEIGHT, WIDTH)) < peaked, rng.random((COUNT, HEIGHT, WIDTH))
    cells[1] = False
    strongest, weakest = (np.full(COUNT, -1) for _ in range(2))
    for row in range(COUNT):
        if cells[row].any():
            at = np.flatnonzero(cells[row])
            order = at[np.argsort(heatmap[row].ravel()[at])]
            weakest[row], strongest[row] = order[0], order[-1]
    photos = tuple(Photo(f"{number}.jpg", Path(f"{number}.jpg"), 0, "test") for number in range(COUNT))
    sights = Sights(photos, found, point, {"response": Peaks(cells, strongest, weakest)})
    right, whole = rng.random(COUNT) < 0.7, np.tile([0.0, 0, 1, 1], (COUNT, 1))
    return Localization(sights, right, FRAMES, objects, whole, Parts(parts, places), boxless=boxless)
