"""Ctrl-C and termination as requests that the loop meets between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM in a list instead of ending; a second SIGINT raises ``KeyboardInterrupt``.

    SIGTERM may arrive twice, for the process and for its group; that is still one request.
    """
    signals: list[int] = []
    before = {}

    def note(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        if number == signal.SIGINT and signals.count(number) > 1:
            raise KeyboardInterrupt

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not in the main thread, which alone handles signals
        pass
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
