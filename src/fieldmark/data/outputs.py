"""What a command may write over: a result of the same kind that Fieldmark wrote before, and nothing else."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from fieldmark.data.folder import IMAGE_SUFFIXES
from fieldmark.errors import UserError, printable
from fieldmark.files import is_device


def refuse_file(path: Path, *, option: str, inputs: Iterable[Path] = (), is_ours: Callable[[Path], bool]) -> None:
    """Refuses a file that must not be written, before the work begins.

    Args:
        path: what the user named.
        option: by which it was named.
        inputs: files that the command reads, under whatever names.
        is_ours: whether an existing file holds such a result.

    Raises:
        UserError: a picture's name, a folder, an input, or a file that holds something else.
    """
    shown = f"{option} {printable(str(path))}".strip()
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise UserError(
            f"{shown}: no result is written to a picture's name. A pattern such as *.jpg is spelt out by the shell:\n"
            f"name the photos first, and after {option or 'them'} the one file to write"
        )
    if path.is_dir():
        raise UserError(f"{shown} is a folder; name a file")
    if not path.exists() or is_device(path):
        return
    if any(given.exists() and path.samefile(given) for given in inputs):
        raise UserError(f"{shown} is read by this command and would be written over; name another file")
    if path.stat().st_size and not is_ours(path):
        raise UserError(f"{shown}: a file lies there that is no result of this command; delete it or name another")


def refuse_folder(folder: Path, *, option: str, photos: Path) -> None:
    """Raises ``UserError`` for a folder of results that is a file, or lies among the photos."""
    shown = f"{option} {printable(str(folder))}"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{shown}: a file of that name exists; choose a folder")
    if photos.is_dir() and folder.resolve().is_relative_to(photos.resolve()):
        raise UserError(f"{shown}: choose a folder outside of the photos in {printable(str(photos))}")


def is_json_with(*keys: str) -> Callable[[Path], bool]:
    """Whether a file is a JSON object that has these keys."""

    def check(path: Path) -> bool:
        try:
            value = json.loads(path.read_bytes())
        except ValueError:
            return False
        return isinstance(value, dict) and value.keys() >= set(keys)

    return check


def is_table_with(*columns: str) -> Callable[[Path], bool]:
    """Whether a file is a CSV that has these columns."""

    def check(path: Path) -> bool:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            header = file.readline(1 << 16)
        try:
            return set(columns) <= set(next(csv.reader([header]), ()))
        except csv.Error:
            return False

    return check
