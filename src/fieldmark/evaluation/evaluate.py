"""``fieldmark evaluate``: a run measured on a split of labelled photographs."""

import csv
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fieldmark.console import tell
from fieldmark.core import processes
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.opening import (
    OpenedData,
    refuse_missing_splits,
    refuse_unknown_names,
    refuse_without_boxes,
    without_damaged,
)
from fieldmark.data.outputs import is_json_with, refuse_folder
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import Scan, is_other_file, recognised
from fieldmark.data.split import digest, for_photos, read_splits, with_splits
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.confusion import draw_confusion
from fieldmark.evaluation.inference import infer, scored
from fieldmark.evaluation.metrics import Metrics, confused_pairs, measure, per_class
from fieldmark.files import replace_file, write_csv, write_json
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import SCAN, Opened, read_run

OPENINGS = "test_openings.csv"
FILES = ("metrics.json", "per_class.csv", "confusion.png", "logits.npz")
"""What an evaluation writes, in this order."""


@dataclass(frozen=True)
class Evaluation:
    """How a run does on a split.

    ``logits`` (N, C) and ``labels`` (N,) belong to ``names``, the photos that could be read; ``damaged`` has a line
    for each photo that could not; ``headline`` names the figure to look at first; ``branches`` are the top-1
    accuracies of a method's branches, each alone; ``notes`` are remarks on the choice of photos.
    """

    split: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    logits: np.ndarray
    labels: np.ndarray
    metrics: Metrics
    damaged: tuple[str, ...]
    headline: str
    branches: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data; shares between 0 and 1."""
        pairs = confused_pairs(self.metrics.confusion)
        return {
            "split": self.split,
            "n": self.metrics.n,
            "classes": len(self.classes),
            "headline": self.headline,
            "top1": self.metrics.top1,
            "top5": self.metrics.top5,
            "mean_per_class": self.metrics.mean_per_class,
            "macro_f1": self.metrics.macro_f1,
            "most_confused": [
                {"class": self.classes[i], "with": self.classes[j], "photos": count} for i, j, count in pairs
            ],
            "damaged": list(self.damaged),
            "notes": list(self.notes),
            **({"branches": dict(self.branches)} if self.branches else {}),
        }


def evaluate(
    opened: Opened,
    data: Path | Dataset | None,
    *,
    split: str = "test",
    workers: int = 1,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measures a run on a split.

    Args:
        opened: the run, its learner on the device to use.
        data: the photographs' folder, or the dataset read from it; None for the data that the run was trained on.
        split: "train", "val", "test" or "all".
        workers: processes that read photos ahead.
        progress: called with the number of photos just done.

    Raises:
        UserError: no such split, or photos of classes that the run does not know.
    """
    chosen = split_of_run(opened, data, split)
    dataset = chosen.dataset
    photos = Photographs(dataset.photos, opened.recipe.pixels, packed=dataset.pixels)
    if split in ("test", "all") and processes.is_first():  # first, so that an evaluation that is stopped counts too
        _log_opening(opened.path, dataset, split)
    method = opened.learner.method
    outputs = infer(partial(scored, method), photos, method=method, workers=workers, progress=progress)
    read = [index for index in range(len(photos)) if index not in outputs.damaged]
    logits, *branches = np.split(outputs.values[read], 1 + len(method.scored_views), axis=1)
    labels = np.array([dataset.photos[index].label for index in read], dtype=np.int64)
    return Evaluation(
        split=split,
        classes=opened.classes,
        names=tuple(dataset.photos[index].name for index in read),
        logits=logits,
        labels=labels,
        metrics=measure(logits, labels),
        damaged=(*chosen.damaged, *outputs.damaged.values()),
        headline=opened.about.headline,
        branches={name: measure(own, labels).top1 for name, own in zip(method.scored_views, branches, strict=True)},
        notes=dataset.notes,
    )


def split_of_run(opened: Opened, data: Path | Dataset | None, split: str) -> OpenedData:
    """The photos of a split, their labels being indices of the run's classes; no photo is opened.

    Photos that the run found damaged, and whose files have not changed since, are left out. A dataset that the run cut
    itself, or held photos out of, is split as the run's ``splits.csv`` says.
    """
    dataset = data if isinstance(data, Dataset) else _read(opened, data)
    known = Scan.load(opened.path / SCAN)
    if split != "all":
        if opened.about.held_out or not dataset.is_split:
            dataset = _split_by_run(opened, dataset, known)
        refuse_missing_splits(dataset, [split], source="--split")
        dataset = dataset.with_photos(dataset.of([split]))
    if opened.recipe.pixels.fit == "box":
        refuse_without_boxes(dataset.photos)
    sound = without_damaged(dataset, recognised(dataset.photos, known))
    index = {name: label for label, name in enumerate(opened.classes)}
    photos = tuple(_relabelled(photo, dataset, index) for photo in sound.dataset.photos)
    return replace(sound, dataset=replace(dataset, classes=opened.classes, photos=photos))


def _read(opened: Opened, data: Path | None) -> Dataset:
    source = data or Path(opened.about.data)
    if data is None and not source.exists():
        raise UserError(f"{printable(str(source))}, which the run was trained on, does not exist; use --data DATA")
    return read_dataset(source, annotation=opened.about.annotation)


def _split_by_run(opened: Opened, dataset: Dataset, known: Scan) -> Dataset:
    """The dataset with the run's splits; photos that the run does not know belong to none, and a note says so."""
    splits = for_photos(read_splits(opened.path), dataset.photos)
    facts, root = known.by_name(), printable(str(dataset.root))
    named = [photo for photo in dataset.photos if photo.name in splits]
    if not named and dataset.is_split:
        return dataset
    advice = "use --split all to measure on all of these photos"
    refuse_unknown_names(dataset, splits, source=f"{root} has no splits, and the run's splits.csv", advice=advice)
    changed = [photo for photo in named if photo.name in facts and is_other_file(photo, facts[photo.name])]
    if 2 * len(changed) > len(named):
        example = f"such as {printable(changed[0].name)}"
        raise UserError(
            f"{root}: {len(changed):,} files are named like photos of the run, {example}, but are different;\n{advice}"
        )
    unknown = sum(photo.name not in splits and photo.name not in facts for photo in dataset.photos)
    note = f"{unknown:,} photos that the run does not know belong to no split; --split all includes them"
    return replace(with_splits(dataset, splits), notes=(*dataset.notes, *([note] if unknown else [])))


def _relabelled(photo: Photo, dataset: Dataset, index: dict[str, int]) -> Photo:
    name = "" if photo.label is None else dataset.classes[photo.label]
    if name not in index:
        raise UserError(f"{printable(photo.name)} has the label {name!r}, a class that this run was not trained on")
    return replace(photo, label=index[name])


def _log_opening(run: Path, dataset: Dataset, split: str) -> None:
    """Logs each look at a test split: the best figure of many looks is no longer a test figure."""
    path = run / OPENINGS
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["time", "split", "photos", "data_digest"])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        writer.writerow([now, split, len(dataset.photos), digest(dataset)])


def refuse_results(folder: Path, run: Path, data: Path | None) -> None:
    """Refuses a folder that ``write_evaluation`` must not write to, before any photo is read.

    Args:
        folder: for the results; earlier ones are replaced.
        run: the run's folder.
        data: the photos; None for those that the run was trained on.

    Raises:
        UserError: it is among the photos, or holds files of these names that are not earlier results.
    """
    photos = data or Path(read_run(run)[2].data)
    if not folder.is_relative_to(run):
        refuse_folder(folder, option="--out", photos=photos)
    figures = folder / FILES[0]
    occupied = [name for name in FILES if os.path.lexists(folder / name)]
    if occupied and not (figures.is_file() and is_json_with("split", "most_confused")(figures)):
        shown = printable(str(folder))
        raise UserError(f"--out {shown}: its {occupied[0]} is not an earlier result; choose another folder")


def write_evaluation(result: Evaluation, folder: Path) -> None:
    """Writes the figures, a table by class, a picture, and logits (names, labels, logits) to a folder."""
    figures, table, picture, logits = (folder / name for name in FILES)
    write_json(figures, result.to_json())
    rows = per_class(result.metrics.confusion, result.classes)
    write_csv(table, [list(rows[0]), *(row.values() for row in rows)])
    draw_confusion(picture, result.metrics.confusion, result.classes)
    names = np.array([printable(name) for name in result.names])
    arrays = {"names": names, "labels": result.labels, "logits": result.logits}
    replace_file(logits, lambda draft: np.savez(draft, allow_pickle=False, **arrays))


def print_evaluation(result: Evaluation, folder: Path, console: Console) -> None:
    """Prints what was left out, the figures in %, the most confused pairs, and where the results are."""
    figures = result.to_json()
    tell(console, *result.notes, *(f"left out: {line}" for line in figures["damaged"]))
    table = Table("figure", "%", title=f"{figures['split']}: {figures['n']:,} photos, {figures['classes']} classes")
    for key in ("top1", "top5", "mean_per_class", "macro_f1"):
        mark = "[bold]" if key == figures["headline"] else ""
        table.add_row(f"{mark}{key.replace('_', ' ')}", f"{mark}{100 * figures[key]:.2f}")
    for name, share in figures.get("branches", {}).items():
        table.add_row(f"top1, {name} alone", f"{100 * share:.2f}")
    console.print(table)
    for pair in figures["most_confused"][:5]:
        tell(console, f"{pair['photos']:>4} x  {pair['class']}  /  {pair['with']}")
    tell(console, f"written to {folder}")
