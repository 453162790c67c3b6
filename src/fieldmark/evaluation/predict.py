"""``fieldmark predict``: the classes of photographs, in order, with a reason for each file that cannot be read."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.data.entries import is_ignored, is_image, natural_order
from fieldmark.data.opening import refuse_without_boxes
from fieldmark.data.outputs import is_table_with, refuse_file
from fieldmark.data.table import read_unlabelled
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.inference import in_eval_mode, stream
from fieldmark.evaluation.metrics import log_probabilities
from fieldmark.files import growing_file
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import Opened


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of a file, most likely first, or the reason why it could not be read."""

    file: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    reason: str = ""


def photos_of(inputs: Sequence[Path]) -> list[Photo]:
    """The photos that files, folders (with their subfolders, in natural order) and tables (path, box) name, in order.

    Raises:
        UserError: an input that does not exist, or no photos at all.
    """
    photos: list[Photo] = []
    for path in inputs:
        if path.is_dir():
            photos += [Photo(str(image), image) for image in _images_below(path)]
        elif path.suffix.lower() == ".csv":
            photos += read_unlabelled(path)
        elif os.path.lexists(path):
            photos.append(Photo(str(path), path))
        else:
            raise UserError(f"{printable(str(path))}: no such file or folder")
    if not photos:
        raise UserError(f"no photos in {', '.join(printable(str(path)) for path in inputs)}")
    return photos


def _images_below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=_refuse_folder):
        folders[:] = sorted((name for name in folders if not is_ignored(name)), key=natural_order)
        for name in sorted(files, key=natural_order):
            if not is_ignored(name) and is_image(name):
                yield Path(parent) / name


def _refuse_folder(error: OSError) -> None:
    raise UserError(f"{printable(str(error.filename))}: the folder cannot be read ({error.strerror})")


def predict(opened: Opened, photos: Sequence[Photo], *, top: int = 5, workers: int = 0) -> Iterator[Prediction]:
    """One prediction per photo, in order, as soon as it is made.

    Args:
        opened: the run, its learner on the device to use.
        photos: to predict.
        top: classes per photo.
        workers: processes that read photos ahead.

    Raises:
        UserError: a run with ``--fit box`` and a photo without a box, or a ``top`` below 1; at the call.
    """
    if top < 1:
        raise UserError(f"--top {top}: at least 1")
    if opened.recipe.pixels.fit == "box":
        refuse_without_boxes(photos)
    return _predictions(opened, photos, top=min(top, len(opened.classes)), workers=workers)


def _predictions(opened: Opened, photos: Sequence[Photo], *, top: int, workers: int) -> Iterator[Prediction]:
    method = opened.learner.method
    views = Photographs(photos, opened.recipe.pixels)
    with in_eval_mode(method):
        start = 0
        for part in stream(method, views, method=method, workers=workers):
            probabilities = np.exp(log_probabilities(part.values))
            order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
            for row, best in enumerate(order):
                name = photos[start + row].name
                if line := part.damaged.get(start + row):
                    yield Prediction(name, reason=line.removeprefix(f"{printable(name)}: "))
                else:
                    classes = tuple(opened.classes[label] for label in best)
                    yield Prediction(name, classes, tuple(probabilities[row, best].tolist()))
            start += len(order)


def refuse_table(path: Path, *, inputs: Sequence[Path] = ()) -> None:
    """Raises ``UserError`` for an output file that is an input, a picture, or anything else but earlier predictions."""
    refuse_file(path, option="-o", inputs=inputs, is_ours=is_table_with("file", "class_1", "probability_1", "error"))


def write_predictions(path: Path, predictions: Iterable[Prediction], *, top: int) -> tuple[int, int]:
    """Writes a CSV row per prediction as it comes; returns how many there were, and how many had no classes."""
    columns = [f"{what}_{rank}" for rank in range(1, top + 1) for what in ("class", "probability")]
    count = failed = 0
    with growing_file(path) as file:
        writer = csv.writer(file)
        writer.writerow(["file", *columns, "error"])
        for prediction in predictions:
            ranked = zip(prediction.classes, prediction.probabilities, strict=True)
            cells = [cell for name, share in ranked for cell in (name, f"{share:.6f}")]
            writer.writerow([prediction.file, *cells, *[""] * (2 * top - len(cells)), prediction.reason])
            count, failed = count + 1, failed + bool(prediction.reason)
    return count, failed
