"""A folder of class folders, cut into train, val and test or not. Names are listed; no file is opened here."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fieldmark.data.dataset import SPLITS, Dataset, Photo, spelled_apart
from fieldmark.data.entries import is_folder, is_ignored, is_image, natural_order
from fieldmark.data.layout import inner_splits, is_container, layout_of, split_of
from fieldmark.errors import UserError, printable

_LEFT_OUT = {
    "other": ("file that is not an image", "files that are not images"),
    "loose": ("image outside the class folders", "images outside the class folders"),
    "link": ("linked folder", "linked folders"),
    "unread": ("folder that cannot be read", "folders that cannot be read"),
    "empty": ("class folder without images", "class folders without images"),
    "beside": ("folder beside the splits", "folders beside the splits"),
}
WHAT_TO_NAME = (
    "Name a folder with one folder of images per class, a CSV with the columns path and label, or a benchmark."
)


def read_folder(root: Path) -> Dataset:
    """The photos of ``root``: one folder per class, inside split folders such as ``train`` and ``val`` or not.

    Split folders may lie inside each class, too, and all of it inside wrappers (``layout.py``). A class may have
    sub-folders: their images count for the class, and the sub-folder becomes the photos' group (``class/sub``).
    Classes are in natural order of their names; photos in the order of split, class, path. ``notes`` report how the
    folders were read and what is left out (other files, links below a class, unreadable folders).
    Raises ``UserError`` where no class folder holds an image.
    """
    layout = layout_of(root)
    listing = _Listing(layout.root)
    for split, folder in layout.splits or [("", layout.root)]:
        listing.add_classes(folder, split)
    if layout.splits:
        listing.leave_out(layout.others)
    if not listing.photos:
        raise _nothing_found(layout.root, listing, layout.notes)
    notes = (*layout.notes, *(() if layout.splits else listing.split_from_within()), *listing.notes())
    return _dataset(listing, notes)


class _Image(NamedTuple):
    """A photo: its split, its class, the folders below the class's that lead to it, and its name."""

    split: str
    label: str
    inner: tuple[str, ...]
    name: str

    @property
    def group(self) -> str:
        """The class and the first folder below it that says something of the photo, or ""."""
        return next((f"{self.label}/{folder}" for folder in self.inner if not is_container(folder)), "")


@dataclass
class _Listing:
    """The photos of the folders walked so far, and what was left out."""

    root: Path
    photos: list[_Image] = field(default_factory=list)
    class_names: set[str] = field(default_factory=set)  # as the folders spell them
    left_out: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in _LEFT_OUT})

    def add_classes(self, folder: Path, split: str) -> None:
        """Adds the class folders of ``folder``; images directly in it have no class."""
        prefix = "" if folder == self.root else f"{folder.relative_to(self.root).as_posix()}/"
        loose, below = self._list(folder, prefix)
        self.left_out["loose"] += [prefix + name for name in loose]
        for entry in sorted(below, key=lambda entry: natural_order(entry.name)):
            # A linked class folder is read; a link to a folder around this one would never end.
            if entry.is_symlink() and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(entry.path)):
                self.left_out["link"].append(prefix + entry.name)
            elif not self._add_class(entry, split, prefix):
                self.left_out["empty"].append(prefix + entry.name)

    def leave_out(self, folders: Iterable[str]) -> None:
        """Leaves out the folders and images beside the split folders."""
        self.left_out["beside"] += folders
        self.left_out["loose"] += self._list(self.root, "")[0]

    def split_from_within(self) -> tuple[str, ...]:
        """Moves the photos of split folders inside the classes to those splits; returns a note, if there are any."""
        folders: dict[str, set[str]] = defaultdict(set)
        for photo in self.photos:
            folders[photo.label].add(next(filter(lambda folder: not is_container(folder), photo.inner), ""))
        names = inner_splits(self.root, folders)
        if not names:
            return ()
        for at, (_, label, inner, name) in enumerate(self.photos):
            folder, *below = (folder for folder in inner if not is_container(folder))
            self.photos[at] = _Image(split_of(folder), label, tuple(below), name)
        return (f"folders inside the classes read as splits: {', '.join(map(printable, names))}",)

    def _add_class(self, top: os.DirEntry[str], split: str, prefix: str) -> bool:
        """Adds the photos of a class; returns whether it has any, or folders that cannot be read."""
        before = len(self.photos) + len(self.left_out["unread"])
        name = unicodedata.normalize("NFC", top.name)  # macOS writes the same name with other code points
        stack: list[tuple[str, str, tuple[str, ...]]] = [(top.path, f"{prefix}{top.name}/", ())]
        while stack:
            folder, inner_prefix, inner = stack.pop()
            images, below = self._list(folder, inner_prefix)
            self.photos += [_Image(split, name, inner, inner_prefix + image) for image in images]
            for entry in below:
                if entry.is_symlink():
                    self.left_out["link"].append(inner_prefix + entry.name)
                else:
                    stack.append((entry.path, f"{inner_prefix}{entry.name}/", (*inner, entry.name)))
        holds_any = len(self.photos) + len(self.left_out["unread"]) > before
        self.class_names |= {top.name} if holds_any else set()
        return holds_any

    def _list(self, folder: str | Path, prefix: str) -> tuple[list[str], list[os.DirEntry[str]]]:
        images: list[str] = []
        below: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_ignored(entry.name):
                        continue
                    if is_folder(entry):
                        below.append(entry)
                    elif is_image(entry.name):
                        images.append(entry.name)
                    else:
                        self.left_out["other"].append(prefix + entry.name)
        except OSError as error:
            self.left_out["unread"].append(f"{prefix or folder} ({error.strerror})")
        return images, below

    def notes(self) -> Iterator[str]:
        """One line for each kind of file or folder that was left out."""
        for kind, names in self.left_out.items():
            if names:
                what = _LEFT_OUT[kind][len(names) > 1]
                yield f"{len(names):,} {what} left out, e.g. {printable(min(names))}"


def _nothing_found(root: Path, listing: _Listing, notes: tuple[str, ...]) -> UserError:
    place = printable(str(root))
    if unread := listing.left_out["unread"]:
        return UserError(f"{place}: no image found; {printable(unread[0])} cannot be read.")
    if loose := listing.left_out["loose"]:
        text = f"{place}: images, but no class folders ({len(loose):,}, e.g. {printable(min(loose))}).\n"
        text += "Put the images of each class in a folder named for it, or name a CSV with the columns path and label."
        return UserError("\n".join((text, *notes[-1:])))
    return UserError(f"{place}: no image found in any class folder.\n{WHAT_TO_NAME}")


def _dataset(listing: _Listing, notes: tuple[str, ...]) -> Dataset:
    classes = tuple(sorted({photo.label for photo in listing.photos}, key=natural_order))
    index = {name: at for at, name in enumerate(classes)}
    order = {split: at for at, split in enumerate((*SPLITS, ""))}
    ordered = sorted(listing.photos, key=lambda photo: (order[photo.split], index[photo.label], photo.name))
    base = str(listing.root)
    photos = tuple(
        Photo(
            name=photo.name, path=Path(base, photo.name), label=index[photo.label], split=photo.split, group=photo.group
        )
        for photo in ordered
    )
    spellings = spelled_apart(listing.class_names)
    return Dataset(listing.root, "folder", classes=classes, photos=photos, notes=notes, spellings=spellings)
