"""The photos that a new class is made of, and photos of the old classes that it must not take."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.data.dataset import Dataset, Photo, Unread, hardly_differ
from fieldmark.data.opening import OpenedData, refuse_without_boxes, unreadable
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.evaluate import composed, data_of, split_of_run
from fieldmark.images.pictures import Held
from fieldmark.input.loading import Batch, Photographs, batches_of, loader_of
from fieldmark.recipe import Pixels
from fieldmark.runs.folder import read_run

BATCH = 32
OLD = 500
"""Photos of the old classes that are looked at, the same number of each; one of each at least."""


class NewPhotos(NamedTuple):
    """``photos`` could be read, ``unread`` could not."""

    photos: tuple[Photo, ...]
    unread: tuple[Unread, ...]


def refuse_name(name: str, classes: Sequence[str]) -> None:
    """Raises ``UserError`` for a name that is none, or that cannot be told from that of a class of the run."""
    if not name.strip() or not name.isprintable():
        raise UserError(f"{printable(name)!r} is no name for a class: give it one of letters, on one line")
    for old in classes:
        if composed(old) == composed(name) or hardly_differ((old, name)):
            other = "" if old == name else f", which {printable(name)!r} can hardly be told from"
            raise UserError(f"the run has the class {printable(old)!r} already{other}; give the new class another name")


def sound_photos(photos: Sequence[Photo], pixels: Pixels, pictures: Sequence[Held]) -> NewPhotos:
    """The photos that can be read.

    Args:
        photos: that the user named.
        pixels: of the run's recipe.
        pictures: those in memory that ``row`` of a photo indexes.

    Raises:
        UserError: none can be read, one was given twice, or one lacks a box that the run needs.
    """
    if pixels.fit == "box":
        refuse_without_boxes(photos)
    seen: dict[bytes, Photo] = {}
    unread: list[Unread] = []
    for batch in views(Photographs(photos, pixels, packed=pictures), [-1]):
        damaged = dict(batch.damaged)
        for view, at in zip(batch.pixels.numpy(), batch.indices.tolist(), strict=True):
            photo = photos[at]
            if line := damaged.get(at):
                unread.append(Unread(photo, line.removeprefix(f"{printable(photo.name)}: ")))
            elif (other := seen.setdefault(sha256(view).digest(), photo)) is not photo:
                raise _twice(other, photo)
    if not seen:
        raise UserError(str(unreadable(unread, of=len(photos))).splitlines()[0])
    return NewPhotos(tuple(seen.values()), tuple(unread))


def _twice(first: Photo, second: Photo) -> UserError:
    names = printable(first.name), printable(second.name)
    if names[0] == names[1]:
        return UserError(f"{names[0]} was given twice; name each photo once")
    return UserError(f"{names[0]} and {names[1]} show the very same picture; give each photo once")


def views(photos: Photographs, epochs: Iterable[int], *, workers: int = 0) -> Iterator[Batch]:
    """Views of photos as in training, all of one epoch before those of the next; epoch -1 is evaluation's view."""
    starts = range(0, len(photos), BATCH)
    keys = [[(epoch, at) for at in range(len(photos))[start : start + BATCH]] for epoch in epochs for start in starts]
    return batches_of(loader_of(photos, keys, workers=workers))


def known_photos(run: Path, data: Path | None, *, name: str, own: Iterable[Photo]) -> OpenedData:
    """Photos of the run's classes that it was trained on, or has for validation; no test photo.

    Args:
        run: the run's folder.
        data: labelled photographs; None for the data that it was trained on.
        name: of the new class, photos of which are left out.
        own: the new class's photos.

    Raises:
        UserError: there are none, or a photo of the new class is one of another class there.
    """
    recipe, _, about = read_run(run)
    dataset = without_class(data_of(about, data), name)
    _refuse_labelled(dataset, own)
    splits = [*recipe.train_on, *(["val"] if "val" not in recipe.train_on else [])]
    parts: list[OpenedData] = []
    for split in splits:
        try:
            parts.append(split_of_run(run, dataset, split))
        except UserError:
            if split in recipe.train_on:
                raise
    first = parts[0].dataset
    photos = [photo for part in parts for photo in part.dataset.photos]
    chosen = sampled(photos, classes=len(first.classes), seed=recipe.seed)
    return OpenedData(first.with_photos(chosen), parts[0].scan)


def without_class(dataset: Dataset, name: str) -> Dataset:
    """The dataset less the photos of a class."""
    labels = {label for label, own in enumerate(dataset.classes) if composed(own) == composed(name)}
    return dataset.with_photos(photo for photo in dataset.photos if photo.label not in labels)


def sampled(photos: Sequence[Photo], *, classes: int, seed: int) -> list[Photo]:
    """As many photos of each class, if it has them, that there are ``OLD`` at most; the same ones at each call."""
    each = max(1, OLD // classes)
    order = np.random.default_rng((seed, 1)).permutation(len(photos))
    labels = np.array([photo.label for photo in photos], dtype=np.int64)[order]
    by_class = np.argsort(labels, kind="stable")
    _, begins, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.arange(len(photos)) - np.repeat(begins, counts)
    return [photos[at] for at in np.sort(order[by_class[rank < each]])]


def _refuse_labelled(dataset: Dataset, own: Iterable[Photo]) -> None:
    """Raises ``UserError`` where a photo for the new class has another label in the run's data."""
    paths = {photo.path.resolve(): photo for photo in own if photo.row < 0}
    for photo in dataset.photos:
        if photo.row < 0 and photo.label is not None and (mine := paths.get(photo.path.resolve())):
            label = printable(dataset.classes[photo.label])
            raise UserError(
                f"{printable(mine.name)} is a photo of {label!r} in {printable(str(dataset.root))};\n"
                "a photo has one class: leave it out, or move it to a folder of the new class and train anew"
            )
