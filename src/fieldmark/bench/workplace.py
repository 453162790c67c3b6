"""The folder in which a run is worked, and the sessions that worked there."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldmark.files import replace_file
from fieldmark.runs.folder import RECIPE

RUNS = "runs"
SESSIONS = "sessions.json"


class Workplace:
    """``runs/KEY.N`` of the claim N: the run's folder and, beside it, who worked on it with which source.

    What the claim before left is moved here, so the run goes on; an owner that was wrongly taken for dead writes to a
    name that is no longer used.

    Args:
        folder: of the comparison.
        key: of the run.
        number: of the claim.
    """

    def __init__(self, folder: Path, key: str, *, number: int) -> None:
        self.place = folder / RUNS / f"{key}.{number}"
        self.run = self.place / "run"
        found = ((re.fullmatch(rf"{re.escape(key)}\.([0-9]+)", path.name), path) for path in (folder / RUNS).glob("*"))
        earlier = sorted((int(match[1]), path) for match, path in found if match and int(match[1]) != number)
        if earlier and not self.place.exists():
            earlier.pop()[1].rename(self.place)
        for _, path in earlier:
            shutil.rmtree(path, ignore_errors=True)  # its owner may still write there; then the next claim removes it
        self.place.mkdir(parents=True, exist_ok=True)

    def enter(self, session: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """Writes down that a session begins, and returns all that have a share in the run that lies here."""
        path, before = self.place / SESSIONS, self._sessions()
        sessions = [*before, *([] if before and before[-1] == dict(session) else [dict(session)])]
        replace_file(path, lambda draft: draft.write_text(json.dumps(sessions) + "\n", "utf-8"))
        return tuple(sessions)

    def last(self) -> Mapping[str, Any]:
        """The last session that had a share in the run that lies here; empty where there is none."""
        return (self._sessions() or [{}])[-1]

    def _sessions(self) -> list[dict[str, Any]]:
        path = self.place / SESSIONS
        return json.loads(path.read_text("utf-8")) if (self.run / RECIPE).is_file() and path.is_file() else []

    def clear(self) -> None:
        """Starts anew: what lies here is deleted."""
        shutil.rmtree(self.run, ignore_errors=not self.run.exists())

    def leave(self, *, keep: bool) -> None:
        """The run is done, or nothing of it lies here: it is deleted, or kept as ``runs/KEY``."""
        kept = self.place.with_suffix("")
        if keep and self.run.exists():
            shutil.rmtree(kept, ignore_errors=not kept.exists())
            self.run.rename(kept)
        shutil.rmtree(self.place)
