"""What a command may overwrite: an earlier result of the same kind, and nothing else."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from fieldmark.data.entries import IMAGE_SUFFIXES
from fieldmark.data.spreadsheet import header_of
from fieldmark.errors import UserError, printable
from fieldmark.files import is_device, refuse_unwritable


def refuse_file(path: Path, *, option: str, inputs: Iterable[Path] = (), is_ours: Callable[[Path], bool]) -> None:
    """Refuses a file that must not be written, before the work begins.

    Args:
        path: the file to write.
        option: the option that names it.
        inputs: files that the command reads.
        is_ours: whether an existing file holds a result of this kind.

    Raises:
        UserError: the name of an image, a folder, an input, or a file that holds something else.
    """
    shown = f"{option} {printable(str(path))}".strip()
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise UserError(
            f"{shown}: no result is written to the name of an image. The shell expands a pattern such as *.jpg:\n"
            f"name the photos first, and after {option or 'them'} the one file to write"
        )
    if path.is_dir():
        raise UserError(f"{shown} is a folder; name a file")
    if is_device(path):
        return
    refuse_unwritable(path, advice=f"name another file with {option}" if option else "name another file")
    if not path.exists():
        return
    if any(file.exists() and path.samefile(file) for file in inputs):
        raise UserError(f"{shown} is an input of this command and would be overwritten; name another file")
    if path.stat().st_size and not is_ours(path):
        raise UserError(f"{shown}: this file exists and is not a result of this command; delete it or name another")


def refuse_folder(folder: Path, *, option: str, photos: Path) -> None:
    """Raises ``UserError`` where the folder for results is a file, or lies inside the folder of photos."""
    shown = f"{option} {printable(str(folder))}"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{shown}: a file of that name exists; choose a folder")
    if photos.is_dir() and folder.resolve().is_relative_to(photos.resolve()):
        raise UserError(f"{shown}: choose a folder outside of the photos in {printable(str(photos))}")


def is_json_with(*keys: str) -> Callable[[Path], bool]:
    """A test whether a file is a JSON object with these keys."""

    def check(path: Path) -> bool:
        try:
            value = json.loads(path.read_bytes())
        except ValueError:
            return False
        return isinstance(value, dict) and value.keys() >= set(keys)

    return check


def is_table_with(*columns: str) -> Callable[[Path], bool]:
    """A test whether a file is a CSV with these columns, saved again by a spreadsheet program or not."""
    return lambda path: set(columns) <= set(header_of(path))
