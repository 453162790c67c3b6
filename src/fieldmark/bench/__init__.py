"""Comparisons of methods: ``fieldmark bench`` in Python. Importing this loads nothing heavy.

``run`` works the runs of a plan (``plan.py`` says what one looks like), ``report`` makes the text with the tables.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fieldmark.bench.options import RunOptions, refuse_call
from fieldmark.bench.plan import read_plan
from fieldmark.console import QUIET
from fieldmark.data.outputs import refuse_file
from fieldmark.errors import UserError, printable
from fieldmark.files import write_text
from fieldmark.plain import several

if TYPE_CHECKING:
    from fieldmark.bench.run_plan import Tally

__all__ = ["RunOptions", "report", "run"]


def run(
    plan: str | Path,
    out: str | Path,
    *,
    options: RunOptions | None = None,
    external: str | Sequence[str] = (),
    console: Console = QUIET,
) -> "Tally":
    """Works the runs of a plan that are not yet recorded in ``out``; the same call goes on with what was stopped.

    Args:
        plan: a TOML file of entries.
        out: folder of the comparison; several processes may share it.
        options: where the data lie, and what else ``fieldmark bench run`` takes.
        external: classes from elsewhere that parts may be, as package.module:Class.
        console: is told what happens.

    Raises:
        UserError: what the user can mend.
        Interrupted: the user stopped it.
    """
    said = options or RunOptions()
    refuse_call(Path(out), said)  # like a plan's mistakes, told before the heavy imports, which take seconds
    read_plan(Path(plan))
    from fieldmark.bench.run_plan import run_plan

    return run_plan(Path(plan), Path(out), said, external=several(external), console=console)


def report(folder: str | Path, out: str | Path | None = None) -> str:
    """The Markdown text with the tables of a comparison, which is also written to ``out``.

    Args:
        folder: of the comparison.
        out: a file; None writes none.

    Raises:
        UserError: no results, files that are damaged, or an ``out`` that cannot be written.
    """
    from fieldmark.bench.rendering import report_of

    path = None if out is None else Path(out)
    if path is not None and path.is_dir():  # said before the work
        raise UserError(f"--out {printable(str(path))} is a folder; name a file, such as {path / 'RESULTS.md'}")
    if path is not None:
        refuse_file(path, option="--out", is_ours=lambda path: b"by `fieldmark bench report" in path.read_bytes())
    text = report_of(Path(folder), path)
    if path is not None:
        write_text(path, text)
    return text
