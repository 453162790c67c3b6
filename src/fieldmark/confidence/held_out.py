"""Answers to photos that a network was not trained on: what its confidence is measured by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldmark.confidence.arrays import misfit, read_arrays, write_arrays
from fieldmark.errors import printable


@dataclass(frozen=True)
class HeldOut:
    """``logits`` float32 (N, C) and ``labels`` int64 (N,) of photos kept out of training, by ``names``.

    ``similarities`` float32 (N,) are the cosines to the nearest photos of the network's gallery, where it has one.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    similarities: np.ndarray | None = None

    @property
    def right(self) -> int:
        """How many answers are right."""
        return int((self.logits.argmax(1) == self.labels).sum())

    def without(self, label: int) -> "HeldOut":
        """Without a class, its photos and its logits; classes after it move up."""
        kept, near = self.labels != label, self.similarities
        labels, names = self.labels[kept], tuple(np.array(self.names, np.object_)[kept])
        logits = np.delete(self.logits[kept], label, axis=1)
        return HeldOut(names, labels - (labels > label), logits, None if near is None else near[kept])

    def save(self, path: Path) -> None:
        """Writes them to a file that is there already, as ``files.replace_files`` wants it."""
        names = np.array([printable(name) for name in self.names], dtype=np.str_)
        arrays = {"names": names, "labels": self.labels, "logits": self.logits}
        if self.similarities is not None:
            arrays["similarities"] = self.similarities
        write_arrays(path, arrays)


def read_held_out(path: Path, *, classes: int) -> HeldOut:
    """What ``HeldOut.save`` wrote, for a run of so many classes.

    Raises:
        UserError: the file is missing, damaged, or does not fit.
    """
    arrays = read_arrays(path, "names", "labels", "logits")
    names, labels, logits = (arrays[name] for name in ("names", "labels", "logits"))
    near = arrays.get("similarities")
    fits = labels.ndim == 1 and names.shape == labels.shape and logits.shape == (*labels.shape, classes)
    fits = fits and (near is None or (near.shape == labels.shape and np.isfinite(near).all()))
    if not (fits and np.isin(labels, np.arange(classes)).all() and np.isfinite(logits).all()):
        raise misfit(path, classes=classes)
    near = None if near is None else near.astype(np.float32)
    return HeldOut(tuple(map(str, names)), labels.astype(np.int64), logits.astype(np.float32), near)


def joined(parts: list[HeldOut]) -> HeldOut:
    """The answers of several networks, each to photos of its own, as those of one."""
    names = tuple(name for part in parts for name in part.names)
    labels, logits = (np.concatenate([getattr(part, key) for part in parts]) for key in ("labels", "logits"))
    near = [part.similarities for part in parts if part.similarities is not None]
    return HeldOut(names, labels, logits, np.concatenate(near) if len(near) == len(parts) else None)
