"""Boxes around what a heatmap shows, and how well they agree with boxes that people drew. NumPy alone, no torch."""

from typing import Any

import numpy as np
from scipy import ndimage

THRESHOLD = 0.5


def boxes_of(heatmaps: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """The box of the largest region of each heatmap at or above ``threshold`` times its maximum.

    Cells that share a side belong together; of equally large regions the first in reading order counts.

    Args:
        heatmaps: (B, h, w), at least 0.
        threshold: share of the maximum.

    Returns:
        float (B, 4): left, top, right and bottom as shares of the image's sides; 0 for a heatmap without a value.
    """
    count, height, width = heatmaps.shape
    most = heatmaps.max((1, 2), keepdims=True)
    flat = np.zeros((3, 3, 3), dtype=bool)
    flat[1] = ndimage.generate_binary_structure(2, 1)  # no image touches the next
    labelled: Any = ndimage.label((heatmaps >= threshold * most) & (most > 0), flat)
    regions: np.ndarray = labelled[0]
    boxes, sizes = np.zeros((count, 4)), np.bincount(regions.ravel())
    sizes[0] = 0
    largest = sizes[regions].reshape(count, -1).argmax(1)
    chosen = regions.reshape(count, -1)[np.arange(count), largest]
    inside = (regions == chosen[:, None, None]) & (chosen > 0)[:, None, None]
    for axis, side, first in ((1, width, 0), (2, height, 1)):
        along = inside.any(axis)
        boxes[:, first] = along.argmax(1) / side
        boxes[:, first + 2] = (side - along[:, ::-1].argmax(1)) / side
    return np.where((chosen > 0)[:, None], boxes, 0)


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (B, 4), left, top, right and bottom: (B,); 0 where both are empty."""
    corners = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    shared = np.clip(corners[1] - corners[0], 0, None).prod(1)
    union = sum((box[:, 2:] - box[:, :2]).prod(1) for box in (first, second)) - shared
    return np.divide(shared, union, out=np.zeros(len(first)), where=union > 0)


def clipped(boxes: np.ndarray, within: np.ndarray) -> np.ndarray:
    """The part of boxes (B, 4) that lies in others (B, 4); its ends are equal where none does."""
    lowest, highest = np.tile(within[:, :2], 2), np.tile(within[:, 2:], 2)
    return np.clip(boxes, lowest, highest)


def distance(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How far points (B, 2) lie outside of boxes (B, 4), along the axis where they are farther: (B,), 0 inside."""
    outside = np.maximum(boxes[:, :2] - points, points - boxes[:, 2:])
    return np.clip(outside, 0, None).max(1)
