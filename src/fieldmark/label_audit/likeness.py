"""Photos that a network finds alike: near copies that no comparison of pixels shows, and photos unlike their class.

Likeness is the cosine of standardised features. Measured with EfficientNet-Lite0 on 60 photos of CUB that were edited:
at least ``COPY`` has nearly every mirrored, brightened or greyed one (98, 97 and 98 %), 57 % of those cropped to 90 %
of their sides, and 7 % of those cropped to three quarters; of 1,185 different photos, four pairs.
"""

from typing import NamedTuple

import numpy as np

from fieldmark.data.duplicates import clusters, join

COPY = 0.85
MOST = 20
"""Photos of a cluster: more that are so alike are one scene, as under a fixed camera, and not copies."""
NEIGHBOURS = 5
"""Photos of the class that are nearest to a photo, of which the mean likeness counts."""
LEAST = 8
"""Photos of a class from which one that is unlike the others can be told."""
FAR = 3.0
"""Interquartile ranges below the lower quartile: Tukey's outer fence."""
_ROWS = 512


class Likeness(NamedTuple):
    """``copies`` are clusters of positions; ``to_class`` float (N,) the mean likeness to the nearest of the class.

    ``to_class`` is nan where the class has no other unit.
    """

    copies: list[tuple[int, ...]]
    to_class: np.ndarray


def likeness_of(features: np.ndarray, labels: np.ndarray, units: np.ndarray) -> Likeness:
    """Compares each photo with all others that are not known to belong with it.

    Args:
        features: standardised, float32 (N, E).
        labels: (N,).
        units: (N,), equal for photos that are known to belong together, such as copies by their pixels.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.maximum(lengths, 1e-12)
    roots, to_class = np.arange(len(features)), np.empty(len(features))
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        alike = directions[rows] @ directions.T
        alike[units[rows, None] == units[None]] = -2.0
        row, column = np.nonzero(alike >= COPY)
        roots = join(roots, row + start, column)
        alike[labels[rows, None] != labels[None]] = -2.0
        to_class[rows] = _mean_of_nearest(alike)
    found = clusters(range(len(features)), roots)
    return Likeness([cluster for cluster in found if len(cluster) <= MOST], to_class)


def unlike_their_class(likeness: Likeness, labels: np.ndarray) -> np.ndarray:
    """The positions of photos that are far less like their class than others are like theirs, the farthest first.

    Each class is measured from its own median, as some vary more than others; classes of fewer than ``LEAST`` photos
    are left out.
    """
    counts = np.bincount(labels)
    known = ~np.isnan(likeness.to_class) & (counts[labels] >= LEAST)
    if not known.any():
        return np.zeros(0, int)
    middle = _medians(likeness.to_class[known], labels[known], len(counts))
    away = np.full(len(labels), np.nan)
    away[known] = likeness.to_class[known] - middle[labels[known]]
    low, high = np.nanquantile(away, (0.25, 0.75))
    far = np.flatnonzero(away < low - FAR * (high - low))
    return far[np.argsort(away[far], kind="stable")]


def _mean_of_nearest(alike: np.ndarray) -> np.ndarray:
    """The mean of each row's largest likenesses, up to ``NEIGHBOURS``; -2 stands for none."""
    count = min(NEIGHBOURS, alike.shape[1])
    nearest = -np.partition(-alike, count - 1, axis=1)[:, :count]
    there = nearest > -1.5
    total = np.where(there, nearest, 0.0).sum(1)
    return np.where(there.any(1), total / np.maximum(there.sum(1), 1), np.nan)


def _medians(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The median of each class, (C,), nan for one without values."""
    order = np.lexsort((values, labels))
    counts = np.bincount(labels, minlength=classes)
    starts, ordered = np.cumsum(counts) - counts, values[order]
    lower, upper = starts + (counts - 1) // 2, starts + counts // 2
    there = counts > 0
    medians = np.full(classes, np.nan)
    medians[there] = (ordered[lower[there]] + ordered[upper[there]]) / 2
    return medians
