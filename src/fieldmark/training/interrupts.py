"""Ctrl-C and termination as requests that the loop meets between two steps, and what is told of a stopped run."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from fieldmark.errors import printable


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


def stop_notice(run: Path, where: str, *, kept: int, best: bool = False) -> str:
    """A line on what a stopped run is good for.

    Args:
        run: its folder.
        where: it was stopped, such as "in epoch 3 of 20".
        kept: the epoch whose weights the saved model has, 0 for the start; below 0 if none is saved.
        best: whether that is the best epoch so far, and not the last one.
    """
    answers = f"answers as after epoch {kept}{', its best so far' if best else ''}"
    if kept <= 0:
        answers = "answers as the probe that it began as" if kept == 0 else "cannot answer yet"
    return f"stopped {where}; {printable(str(run))} {answers}; the same command with --resume goes on"
