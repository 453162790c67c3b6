"""Named arrays in one file of a run's folder, written whole and refused in words."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fieldmark.errors import UserError, printable

ADVICE = "fieldmark calibrate RUN writes it anew"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays to a file that is there already, as ``files.replace_files`` wants it."""
    with path.open("wb") as file:  # by its name, NumPy might choose another
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """All arrays of a file that ``write_arrays`` wrote.

    Raises:
        UserError: the file is missing or damaged, or lacks one of ``names``.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive}
        missing = [name for name in names if name not in arrays]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{printable(str(path))} cannot be read ({error}); {ADVICE}") from None
    if missing:
        raise UserError(f"{printable(str(path))} cannot be read (it has no {missing[0]}); {ADVICE}")
    return arrays


def misfit(path: Path, *, classes: int) -> UserError:
    """The error of arrays that do not fit a run of so many classes."""
    return UserError(f"{printable(str(path))} does not fit the run's {classes} classes; {ADVICE}")
