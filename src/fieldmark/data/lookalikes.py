"""Tells copies from look-alikes: a cluster of near-duplicates is one scene, but one scene may show many objects.

Under a fixed camera the perceptual hash sees the bench, and bolts of three classes become one cluster, which no cut can
divide. A cluster that swallows classes is therefore taken apart: only photos whose thumbnails, 16 × 16 grey levels,
differ by at most ``SAME``, as they are or mirrored, stay together. Where even these link many photos of several classes
(a small object in steady light), similarity means nothing, and only exact copies can be recognised.

A cluster swallows classes if it holds at least ``LEAST`` photos and more than ``LARGE`` of each of two classes, or at
least ``LEAST`` and more than ``MOST`` of one class, which leaves too few to measure on. A copy under a wrong label
makes a small cluster and is kept.

Measured through ``inspect_image`` on 202 photos (CUB, Flowers-102): within ``SAME`` of their originals are all copies
re-encoded at JPEG quality 60, 98 % at quality 20, 98 % of those halved, 82 % mirrored, 46 % resized to a third. Of 120
generated photos of bolts in changing light, one cluster by their hashes, six pairs at most are that close.
"""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fieldmark.data.duplicates import clusters, join_alike, near_duplicates

SIDE = 16
# In grey levels, root mean square over the thumbnail.
SAME = 1.0
LEAST = 5
LARGE = 0.2
MOST = 0.8


@dataclass(frozen=True)
class NearCopies:
    """Clusters of positions: ``copies`` of one photo or moment; ``alike``: too many and too alike to be copies."""

    copies: tuple[tuple[int, ...], ...]
    alike: tuple[tuple[int, ...], ...]


def thumbnail(image: Image.Image) -> str:
    """``image`` (upright, any size) as 16 × 16 grey levels in 320 letters."""
    small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return base64.b85encode(small.tobytes()).decode("ascii")


def near_copies(hashes: Sequence[str], thumbnails: Sequence[str], labels: Sequence[int | None]) -> NearCopies:
    """The clusters of ``near_duplicates(hashes)``, those that swallow classes taken apart by their ``thumbnails``.

    All three have one entry per photo; "" and None mean unknown. ``labels`` are those of all photos to be split.
    """
    totals = Counter(label for label in labels if label is not None)
    copies: list[tuple[int, ...]] = []
    alike: list[tuple[int, ...]] = []
    for cluster in near_duplicates(hashes):
        large, most = _held(cluster, labels, totals)
        if large < 2 and not most:
            copies.append(cluster)
            continue
        alike.append(cluster)
        within = _same_thumbnails(cluster, thumbnails)
        copies += [copy for copy in within if _held(copy, labels, totals)[0] < 2]
    return NearCopies(tuple(copies), tuple(alike))


def _held(cluster: Sequence[int], labels: Sequence[int | None], totals: Counter[int]) -> tuple[int, int]:
    """The number of classes of which the cluster holds a large share, and of which it holds most photos."""
    held = Counter(label for at in cluster if (label := labels[at]) is not None)
    shares = [count / totals[label] for label, count in held.items() if count >= LEAST]
    return sum(share > LARGE for share in shares), sum(share > MOST for share in shares)


def _same_thumbnails(cluster: Sequence[int], thumbnails: Sequence[str]) -> list[tuple[int, ...]]:
    known = [at for at in cluster if thumbnails[at]]
    if not known:
        return []
    packed = b"".join(base64.b85decode(thumbnails[at]) for at in known)
    grey = np.frombuffer(packed, np.uint8).reshape(len(known), SIDE, SIDE).astype(np.float32)
    # The shared scene is subtracted, so that differences of a few levels survive the products in float32; its average
    # with its mirror image is the same for photos and mirrored photos.
    scene = grey.mean(0)
    grey -= (scene + scene[:, ::-1]) / 2
    flat, mirrored = grey.reshape(len(known), -1), grey[:, :, ::-1].reshape(len(known), -1)
    squares = np.square(flat).sum(1)

    def are_alike(rows: slice, columns: slice) -> np.ndarray:
        product = np.maximum(flat[rows] @ flat[columns].T, flat[rows] @ mirrored[columns].T)
        return squares[rows, None] + squares[None, columns] - 2 * product <= SAME**2 * SIDE**2

    return clusters(known, join_alike(len(known), are_alike))
