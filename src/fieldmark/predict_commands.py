"""``fieldmark predict``; imports are heavy only inside, as in ``cli``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fieldmark.bench.commands import Speaking
from fieldmark.collecting import without_collection
from fieldmark.console import console as make_console
from fieldmark.console import speaks, tell, working
from fieldmark.errors import UserError
from fieldmark.files import STANDARD_OUTPUT
from fieldmark.predict_settings import Asked, Machine, Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fieldmark.data.unlabelled import Listed
    from fieldmark.predicting import Answering
    from fieldmark.predictions.prediction import Prediction
    from fieldmark.predictions.resuming import Kept

Flat = Parameter(name="*")


def predict(
    run: Path,
    inputs: tuple[str, ...],
    *,
    output: Annotated[Output | None, Flat] = None,
    asked: Annotated[Asked | None, Flat] = None,
    machine: Annotated[Machine | None, Flat] = None,
    console: Speaking,
) -> int:
    """Predict the classes of photos, and print them if there are at most 20.

    Files that cannot be read become rows with a reason; the exit code is 1 where no photo can be read.

    Args:
        run: the run's folder, or an exported model (a file whose name ends in .onnx).
        inputs: photos, folders of photos, or CSVs with a path column (and boxes, if the run needs them).
    """
    output, asked, machine = output or Output(), asked or Asked(), machine or Machine()
    if output.out in STANDARD_OUTPUT:  # which then holds the table and nothing else
        console = make_console(stderr=True, quiet=console.quiet)
    with working(console, "starting"), without_collection():
        from fieldmark.data.unlabelled import listed_photos
        from fieldmark.predicting import answering_of
        from fieldmark.predictions.prediction import columns_of
        from fieldmark.predictions.resuming import kept_rows
        from fieldmark.predictions.sorting import Sorter
        from fieldmark.predictions.writing import print_predictions, write_predictions
    _refuse(inputs, output, asked)
    further = columns_of(asked.certainty, asked.coverage, asked.refuse)
    kept = kept_rows(output.out, top=asked.top, further=further) if output.resume else None
    found = listed_photos(inputs)
    tell(console, *found.notes)
    answering = answering_of(run, found, asked, machine, console=console)
    predictions = _predictions(answering, found, kept, asked.certainty)
    sorter = Sorter(output.sort, link=output.link) if output.sort else None
    if not speaks():  # only the first of several processes predicts
        return 0
    try:
        through = sorter.sorted(predictions) if sorter else predictions
        tally = write_predictions(output.out, through, top=asked.top, further=further)
    except BrokenPipeError:  # the reader of standard output has ended, as head does; a second error would follow
        make_console().on_broken_pipe()
        return 1
    if kept:
        kept.delete_partial(output.out)
    if tally.classes and output.out not in STANDARD_OUTPUT:
        tell(console, *answering.remarks)
    print_predictions(tally, output.out, console)
    tell(console, *([f"{kept.count:,} of them were there already"] if kept else []), *([sorter.line] if sorter else []))
    return 0 if tally.classes else 1


def _refuse(inputs: tuple[str, ...], output: Output, asked: Asked) -> None:
    """Refuses what cannot be done, before the work."""
    from fieldmark.predictions.sorting import refuse_sorting
    from fieldmark.predictions.writing import refuse_output

    if not inputs:
        raise UserError("name the photos: fieldmark predict RUN_OR_MODEL FILES_OR_FOLDERS -o predictions.csv")
    output.refuse_contradictions()
    paths = [*map(Path, inputs), *([asked.groups] if asked.groups else [])]
    refuse_output(output.out, inputs=paths)
    if output.sort:
        refuse_sorting(output.sort, inputs=paths)


def _predictions(
    answering: "Answering", found: "Listed", kept: "Kept | None", certainty: float | None
) -> "Iterator[Prediction]":
    """Those that are there, and then those that are made now."""
    from itertools import chain

    if not kept:
        return answering.answered(found)
    kept.refuse_other_answers(found, answering.answered, certainty=certainty)
    return chain(kept.predictions(), answering.answered(kept.others(found)))
