"""A lock on a folder, held by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from fieldmark.errors import UserError, printable

LOCK = ".lock"
"""The lock file in the folder; it is deleted with the lock."""


@contextmanager
def locked(folder: Path, *, busy: str) -> Iterator[None]:
    """Holds the lock of a folder, which is created if necessary, and removed again if it stays empty.

    The system frees the lock when the process ends in any way. Processes forked from this one do not hold it.

    Args:
        folder: to lock; programs other than Fieldmark ignore the lock.
        busy: the message if another process holds the lock.

    Raises:
        UserError: ``busy``; or the file system has no locks, or the folder is not writable.
    """
    lock, file = FileLock(folder / LOCK, timeout=0, fallback_to_soft=False), folder / LOCK
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(busy) from None
    except OSError as error:
        _remove(file, made)
        advice = "choose a writable folder on a file system with locks"
        raise UserError(f"{printable(str(folder))} cannot be locked ({error.strerror}): {advice}") from error
    own = file.stat()
    try:
        yield
    finally:
        with suppress(FileNotFoundError):  # it was deleted, and another process may have created a new one
            if os.path.samestat(own, file.stat()):
                _remove(file, made)
        lock.release()


def _remove(file: Path, made: list[Path]) -> None:
    """Deletes the lock file, and the folders created for it if they are empty."""
    with suppress(OSError):  # a folder is not empty; on Windows the file goes when the lock is released
        file.unlink(missing_ok=True)
        for path in made:
            path.rmdir()
