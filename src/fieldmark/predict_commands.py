"""``fieldmark predict``; imports are heavy only inside, as in ``cli``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fieldmark.bench.commands import Speaking
from fieldmark.commands import External
from fieldmark.console import console as make_console
from fieldmark.console import speaks, tell, working
from fieldmark.errors import UserError
from fieldmark.files import STANDARD_OUTPUT


def predict(
    run: Path,
    inputs: tuple[str, ...],
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], allow_leading_hyphen=True)] = Path("predictions.csv"),
    top: int = 5,
    certainty: float | None = None,
    coverage: float | None = None,
    groups: Path | None = None,
    refuse: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    external: External = (),
    console: Speaking,
) -> int:
    """Predict the classes of photos, in order, and print those of up to 20.

    Files that cannot be read become rows with a reason; the exit code is 1 where no photo can be read.

    Args:
        run: the run's folder, or an exported model (a file whose name ends in .onnx).
        inputs: photos, folders of photos, or CSVs with a path column (and boxes, if the run needs them).
        out: the file to write, .csv or .json, or - for a CSV on standard output; an earlier one is replaced.
        top: classes per photo.
        certainty: also give an answer that is right with this probability, such as 0.9: a class, or else a group of
            classes, or none (columns answer, level, answer_probability).
        coverage: also give a set of classes (column set) that holds the right one for this share of photos, such as
            0.9; an empty set says that no class is likely enough.
        groups: a CSV of groups of classes (class, and a column for each level, the finest first), for --certainty; by
            default those that the run was trained with.
        refuse: answer "none of these" where a photo looks too unlike those of the classes, so that this share of photos
            of the classes, such as 5%, is refused wrongly (columns answer, nearest, distance: the nearest training
            photo's class, and how far off it is by its cosine); fieldmark calibrate RUN prepares it.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or for a run mps (Apple's).
        workers: processes that read photos; by default as many as suit their number.
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    if out in STANDARD_OUTPUT:  # which then holds the table and nothing else
        console = make_console(stderr=True, quiet=console.quiet)
    with working(console, "starting"):
        from fieldmark.data.unlabelled import listed_photos
        from fieldmark.predicting import Asked, Machine, by_model, by_run, is_model
        from fieldmark.predictions.prediction import columns_of
        from fieldmark.predictions.writing import print_predictions, refuse_output, write_predictions
    if not inputs:
        raise UserError("name the photos: fieldmark predict RUN_OR_MODEL FILES_OR_FOLDERS -o predictions.csv")
    refuse_output(out, inputs=[*map(Path, inputs), *([groups] if groups else [])])
    asked, machine = Asked(top, certainty, coverage, groups, refuse), Machine(device, workers, external)
    found = listed_photos(inputs)
    tell(console, *found.notes)
    answering = (by_model if is_model(run) else by_run)(run, asked, machine, console=console)
    predictions = answering.answered(found)
    if not speaks():  # only the first of several processes predicts
        return 0
    try:
        tally = write_predictions(out, predictions, top=top, further=columns_of(certainty, coverage, refuse))
    except BrokenPipeError:  # the reader of standard output has ended, as head does; a second error would follow
        make_console().on_broken_pipe()
        return 1
    if tally.classes and out not in STANDARD_OUTPUT:
        tell(console, *answering.remarks)
    print_predictions(tally, out, console)
    return 0 if tally.classes else 1
