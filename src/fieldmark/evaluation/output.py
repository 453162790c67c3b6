"""What an evaluation leaves behind: its figures, tables by class and by photo, a picture, and what is printed."""

import os
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from fieldmark.console import QUIET, tell
from fieldmark.data.outputs import is_json_with, is_table_with, refuse_folder
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.comparison_output import AGAINST, print_comparison, write_comparison
from fieldmark.evaluation.comparison_output import COLUMNS as AGAINST_COLUMNS
from fieldmark.evaluation.confusion import draw_confusion
from fieldmark.evaluation.evaluate import Evaluation, refuse_unlogged
from fieldmark.evaluation.levels import print_levels
from fieldmark.evaluation.metrics import per_class
from fieldmark.evaluation.pictures import without_font
from fieldmark.evaluation.reliability import draw_reliability
from fieldmark.files import refuse_unwritable, replace_file, write_csv, write_json
from fieldmark.runs.folder import read_run

FIGURES, PHOTOS, MISTAKES = "metrics.json", "photos.csv", "mistakes.csv"
FILES = (FIGURES, "per_class.csv", PHOTOS, MISTAKES, "confusion.png", "reliability.png", "logits.npz")
"""What an evaluation writes, in this order; against another run, then ``AGAINST``, too."""
COLUMNS = ("path", "split", "true", "predicted", "probability", "true_probability", "true_rank", "error")
"""Of the tables by photo: ``path`` is below the data's folder, ``true_rank`` 1 where the prediction is right."""
_OURS = {
    FIGURES: is_json_with("split", "most_confused"),
    PHOTOS: is_table_with(*COLUMNS),
    MISTAKES: is_table_with(*COLUMNS),
    AGAINST: is_table_with(*AGAINST_COLUMNS),
}
SHOWN = 5
"""Unreadable photos and confused pairs that are printed; the files have all."""


def refuse_results(folder: Path, run: Path, data: Path | None, *, split: str, against: Path | None = None) -> None:
    """Refuses, before any photo is read, what would keep an evaluation from writing its results.

    Args:
        folder: for the results; earlier ones are replaced.
        run: the run's folder.
        data: the photos; None for those that the run was trained on.
        split: what is measured.
        against: the folder of another run, if there is a comparison to be written.

    Raises:
        UserError: the folder is among the photos, cannot be written, or holds files of these names that are not earlier
            results; or the run's log cannot be written.
    """
    photos = data or Path(read_run(run)[2].data)
    refuse_unlogged(run, split)
    if not folder.is_relative_to(run):
        refuse_folder(folder, option="--out", photos=photos)
    names = FILES if against is None else (*FILES, AGAINST)
    occupied = [name for name in names if os.path.lexists(folder / name)]
    others = [name for name in occupied if name in _OURS and not _is_ours(folder / name)]
    if strange := others or (occupied if FIGURES not in occupied else []):
        shown = printable(str(folder))
        raise UserError(f"--out {shown}: its {strange[0]} is not an earlier result; choose another folder")
    refuse_unwritable(folder / FIGURES, advice="name a folder for the results with --out")


def _is_ours(path: Path) -> bool:
    return path.is_file() and _OURS[path.name](path)


def write_evaluation(result: Evaluation, folder: Path, *, console: Console = QUIET) -> None:
    """Writes the figures, tables by class and by photo, pictures, and logits (names, labels, logits) to a folder.

    A table of the comparison with another run follows, where there is one; that of an earlier evaluation goes.

    Args:
        result: what was measured.
        folder: for the files.
        console: is told which letters of the classes' names the picture lacks.
    """
    figures, by_class, by_photo, mistakes, picture, reliability, logits = (folder / name for name in FILES)
    write_json(figures, result.to_json())
    rows = per_class(result.metrics.confusion, result.classes)
    write_csv(by_class, [list(rows[0]), *(row.values() for row in rows)])
    photos, wrong = photo_rows(result)
    write_csv(by_photo, [COLUMNS, *photos])
    write_csv(mistakes, [COLUMNS, *wrong])
    lacking = draw_confusion(picture, result.metrics.confusion, result.classes, title=_title(result))
    tell(console, *without_font(picture.name, lacking))
    draw_reliability(reliability, result.calibration, title=_title(result))
    names = np.array([printable(name) for name in result.names])
    arrays = {"names": names, "labels": result.labels, "logits": result.logits}
    replace_file(logits, lambda draft: np.savez(draft, allow_pickle=False, **arrays))
    if result.against:
        write_comparison(result.against, folder / AGAINST)
    elif _is_ours(folder / AGAINST):  # of earlier figures, which are gone
        (folder / AGAINST).unlink()


Row = tuple[str | int, ...]


def photo_rows(result: Evaluation) -> tuple[list[Row], list[Row]]:
    """A row of ``COLUMNS`` for each photo, those that could not be read last; and the mistakes, worst first.

    The worst mistake is the one whose true class has the smallest probability.
    """
    shares = result.log_probabilities
    order = np.argsort(-result.logits, axis=1, kind="stable")  # of equals the first, as argmax has it
    ranks = (order == result.labels[:, None]).argmax(1) + 1
    true, likeliest = (np.take_along_axis(shares, at[:, None], 1)[:, 0] for at in (result.labels, order[:, 0]))
    rows: list[Row] = []
    for at, photo in enumerate(result.photos):
        names = (photo.name, photo.split, result.classes[result.labels[at]], result.classes[order[at, 0]])
        rows.append((*names, f"{np.exp(likeliest[at]):.6f}", f"{np.exp(true[at]):.6f}", int(ranks[at]), ""))
    mistakes = [rows[at] for at in np.argsort(true, kind="stable") if ranks[at] > 1]
    unread = [
        (photo.name, photo.split, result.classes[photo.label or 0], "", "", "", "", reason)
        for photo, reason in result.unread
    ]
    return rows + unread, mistakes


def _title(result: Evaluation) -> str:
    """Such as "test: 585 photos of 20 classes"."""
    unread = f" ({len(result.unread):,} more could not be read)" if result.unread else ""
    return f"{result.split}: {result.metrics.n:,} photos{unread}, {len(result.classes):,} classes"


def print_evaluation(result: Evaluation, folder: Path, console: Console) -> None:
    """Prints what was left out, the figures in %, the most confused pairs, any comparison, and where it is."""
    figures = result.to_json()
    tell(console, *result.notes, *(f"left out: {line}" for line in result.damaged[:SHOWN]))
    if len(result.unread) > SHOWN:
        tell(console, f"left out: {len(result.unread) - SHOWN:,} more; {PHOTOS} names them all")
    table = Table("figure", "%", "95 % interval", title=_title(result))
    for key in ("top1", "top5", "mean_per_class", "macro_f1"):
        if key in figures:
            mark = "[bold]" if key == figures["headline"] else ""
            ends = f"{mark}{_interval(result)}" if key == "top1" else ""
            table.add_row(f"{mark}{key.replace('_', ' ')}", f"{mark}{100 * figures[key]:.2f}", ends)
    for name, share in result.branches.items():
        table.add_row(f"top1, {name} alone", f"{100 * share:.2f}")
    console.print(table)
    for pair in figures["most_confused"][:SHOWN]:
        tell(console, f"{pair['photos']:>4} x  {pair['class']}  /  {pair['with']}")
    tell(console, _calibration_line(result))
    if result.by_level:
        print_levels(result.by_level, console)
    if result.against:
        print_comparison(result.against, console)
    tell(console, f"written to {folder}")


def _calibration_line(result: Evaluation) -> str:
    error, known = result.calibration.error, result.confidence
    band = f"{100 * error.low:.1f} to {100 * error.high:.1f} by chance alone"
    line = f"calibration error: {100 * error.value:.1f} points ({band})"
    if known and known.temperature.is_known:
        own = ", chosen by these photos" if known.splits == (result.split,) else ""
        return f"{line} at temperature {known.applied:.2f}{own}"
    return f"{line}; probabilities are not calibrated (fieldmark calibrate RUN)"


def _interval(result: Evaluation) -> str:
    _, low, high = result.top1_interval
    return f"{100 * low:.1f} to {100 * high:.1f}"
