"""Photos to predict: whatever a user names or holds, as unlabelled photos. Nothing is left out in silence."""

import heapq
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.data.entries import is_folder, is_ignored, is_image, natural_order
from fieldmark.data.table import TABLE_SUFFIXES, read_unlabelled
from fieldmark.errors import UserError, printable
from fieldmark.images.pictures import Held, held

EXAMPLES = 3
_PASSED_OVER = {
    "other": (
        "file whose name does not end like an image's (it is tried if it is named itself)",
        "files whose names do not end like an image's (one that is named itself is tried)",
    ),
    "hidden": ("hidden or system file or folder", "hidden or system files and folders"),
    "link": (
        "linked folder that leads to one read already, or around it",
        "linked folders that lead to one read already, or around it",
    ),
    "empty": ("folder without images", "folders without images"),
    "unread": ("folder that cannot be read", "folders that cannot be read"),
}
SORTED_AT_ONCE = 10_000
"""Names of files whose keys to sort by are held at once; those of one folder are held in any case."""


class Unlabelled(NamedTuple):
    """Photos in the order asked for; ``row`` of one in memory indexes ``pictures``; ``notes`` are for the user."""

    photos: tuple[Photo, ...]
    pictures: tuple[Held, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Listed:
    """Photos in the order asked for, listed anew by each walk through them, however many there are.

    The photos of a folder are found as the walk comes to it, so that not all of them are held at once. ``parts`` are
    single photos and, for each folder that was named, the folders at and below it that hold images. ``row`` of a photo
    in memory indexes ``pictures``; ``notes`` are for the user.
    """

    parts: tuple[Photo | tuple[Path, ...], ...]
    pictures: tuple[Held, ...]
    notes: tuple[str, ...]

    def are_more_than(self, count: int) -> bool:
        """Whether there are more than so many photos, which is known without listing all of them."""
        return any(True for _ in islice(self, count, None))

    def __iter__(self) -> Iterator[Photo]:
        """One photo after the other."""
        for part in self.parts:
            if isinstance(part, Photo):
                yield part
                continue
            for folder in part:
                for name in _in_order(_images_in(folder)):
                    path = folder / name
                    yield Photo(str(path), path)


@dataclass
class _PassedOver:
    """How many files and folders of each kind were passed over, and the first of them."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, name: object) -> None:
        """One more."""
        self.counts[kind] += 1
        if self.counts[kind] <= EXAMPLES:
            self.examples[kind].append(str(name))

    def notes(self) -> Iterator[str]:
        """A line for each kind."""
        for kind, words in _PASSED_OVER.items():
            if count := self.counts[kind]:
                examples = ", ".join(map(printable, self.examples[kind]))
                yield f"passed over: {count:,} {words[count > 1]}, e.g. {examples}"


def photos_of(inputs: Any) -> Unlabelled:
    """The photos of ``listed_photos``, all at once."""
    found = listed_photos(inputs)
    return Unlabelled(tuple(found), found.pictures, found.notes)


def listed_photos(inputs: Any) -> Listed:
    """The photos that inputs stand for, each under a name from which its file is found again.

    Args:
        inputs: a ``Picture`` or several. A path may also be that of a folder (then all images below it are taken, in
            natural order, those in linked folders too) or of a table with the columns path and, if wanted, a box. A
            picture without a file is called by its place in the list.

    Raises:
        UserError: no photos, an input that does not exist, or one that is neither a path nor a picture.
    """
    several = _are_several(inputs)
    parts: list[Photo | tuple[Path, ...]] = []
    pictures: list[Held] = []
    passed_over = _PassedOver()
    for at, item in enumerate(inputs if several else [inputs]):
        if isinstance(item, str | os.PathLike):
            parts += _at_path(item, passed_over)
        else:
            place = f"inputs[{at}]" if several else "inputs"
            parts.append(Photo(name := _file_name(item) or place, Path(name), row=len(pictures)))
            pictures.append(held(item, name=place))
    notes = tuple(passed_over.notes())
    if not parts:
        raise UserError("\n".join(("no photos to predict: name files, folders of images, or a table", *notes[:2])))
    return Listed(tuple(parts), tuple(pictures), notes)


def _are_several(inputs: Any) -> bool:
    """Whether inputs are a list of them; texts, arrays and open files could be walked through, too."""
    one = (str, bytes, bytearray, memoryview, np.ndarray, Mapping)
    return isinstance(inputs, Iterable) and not isinstance(inputs, one) and not hasattr(inputs, "read")


def _file_name(item: object) -> str:
    """The file that an open file or a picture of Pillow's was read from, if it says so."""
    names = (getattr(item, "filename", None), getattr(item, "name", None))
    return next((name for name in names if isinstance(name, str)), "")


def _at_path(source: str | os.PathLike[str], passed_over: _PassedOver) -> list[Photo] | list[tuple[Path, ...]]:
    text = os.fspath(source)
    path = Path(os.path.expanduser(text))
    if not text or not os.path.lexists(path):
        raise UserError(f"{printable(text) or 'the empty path'}: no such file or folder")
    if path.is_dir():
        if folders := _folders_with_images(path, passed_over):
            return [folders]
        passed_over.add("empty", path)
        return []
    return read_unlabelled(path) if path.suffix.lower() in TABLE_SUFFIXES else [Photo(str(path), path)]


def _folders_with_images(top: Path, passed_over: _PassedOver) -> tuple[Path, ...]:
    """The folder and those below it, as far as they hold images, in natural order; each is read once."""
    found: list[Path] = []
    folders, read = deque([top]), set()
    around = Path(os.path.realpath(top))
    while folders:
        folder = folders.popleft()
        real = os.path.realpath(folder)
        if real in read or (folder != top and around.is_relative_to(real)):
            passed_over.add("link", folder)
            continue
        read.add(real)
        try:
            holds_images, below, linked = _look_into(folder, passed_over)
        except OSError as error:
            if folder == top:
                raise UserError(f"{printable(str(top))}: the folder cannot be read ({error.strerror})") from None
            passed_over.add("unread", f"{folder} ({error.strerror})")
            continue
        found += [folder] if holds_images else []
        folders.extendleft(below)
        folders.extend(linked)  # later, so that what a link leads to has its own name if it lies here, too
    return tuple(sorted(found, key=lambda folder: [natural_order(part) for part in folder.relative_to(top).parts]))


def _look_into(folder: Path, passed_over: _PassedOver) -> tuple[bool, list[Path], list[Path]]:
    """Whether images lie in a folder, the folders in it, and those that links in it lead to."""
    holds_images, below, linked, strangers = False, [], [], []
    with os.scandir(folder) as listing:
        for entry in listing:
            if is_ignored(entry.name):
                strangers.append(entry.name)
            elif is_folder(entry):
                (linked if entry.is_symlink() else below).append(folder / entry.name)
            elif is_image(entry.name):
                holds_images = True
            else:
                strangers.append(entry.name)
    for name in sorted(strangers):
        path = folder / name
        if not is_ignored(name):
            passed_over.add("other", path)
        elif is_image(name) or path.is_dir():
            passed_over.add("hidden", path)
    return holds_images, sorted(below), sorted(linked)


def _images_in(folder: Path) -> list[str]:
    """The names of the images that lie directly in a folder; none where it cannot be read any more."""
    try:
        with os.scandir(folder) as listing:
            return [
                each.name
                for each in listing
                if is_image(each.name) and not is_ignored(each.name) and not is_folder(each)
            ]
    except OSError:
        return []


def _in_order(names: list[str]) -> Iterator[str]:
    """Names in natural order. A key takes several times the memory of its name, so few are held at once."""
    names.sort()
    starts = range(0, len(names), SORTED_AT_ONCE)
    parts = [sorted(islice(names, start, start + SORTED_AT_ONCE), key=natural_order) for start in starts]
    return heapq.merge(*parts, key=natural_order)
