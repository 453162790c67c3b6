"""Mistakes whose label is doubted, too, by the list of suspects that ``fieldmark check --labels`` leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fieldmark.data.corrections import KEEP, TABLE, photo_of, photos_by_name, read_decisions, suspects_folder
from fieldmark.data.outputs import is_table_with
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.evaluate import Evaluation
from fieldmark.reports.measured import Mistake

COLUMNS = ("file", "given", "suggested", "decision")


class Doubted(NamedTuple):
    """A mistake, and the class that the list suggests for its photo."""

    mistake: Mistake
    suggested: str


@dataclass(frozen=True)
class Suspects:
    """The mistakes whose labels a ``table`` doubts, in its order: the least credible label first."""

    table: Path
    doubted: tuple[Doubted, ...]


def table_of_suspects(data: Path, named: Path | None) -> Path | None:
    """The list that the user ``named``, or else the one that ``check DATA --labels`` left here; None without any.

    Raises:
        UserError: the named one is missing, or no such list.
    """
    if named is None:
        usual = suspects_folder(data) / TABLE
        return usual if usual.is_file() and is_table_with(*COLUMNS)(usual) else None
    if not named.is_file():
        raise UserError(f"--suspects {printable(str(named))}: no such file")
    if not is_table_with(*COLUMNS)(named):
        raise UserError(f"--suspects {printable(str(named))}: not a list that `fieldmark check DATA --labels` writes")
    return named


def doubted_among(result: Evaluation, mistakes: Sequence[Mistake], table: Path) -> Suspects:
    """Which mistakes the list doubts: with a suggested class, given the label they have, and not yet to be kept."""
    photos = photos_by_name(result.photos)
    wrong = {result.photos[mistake.row].name: mistake for mistake in mistakes}
    doubted = []
    for row in read_decisions(table):
        photo = photo_of(row.file, photos)
        mistake = wrong.get(photo.name) if photo else None
        if mistake is None or not row.suggested or row.decision.casefold() == KEEP:
            continue
        if row.given.removeprefix("'") == result.classes[mistake.true].removeprefix("'"):
            doubted.append(Doubted(mistake, row.suggested))
    return Suspects(table, tuple(doubted))
