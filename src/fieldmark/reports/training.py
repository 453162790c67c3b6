"""Training that ends with a report on the validation photos: what ``fieldmark train`` and ``fieldmark.train`` do."""

import time
from pathlib import Path

from rich.console import Console

from fieldmark.console import tell
from fieldmark.errors import printable, shell_word
from fieldmark.plain import several
from fieldmark.recipe import External, Recipe
from fieldmark.reports import REPORT
from fieldmark.reports.writing import Asked, write_report
from fieldmark.runs.checkpoint import MODEL
from fieldmark.training.estimate import UNLOADING
from fieldmark.training.session import train as run_session
from fieldmark.training.settings import Destination, Settings

SHARE, LONGEST = 0.1, 30.0
"""Of the time that training may take, what is set aside for its report: a share, and at most so many seconds."""


def train(
    data: str | Path,
    destination: Destination,
    settings: Settings,
    *,
    console: Console,
    external: External = (),
    recipe: Recipe | None = None,
    begun: float | None = None,
) -> Path:
    """``training.session.train``, and then its report; the arguments, the value and the errors are the same."""
    begun = time.perf_counter() if begun is None else begun
    early = begun - set_aside(settings) / (1 + UNLOADING)  # the session takes it for imports, which cost at the end too
    before = _stamp(destination.folder(Path(data)).expanduser() / MODEL)
    run = run_session(data, destination, settings, console=console, external=external, recipe=recipe, begun=early)
    if before and _stamp(run / MODEL) == before and (run / REPORT).exists():  # nothing was left to do
        return run
    write_own_report(run, settings, external=external, begun=begun, console=console)
    return run


def _stamp(file: Path) -> tuple[int, int] | None:
    """What a file that is written anew has another of; None without one."""
    return (facts.st_ino, facts.st_mtime_ns) if file.is_file() and (facts := file.stat()) else None


def set_aside(settings: Settings) -> float:
    """Seconds of the time that the user gave, kept for the report."""
    seconds = settings.machine.seconds
    return 0.0 if seconds is None else min(SHARE * seconds, LONGEST)


def write_own_report(run: Path, settings: Settings, *, external: External, begun: float, console: Console) -> None:
    """Writes a report on the validation photos, and a line that says where it is; test photos stay closed.

    A report that cannot be written is told in a line, too, and nothing else comes of it.

    Args:
        run: the run that was trained.
        settings: how.
        external: classes of the user's own that the recipe's file names.
        begun: when the command began, on the clock of ``time.perf_counter``.
        console: for progress and that line.
    """
    seconds = settings.machine.seconds
    asked = Asked(
        device=settings.machine.device,
        external=(*several(external), *settings.recipe.external_names),
        until=None if seconds is None else begun + seconds,
        opens_test=False,
    )
    try:
        path = write_report(run, run / REPORT, asked, console=console)
    except Exception as error:  # the run is trained: whatever goes wrong here must not make it look otherwise
        reason = " ".join(str(error).split()) or type(error).__name__
        tell(console, f"no report was written ({reason}); fieldmark report {shell_word(run)} tries again")
    else:
        tell(console, f"report: {printable(str(path))}")
