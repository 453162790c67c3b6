"""Explanations on disk, three files per photo, and what is printed of them."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from fieldmark.console import tell
from fieldmark.data.dataset import Unread
from fieldmark.data.outputs import is_json_with, refuse_folder
from fieldmark.errors import UserError, printable
from fieldmark.explanations.explanation import Explanation
from fieldmark.files import refuse_unwritable

SUFFIXES = (".png", ".npz", ".json")
SHOWN = 20
"""The most photos that are printed one by one."""
_LONGEST = 60
_KINDS = (
    is_json_with("format_version", "run", "reasons"),
    is_json_with("format_version", "classes", "photos"),
    is_json_with("format_version", "figure", "panels"),
)


def names_of(photos: Sequence[str]) -> list[str]:
    """A file name, without suffix, for each photo's explanation: its number and its own name."""
    digits = len(str(len(photos)))
    return [f"{number:0{digits}d}-{_stem(photo)}" for number, photo in enumerate(photos, 1)]


def name_of_pair(first: str, second: str) -> str:
    """A file name, without suffix, for two photos or classes beside each other."""
    return f"{_stem(first)}--{_stem(second)}"


def _stem(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", printable(Path(name).stem))[:_LONGEST]


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
    saved = 0
    for number, (value, name) in enumerate(zip(explained, names, strict=True)):
        if isinstance(value, Unread):
            tell(console, f"{value.photo.name}  cannot be read: {value.reason}")
            continue
        path, saved = value.save(folder, name), saved + 1
        if number < SHOWN:
            tell(console, f"{value.photo}  {_words(value)}: {path.name}")
    if len(names) > SHOWN:
        tell(console, f"and {len(names) - SHOWN:,} more")
    return saved


def _words(value: Explanation) -> str:
    answer, others = value.answers[0], [reason for reason in value.reasons if reason.against]
    of = [reason.name for reason in others if reason.name != answer.name]  # asked for
    return f"{answer.name} {100 * answer.probability:.0f} %" + "".join(
        f"; why {reason.name if of else ''}{' ' * bool(of)}not {reason.against}" for reason in others
    )
