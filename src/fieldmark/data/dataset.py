"""What every reader returns: photographs with their labels, as plain values (no pixels are read, no torch)."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.errors import printable
from fieldmark.plain import several

SPLITS = ("train", "val", "test")
IMBALANCE = 10
"""The ratio of class sizes from which plain accuracy misleads."""


class Box(NamedTuple):
    """A box in pixels of the upright image (EXIF orientation applied): left, top, width, height."""

    x: float
    y: float
    width: float
    height: float


class Landmark(NamedTuple):
    """A named point of the object (CUB's "part location"), in pixels; ``visible`` as annotated."""

    name: str
    x: float
    y: float
    visible: bool


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photograph.

    ``name`` always identifies it inside its dataset (the path relative to the dataset's root, with "/"); ``label``
    indexes ``Dataset.classes`` (None: unlabelled); ``split`` is "train", "val", "test" or "" (not yet cut); photos with
    the same non-empty ``group`` must share a split; the bottom ``trim_bottom`` rows of the image are a banner and are
    cut off; ``row`` indexes ``Dataset.pixels`` where images are not stored in separate files.
    """

    name: str
    path: Path
    label: int | None = None
    split: str = ""
    group: str = ""
    box: Box | None = None
    landmarks: tuple[Landmark, ...] = ()
    trim_bottom: int = 0
    row: int = -1


class Unread(NamedTuple):
    """A photo that cannot be read, and why, in a few words."""

    photo: Photo
    reason: str

    @property
    def line(self) -> str:
        """Name and reason, for the user."""
        return f"{printable(self.photo.name)}: {self.reason}"


@dataclass(frozen=True)
class Level:
    """A level above the classes, such as the families of species: ``groups`` is the group of each class, in order."""

    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """Labelled photographs and their classes.

    ``layout`` names the reader that recognised the folder; ``notes`` are the reader's one-line remarks for the user
    (how folders were read, files left out and why); ``spellings`` are class names in several Unicode forms, each read
    as one class; ``pixels`` is uint8 ``(N, H, W, 3)`` for datasets such as CIFAR that pack all images in
    one file, else None; ``levels`` are the benchmark's own groups of classes, the finest level first.
    """

    root: Path
    layout: str
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    notes: tuple[str, ...] = ()
    spellings: tuple[tuple[str, ...], ...] = ()
    pixels: np.ndarray | None = None
    levels: tuple[Level, ...] = ()

    @property
    def is_split(self) -> bool:
        """Whether the reader found splits: they are official and kept (but see ``val_fraction`` of ``split.cut``)."""
        return any(photo.split for photo in self.photos)

    def of(self, splits: str | Iterable[str]) -> tuple[Photo, ...]:
        """The photos of the given splits, in the order of the dataset."""
        names = set(several(splits))
        return tuple(photo for photo in self.photos if photo.split in names)

    def counts(self, split: str) -> tuple[int, ...]:
        """Photos per class in ``split``, in the order of ``classes``."""
        photos = Counter(photo.label for photo in self.photos if photo.split == split)
        return tuple(photos[index] for index in range(len(self.classes)))

    def with_photos(self, photos: Iterable[Photo]) -> "Dataset":
        """The same dataset with other photos (other splits, or damaged files left out)."""
        return replace(self, photos=tuple(photos))


def labels_of(photos: Iterable[Photo]) -> list[int]:
    """The label of each photo, -1 for an unlabelled one."""
    return [-1 if photo.label is None else photo.label for photo in photos]


def is_uneven(counts: Sequence[int]) -> bool:
    """Whether the largest class has at least ``IMBALANCE`` times the photos of the smallest that has any."""
    present = [count for count in counts if count]
    return bool(present) and max(present) >= IMBALANCE * min(present)


def composed(name: str) -> str:
    """One spelling of a name, which may be written in two: "é", or "e" and an accent, as macOS has it."""
    return unicodedata.normalize("NFC", name)


def spelled_apart(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The names that are one name in several Unicode forms (such as composed and decomposed letters), together."""
    return _together(names, composed)


def hardly_differ(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The names that differ only in case, in blanks and underscores, or in the form of letters, together."""
    return _together(
        names, lambda name: " ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())
    )


def _together(names: Iterable[str], key: Callable[[str], str]) -> tuple[tuple[str, ...], ...]:
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        by_key[key(name)].append(name)
    return tuple(tuple(alike) for alike in by_key.values() if len(alike) > 1)
