"""Ctrl-C and termination as wishes that the loop grants between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM in a list instead of dying of them; the second SIGINT is Python's own.

    SIGTERM may come twice at once, to a process and to its group, and asks for no more then.
    """
    seen: list[int] = []
    before = {}

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if number == signal.SIGINT and seen.count(number) > 1:
            raise KeyboardInterrupt

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not in the main thread: signals are somebody else's
        pass
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
