"""Explanations on disk, three files per photo, and what is printed of them."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from fieldmark.console import tell
from fieldmark.data.dataset import Unread
from fieldmark.data.outputs import is_json_with, refuse_folder
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.pictures import without_font
from fieldmark.explanations.explanation import Explanation
from fieldmark.files import refuse_unwritable

SUFFIXES = (".png", ".npz", ".json")
SHOWN = 20
"""The most photos that are printed one by one."""
_LONGEST = 100  # bytes of a name in a file's name, of which there may be two
_KINDS = (
    is_json_with("format_version", "run", "reasons"),
    is_json_with("format_version", "classes", "photos"),
    is_json_with("format_version", "figure", "panels"),
)


def names_of(photos: Sequence[str], folder: Path) -> list[str]:
    """A file name, without suffix, for each photo's explanation: its number and its own name.

    Where ``folder`` has another photo's explanation under that name, a digest of the photo's path follows.
    """
    digits = len(str(len(photos)))
    return [
        _free(folder, f"{number:0{digits}d}-{_safe(Path(photo).stem)}", of=[photo])
        for number, photo in enumerate(photos, 1)
    ]


def name_of_pair(folder: Path, photos: Sequence[str], classes: Sequence[str] = ()) -> str:
    """A file name, without suffix, for two photos beside each other, or without any for photos of two classes.

    Where ``folder`` has a comparison of others under that name, a digest of the two follows.
    """
    names = [Path(photo).stem for photo in photos] or classes
    return _free(folder, "--".join(map(_safe, names)), of=photos, classes=classes)


def _safe(name: str) -> str:
    """A name as part of a file's name, which may have 255 bytes."""
    return re.sub(r"[^\w.-]+", "_", printable(name)).encode()[:_LONGEST].decode("utf-8", "ignore")


def _free(folder: Path, name: str, *, of: Sequence[str], classes: Sequence[str] = ()) -> str:
    """The name, or, where an earlier result of that name is about other photos or classes, one that tells them."""
    path = folder / f"{name}.json"
    if not path.is_file() or not any(is_ours(path) for is_ours in _KINDS):
        return name
    said = json.loads(path.read_bytes())
    photos = [said["photo"]] if "photo" in said else [row["photo"] for row in said.get("photos", ())]
    if (not of or photos == list(map(printable, of))) and (not classes or said.get("classes") == list(classes)):
        return name
    digest = hashlib.sha256("\0".join((*of, *classes)).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name}-{digest[:8]}"


def refuse_explanations(folder: Path, names: Iterable[str], *, inputs: Iterable[Path]) -> None:
    """Refuses, before the work, a folder that explanations must not be written to; earlier ones are replaced.

    Raises:
        UserError: it is a file, holds photos that are explained, cannot be written, or has something else under one of
            the names.
    """
    for source in inputs:
        refuse_folder(folder, option="--out", photos=source)
        if source.is_file() and folder.resolve() == source.resolve().parent:
            raise UserError(f"--out {printable(str(folder))}: the pictures would lie among the photos; name another")
    refuse_unwritable(folder / "any", advice="name a folder for the explanations with --out")
    for name in names if folder.is_dir() else ():
        files = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
        if any(map(os.path.lexists, files)) and not (
            files[-1].is_file() and any(is_ours(files[-1]) for is_ours in _KINDS)
        ):
            taken = next(file.name for file in files if os.path.lexists(file))
            advice = "choose another folder"
            raise UserError(f"--out {printable(str(folder))}: its {taken} is not an earlier explanation; {advice}")


def save_explanations(
    explained: Iterable[Explanation | Unread], folder: Path, names: Sequence[str], console: Console
) -> int:
    """Saves each explanation as it comes, and prints a line on it; returns how many photos could be read."""
    saved, lacking = 0, set[str]()
    for number, (value, name) in enumerate(zip(explained, names, strict=True)):
        if isinstance(value, Unread):
            tell(console, f"{value.photo.name}  cannot be read: {value.reason}")
            continue
        path, saved = value.save(folder, name, lacking=lacking), saved + 1
        if number < SHOWN:
            tell(console, f"{value.photo}  {_words(value)}: {path.name}")
    if len(names) > SHOWN:
        tell(console, f"and {len(names) - SHOWN:,} more")
    tell(console, *without_font("pictures", lacking))
    return saved


def _words(value: Explanation) -> str:
    answer, others = value.answers[0], [reason for reason in value.reasons if reason.against]
    of = [reason.name for reason in others if reason.name != answer.name]  # asked for
    return f"{answer.name} {100 * answer.probability:.0f} %" + "".join(
        f"; why {reason.name if of else ''}{' ' * bool(of)}not {reason.against}" for reason in others
    )
