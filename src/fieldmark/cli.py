"""The command line: one function per command. Heavy imports happen inside, so that help and mistakes are quick."""

import io
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from fieldmark.bench.commands import Speaking
from fieldmark.bench.commands import app as bench
from fieldmark.collecting import leave_uncollected
from fieldmark.commands import (
    External,
    JsonFile,
    add_class,
    compare,
    evaluate,
    explain,
    figures,
    refuse_json,
    remove_class,
    report,
    write_figures,
)
from fieldmark.console import console as make_console
from fieldmark.console import details, speaks, tell, tell_error, working
from fieldmark.errors import UserError, printable
from fieldmark.export_commands import export
from fieldmark.label_audit.settings import LabelSettings
from fieldmark.predict_commands import predict
from fieldmark.serve_commands import serve
from fieldmark.table_commands import tables
from fieldmark.training.settings import DataSettings, Destination, MachineSettings, RecipeSettings, Settings
from fieldmark.trust_commands import calibrate

app = App(
    name="fieldmark",
    help="Train, measure and use classifiers for classes that look alike.",
    version_flags=["--version"],
    default_parameter=Parameter(negative=()),  # no --no-resume, no --empty-term
)
bench.command(tables)
app.command(bench)
app.command(evaluate)
app.command(predict)
app.command(explain)
app.command(compare)
app.command(figures)
app.command(report)
app.command(calibrate)
app.command(add_class)
app.command(remove_class)
app.command(export)
app.command(serve)
Flat = Parameter(name="*")


@app.command
def check(
    data: Path,
    *,
    json_file: JsonFile = None,
    annotation: str = "variant",
    max_megapixels: float = 64.0,
    strict: bool = False,
    labels: Annotated[LabelSettings | None, Flat] = None,
    console: Speaking,
) -> int:
    """Read every photo and report damage, duplicates and class sizes, and what to do about each.

    With --labels, also report probable label errors, easily confused classes, near-duplicates that only features
    reveal, photos unlike their class, and how much additional photos would help. With --apply, write your decisions as
    the list that training reads.

    Args:
        data: a folder of class folders, a CSV, or a benchmark's folder.
        json_file: also write everything as JSON to this file.
        annotation: which labels to use of a dataset that has several (FGVC-Aircraft: variant, family, manufacturer).
        max_megapixels: larger photos are rejected without being decoded; for training, use --set pixels.megapixels=N.
        strict: exit with 1, not 0, if anything was found, be it an error, a warning or a note; for scripts.
    """
    from fieldmark.check_commands import apply, look
    from fieldmark.data.report import print_report

    asked = labels or LabelSettings()
    asked.refuse_contradictions()
    if asked.apply:
        apply(data, asked.apply, asked, annotation=annotation, console=console)
        return 0
    refuse_json(json_file, "layout", "findings", inputs=[data])
    report = look(data, asked, annotation=annotation, max_megapixels=max_megapixels, console=console)
    print_report(report, console)
    write_figures(json_file, report.to_json())
    return int(strict and bool(report.findings))


@app.command
def train(
    data: Path,
    *,
    destination: Annotated[Destination | None, Flat] = None,
    recipe: Annotated[RecipeSettings | None, Flat] = None,
    photos: Annotated[DataSettings | None, Flat] = None,
    machine: Annotated[MachineSettings | None, Flat] = None,
    external: External = (),
    console: Speaking,
) -> None:
    """Train a classifier. DATA alone is enough: everything else is chosen for this machine.

    Args:
        data: a folder of class folders, a CSV, or a benchmark's folder.
        external: a class of your own (package.module:Class) that the recipe's file names; repeat for several.
    """
    begun = time.perf_counter()
    if not data.exists():  # before the heavy imports, which take seconds
        raise UserError(f"{printable(str(data))}: no such folder or file; name the photos to train on")
    with working(console, "starting"):
        from fieldmark.reports.training import train as run
        from fieldmark.training.split_notices import next_command
    settings = Settings(recipe or RecipeSettings(), photos or DataSettings(), machine or MachineSettings())
    folder = run(data, destination or Destination(), settings, console=console, external=external, begun=begun)
    if speaks():
        tell(console, f"next: {next_command(folder)}")


@app.command
def probe(
    data: Path,
    *,
    backbone: tuple[str, ...] = (),
    weights: str | None = None,
    size: int = 224,
    split: str | None = None,
    train_on: str = "train",
    seed: int = 0,
    annotation: str = "variant",
    corrections: Path | None = None,
    device: str = "auto",
    out: Path | None = None,
    json_file: JsonFile = None,
    console: Speaking,
) -> None:
    """Get a first answer in minutes: logistic regression on frozen features of one or several backbones.

    Args:
        data: a folder of class folders, a CSV, or a benchmark's folder.
        backbone: a timm model; repeat for several.
        weights: hub, lite0, none, a .safetensors file, or a run.
        size: height and width of the network's input, in pixels.
        split: the split to evaluate on, test or val; without a val split, some training photos are held out.
        train_on: the splits to fit on, joined by "+".
        seed: the seed for dividing data that have no splits.
        annotation: which labels to use of a dataset that has several.
        corrections: a list of corrected labels, as check --apply writes it, that does not lie with the photos.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        out: also keep the probe as a run in this folder, for evaluate, predict and the rest; for a single backbone.
        json_file: also write the figures as JSON to this file.
    """
    with working(console, "starting"):
        from fieldmark.api import probe as run
        from fieldmark.evaluation.probe import print_probed
    refuse_json(json_file, "probes", inputs=[path for path in (data, corrections) if path])
    results = run(
        data,
        backbones=backbone,
        weights=weights,
        size=size,
        split=split,
        train_on=train_on,
        seed=seed,
        annotation=annotation,
        corrections=corrections,
        device=device,
        out=out,
        console=console,
    )
    print_probed(results, console)
    write_figures(json_file, {"probes": [result.to_json() for result in results]})


@app.command
def convert(source: Path, target: Path, *, console: Speaking) -> None:
    """Convert pickled weights (.pth, .pt, .bin) to .safetensors, without running any code from them.

    Args:
        source: the pickled file.
        target: the .safetensors file to write.
    """
    from fieldmark.core.pickled import convert as rewrite

    count, table, others = rewrite(source, target)
    told = f" of {table}" + (f" (not of {', '.join(others)})" if others else "") if table else ""
    tell(console, f"{count} tensors{told}: {target}")


@app.command
def equations(paper: str | None = None, *, json_file: JsonFile = None, console: Speaking) -> None:
    """List which line computes which equation of which paper.

    Args:
        paper: a single paper, by its name for --method or its file's name.
        json_file: also write the list as JSON to this file.
    """
    from fieldmark.api import equations as find
    from fieldmark.listing import equations_to_json, print_equations

    refuse_json(json_file, "equations")
    listed = find(paper)
    print_equations(listed, console)
    write_figures(json_file, {"equations": equations_to_json(listed)})


@app.command
def recipes(paper: str | None = None, *, json_file: JsonFile = None, console: Speaking) -> None:
    """List the rows of the papers' tables that can be run with: fieldmark train DATA --recipe NAME.

    Figures of other systems, which the tables quote, stand below them.

    Args:
        paper: a single paper, by its name for --method or its file's name; or a row, to see its whole recipe.
        json_file: also write the rows, with their whole recipes, as JSON to this file.
    """
    from fieldmark.listing import print_quoted, print_recipe, print_recipes, recipes_to_json
    from fieldmark.recipes.naming import remarks_on, rows_of
    from fieldmark.recipes.quoted import quoted_beside

    refuse_json(json_file, "recipes")
    rows = rows_of(paper)
    quoted, remarks = quoted_beside(rows), remarks_on(rows)
    print_recipes(rows, console)
    if paper in rows:
        print_recipe(rows[paper], console)
    else:
        print_quoted(quoted, console)
    tell(console, *remarks)
    listed = {"recipes": recipes_to_json(rows), "quoted": [figure._asdict() for figure in quoted], "remarks": remarks}
    write_figures(json_file, listed)


@app.command
def demo(
    *,
    out: Path = Path("demo"),
    species: int = 8,
    images: int = 50,
    epochs: int = 8,
    device: str = "auto",
    console: Speaking,
) -> None:
    """Draw field-guide birds, fine-tune a small network on them, evaluate it and predict: everything in minutes.

    Args:
        out: the folder for everything; an earlier demo there is replaced.
        species: number of species; look-alikes come in pairs.
        images: pictures per species.
        epochs: passes over the training pictures.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
    """
    with working(console, "starting"):
        from fieldmark.demo import run_demo
    run_demo(out, species=species, images=images, epochs=epochs, device=device, console=console)


@app.command(name="--install-completion")
def install_completion(*, shell: Literal["bash", "zsh", "fish", "powershell"] | None = None, console: Speaking) -> None:
    """Let the shell complete commands and options with the Tab key, from the next shell on.

    Args:
        shell: whose start-up file a line is added to, if need be; by default the shell that this is typed in.
    """
    from cyclopts.completion.detect import ShellDetectionError

    try:
        path = app.install_completion(shell=shell)
    except ShellDetectionError:
        raise UserError("which shell is this? say --shell bash, zsh, fish or powershell") from None
    tell(console, f"completion is in {path}; it works in the next shell that you open")


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"])] = False,
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"])] = False,
) -> int:
    """Run a command with the options that all commands have, before or after its name.

    Args:
        quiet: print nothing but errors.
        verbose: log decisions, times and tracebacks to standard error.
    """
    command, bound, unbound = app.parse_args(tokens, exit_on_error=False, print_error=False)
    given = {"console": make_console(quiet=quiet)} if "console" in unbound else {}
    with details(verbose):
        try:
            result = command(*bound.args, **bound.kwargs, **given)
        except (Exception, KeyboardInterrupt) as error:
            if verbose and speaks():
                traceback.print_exception(error)
            return tell_error(error)
    return result if isinstance(result, int) else 0


def run(tokens: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code.

    It is 0; 1 for a strict check that found something, or a run that is further below another than allowed; 2 for a
    mistake that the user can correct; 130 for a stopped run.
    """
    try:
        result = app.meta(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        chain = " ".join(("fieldmark", *(error.command_chain or ()), "--help"))
        return tell_error(UserError(f"{str(error).strip()}\nsee: {chain}"))


def main() -> None:
    """The console script."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may have letters that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run()
    leave_uncollected()
    sys.exit(code)
