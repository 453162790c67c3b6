"""Where an exported file goes, with what is written beside it; and what must not be overwritten for it."""

from pathlib import Path

from fieldmark.data.outputs import is_json_with, refuse_file
from fieldmark.errors import UserError, printable
from fieldmark.ship.container import MANIFEST, Damaged, contained
from fieldmark.ship.manifest import Precision

MARK = "<!-- model card by fieldmark export -->"
"""The first line of a card, by which it is known again."""


def name_of(*, pixels: bool, precision: Precision) -> str:
    """Of a file that the user does not name, so that variants lie beside each other."""
    words = ["model", *(["pixels"] if pixels else []), *([precision] if precision != "fp32" else [])]
    return f"{'.'.join(words)}.onnx"


def card_beside(path: Path) -> Path:
    """Where the card of an exported file lies."""
    return path.with_suffix(".md")


def parity_beside(path: Path) -> Path:
    """Where the comparison with the network lies."""
    return path.with_suffix(".parity.json")


def refuse_target(path: Path) -> None:
    """Refuses, before the work, a file that must not be written.

    Raises:
        UserError: no name for an ONNX file, or one of what would be replaced is not an earlier export.
    """
    if path.suffix != ".onnx":
        raise UserError(f"--out {printable(str(path))}: name a file that ends in .onnx")
    refuse_file(path, option="--out", is_ours=is_export)
    refuse_file(card_beside(path), option="--out", is_ours=_is_card)
    refuse_file(parity_beside(path), option="--out", is_ours=is_json_with("batches", "on_photos"))


def is_export(path: Path) -> bool:
    """Whether a file is an earlier export, of any version."""
    try:
        return MANIFEST in contained(path.read_bytes()).metadata
    except (Damaged, OSError):
        return False


def _is_card(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()
