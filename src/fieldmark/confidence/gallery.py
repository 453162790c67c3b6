"""The gallery of a run: what training photos look like to its network, to tell how near another photo comes to them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from fieldmark.confidence.arrays import misfit, read_arrays, write_arrays
from fieldmark.confidence.novelty import directions
from fieldmark.errors import printable

EACH, MOST = 30, 5000
"""Photos of a class, and of all classes, at most: so a gallery costs seconds and megabytes, whatever the data."""


class Known(Protocol):
    """What any gallery holds: ``labels`` int64 (G,) and ``embeddings`` (G, E), as ``novelty.directions`` has them."""

    @property
    def labels(self) -> np.ndarray:
        """Of the photos' classes."""
        ...

    @property
    def embeddings(self) -> np.ndarray:
        """Of the photos."""
        ...


@dataclass(frozen=True)
class Gallery:
    """``embeddings`` float16 (G, E) and ``labels`` int64 (G,) of training photos, by ``names``.

    The embeddings are as ``novelty.directions`` has them; ``model`` tells the weights that made them.
    """

    model: str
    names: tuple[str, ...]
    labels: np.ndarray
    embeddings: np.ndarray

    def save(self, path: Path) -> None:
        """Writes it to a file that is there already, as ``files.replace_files`` wants it."""
        names = np.array([printable(name) for name in self.names], dtype=np.str_)
        model = np.array(self.model)
        write_arrays(path, {"model": model, "names": names, "labels": self.labels, "embeddings": self.embeddings})

    def joined(self, other: "Gallery") -> "Gallery":
        """With the photos of another one of the same network."""
        labels = np.concatenate([self.labels, other.labels])
        embeddings = np.concatenate([self.embeddings, other.embeddings])
        return Gallery(self.model, (*self.names, *other.names), labels, embeddings)

    def only(self, chosen: np.ndarray) -> "Gallery":
        """Some of the photos: ``chosen`` is bool (G,)."""
        names = tuple(np.array(self.names, np.object_)[chosen])
        return Gallery(self.model, names, self.labels[chosen], self.embeddings[chosen])

    def without(self, label: int) -> "Gallery":
        """Without a class; those after it move up."""
        left = self.only(self.labels != label)
        return replace(left, labels=left.labels - (left.labels > label))


def gallery_of(model: str, names: Sequence[str], labels: np.ndarray, embeddings: np.ndarray) -> Gallery:
    """A gallery of photos that were chosen; embeddings (G, E) as the network gives them."""
    return Gallery(model, tuple(names), labels, directions(embeddings).astype(np.float16))


def chosen_for_gallery(labels: np.ndarray, *, each: int = EACH, most: int = MOST) -> np.ndarray:
    """Which training photos go into a gallery: indices, in order, of evenly spread photos of each class.

    Args:
        labels: (N,) of the training photos.
        each: photos of a class, at most.
        most: photos in all, at most, but one of each class.
    """
    counts = np.bincount(labels)
    present = max(1, int((counts > 0).sum()))
    room = np.minimum(counts, max(1, min(each, most // present)))
    order = np.argsort(labels, kind="stable")
    of_class = labels[order]
    rank = np.arange(len(labels)) - (np.cumsum(counts) - counts)[of_class]
    # the first photo of each of so many equal stretches: its rank times the number of stretches passes a whole count
    stretch = rank * room[of_class] // counts[of_class]
    before = (rank - 1) * room[of_class] // counts[of_class]
    return np.sort(order[stretch != before])


def read_gallery(path: Path, *, classes: int) -> Gallery:
    """What ``Gallery.save`` wrote, for a run of so many classes.

    Raises:
        UserError: the file is missing, damaged, or does not fit.
    """
    arrays = read_arrays(path, "model", "names", "labels", "embeddings")
    model, names, labels, values = (arrays[name] for name in ("model", "names", "labels", "embeddings"))
    fits = labels.ndim == 1 and len(labels) and names.shape == labels.shape
    fits = fits and values.ndim == 2 and len(values) == len(labels)
    if not (fits and np.isin(labels, np.arange(classes)).all() and np.isfinite(values).all()):
        raise misfit(path, classes=classes)
    return Gallery(str(model), tuple(map(str, names)), labels.astype(np.int64), values.astype(np.float16))
