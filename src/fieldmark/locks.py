"""Locks of the operating system, held by one process at a time: of a file, and of a folder by a file in it.

The system frees a lock when its process ends in any way. Processes forked from that one do not hold it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from fieldmark.errors import UserError, printable

LOCK = ".lock"
"""The lock file in a folder; it is deleted with the lock."""


@contextmanager
def holding(path: Path, *, patience: float = 0.0) -> Iterator[bool]:
    """Holds the lock of a file, which is created if necessary; gives whether it does, or another process has it.

    Args:
        path: of the file; programs other than Fieldmark ignore the lock.
        patience: seconds in which the lock is tried.

    Raises:
        UserError: the file system has no locks, or the folder is not writable.
    """
    lock, made = FileLock(path, fallback_to_soft=False), _missing(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=patience)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        _remove(path, made)
        reason = printable((isinstance(error, OSError) and error.strerror) or str(error))
        advice = "choose a writable folder on a file system with locks"
        raise UserError(f"{printable(str(path.parent))} cannot be locked ({reason}): {advice}") from error
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def locked(folder: Path, *, busy: str) -> Iterator[None]:
    """Holds the lock of a folder, which is created if necessary, and removed again if it stays empty.

    Args:
        folder: to lock.
        busy: the message if another process holds the lock.

    Raises:
        UserError: ``busy``; or as for ``holding``.
    """
    file, made = folder / LOCK, _missing(folder)
    with holding(file) as mine:
        if not mine:
            raise UserError(busy)
        own = file.stat()
        try:
            yield
        finally:
            with suppress(FileNotFoundError):  # it was deleted, and another process may have created a new one
                if os.path.samestat(own, file.stat()):
                    _remove(file, made)


def _missing(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove(file: Path, made: list[Path]) -> None:
    """Deletes the lock file, and the folders created for it if they are empty."""
    with suppress(OSError):  # a folder is not empty; on Windows the file goes when the lock is released
        file.unlink(missing_ok=True)
        for path in made:
            path.rmdir()
