"""Photos to predict: whatever a user names or holds, as a list of unlabelled photos. Nothing is left out in silence."""

import os
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.data.entries import is_ignored, is_image, natural_order
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
_PassedOver = defaultdict[str, list[str]]


class Unlabelled(NamedTuple):
    """Photos in the order asked for; ``row`` of one in memory indexes ``pictures``; ``notes`` are for the user."""

    photos: tuple[Photo, ...]
    pictures: tuple[Held, ...]
    notes: tuple[str, ...]


def photos_of(inputs: Any) -> Unlabelled:
    """The photos that inputs stand for, each under a name from which its file is found again.

    Args:
        inputs: a ``Picture`` or several. A path may also be that of a folder (then all images below it are taken, in
            natural order, those in linked folders too) or of a table with the columns path and, if wanted, a box. A
            picture without a file is called by its place in the list.

    Raises:
        UserError: no photos, an input that does not exist, or one that is neither a path nor a picture.
    """
    several = _are_several(inputs)
    photos: list[Photo] = []
    pictures: list[Held] = []
    passed_over: _PassedOver = defaultdict(list)
    for at, item in enumerate(inputs if several else [inputs]):
        if isinstance(item, str | os.PathLike):
            photos += _at_path(item, passed_over)
        else:
            place = f"inputs[{at}]" if several else "inputs"
            photos.append(Photo(name := _file_name(item) or place, Path(name), row=len(pictures)))
            pictures.append(held(item, name=place))
    notes = tuple(_notes(passed_over))
    if not photos:
        raise UserError("\n".join(("no photos to predict: name files, folders of images, or a table", *notes[:2])))
    return Unlabelled(tuple(photos), tuple(pictures), notes)


def _are_several(inputs: Any) -> bool:
    """Whether inputs are a list of them; texts, arrays and open files could be walked through, too."""
    one = (str, bytes, bytearray, memoryview, np.ndarray, Mapping)
    return isinstance(inputs, Iterable) and not isinstance(inputs, one) and not hasattr(inputs, "read")


def _file_name(item: object) -> str:
    """The file that an open file or a picture of Pillow's was read from, if it says so."""
    names = (getattr(item, "filename", None), getattr(item, "name", None))
    return next((name for name in names if isinstance(name, str)), "")


def _at_path(source: str | os.PathLike[str], passed_over: _PassedOver) -> list[Photo]:
    text = os.fspath(source)
    path = Path(os.path.expanduser(text))
    if not text or not os.path.lexists(path):
        raise UserError(f"{printable(text) or 'the empty path'}: no such file or folder")
    if path.is_dir():
        images = _images_below(path, passed_over)
        passed_over["empty"] += [] if images else [str(path)]
        return [Photo(str(image), image) for image in images]
    return read_unlabelled(path) if path.suffix.lower() in TABLE_SUFFIXES else [Photo(str(path), path)]


def _images_below(top: Path, passed_over: _PassedOver) -> list[Path]:
    """The images of a folder, then those of its folders, in natural order; each folder is read once."""
    images: list[Path] = []
    folders, read = deque([top]), set()
    around = Path(os.path.realpath(top))
    while folders:
        folder = folders.popleft()
        real = os.path.realpath(folder)
        if real in read or (folder != top and around.is_relative_to(real)):
            passed_over["link"].append(str(folder))
            continue
        read.add(real)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if folder == top:
                raise UserError(f"{printable(str(top))}: the folder cannot be read ({error.strerror})") from None
            passed_over["unread"].append(f"{folder} ({error.strerror})")
            continue
        for entry in entries:
            path = folder / entry.name
            is_folder = os.path.isdir(path)
            if not is_folder and not is_image(entry.name):
                if not is_ignored(entry.name):
                    passed_over["other"].append(str(path))
            elif is_ignored(entry.name):
                passed_over["hidden"].append(str(path))
            elif not is_folder:
                images.append(path)
            elif entry.is_symlink():
                folders.append(path)  # later, so that what a link leads to has its own name if it lies here, too
            else:
                folders.appendleft(path)
    return sorted(images, key=lambda image: _place(image.relative_to(top)))


def _place(path: Path) -> tuple[object, ...]:
    *folders, name = path.parts
    return (*((1, natural_order(folder)) for folder in folders), (0, natural_order(name)))


def _notes(passed_over: _PassedOver) -> Iterable[str]:
    for kind, words in _PASSED_OVER.items():
        if names := passed_over[kind]:
            examples = ", ".join(map(printable, names[:EXAMPLES]))
            yield f"passed over: {len(names):,} {words[len(names) > 1]}, e.g. {examples}"
