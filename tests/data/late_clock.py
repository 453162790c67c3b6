"""A clock that jumps once the work hangs: no test waits for a limit, and a process may be slow to start."""

import time
from pathlib import Path
from types import SimpleNamespace


def jumping(hangs: Path) -> SimpleNamespace:
    """For the ``time`` of a module: an hour later from when the file ``hangs`` is there."""
    return SimpleNamespace(monotonic=lambda: time.monotonic() + 3600 * hangs.exists())
