"""What people marked in photos, boxes and named parts, in the coordinates of what the network sees of them.

That is the evaluation's frame: 0 to 1 from its left to its right, and from its top to its bottom.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.input.loading import Photographs, size_of
from fieldmark.input.views import evaluation_frame


class Parts(NamedTuple):
    """Named parts of the objects in N photos: L ``names``, and ``places`` (N, L, 2) of those seen, nan for the rest.

    Places are x and y in pixels of the upright photo.
    """

    names: tuple[str, ...]
    places: np.ndarray

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """Which part is nearest to each point (N, 2) in pixels, (N,); -1 where no part is seen or a point is nan."""
        if not self.names:
            return np.full(len(points), -1)
        away = np.linalg.norm(self.places - points[:, None], axis=2)
        away = np.where(np.isnan(away), np.inf, away)
        return np.where(np.isfinite(away.min(1)), away.argmin(1), -1)


def frames_of(photos: Photographs) -> np.ndarray:
    """What evaluation sees of each photo, (N, 4): left, top, width and height in pixels of the upright photo.

    Raises:
        UnreadableImage: a file whose header cannot be read.
    """
    sizes = [size_of(photo, packed=photos.packed, limits=photos.limits) for photo in photos.photos]
    seen = zip(sizes, photos.photos, strict=True)
    frames = [evaluation_frame(size, photos.pixels, photo.box) for size, photo in seen]
    return np.array([(frame.left, frame.top, frame.width, frame.height) for frame in frames])


def extents_of(photos: Photographs, frames: np.ndarray) -> np.ndarray:
    """The part of each frame (N, 4) that the photo fills, (N, 4): left, top, right and bottom; all but with "pad".

    Raises:
        UnreadableImage: a file whose header cannot be read.
    """
    if photos.pixels.fit != "pad":
        return np.tile([0.0, 0, 1, 1], (len(frames), 1))
    sizes = [size_of(photo, packed=photos.packed, limits=photos.limits) for photo in photos.photos]
    corners = np.stack([np.zeros((len(frames), 2)), np.array(sizes, dtype=float)], 1)
    return np.clip(to_frame(corners, frames), 0, 1).reshape(-1, 4)


def objects_of(photos: Sequence[Photo], frames: np.ndarray) -> np.ndarray:
    """The part of each photo's box that lies in its frame (N, 4): left, top, right and bottom, (N, 4).

    Empty (its ends are equal) where the box lies outside of the frame. All photos have boxes.
    """
    boxes = np.array([photo.box for photo in photos], dtype=float).reshape(-1, 4)
    return np.clip(to_frame(np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1), frames), 0, 1).reshape(-1, 4)


def parts_of(photos: Sequence[Photo], frames: np.ndarray) -> Parts:
    """The parts that are visible, as annotated, and lie in the frames (N, 4)."""
    names = tuple(dict.fromkeys(mark.name for photo in photos for mark in photo.landmarks))
    places = np.full((len(photos), len(names), 2), np.nan)
    for row, photo in enumerate(photos):
        for mark in photo.landmarks:
            if mark.visible:
                places[row, names.index(mark.name)] = mark.x, mark.y
    shares = to_frame(places, frames)
    is_seen = ((shares >= 0) & (shares <= 1)).all(2, keepdims=True)
    return Parts(names, np.where(is_seen, places, np.nan))


def to_frame(points: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Points (N, K, 2) in pixels of photos as shares of frames (N, 4)."""
    return (points - frames[:, None, :2]) / frames[:, None, 2:]


def to_pixels(points: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Points (N, K, 2) as shares of frames (N, 4) in pixels of photos."""
    return points * frames[:, None, 2:] + frames[:, None, :2]
