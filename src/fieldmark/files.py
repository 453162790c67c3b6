"""The one writer of files: each is there wholly or not at all, with the mode that the umask gives.

Logs that only grow are appended to where they are kept; all else is written here.
"""

import csv
import io
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from fieldmark.errors import UserError, printable

FULL = 1 << 20
"""Where a write failed and fewer bytes are free, the disk is full."""


def replace_file(path: Path, write: Callable[[Path], object], *, advice: str = "") -> None:
    """Has ``write`` make a file under a temporary name, then moves it to ``path``: no reader sees half a file.

    Missing folders are made. A symbolic link stays one: what it points to is replaced. To a device or a pipe, such as
    /dev/stdout, the content is copied.

    Args:
        path: the file.
        write: fills the empty file that it is given, whose name ends like that of ``path``.
        advice: said in a second line where the file cannot be written.

    Raises:
        UserError: it cannot be written; what was there before is unharmed.
    """
    device = is_device(path)
    path = path if device else Path(os.path.realpath(path))
    folder = Path(tempfile.gettempdir()) if device else path.parent
    draft = folder / f".{secrets.token_hex(6)}{path.suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.touch(exist_ok=False)
        mode = draft.stat().st_mode  # by the umask, which libraries with temporary files of their own do not heed
        write(draft)
        draft.chmod(mode)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        if device:
            path.write_bytes(draft.read_bytes())
        else:
            draft.replace(path)
    except OSError as error:
        raise _cannot_be_written(path, error, advice) from error
    finally:
        with suppress(OSError):  # where there is no such folder, there is no draft either
            draft.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """``replace_file`` for bytes."""
    replace_file(path, lambda draft: draft.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """``replace_file`` for text, as UTF-8; what UTF-8 cannot hold, such as odd bytes of a file's name, is escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: object) -> None:
    """``replace_file`` for plain data, as JSON; the escapes of odd bytes in names are JSON's own, and come back."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """``replace_file`` for a table, the first row being its header."""
    table = io.StringIO()
    csv.writer(table).writerows(rows)
    write_text(path, table.getvalue())


@contextmanager
def growing_file(path: Path) -> Iterator[TextIO]:
    """A text file for rows that take long to come: it gets the name ``path`` where the block ends well.

    Until then, and after an error or a stop, it is ``NAME.XXXXXX.partial`` beside it, with every line so far; the
    exception has a note that says so. What lay at ``path`` stays until it is replaced.

    Raises:
        UserError: the file cannot be made.
    """
    device = is_device(path)
    path = path if device else Path(os.path.realpath(path))
    draft = path if device else path.with_name(f"{path.name}.{secrets.token_hex(3)}.partial")
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "Is a directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        file = draft.open("w", buffering=1, newline="", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    try:
        with file:
            yield file
            file.flush()
            if not device:
                os.fsync(file.fileno())
        if not device:
            draft.replace(path)
    except BaseException as error:
        error.add_note(f"what was written so far is kept in {printable(str(draft))}")
        raise


def is_device(path: Path) -> bool:
    """Whether something lies there that is neither a file nor a folder, as /dev/stdout or a named pipe."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _cannot_be_written(path: Path, error: OSError, advice: str = "") -> UserError:
    """Asked before the draft is deleted, as libraries seldom say that the disk is full."""
    is_full = path.parent.is_dir() and shutil.disk_usage(path.parent).free < FULL
    reason = "the disk is full" if is_full else error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
    return UserError("\n".join(filter(None, (f"{printable(str(path))} cannot be written: {reason[:160]}", advice))))
