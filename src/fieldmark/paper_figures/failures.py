"""Photos that a run answered wrongly, for its pictures: S3N (Ding et al., ICCV 2019), the last rows of Fig. 7."""

from pathlib import Path

from fieldmark.data.dataset import Photo
from fieldmark.data.spreadsheet import read_rows
from fieldmark.errors import UserError, printable, shell_word
from fieldmark.evaluation.evaluate import split_of_run
from fieldmark.evaluation.output import COLUMNS, MISTAKES
from fieldmark.files import unescaped
from fieldmark.input.loading import Packed


def failures_of(run: Path, number: int, *, split: str, data: Path | None = None) -> tuple[list[Photo], Packed]:
    """The worst mistakes that ``fieldmark evaluate`` listed, with their true classes; nothing is measured anew.

    Args:
        run: the run's folder.
        number: how many; fewer where there are not as many.
        split: that was evaluated, into RUN/evaluation/SPLIT.
        data: the photos; None for the data that the run was trained on.

    Returns:
        The photos, and those pictures in memory that ``row`` of a photo indexes.

    Raises:
        UserError: not a number of photos, no such evaluation, no mistakes, or photos that are not in the data.
    """
    if number < 1:
        raise UserError(f"--failures {number}: it must be 1 or more")
    path = run / "evaluation" / split / MISTAKES
    if not path.is_file():
        command = f"fieldmark evaluate {shell_word(run)} --split {split}"
        raise UserError(f"--failures: {printable(str(path))} does not exist; measure the run first: {command}")
    header, *rows = ([cell.strip() for cell in row.cells] for row in read_rows(path))
    if COLUMNS[0] not in header:
        raise UserError(f"--failures: {printable(str(path))} has no column {COLUMNS[0]}; evaluate the run again")
    names = [unescaped(row[header.index(COLUMNS[0])]) for row in rows[:number]]
    if not names:
        raise UserError(f"--failures: the run made no mistake on {split}; name photos instead")
    dataset = split_of_run(run, data, split).dataset
    photos = {photo.name: photo for photo in dataset.photos}
    if missing := [name for name in names if name not in photos]:
        raise UserError(f"--failures: {printable(missing[0])} is not in the data any more; evaluate the run again")
    return [photos[name] for name in names], () if dataset.pixels is None else dataset.pixels
