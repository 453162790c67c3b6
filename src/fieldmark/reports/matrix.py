"""The confusion matrix as a table that stays readable: its classes, their order, and how deep its colours are."""

from typing import NamedTuple

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

LARGEST = 60
"""Classes that one table shows; of more, those with the most mistakes."""
LEVELS = 5
"""Depths of the colours."""


class Cell(NamedTuple):
    """Photos of one class that were answered as one class; ``level`` 1 to ``LEVELS`` is the depth of its colour."""

    true: int
    predicted: int
    photos: int
    level: int

    @property
    def is_mistake(self) -> bool:
        """Whether the two classes differ."""
        return self.true != self.predicted


class Matrix(NamedTuple):
    """The classes of rows and columns in their order, by label, and a row of cells for each, None where it is empty.

    ``confused`` is the number of classes that have any part in a mistake; ``hidden`` are mistakes outside of the table.
    """

    labels: tuple[int, ...]
    rows: tuple[tuple[Cell | None, ...], ...]
    confused: int
    hidden: int


def matrix_of(confusion: np.ndarray) -> Matrix:
    """The table for photos (C, C) by true class (row) and answer (column).

    Up to ``LARGEST`` classes are all shown, of more those with most mistakes. Classes that are taken for each other
    stand beside each other.
    """
    wrong = confusion - np.diag(np.diag(confusion))
    parts = wrong.sum(0) + wrong.sum(1)
    chosen = np.arange(len(confusion))
    if len(confusion) > LARGEST:
        chosen = np.sort(np.argsort(-parts, kind="stable")[: min(LARGEST, int((parts > 0).sum()))])
    labels = [int(chosen[at]) for at in _neighbours(wrong[np.ix_(chosen, chosen)])]
    totals = confusion.sum(1)
    rows = tuple(tuple(_cell(confusion, totals, true, predicted) for predicted in labels) for true in labels)
    shown = sum(cell.photos for row in rows for cell in row if cell and cell.is_mistake)
    return Matrix(tuple(labels), rows, int((parts > 0).sum()), int(wrong.sum()) - shown)


def _cell(confusion: np.ndarray, totals: np.ndarray, true: int, predicted: int) -> Cell | None:
    photos = int(confusion[true, predicted])
    if not photos:
        return None
    share = photos / int(totals[true])
    return Cell(true, predicted, photos, min(int(share * LEVELS) + 1, LEVELS))


def _neighbours(wrong: np.ndarray) -> list[int]:
    """An order of classes (C, C) in which those that are taken for each other are near; as given where none are."""
    both = (wrong + wrong.T).astype(np.float64)
    if len(both) < 3 or not both.any():
        return list(range(len(both)))
    distances = 1 / (1 + both)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
    return leaves_list(tree).tolist()
