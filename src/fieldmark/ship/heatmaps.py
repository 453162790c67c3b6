"""Where the score of a class comes from, as a heatmap over what the network sees of a photo."""

import numpy as np

CELL = 4
"""Pixels of the image per cell of a heatmap."""


def heatmap(maps: np.ndarray, label: int, *, against: int | None = None, size: tuple[int, int]) -> np.ndarray:
    """What speaks for a class, or for it rather than another: float32 of ``size`` (H, W), 1 where that is most.

    It is that of ``fieldmark explain --layer response``: zero where nothing speaks for the class.

    Args:
        maps: class-response maps of one image, (C, h, w).
        label: the class.
        against: the other class.
        size: of the heatmap, in cells.
    """
    response = maps[label].astype(np.float32)
    if against is not None:
        response = response - maps[against].astype(np.float32)
    found = np.maximum(enlarged(response, size), 0)
    return found / (found.max() or np.float32(1))


def enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values (h, w) at another size (H, W), bilinear, a cell being a square of the image."""
    for axis, cells in enumerate(size):
        count = values.shape[axis]
        places = np.clip((np.arange(cells) + 0.5) * count / cells - 0.5, 0, count - 1)
        first = np.floor(places).astype(np.int64)
        share = (places - first).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        near, far = values.take(first, axis), values.take(np.minimum(first + 1, count - 1), axis)
        values = near * (1 - share) + far * share
    return values
