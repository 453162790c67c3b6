"""Answers to photos that a network was not trained on: what its confidence is measured by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldmark.errors import UserError, printable


@dataclass(frozen=True)
class HeldOut:
    """``logits`` float32 (N, C) and ``labels`` int64 (N,) of photos kept out of training, by ``names``."""

    names: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray

    @property
    def right(self) -> int:
        """How many answers are right."""
        return int((self.logits.argmax(1) == self.labels).sum())

    def save(self, path: Path) -> None:
        """Writes them to a file that is there already, as ``files.replace_files`` wants it."""
        names = np.array([printable(name) for name in self.names], dtype=np.str_)
        with path.open("wb") as file:  # by its name, NumPy might choose another
            np.savez(file, allow_pickle=False, names=names, labels=self.labels, logits=self.logits)


def read_held_out(path: Path) -> HeldOut:
    """What ``HeldOut.save`` wrote.

    Raises:
        UserError: the file is missing, damaged or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, labels, logits = (arrays[key] for key in ("names", "labels", "logits"))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(
            f"{printable(str(path))} cannot be read ({error}); fieldmark calibrate RUN writes it"
        ) from error
    if not (logits.ndim == 2 and len(names) == len(labels) == len(logits)):
        raise UserError(f"{printable(str(path))} holds other arrays; fieldmark calibrate RUN writes it")
    return HeldOut(tuple(names.tolist()), labels.astype(np.int64), logits.astype(np.float32))


def joined(parts: list[HeldOut]) -> HeldOut:
    """The answers of several networks, each to photos of its own, as those of one."""
    names = tuple(name for part in parts for name in part.names)
    labels, logits = (np.concatenate([getattr(part, key) for part in parts]) for key in ("labels", "logits"))
    return HeldOut(names, labels, logits)
