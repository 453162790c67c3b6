"""Networks trained like a run, each without a part of its photos, so that every photo is answered by one new to it."""

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from fieldmark.confidence.held_out import HeldOut, joined, read_held_out
from fieldmark.console import QUIET, counted, tell, working
from fieldmark.core import processes
from fieldmark.core.device import device_of
from fieldmark.data.dataset import Photo, labels_of
from fieldmark.data.groups import units_of
from fieldmark.data.opening import OpenedData
from fieldmark.errors import Interrupted, UserError, printable
from fieldmark.evaluation.evaluate import split_of_run
from fieldmark.evaluation.familiar import answers_beside, gallery_from
from fieldmark.evaluation.regression import folds_of
from fieldmark.evaluation.training_photos import known_to
from fieldmark.files import replace_file
from fieldmark.input.loading import Photographs
from fieldmark.recipe import External, Recipe
from fieldmark.runs.folder import HELD_OUT, METRICS, digest_of, open_run, read_run
from fieldmark.training.runlog import clock
from fieldmark.training.session import train
from fieldmark.training.settings import Destination, MachineSettings, Settings

FOLDER = "folds"
"""In the run's folder: what is half done."""


@dataclass(frozen=True)
class Folding:
    """How photos are answered out of fold.

    Args:
        run: whose recipe is followed.
        data: its photos, where they are not where the run was trained.
        folds: networks to train.
        machine: what they are computed with.
        external: classes of the user's own that the recipe names.
    """

    run: Path
    data: Path | None
    folds: int
    machine: MachineSettings
    external: External = ()


def out_of_fold(folding: Folding, *, console: Console) -> HeldOut:
    """The answers to all photos that a run was trained on, each by a network that was not trained on it.

    What is done is kept in the run's folder until all is, so that the same command goes on after a stop.

    Raises:
        UserError: fewer than two folds, photos that are not there, or too few of them.
        Interrupted: the user stopped it.
    """
    if folding.folds < 2:
        raise UserError(f"--folds {folding.folds}: at least 2")
    run, recipe = folding.run, read_run(folding.run)[0]
    data = training_photos(run, folding.data)
    photos = data.dataset.photos
    units, _ = units_of(photos, data.scan)
    parts = folds_of(np.array(labels_of(photos)), units, folds=folding.folds)
    if len(parts) < 2:
        raise UserError(f"{printable(str(run))}: no class has two photos that may be parted, so there are no folds")
    each = f"{len(parts)} networks, each without a part of {len(photos):,} photos"
    tell(console, f"training {each}: {_expected(run, parts)}")
    if seen := len(known_to(recipe.model.weights, photos)):
        tell(
            console,
            f"warning: the weights that they begin from were trained on {seen:,} of these photos: "
            "answers seem better than they are",
        )
    place, answers = run / FOLDER / f"{len(parts)}-{digest_of(run)}", []
    for number, (_, part) in enumerate(parts, 1):
        folder = place / str(number)
        if not (folder / HELD_OUT).is_file():
            with working(console, f"fold {number} of {len(parts)}: training on {len(photos) - len(part):,} photos"):
                try:
                    _train_without(part, data, recipe, folder, folding)
                except Interrupted:
                    raise Interrupted(f"stopped in fold {number} of {len(parts)}; the same command goes on") from None
            _answer(part, photos, data, folder, folding, console)
        answers.append(read_held_out(folder / HELD_OUT, classes=len(data.dataset.classes)))
    if processes.is_first():
        shutil.rmtree(run / FOLDER)
    return joined(answers)


def training_photos(run: Path, data: Path | None = None) -> OpenedData:
    """The photos that a run was trained on; ``data`` where they are not where they were.

    Raises:
        UserError: they are not there, or cannot be read.
    """
    parts = [split_of_run(run, data, split) for split in read_run(run)[0].train_on]
    photos = [photo for part in parts for photo in part.dataset.photos]
    return replace(parts[0], dataset=parts[0].dataset.with_photos(photos))


def _expected(run: Path, parts: Sequence[object]) -> str:
    """How long it will take, by how long the run took."""
    try:
        with (run / METRICS).open(encoding="utf-8", newline="") as file:
            seconds = float(list(csv.DictReader(file))[-1]["seconds"])
    except (OSError, LookupError, ValueError):
        return "each takes about as long as the run"
    return f"about {clock(seconds * (len(parts) - 1))}"


def _train_without(part: np.ndarray, data: OpenedData, recipe: Recipe, folder: Path, folding: Folding) -> None:
    left_out = set(part.tolist())
    photos = (replace(photo, split="" if at in left_out else "train") for at, photo in enumerate(data.dataset.photos))
    train(
        folding.data or Path(read_run(folding.run)[2].data),  # not the dataset's root, which a table lies in
        Destination(folder, resume=True),
        Settings(machine=folding.machine),
        console=QUIET,
        external=folding.external,
        recipe=replace(recipe, train_on=("train",), length_by_start=False),
        opened=replace(data, dataset=data.dataset.with_photos(photos)),
    )


def _answer(
    part: np.ndarray, photos: Sequence[Photo], data: OpenedData, folder: Path, folding: Folding, console: Console
) -> None:
    """Writes the answers of a fold's network to the photos that it was not trained on."""
    opened = open_run(folder, external=folding.external)
    method = opened.learner.method.to(device_of(folding.machine.device))
    seen = data.dataset.with_photos([photos[at] for at in np.setdiff1d(np.arange(len(photos)), part)])
    gallery = gallery_from(opened, replace(data, dataset=seen), console=console)
    views = Photographs([photos[at] for at in part], opened.recipe.pixels, packed=data.dataset.pixels)
    with counted(console, "answering the others", len(views)) as tick:
        answers = answers_beside(gallery, method, views, workers=folding.machine.workers or 0, progress=tick)
    if processes.is_first():
        replace_file(folder / HELD_OUT, answers.save)
    processes.wait_for_all()
