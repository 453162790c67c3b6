"""A clock that jumps once the work hangs: no test waits for a limit, and a process may be slow to start."""

import time
from pathlib import Path
from types import SimpleNamespace


def jumping(hangs: Path) -> SimpleNamespace:
    """For the ``time`` of a module: an hour later once the file ``hangs`` has been there for half a second.

    By then whoever waits has begun to wait; else the test is slow (the limit is waited for), not red.
    """

    def monotonic() -> float:
        late = hangs.exists() and time.time() - hangs.stat().st_mtime > 0.5
        return time.monotonic() + 3600 * late

    return SimpleNamespace(monotonic=monotonic)
