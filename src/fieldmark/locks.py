"""A folder that one process has to itself for as long as it lives."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from fieldmark.errors import UserError, printable

LOCK = ".lock"
"""The file in the folder that is locked; it goes when the lock does."""


@contextmanager
def locked(folder: Path, *, busy: str) -> Iterator[None]:
    """Holds the lock of a folder, which is made if need be, and goes again if nothing was put there.

    The system frees the lock when the process ends, however it does. Processes forked from this one do not hold it.

    Args:
        folder: what is locked; other programs than Fieldmark do not heed it.
        busy: what the user is told where another process holds the lock.

    Raises:
        UserError: ``busy``; or the file system has no locks, or the folder cannot be written.
    """
    lock, file = FileLock(folder / LOCK, timeout=0, fallback_to_soft=False), folder / LOCK
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(busy) from None
    except OSError as error:
        _remove(file, made)
        way_out = "choose a folder that may be written, on a file system with locks"
        raise UserError(f"{printable(str(folder))} cannot be locked ({error.strerror}): {way_out}") from error
    own = file.stat()
    try:
        yield
    finally:
        with suppress(FileNotFoundError):  # somebody deleted it, and another process may have made a new one
            if os.path.samestat(own, file.stat()):
                _remove(file, made)
        lock.release()


def _remove(file: Path, made: list[Path]) -> None:
    """Deletes the lock's file, and those of the folders made for it that are empty."""
    with suppress(OSError):  # something was put there; on Windows the file goes when the lock is released
        file.unlink(missing_ok=True)
        for place in made:
            place.rmdir()
