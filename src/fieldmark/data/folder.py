"""A folder of class folders, cut into train, val and test or not. Names are listed; no file is opened here."""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fieldmark.data.dataset import SPLITS, Dataset, Photo
from fieldmark.errors import UserError, printable

IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "png",
        "apng",
        "webp",
        "bmp",
        "gif",
        "tif",
        "tiff",
        "ppm",
        "pgm",
        "pbm",
        "pnm",
        "mpo",
        "heic",
        "heif",
        "avif",
    )
)
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
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
_SYSTEM_NAMES = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


def natural_order(name: str) -> tuple[object, ...]:
    """A sort key under which "bolt 9" comes before "bolt 10"."""
    pieces = re.split(r"([0-9]+)", name.casefold())
    # Digits are compared by length, then as text: int() refuses numbers of thousands of digits.
    digits = [(len(piece.lstrip("0")), piece.lstrip("0")) if at % 2 else (0, piece) for at, piece in enumerate(pieces)]
    return (*digits, (0, name))


def is_ignored(name: str) -> bool:
    """Whether a file or folder belongs to the system (hidden, or such as ``Thumbs.db``) and is ignored."""
    return name.startswith(".") or name.casefold() in _SYSTEM_NAMES


def subfolders(folder: Path) -> list[os.DirEntry[str]]:
    """The folders in ``folder`` (links to folders too) that do not belong to the system, in natural order.

    Raises ``UserError`` where the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            folders = [entry for entry in entries if not is_ignored(entry.name) and _is_folder(entry)]
    except OSError as error:
        raise UserError(f"{printable(str(folder))}: the folder cannot be read ({error.strerror}).") from None
    return sorted(folders, key=lambda entry: natural_order(entry.name))


def read_folder(root: Path) -> Dataset:
    """The photos of ``root``: one folder per class, inside split folders such as ``train`` and ``val`` or not.

    A class may have sub-folders: their images count for the class, and the sub-folder becomes the photos' group
    (``class/sub``). Classes are in natural order of their names; photos in the order of split, class, path.
    ``notes`` report what is left out (other files, links below a class, unreadable folders).
    Raises ``UserError`` where no class folder holds an image.
    """
    lead = ()
    while (inner := _wrapped(root)) is not None:
        lead = (*lead, f"{printable(root.name)} holds nothing but the folder {printable(inner.name)}: read from there")
        root = inner
    splits, others = _split_folders(root)
    listing = _Listing(root)
    for split, folder in splits or [("", root)]:
        listing.add_classes(folder, split)
    if splits:
        listing.leave_out(others)
    if not listing.photos:
        raise _nothing_found(root, listing)
    return _dataset(root, listing, lead)


@dataclass
class _Listing:
    """The photos of the folders walked so far, and what was left out."""

    root: Path
    photos: list[tuple[str, str, str, str]] = field(default_factory=list)  # split, class, group, name
    left_out: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in _LEFT_OUT})

    def add_classes(self, folder: Path, split: str) -> None:
        """Adds the class folders of ``folder``; images directly in it have no class."""
        prefix = "" if folder == self.root else f"{folder.name}/"
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

    def _add_class(self, top: os.DirEntry[str], split: str, prefix: str) -> bool:
        """Adds the photos of a class; returns whether it has any, or folders that cannot be read."""
        before = len(self.photos) + len(self.left_out["unread"])
        name = unicodedata.normalize("NFC", top.name)  # macOS writes the same name with other code points
        stack = [(top.path, f"{prefix}{top.name}/", "")]
        while stack:
            folder, inner_prefix, group = stack.pop()
            images, below = self._list(folder, inner_prefix)
            self.photos += [(split, name, group, inner_prefix + image) for image in images]
            for entry in below:
                if entry.is_symlink():
                    self.left_out["link"].append(inner_prefix + entry.name)
                else:
                    stack.append((entry.path, f"{inner_prefix}{entry.name}/", group or f"{name}/{entry.name}"))
        return len(self.photos) + len(self.left_out["unread"]) > before

    def _list(self, folder: str | Path, prefix: str) -> tuple[list[str], list[os.DirEntry[str]]]:
        images: list[str] = []
        below: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_ignored(entry.name):
                        continue
                    if _is_folder(entry):
                        below.append(entry)
                    elif _is_image(entry):
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


def _is_image(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _wrapped(root: Path) -> Path | None:
    """The only folder in ``root``, if it holds the class folders (an unpacked archive), else None."""
    below = subfolders(root)
    if len(below) != 1 or below[0].is_symlink() or below[0].name.casefold() in SPLIT_WORDS or _images_in(root):
        return None
    inner = Path(below[0].path)
    if not os.access(inner, os.R_OK | os.X_OK):
        return None
    return inner if len(subfolders(inner)) >= 2 and not _images_in(inner) else None


def _images_in(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(map(_is_image, entries))


def _split_folders(root: Path) -> tuple[list[tuple[str, Path]], list[str]]:
    """(split, folder) of each split folder, and the names of the other folders; without splits ([], []).

    A "test" among other folders is a class of that name: split folders must include "train", or stand alone.
    """
    below = subfolders(root)
    splits = [(SPLIT_WORDS[entry.name.casefold()], entry) for entry in below if entry.name.casefold() in SPLIT_WORDS]
    others = [entry.name for entry in below if entry.name.casefold() not in SPLIT_WORDS]
    if others and not any(split == "train" and _has_folders(entry) for split, entry in splits):
        return [], []
    return [(split, root / entry.name) for split, entry in splits], others


def _has_folders(entry: os.DirEntry[str]) -> bool:
    return os.access(entry.path, os.R_OK | os.X_OK) and bool(subfolders(Path(entry.path)))


def _nothing_found(root: Path, listing: _Listing) -> UserError:
    place = printable(str(root))
    if unread := listing.left_out["unread"]:
        return UserError(f"{place}: no image found; {printable(unread[0])} cannot be read.")
    if loose := listing.left_out["loose"]:
        return UserError(
            f"{place}: images, but no class folders ({len(loose):,}, e.g. {printable(min(loose))}).\n"
            "Put the images of each class in a folder named for it, or name a CSV with the columns path and label."
        )
    return UserError(f"{place}: no image found in any class folder.\n{WHAT_TO_NAME}")


def _dataset(root: Path, listing: _Listing, lead: tuple[str, ...]) -> Dataset:
    classes = tuple(sorted({name for _, name, _, _ in listing.photos}, key=natural_order))
    index = {name: at for at, name in enumerate(classes)}
    order = {split: at for at, split in enumerate((*SPLITS, ""))}
    ordered = sorted(listing.photos, key=lambda photo: (order[photo[0]], index[photo[1]], photo[3]))
    base = str(root)
    photos = tuple(
        Photo(name=path, path=Path(base, path), label=index[name], split=split, group=group)
        for split, name, group, path in ordered
    )
    return Dataset(root=root, layout="folder", classes=classes, photos=photos, notes=(*lead, *listing.notes()))
