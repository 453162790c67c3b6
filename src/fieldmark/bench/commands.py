"""``fieldmark bench``: one function a command. Heavy imports happen inside, so that help and mistakes are quick."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from fieldmark.bench.options import RunOptions
from fieldmark.errors import Interrupted, UserError, printable

app = App(name="bench", help="Compare methods under one plan: tuning, seeds, and a table with intervals.")


@app.command
def run(
    plan: Path,
    *,
    out: Path,
    options: Annotated[RunOptions | None, Parameter(name="*")] = None,
    external: Annotated[tuple[str, ...], Parameter(name="--external")] = (),
) -> int:
    """Carry out the runs of a plan that are not yet recorded. Stop at any time; the same command goes on from there.

    Several processes, also on several machines that share the folder, may work on one plan at once. Each run is carried
    out by one of them, and final runs wait for trials that run elsewhere. The exit code is 1 if a requested run failed.

    Args:
        plan: a TOML file of entries; benchmarks/ has some.
        out: folder of the comparison: results, half-done runs and locks on them.
        external: a class of your own (package.module:Class) that a recipe's file names; repeat for several.
    """
    if not plan.is_file():  # said before the heavy imports, which take seconds
        raise UserError(f"{printable(str(plan))}: no such file; name a plan (see benchmarks/cub20.toml)")
    from fieldmark.bench import run as work

    console = Console()
    try:
        tally = work(plan, out, options=options, external=external, console=console)
    except Interrupted:
        console.print("stopped; the state is saved, and the same command goes on from there", highlight=False)
        return 130
    words = [f"{tally.done} done", f"{tally.failed} failed", f"{tally.left} left"]
    words += [f"{tally.elsewhere} of them running elsewhere"] if tally.elsewhere else []
    words += [f"{tally.failed_before} failed earlier"] if tally.failed_before else []
    failed = tally.failed + tally.failed_before
    said = ("time is up: " if tally.time_is_up else "") + ", ".join(words)
    console.print(said, markup=False, highlight=False, soft_wrap=True)
    if failed:
        console.print(f"--retry runs the failed ones ({failed}) again", markup=False, highlight=False, soft_wrap=True)
    console.print(f"next: fieldmark bench report {printable(str(out))}", markup=False, soft_wrap=True)
    return 1 if failed else 0


@app.command
def report(folder: Path, *, out: Path | None = None) -> int:
    """Tables of a comparison: means, intervals, differences to the baseline and whether they can be told from chance.

    Args:
        folder: of the comparison, as ``bench run --out`` made it.
        out: a Markdown file to write; it is printed where none is named.
    """
    from fieldmark.bench import report as make

    text = make(folder, out)
    if out is None:
        print(text, end="")
    else:
        Console().print(f"written to {printable(str(out))}", markup=False, soft_wrap=True)
    return 0
