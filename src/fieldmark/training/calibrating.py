"""``fieldmark calibrate``: how sure a run may be, by photos that were kept out of its training."""

from pathlib import Path

import numpy as np
from rich.console import Console

from fieldmark.confidence.gallery import Gallery
from fieldmark.confidence.held_out import HeldOut
from fieldmark.confidence.record import Confidence, confidence_of
from fieldmark.console import counted, tell
from fieldmark.core import processes
from fieldmark.data.opening import OpenedData
from fieldmark.data.split import read_splits
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.evaluate import split_of_run
from fieldmark.evaluation.familiar import answers_beside, gallery_from
from fieldmark.files import refuse_unwritable
from fieldmark.input.loading import Photographs
from fieldmark.recipe import External
from fieldmark.runs.added import read_additions
from fieldmark.runs.folder import CONFIDENCE, Opened, digest_of, gallery_of_run, read_run, write_confidence
from fieldmark.training.folds import Folding, out_of_fold, training_photos
from fieldmark.training.settings import MachineSettings

FOLDS = 3


def calibrate(
    opened: Opened,
    *,
    data: Path | None = None,
    folds: int | None = None,
    machine: MachineSettings,
    external: External = (),
    console: Console,
) -> Confidence:
    """Writes how sure a run may be: by its validation photos if there are enough, or else out of fold.

    Args:
        opened: the run, its learner on the device to use.
        data: its photos, where they are not where it was trained.
        folds: networks to train, each without a part of the photos; None for validation photos first.
        machine: what they are computed with.
        external: classes of the user's own that the recipe names.
        console: for progress.

    Raises:
        UserError: the photos are not there, too few, or the run's folder cannot be written.
        Interrupted: the user stopped it.
    """
    run, model = opened.path, digest_of(opened.path)
    refuse_unwritable(run / CONFIDENCE, advice="how sure a run may be is written into its folder: use a copy of it")
    gallery = _with_added(gallery_from(opened, training_photos(run, data), console=console), run, console)
    confidence = held_out = None
    if folds is None and (photos := _validation(run, data)):
        held_out = _answers(opened, photos, gallery, console)
        confidence = confidence_of(held_out, model=model, source="validation", splits=("val",))
    if confidence is None or held_out is None or not confidence.temperature.is_known:
        _refuse_folds_of_added(run)
        folding = Folding(run, data, folds or FOLDS, machine, external)
        held_out, splits = out_of_fold(folding, console=console), opened.recipe.train_on
        confidence = confidence_of(held_out, model=model, source="folds", splits=splits, folds=folds or FOLDS)
    if processes.is_first():
        write_confidence(run, confidence, held_out, gallery)
    return confidence


def _validation(run: Path, data: Path | None) -> OpenedData | None:
    """Photos that were kept out of training; None where there are none."""
    has_some = "val" in read_splits(run).values() and "val" not in read_run(run)[0].train_on
    return split_of_run(run, data, "val") if has_some else None


def _with_added(gallery: Gallery, run: Path, console: Console) -> Gallery:
    """With the photos of classes that were added without training, as the run remembers them."""
    additions = read_additions(run)
    if additions is None:
        return gallery
    classes, before = read_run(run)[1], gallery_of_run(run)
    labels = [classes.index(name) for name in additions.names]
    if before is not None:
        gallery = gallery.joined(before.only(np.isin(before.labels, labels)))
    if missing := [classes[label] for label in labels if label not in gallery.labels]:
        names = ", ".join(map(printable, missing))
        tell(
            console, f"nothing is remembered of what {names} looks like: predict --refuse may take it for none of these"
        )
    return gallery


def _refuse_folds_of_added(run: Path) -> None:
    """Raises ``UserError`` where a run has classes that no network can be trained with again."""
    if (additions := read_additions(run)) is not None:
        names = ", ".join(map(printable, additions.names))
        raise UserError(
            f"{printable(str(run))}: {names} was added without training, and validation photos are too few without "
            "folds;\ncalibrate the run that it was added to, and add it again: what is known is carried over"
        )


def _answers(opened: Opened, photos: OpenedData, gallery: Gallery, console: Console) -> HeldOut:
    method, dataset = opened.learner.method, photos.dataset
    views = Photographs(dataset.photos, opened.recipe.pixels, packed=dataset.pixels)
    with counted(console, "answering validation photos", len(views)) as tick:
        return answers_beside(gallery, method, views, workers=1, progress=tick)
