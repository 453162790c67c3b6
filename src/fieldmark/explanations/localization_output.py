"""What a localisation leaves behind: a table by photo, and what is printed."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fieldmark.console import tell
from fieldmark.data.outputs import is_table_with
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.evaluate import Evaluation
from fieldmark.evaluation.statistics import Interval
from fieldmark.explanations.annotations import to_pixels
from fieldmark.explanations.localization import ENOUGH, Localization
from fieldmark.explanations.sights import GRAD_CAM
from fieldmark.files import write_csv

LOCALIZATION = "localization.csv"
COLUMNS = ("path", "split", "right", "box", "box_share", "pointed")
"""Of the table by photo, those of every method: ``right`` and ``pointed`` are 1 or 0; ``box`` is what the network sees
of the object's box, as "left top width height" in pixels of the photo. Then come two for each kind of box, such as
``grad_cam_0.5_box`` and ``grad_cam_0.5_iou``, and four for each heatmap with peaks, such as ``response_peaks``."""
SHOWN = 3
"""Parts that are printed; the files have all."""
_is_ours = is_table_with(*COLUMNS)


def refuse_where(folder: Path) -> None:
    """Raises ``UserError`` where a folder for results has another file in the table's place."""
    path = folder / LOCALIZATION
    if os.path.lexists(path) and not (path.is_file() and _is_ours(path)):
        shown = printable(str(folder))
        raise UserError(f"--out {shown}: its {LOCALIZATION} is not an earlier result; choose another folder")


def write_where(result: Evaluation, folder: Path) -> None:
    """Writes the table by photo; where nothing was localised, that of an earlier evaluation goes."""
    path = folder / LOCALIZATION
    if isinstance(result.localization, Localization):
        columns = columns_of(result.localization)
        write_csv(path, [list(columns), *zip(*columns.values(), strict=True)])
    elif path.is_file() and _is_ours(path):
        path.unlink()


def columns_of(result: Localization) -> dict[str, list[str]]:
    """The table by photo, column by column."""
    columns = {
        "path": [photo.name for photo in result.photos],
        "split": [photo.split for photo in result.photos],
        "right": _numbers(result.right),
        "box": _boxes(result.objects, result.frames),
        "box_share": _shares(result.covered),
        "pointed": _numbers(result.pointed),
    }
    for source, overlaps in result.overlaps.items():
        key = f"{source.heatmap}_{source.level:g}"
        columns[f"{key}_box"] = _boxes(result.sights.boxes[source], result.frames)
        columns[f"{key}_iou"] = _shares(overlaps)
    for name, peaks in result.sights.peaks.items():
        columns[f"{name}_peaks"] = _numbers(peaks.cells.sum((1, 2)))
        columns[f"{name}_hits"] = _numbers(result.hits[name])
        names = np.array([*result.parts.names, ""])  # "" by index -1
        for word, parts in zip(("strongest", "weakest"), result.nearest_parts(peaks), strict=True):
            columns[f"{name}_{word}"] = names[parts].tolist()
    return columns


def _numbers(values: np.ndarray) -> list[str]:
    return [str(int(value)) for value in values]


def _shares(values: np.ndarray) -> list[str]:
    return [f"{value:.4f}" for value in values]


def _boxes(boxes: np.ndarray, frames: np.ndarray) -> list[str]:
    """Boxes (N, 4) as shares of frames in pixels of photos, "left top width height"; "" for an empty one."""
    corners = to_pixels(boxes.reshape(-1, 2, 2), frames)
    sides = corners[:, 1] - corners[:, 0]
    spelt = np.concatenate([corners[:, 0], sides], 1)
    return [" ".join(f"{value:.1f}" for value in row) if min(row[2:]) > 0 else "" for row in spelt.tolist()]


def print_where(result: Evaluation, console: Console) -> None:
    """Prints where an evaluated run looks, if that was measured."""
    if isinstance(result.localization, Localization):
        print_localization(result.localization, console)


def print_localization(result: Localization, console: Console) -> None:
    """Prints how well boxes agree with the object's, beside one around all, and where maxima and peaks lie."""
    tell(console, *result.notes)
    title = f"localisation: {len(result.photos):,} photos, 95 % intervals"
    table = Table("box around", "mean IoU, %", "localised, %", "and right, %", title=title)
    for source, figures in result.agreements.items():
        name = escape(printable({GRAD_CAM: "Grad-CAM"}.get(source.heatmap, source.heatmap)))
        table.add_row(f"{name} > {source.level:g}", *map(_percent, figures))
    table.add_row("whole picture", *map(_percent, result.whole))
    console.print(table)
    tell(console, *_lines(result))


def _percent(interval: Interval) -> str:
    mean, low, high = (100 * share for share in interval)
    if np.isnan(low):  # of a single photo
        return f"{mean:.1f}"
    return f"{mean:.1f} ({low:.0f} to {high:.0f})"


def _lines(result: Localization) -> Iterator[str]:
    covered, pointing = 100 * result.covered.mean(), _percent(result.pointing)
    yield f"localised: an IoU of at least {ENOUGH:g} with the object's box; right: the likeliest class, too"
    yield f"Grad-CAM's maximum is in the box in {pointing} % of photos; the box is {covered:.1f} % of the picture"
    if unseen := int((result.covered == 0).sum()):
        yield f"of {unseen:,} photos the network sees no part of the box: they count as missed"
    for name, peaks in result.sights.peaks.items():
        if (rate := result.hit_rate(name)) is None:
            yield f"peaks of {name}: none"
            continue
        count = peaks.cells.sum((1, 2)).mean()
        yield f"peaks of {name}: {count:.1f} per photo, of which {_percent(rate)} % are in the box (mean over photos)"
        if result.parts.names:
            yield from _nearest(result, name)


def _nearest(result: Localization, name: str) -> Iterator[str]:
    """Such as "nearest to the strongest peak: throat 132, nape 90, crown 80"."""
    for word, counts in result.part_counts(name).items():
        few = ", ".join(f"{part} {count:,}" for part, count in [*counts.items()][:SHOWN])
        yield f"nearest to the {word} peak: {few or 'no part'}"
