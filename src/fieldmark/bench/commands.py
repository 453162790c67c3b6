"""``fieldmark bench``: one function a command. Heavy imports happen inside, so that help and mistakes are quick."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from fieldmark.bench import RunOptions
from fieldmark.console import tell
from fieldmark.errors import Interrupted, shell_word

app = App(name="bench", help="Compare methods under one plan: tuning, seeds, and a table with intervals.")

Speaking = Annotated[Console, Parameter(parse=False)]
"""What a command speaks to; the front door gives it."""


@app.command
def run(
    plan: Path,
    *,
    out: Path,
    options: Annotated[RunOptions | None, Parameter(name="*")] = None,
    external: Annotated[tuple[str, ...], Parameter(name="--external")] = (),
    console: Speaking,
) -> int:
    """Carry out the runs of a plan that are not yet recorded. Stop at any time; the same command goes on from there.

    Several processes, also on several machines that share the folder, may work on one plan at once. Each run is carried
    out by one of them, and final runs wait for trials that run elsewhere. The exit code is 1 if a requested run failed.

    Args:
        plan: a TOML file of entries; benchmarks/ has some.
        out: folder of the comparison: results, half-done runs and locks on them.
        external: a class of your own (package.module:Class) that a recipe's file names; repeat for several.
    """
    from fieldmark.bench import run as work

    try:
        tally = work(plan, out, options=options, external=external, console=console)
    except Interrupted:
        tell(console, "stopped; the state is saved, and the same command goes on from there")
        return 130
    failed = tally.failed + tally.failed_before
    words = [f"{tally.done} done", f"{tally.failed} failed", f"{tally.left} left"]
    words += [f"{tally.elsewhere} of them running elsewhere"] if tally.elsewhere else []
    words += [f"{tally.failed_before} failed earlier"] if tally.failed_before else []
    retry = [f"--retry runs the failed ones ({failed}) again"] if failed else []
    tell(console, ("time is up: " if tally.time_is_up else "") + ", ".join(words), *retry)
    tell(console, f"next: fieldmark bench report {shell_word(out)}")
    return 1 if failed else 0


@app.command
def report(folder: Path, *, out: Path | None = None, console: Speaking) -> int:
    """Tables of a comparison: means, intervals, differences to the baseline and whether they can be told from chance.

    Args:
        folder: of the comparison, as ``bench run --out`` made it.
        out: a Markdown file to write; it is printed where none is named.
    """
    from fieldmark.bench import report as make

    text = make(folder, out)
    if out is not None:
        tell(console, f"written to {out}")
    else:
        console.out(text, end="", highlight=False)
    return 0


@app.command
def sweep(folder: Path, *, over: str, out: Path | None = None, console: Speaking) -> int:
    """Draw accuracy by the value of one setting, over the trials of a comparison that differ in it alone.

    Args:
        folder: of the comparison, as ``bench run --out`` made it.
        over: the setting's place in the recipe, such as model.terms.0.weight.
        out: the PNG to draw, by default FOLDER/sweep.png; its numbers go beside it, as JSON.
    """
    from fieldmark.bench import sweep as draw
    from fieldmark.bench.sweeping import lines_of

    path = out or folder / "sweep.png"
    tell(console, *lines_of(draw(folder, over, path)), f"written to {path}")
    return 0
