"""Photos that an exported file is tried with: validation photos, or where there are none, photos of the training."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fieldmark.confidence.gallery import chosen_for_gallery
from fieldmark.data.dataset import Photo, labels_of
from fieldmark.data.opening import OpenedData
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import split_of_run
from fieldmark.input.loading import Packed, Photographs
from fieldmark.recipe import Pixels
from fieldmark.runs.folder import Opened

LOG = logging.getLogger(__name__)
MOST = 500
"""Photos that a file is compared on."""
CALIBRATION, MEASURED = 200, 1000
"""Training photos that say how large activations get, and photos that say what whole numbers cost, at most."""


@dataclass(frozen=True)
class Tried:
    """Photos with their labels, from one split, and the pictures in memory that they may be of."""

    split: str
    photos: tuple[Photo, ...]
    packed: Packed | None = None

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,)."""
        return np.array(labels_of(self.photos), np.int64)

    def views(self, pixels: Pixels) -> Photographs:
        """The same photos as evaluation sees them."""
        return Photographs(self.photos, pixels, packed=self.packed)

    def spread(self, most: int) -> "Tried":
        """So many of them at most, evenly spread over the classes and within each."""
        if len(self.photos) <= most:
            return self
        return self.at(_spread(self.labels, most))

    def at(self, places: np.ndarray) -> "Tried":
        """Those at the given places."""
        return Tried(self.split, tuple(self.photos[at] for at in places.tolist()), self.packed)


def photos_to_try(opened: Opened, data: Path | None) -> Tried | None:
    """Validation photos of a run, or photos that it was trained on; never test photos. None where there are none.

    Args:
        opened: the run.
        data: labelled photos; None for the data that the run was trained on, which may be gone.

    Raises:
        UserError: photos that were named cannot be used.
    """
    if "val" not in opened.recipe.train_on:
        try:
            return _tried(trained_on(opened, data, splits=("val",)), "val")
        except UserError as error:
            LOG.info("no validation photos: %s", error)
    try:
        return _tried(trained_on(opened, data), " + ".join(opened.recipe.train_on))
    except UserError:
        if data is not None:
            raise
        return None


def trained_on(opened: Opened, data: Path | None, *, splits: Sequence[str] = ()) -> OpenedData:
    """The photos of some splits, by default of those that a run was trained on.

    Raises:
        UserError: they are not there, or cannot be used.
    """
    parts = [split_of_run(opened.path, data, split) for split in splits or opened.recipe.train_on]
    photos = [photo for part in parts for photo in part.dataset.photos]
    return replace(parts[0], dataset=parts[0].dataset.with_photos(photos))


def held_out_and_calibration(opened: Opened, data: Path | None) -> tuple[Tried, Tried]:
    """Photos that measure what whole numbers cost, and others, of the training, that say how large activations get.

    The former are validation photos, or training photos that the latter do not hold.

    Raises:
        UserError: there are too few photos.
    """
    measured = photos_to_try(opened, data)
    if measured is None:
        raise UserError("--precision int8 needs photos that the run was trained on; give them with --data DATA")
    training = _tried(trained_on(opened, data), " + ".join(opened.recipe.train_on))
    if len(training.photos) < 2:
        raise UserError("--precision int8 needs more than one photo that the run was trained on")
    if measured.split != training.split:
        return measured.spread(MEASURED), training.spread(CALIBRATION)
    chosen = _spread(training.labels, min(CALIBRATION, len(training.photos) // 2))
    others = np.setdiff1d(np.arange(len(training.photos)), chosen)
    return training.at(others).spread(MEASURED), training.at(chosen)


def _spread(labels: np.ndarray, most: int) -> np.ndarray:
    """Places of so many photos at most, in order."""
    present = max(1, len(np.unique(labels)))
    chosen = chosen_for_gallery(labels, each=max(1, -(-most // present)), most=max(most, present))
    return chosen[np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(np.int64)]


def _tried(found: OpenedData, split: str) -> Tried:
    return Tried(split, found.dataset.photos, found.dataset.pixels)
