"""Where a run is worked: its lock, its folder, and who has had a share in what lies there.

Several processes, on one machine or on several that share the folder, may work one comparison. Each run is worked under
a lock of the operating system, which ends with the process that holds it, however that process ends.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fieldmark.bench.results import Session
from fieldmark.errors import UserError, printable
from fieldmark.files import replace_file
from fieldmark.plain import from_plain, to_plain
from fieldmark.runs.folder import RECIPE

LOCKS, RUNS = "locks", "runs"
PATIENCE = 0.2
"""Seconds in which a lock is tried: another process that only looks whether it is held holds it for an instant."""


@contextmanager
def locked(folder: Path, key: str, *, patience: float = PATIENCE) -> Iterator[bool]:
    """Holds the lock of a run in a comparison's folder; gives whether it does, or another process has it.

    Raises:
        UserError: the file system refuses to lock a file.
    """
    path = folder / LOCKS / f"{key}.lock"
    lock = FileLock(path, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=patience)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        raise UserError(
            f"{printable(str(path))} cannot be locked ({printable(str(error))}):\n"
            "take an --out that can be written to, on a file system with locks"
        ) from error
    try:
        yield True
    finally:
        lock.release()


def is_locked(folder: Path, key: str) -> bool:
    """Whether a process works a run now."""
    if not (folder / LOCKS / f"{key}.lock").exists():
        return False
    with locked(folder, key, patience=0) as free:
        return not free


def refuse_without_locks(folder: Path) -> None:
    """Raises ``UserError`` where the file system of a comparison's folder has no locks, or grants one twice."""
    with locked(folder, "trial", patience=0) as first, locked(folder, "trial", patience=0) as second:
        if first and second:
            raise UserError(
                f"--out {printable(str(folder))}: its file system gives one lock to two, so two processes could work\n"
                "the same run; take an --out on a file system with locks"
            )


class RunFolder:
    """``runs/KEY``, where a run is trained, and beside it ``runs/KEY.sessions.json``: the sessions that worked on it.

    Args:
        folder: of the comparison.
        key: of the run.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / RUNS / key
        self._sessions = folder / RUNS / f"{key}.sessions.json"

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All that have a share in the run that lies here, the last one last; none where no run does."""
        if not ((self.path / RECIPE).is_file() and self._sessions.is_file()):
            return ()
        return from_plain(json.loads(self._sessions.read_text("utf-8")), tuple[Session, ...])

    def enter(self, session: Session) -> tuple[Session, ...]:
        """Writes down that a session begins, unless the last was its like, and returns all of them."""
        sessions = self.sessions if self.sessions[-1:] == (session,) else (*self.sessions, session)
        replace_file(self._sessions, lambda draft: draft.write_text(json.dumps(to_plain(sessions)) + "\n", "utf-8"))
        return sessions

    def delete(self) -> None:
        """Deletes what lies here."""
        shutil.rmtree(self.path, ignore_errors=not self.path.exists())
        self._sessions.unlink(missing_ok=True)
