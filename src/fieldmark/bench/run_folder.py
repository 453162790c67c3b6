"""Where a run is worked: its lock, its folder, and who has had a share in what lies there.

Several processes, on one machine or on several that share the folder, may work one comparison.
"""

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from fieldmark.bench.results import Session
from fieldmark.errors import UserError, printable
from fieldmark.files import write_json
from fieldmark.locks import holding
from fieldmark.plain import from_plain, to_plain
from fieldmark.runs.folder import RECIPE

PATIENCE = 0.2
"""Seconds in which a lock is tried: another process that only looks whether it is held holds it for an instant."""


def locked(folder: Path, key: str, *, patience: float = PATIENCE) -> AbstractContextManager[bool]:
    """Holds the lock of a run in a comparison's folder; gives whether it does, or another process has it.

    Raises:
        UserError: the file system refuses to lock a file.
    """
    return holding(folder / "locks" / f"{key}.lock", patience=patience)


def is_locked(folder: Path, key: str) -> bool:
    """Whether a process works a run now."""
    if not (folder / "locks" / f"{key}.lock").exists():
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
    """``runs/KEY`` of a comparison's folder, where a run is trained, and beside it the sessions that worked on it."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / "runs" / key
        self._sessions = folder / "runs" / f"{key}.sessions.json"

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All that have a share in the run that lies here, the last one last; none where no run does."""
        if not ((self.path / RECIPE).is_file() and self._sessions.is_file()):
            return ()
        return from_plain(json.loads(self._sessions.read_text("utf-8")), tuple[Session, ...])

    def enter(self, session: Session) -> tuple[Session, ...]:
        """Writes down that a session begins, unless the last was its like, and returns all of them."""
        sessions = self.sessions if self.sessions[-1:] == (session,) else (*self.sessions, session)
        write_json(self._sessions, to_plain(sessions))
        return sessions

    def delete(self) -> None:
        """Deletes what lies here."""
        shutil.rmtree(self.path, ignore_errors=not self.path.exists())
        self._sessions.unlink(missing_ok=True)
