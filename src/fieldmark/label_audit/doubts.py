"""Which labels are likely wrong: confident learning on predictions out of fold (cleanlab).

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021,
arXiv:1911.00068. How many labels are doubted is its calibrated count of labels off the diagonal; which, is the
probability of the given class.
"""

import warnings
from typing import NamedTuple

import numpy as np

from fieldmark.errors import UserError
from fieldmark.label_audit.out_of_fold import Predicted

NEEDED = "finding likely label errors needs the package cleanlab: pip install 'fieldmark[audit]'"


class Pair(NamedTuple):
    """Two classes of which ``first_as_second`` photos of the one look like the other, and the other way round.

    The labels of ``doubted`` of these photos are likely wrong.
    """

    first: int
    second: int
    first_as_second: int
    second_as_first: int
    doubted: int


def refuse_without_cleanlab() -> None:
    """Raises ``UserError`` where cleanlab is not installed."""
    try:
        import cleanlab.filter  # noqa: F401
    except ModuleNotFoundError:
        raise UserError(NEEDED) from None


def doubted(predicted: Predicted, labels: np.ndarray) -> np.ndarray:
    """The positions of photos whose label is likely wrong, the least credible first.

    Args:
        predicted: out of fold, of N photos and C classes.
        labels: (N,) as given.
    """
    from cleanlab.filter import find_label_issues

    rows = np.flatnonzero(predicted.judged)
    if len(rows) < 2:
        return rows[:0]
    known, own = np.unique(labels[rows], return_inverse=True)  # cleanlab wants each class to have a photo
    if len(known) < 2:
        return rows[:0]
    probabilities = predicted.probabilities[np.ix_(rows, known)]
    probabilities = probabilities / probabilities.sum(1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with few photos, which are said by us
        found = find_label_issues(own, probabilities, filter_by="low_self_confidence", n_jobs=1)
    suspects = rows[found & (probabilities.argmax(1) != own)]
    credible = predicted.probabilities[suspects, labels[suspects]]
    return suspects[np.argsort(credible, kind="stable")]


def confusable(predicted: Predicted, labels: np.ndarray, doubts: np.ndarray) -> list[Pair]:
    """Pairs of classes that are taken for each other out of fold, the most often first."""
    classes = predicted.probabilities.shape[1]
    counts, doubted = np.zeros((2, classes, classes), dtype=np.int64)
    for table, rows in ((counts, np.flatnonzero(predicted.judged)), (doubted, doubts)):
        np.add.at(table, (labels[rows], predicted.labels[rows]), 1)
    np.fill_diagonal(counts, 0)
    doubted = doubted + doubted.T
    mixed = np.argwhere(np.triu(counts + counts.T)).tolist()
    pairs = [Pair(a, b, int(counts[a, b]), int(counts[b, a]), int(doubted[a, b])) for a, b in mixed]
    return sorted(pairs, key=lambda pair: -pair.first_as_second - pair.second_as_first)
