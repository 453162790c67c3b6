"""Comparisons of methods: ``fieldmark bench`` in Python. Importing this loads nothing heavy.

``run`` works the runs of a plan (``plan.py`` says what one looks like), ``report`` makes the text with the tables,
``sweep`` a picture of accuracy by the value of a setting, ``tables`` the papers' tables beside ours.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Annotated, Literal

from rich.console import Console

from fieldmark.bench.plan import read_plan
from fieldmark.console import QUIET, tell
from fieldmark.data.outputs import refuse_file
from fieldmark.errors import UserError, printable
from fieldmark.files import write_text
from fieldmark.plain import Count, Natural, Range, from_plain, several, to_plain

if TYPE_CHECKING:
    from fieldmark.bench.paper_tables import TableRow
    from fieldmark.bench.run_plan import Tally
    from fieldmark.bench.sweeping import Sweep

__all__ = ["RunOptions", "report", "run", "sweep", "tables"]


@dataclass(frozen=True)
class RunOptions:
    """Settings of a call; none of them changes what a run comes to, but for labels that are corrected.

    Args:
        data: NAME=FOLDER, where a data set of the plan lies; repeat for several.
        corrections: NAME=FILE, a list of corrected labels, as check --apply writes it, that does not lie with the
            photos of that data set.
        weights: NAME=FILE, a .safetensors file or a run, for entries whose weights or backbone are called NAME.
        only: an entry's name; repeat for several.
        phase: all, tune or final.
        limit: work at most so many runs.
        until: stop after so many seconds, in the middle of a run if need be.
        keep: keep the folders of finished runs.
        retry: work runs again that failed.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        workers: the number of processes that read photos ahead.
    """

    data: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    phase: Literal["all", "tune", "final"] = "all"
    limit: Count | None = None
    until: Annotated[float, Range(least=0, most=TIMEOUT_MAX)] | None = None
    keep: bool = False
    retry: bool = False
    device: str = "auto"
    workers: Natural | None = None

    @property
    def places(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The options that say where something lies, with their values."""
        return ("--data", self.data), ("--corrections", self.corrections), ("--weights", self.weights)


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
        UserError: a mistake in the plan or the call, results of another plan or other photos in the folder, or a file
            system without locks.
        Interrupted, KeyboardInterrupt: the user stopped it; the same command goes on.
    """
    said, folder = options or RunOptions(), Path(out)
    refuse_call(folder, said)  # like a plan's mistakes, told before the heavy imports, which take seconds
    read = read_plan(Path(plan))
    from fieldmark.bench.run_plan import run_plan

    return run_plan(read, folder, said, external=several(external), console=console)


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
    if path is not None:  # said before the work
        refuse_file(path, option="--out", is_ours=lambda path: b"by `fieldmark bench report" in path.read_bytes())
    text = report_of(Path(folder), path)
    if path is not None:
        write_text(path, text)
    return text


def sweep(folder: str | Path, over: str, out: str | Path | None = None) -> "list[Sweep]":
    """Accuracy on held-out photos by the value of one setting, over the trials of a comparison that differ in it alone.

    Args:
        folder: of the comparison.
        over: the setting's place in the recipe, such as model.terms.0.weight.
        out: a PNG to draw; its numbers go beside it, as JSON. None writes nothing.

    Raises:
        UserError: no results, no trials that differ in that setting alone, or an ``out`` that cannot be written.
    """
    from fieldmark.bench.sweeping import refuse_sweep, sweeps_of, write_sweeps

    if out is not None:
        refuse_sweep(Path(out))
    found = sweeps_of(Path(folder), over)
    if out is not None:
        write_sweeps(found, Path(out), over=over)
    return found


def tables(
    paper: str | None = None,
    *,
    results: str | Path | Sequence[str | Path] = (),
    data: str | Sequence[str] = (),
    time: bool = False,
    device: str = "auto",
    console: Console = QUIET,
) -> "list[TableRow]":
    """The tables of the five papers, row by row: the paper's figure, our recipe, and our figure or what it needs.

    Args:
        paper: a single paper, by its name for ``--method``; None for all.
        results: folders of comparisons whose entries follow rows of papers (``recipe = "pc/cub-resnet50"``);
            what they change is said.
        data: NAME=FOLDER, to count the photos of a data set by the name that the tables have for it.
        time: measure the time column of CIN's Table 1, with random weights.
        device: for the times: auto, cpu, cuda, cuda:N or mps.
        console: is told which network is timed.

    Raises:
        UserError: no such paper, comparison, data set or device.
    """
    from fieldmark.bench.paper_tables import tables_of_papers

    places, folders = named(several(data), option="--data"), [Path(folder) for folder in several(results)]
    found = tables_of_papers(paper, results=folders, data=places)
    if not time:
        return found
    from fieldmark.bench.timing import times_of
    from fieldmark.core.device import device_of
    from fieldmark.recipes import ROWS

    timed = {row.recipe: ROWS[row.recipe].recipe for row in found if row.unit == "ms a photo" and row.recipe}
    if not timed:
        raise UserError(f"--time: no table of {paper} has times; that of cin has")
    times = times_of(timed, device=device_of(device), progress=lambda name: tell(console, f"building {name}"))
    return tables_of_papers(paper, results=folders, data=places, times=times)


def refuse_call(folder: Path, options: RunOptions) -> None:
    """Raises ``UserError`` for what no plan can be worked with: several processes, a folder that cannot be, values."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # as torchrun says
        raise UserError(
            "fieldmark bench run works in one process: start it without torchrun; several calls may share one folder,\n"
            "each on a GPU of its own (CUDA_VISIBLE_DEVICES)"
        )
    if file := next((path for path in (folder, *folder.parents) if path.is_file()), None):
        raise UserError(f"--out {printable(str(folder))}: {printable(str(file))} is a file; name a folder")
    from_plain(to_plain(options), RunOptions)
    for option, given in options.places:
        named(given, option=option)


def named(words: Sequence[str], *, option: str) -> dict[str, Path]:
    """Paths by name, from NAME=PATH; raises ``UserError`` for another form, or a path that is not there."""
    paths: dict[str, Path] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals and text):
            raise UserError(f"{option} {word}: expected NAME=PATH")
        if name in paths:
            raise UserError(f"{option} {word}: {name} is given twice")
        paths[name] = Path(os.path.expanduser(text))
        if not paths[name].exists():
            raise UserError(f"{option} {word}: there is no such file or folder")
    return paths


def command_of(plan: Path, folder: Path, options: RunOptions, external: Sequence[str]) -> str:
    """The command that reproduces runs elsewhere: folders and files stand by their own names."""
    words = ["fieldmark", "bench", "run", place_of(plan), "--out", folder.name]
    for option, given in options.places:
        paths = named(given, option=option).items()
        words += [word for name, path in paths for word in (option, f"{name}={path.name}")]
    return shlex.join([*words, *(word for name in external for word in ("--external", name))])


def place_of(path: Path) -> str:
    """A path as a report may show it: without the folders of this machine."""
    return path.name if path.is_absolute() else path.as_posix()
