"""What the names in a folder say: which files count as photos, what a system left there, and the order of names."""

import os
import re
from collections.abc import Iterable, Iterator

from fieldmark.errors import UserError, printable

IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".hif", ".avif"),
    )
)
CORRECTIONS = "fieldmark-labels"
"""The name of a list of corrected labels that lies with the photos, without .csv (``corrections.py``)."""
# Folders and files that systems and their programs leave beside photos, less those that begin with a dot.
_LITTER = frozenset(
    (
        # Synology, QNAP and other network drives: thumbnails, indices, waste and snapshots
        *("@eadir", "@tmp", "@synoresource", "@sharesnap", "@sharebin", "#recycle", "#snapshot", "@recycle"),
        *("@recently-snapshot", "@__thumb", "@qde", "@transcode", "network trash folder", "temporary items"),
        # Windows
        *("$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db"),
        *("desktop.ini", "picasa.ini", "zbthumbnail.info"),
        # macOS and Linux; archives made there hold __MACOSX, and a folder's icon is called "Icon" and a carriage return
        *("__macosx", "icon\r", "lost+found", "__pycache__"),
    )
)


def natural_order(name: str) -> tuple[object, ...]:
    """A sort key under which "bolt 9" comes before "bolt 10"."""
    pieces = re.split(r"([0-9]+)", name.casefold())
    # Digits are compared by length, then as text: int() refuses numbers of thousands of digits.
    digits = [(len(piece.lstrip("0")), piece.lstrip("0")) if at % 2 else (0, piece) for at, piece in enumerate(pieces)]
    return (*digits, (0, name))


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name is litter that a system left, at any depth, and is passed over.

    Such are hidden names (``.DS_Store``, ``._bird.jpg``, ``.thumbnails``), the thumbnails and waste of network drives
    (``@eaDir``, ``#recycle``) and of Windows (``Thumbs.db``, ``$RECYCLE.BIN``), ``__MACOSX`` and ``lost+found``; and
    our own lists of corrected labels.
    """
    is_list = CORRECTIONS in name and name.endswith(".csv")
    return name.startswith(".") or name.casefold() in _LITTER or is_list


def is_image(name: str) -> bool:
    """Whether a file of this name counts as a photo, by its suffix."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def subfolders(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """The folders in ``folder`` (links to folders too) that are no litter, in natural order.

    Raises ``UserError`` where the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            folders = [entry for entry in entries if not is_ignored(entry.name) and is_folder(entry)]
    except OSError as error:
        raise UserError(f"{printable(os.fspath(folder))}: the folder cannot be read ({error.strerror}).") from None
    return sorted(folders, key=lambda entry: natural_order(entry.name))


def readable_subfolders(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """``subfolders``, but none where the folder cannot be listed."""
    return subfolders(folder) if os.access(folder, os.R_OK | os.X_OK) else []


def has_images(folder: str | os.PathLike[str]) -> bool:
    """Whether images lie directly in ``folder``."""
    return any(_images(folder))


def holds_images(folder: str | os.PathLike[str]) -> bool:
    """Whether images lie in ``folder`` or anywhere below it (links are not followed)."""
    for _, folders, files in os.walk(folder):
        if any(is_image(name) and not is_ignored(name) for name in files):
            return True
        folders[:] = [name for name in folders if not is_ignored(name)]
    return False


def _images(folder: str | os.PathLike[str]) -> Iterator[bool]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield not is_ignored(entry.name) and is_image(entry.name) and not is_folder(entry)
    except OSError:
        return


def listed(names: Iterable[str], *, most: int = 3) -> str:
    """Some names for a message, in natural order: "a, b, c and 2 more"."""
    ordered = sorted(names, key=natural_order)
    more = f" and {len(ordered) - most:,} more" if len(ordered) > most else ""
    return ", ".join(map(printable, ordered[:most])) + more
