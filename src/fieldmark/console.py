"""Output to the user: one console, silent in all but the first of several processes.

Results and progress go to the console that a function is given. Decisions and times are logged to Python's logger
``fieldmark``, which ``--verbose`` shows on standard error.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fieldmark.errors import Interrupted, UserError, printable

QUIET = Console(quiet=True)
LOG = logging.getLogger(__name__)
SILENCE = 30.0
"""Seconds between plain lines of progress during long work."""


def speaks() -> bool:
    """Whether this is the only process, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Standard output, or standard error; ``:bird:`` in the name of a file stays as it is."""
    return Console(stderr=stderr, quiet=quiet or not speaks(), emoji=False)


def tell(console: Console, *lines: str) -> None:
    """Prints plain lines, uncut, with control characters in file names escaped."""
    for line in lines:
        console.print(printable(line), markup=False, highlight=False, emoji=False, soft_wrap=True)


def tell_error(error: BaseException) -> int:
    """Says on standard error what went wrong, and returns the exit code; an error of our own is raised again."""
    code, words = 130 if isinstance(error, Interrupted) else 2, str(error)
    match error:
        case UserError() | Interrupted():
            pass
        case OSError():
            words = printable(words)
        case ModuleNotFoundError() if not (error.name or "").startswith("fieldmark"):
            words = f"this command needs the package {error.name}: pip install 'fieldmark[train]'"
        case RuntimeError() | TypeError() if "MPS" in words:  # an operation or a type that Apple's GPUs lack
            advice = "use --device cpu, or set PYTORCH_ENABLE_MPS_FALLBACK=1 so that the CPU does what is missing"
            words = f"PyTorch cannot compute this on mps ({' '.join(words.split())[:160]})\n{advice}"
        case KeyboardInterrupt():
            code, words = 130, "stopped"
        case _:
            raise error
    said = "\n".join((words, *getattr(error, "__notes__", ())))
    lines = "\n".join(map(printable, said.split("\n")))
    console(stderr=True).print(f"[bold red]fieldmark:[/] {escape(lines)}", highlight=False, soft_wrap=True)
    return code


@contextmanager
def counted(console: Console, what: str, total: int | None = None) -> Iterator[Callable[..., object]]:
    """Shows progress: yields ``tick(more, total)``, to call with how many more are done, and out of how many.

    It is a progress bar, or without a terminal a line every 30 s. ``total`` may be known beforehand.
    """
    with timed(what):
        if console.is_terminal and not console.quiet:
            name = TextColumn("{task.description}", markup=False)
            with Progress(name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console) as progress:
                task = progress.add_task(what, total=total)
                yield lambda more, total=total: progress.update(task, advance=more, total=total)
            return
        done, last_line = 0, time.perf_counter()

        def speak(more: int, total: int | None = total) -> None:
            nonlocal done, last_line
            done += more
            if (now := time.perf_counter()) - last_line > SILENCE:
                last_line = now
                tell(console, f"{what}: {done:,}" + ("" if total is None else f" of {total:,}"))

        yield speak


@contextmanager
def working(console: Console, what: str) -> Iterator[None]:
    """Shows on a terminal that something is going on, of which nobody knows how far it is; it is timed, too."""
    with console.status(what) if console.is_terminal and not console.quiet else nullcontext(), timed(what):
        yield


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Logs how long a step took."""
    begun = time.perf_counter()
    yield
    LOG.info("%s: %.2f s", what, time.perf_counter() - begun)


@contextmanager
def details(shown: bool) -> Iterator[None]:
    """Shows on standard error what is logged within the block, if ``shown``."""
    handler, logger = logging.StreamHandler(), logging.getLogger("fieldmark")
    before = logger.level
    if shown and speaks():
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
