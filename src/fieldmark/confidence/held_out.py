"""The answers of a run to photos that were kept out of training, by which its certainty is measured."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldmark.errors import UserError, printable

HELD_OUT = "held_out.npz"
"""The file in a run's folder: arrays ``names``, ``labels`` and ``logits``."""


@dataclass(frozen=True)
class HeldOut:
    """Photos that were kept out of training: ``names``, ``labels`` (N,) int64 and ``logits`` (N, C) float32."""

    names: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray


def read_held_out(run: Path, *, classes: int) -> HeldOut:
    """The held-out photos of a run.

    Args:
        run: the run's folder.
        classes: C, the number of its classes.

    Raises:
        UserError: the file is missing, cannot be read, or does not fit the run.
    """
    path = run / HELD_OUT
    shown = printable(str(path))
    if not path.is_file():
        raise UserError(f"{shown} is missing, the run's answers to photos kept out of training; train the run again")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            names, labels, logits = (arrays[name] for name in ("names", "labels", "logits"))
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{shown} cannot be read ({error}); train the run again") from None
    fits = labels.ndim == 1 and names.shape == labels.shape and logits.shape == (*labels.shape, classes)
    if not (fits and np.isin(labels, np.arange(classes)).all() and np.isfinite(logits).all()):
        raise UserError(f"{shown} does not fit the run's {classes} classes; train the run again")
    return HeldOut(tuple(map(str, names)), labels.astype(np.int64), logits.astype(np.float32))
