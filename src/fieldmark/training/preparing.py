"""The data of a run: read, looked through, cut, and held against what the run knew when it began."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from fieldmark.building import Classes, refuse_parts
from fieldmark.core.backbone import refuse_backbone
from fieldmark.data.dataset import Dataset
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import Scan, scan_photos, without_damaged
from fieldmark.data.split import cut, digest, read_splits, with_splits, write_splits
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.metrics import headline
from fieldmark.files import replace_file
from fieldmark.images.guard import ABOVE_LIMIT, up_to
from fieldmark.input.views import frame_of
from fieldmark.recipe import Recipe
from fieldmark.runs.folder import SCAN, SPLITS, read_run, write_run
from fieldmark.training.automatic import fitted
from fieldmark.training.runlog import counted
from fieldmark.training.settings import Settings
from fieldmark.training.telling import told_of_splits


@dataclass(frozen=True)
class Prepared:
    """Data and recipe of a run, before anything is built.

    ``was_cut`` says whether Fieldmark made the splits; ``about`` is what ``run.json`` holds; ``scan`` what the first
    pass found.
    """

    dataset: Dataset
    recipe: Recipe
    was_cut: bool
    about: dict[str, Any]
    scan: Scan
    newly_cut: bool = False

    @property
    def counts(self) -> tuple[int, ...]:
        """Photos a class in the splits trained on."""
        return tuple(map(sum, zip(*map(self.dataset.counts, self.recipe.train_on), strict=True)))

    def write(self, run: Path) -> None:
        """Writes what a run is before it is trained into its folder."""
        write_run(run, self.recipe, classes=self.dataset.classes, about=self.about)
        replace_file(run / SPLITS, lambda draft: write_splits(draft, self.dataset))
        replace_file(run / SCAN, self.scan.save)


def tell(console: Console, line: str) -> None:
    """One plain line for the user, with file names made printable."""
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def tell_all(console: Console, lines: Iterable[str]) -> None:
    """Each of ``lines``, as ``tell`` does."""
    for line in lines:
        tell(console, line)


def prepare_new(
    data: Path,
    run: Path,
    settings: Settings,
    *,
    recipe: Recipe,
    chosen: bool,
    pinned: dict[str, str],
    console: Console,
) -> Prepared:
    """The data of a new run; nothing is written yet.

    Args:
        data: what the user named.
        run: the run's folder; what an earlier run there found out about its photos is used again.
        settings: what the user said.
        recipe: what to follow.
        chosen: whether the program made the recipe, so that epochs and batches are fitted to the photos.
        pinned: the splits of an earlier cut, by photo; these photos stay where they were.
        console: is told.

    Raises:
        UserError: data that cannot be trained on.
    """
    dataset = read_dataset(data, annotation=settings.data.annotation)
    official, train_on = dataset.is_split, recipe.train_on
    refuse_backbone(recipe.model.backbone, weights=recipe.model.weights)
    dataset, scan = _sound(dataset, recipe, run, settings.data.strict, console)
    if not official:
        dataset = cut(dataset, scan, seed=recipe.seed, previous=pinned)
    if settings.data.hold_out:
        if not official or dataset.of(["val"]):
            raise UserError(f"--hold-out: {data} has validation photos already; leave it out")
        dataset = cut(dataset, scan, seed=recipe.seed, val_fraction=settings.data.hold_out)
    tell_all(console, dataset.notes)
    missing = [name for name in train_on if not dataset.of([name])]
    if missing:
        there = ", ".join(sorted({photo.split for photo in dataset.photos}))
        raise UserError(f"--train-on: {data} has no photos in the split {missing[0]!r}; it has {there}")
    tell_all(console, told_of_splits(dataset, train_on, was_cut=not official))
    photos, classes = dataset.of(train_on), len(dataset.classes)
    if chosen:
        recipe = fitted(recipe, settings.recipe, photos=len(photos), classes=classes)
    labels = [-1 if photo.label is None else photo.label for photo in photos]
    recipe.batches.epoch(labels, seed=recipe.seed, epoch=0)  # refuses what it cannot make batches of
    _check_boxes(dataset, recipe, scan)
    counts = Prepared(dataset, recipe, not official, {}, scan).counts
    about = {
        "fieldmark": version("fieldmark"),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "data": str(data.resolve()),
        "layout": dataset.layout,
        "annotation": settings.data.annotation,
        "data_digest": digest(dataset, boxes=recipe.pixels.fit == "box"),
        "headline": headline(counts),
        "cut": not official,
        "held_out": settings.data.hold_out,
    }
    return Prepared(dataset, recipe, not official, about, scan, newly_cut=not official and not pinned)


def prepare_again(data: Path, run: Path, *, console: Console, external: Classes) -> Prepared:
    """The data of a run that is gone on with.

    Raises:
        UserError: they are not what they were when it began, or ``external`` lacks a class that the run names.
    """
    recipe, classes, about = read_run(run)
    refuse_parts(recipe.model, external)
    dataset = read_dataset(data, annotation=about["annotation"])
    before = Scan.load(run / SCAN).by_name() if (run / SCAN).is_file() else {}
    dataset, scan = _sound(dataset, recipe, run, False, console)
    exchanged = [one.name for one in scan.facts if one.name in before and before[one.name].sha != one.sha]
    if about["cut"]:
        dataset = cut(dataset, scan, seed=recipe.seed, previous=read_splits(run / SPLITS))
    elif about.get("held_out"):  # which runs of earlier versions lack
        dataset = with_splits(dataset, read_splits(run / SPLITS))
    same = about["data_digest"] == digest(dataset, boxes=recipe.pixels.fit == "box") and classes == dataset.classes
    if exchanged or not same:
        raise UserError(f"the photos, labels or splits of {data} changed since {run} began; start anew (--overwrite)")
    return Prepared(dataset, recipe, about["cut"], about, scan)


def _sound(dataset: Dataset, recipe: Recipe, run: Path, strict: bool, console: Console) -> tuple[Dataset, Scan]:
    """The first pass: the dataset without damaged photos, in all that training will read.

    Official test photos are not opened; ``evaluate`` finds what is wrong with them.
    """
    read = set(dataset.of({*recipe.train_on, "val"}) if dataset.is_split else dataset.photos)
    looked_at = tuple(photo for photo in dataset.photos if photo in read)
    known = Scan.load(run / SCAN) if (run / SCAN).is_file() else None
    with counted(console, "looking through photos", len(looked_at)) as tick:
        limits, packed = up_to(recipe.pixels.megapixels), dataset.pixels
        scan = scan_photos(looked_at, pixels=packed, known=known, limits=limits, progress=lambda done, _: tick(done))
    if not looked_at:
        return dataset, scan
    kept, notes = without_damaged(dataset.with_photos(looked_at), scan, strict=strict)
    tell_all(console, notes)
    if any(ABOVE_LIMIT in note for note in notes):
        tell(console, "--set pixels.megapixels=N lets larger photographs in (fieldmark check: --max-megapixels N)")
    sound = set(kept.photos)
    return dataset.with_photos(photo for photo in dataset.photos if photo in sound or photo not in read), scan


def refuse_without_boxes(dataset: Dataset, recipe: Recipe) -> None:
    """Raises ``UserError`` where the recipe's views are of boxes and a photo has none."""
    without = [photo.name for photo in dataset.photos if photo.box is None]
    if recipe.pixels.fit == "box" and without:
        raise UserError(
            f"--fit box: {len(without)} of {len(dataset.photos)} photos have no box, such as {printable(without[0])};\n"
            "give a table (CSV) with the columns path, label and x, y, width, height"
        )


def _check_boxes(dataset: Dataset, recipe: Recipe, scan: Scan) -> None:
    refuse_without_boxes(dataset, recipe)
    if recipe.pixels.fit != "box":
        return
    known = scan.by_name()
    for photo in dataset.photos:  # now, rather than hours later when the photo's turn comes
        if (facts := known.get(photo.name)) is None:
            continue
        try:
            frame_of((facts.width, facts.height - photo.trim_bottom), recipe.pixels, photo.box)
        except UserError as error:
            raise UserError(f"{printable(photo.name)}: {error}") from None
