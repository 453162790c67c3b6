"""What an evaluation says, as the report shows it: figures, classes, look-alike pairs, mistakes and confidence."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fieldmark.evaluation.evaluate import Evaluation
from fieldmark.evaluation.metrics import confused_pairs
from fieldmark.evaluation.statistics import Interval, mean_share_interval, share_interval

PAIRS, LEAST = 12, 6
"""Look-alike pairs that are shown at most, and at least: where fewer are confused, those that come nearest to it."""
TOP = 5


class Figure(NamedTuple):
    """A share with its interval, None where none is computed; ``is_first`` marks the one to look at first."""

    name: str
    share: float
    interval: Interval | None
    is_first: bool


class ClassRow(NamedTuple):
    """A class: photos measured, how many were right, and the class that it is most often taken for ("" for none).

    ``trained`` are its training photos, None where that is unknown; ``accuracy`` is None without photos.
    """

    name: str
    trained: int | None
    photos: int
    right: int
    accuracy: Interval | None
    taken_for: str
    times: int


class Pair(NamedTuple):
    """Two classes that are taken for each other, by label, and how many photos of each were taken for the other.

    ``probability`` is that of the other class, on average over both classes' photos.
    """

    first: int
    second: int
    first_as_second: int
    second_as_first: int
    probability: float

    @property
    def photos(self) -> int:
        """In both directions."""
        return self.first_as_second + self.second_as_first


class Mistake(NamedTuple):
    """A wrong answer: the photo's row in the evaluation, its class, the answer, and the probabilities of both."""

    row: int
    true: int
    predicted: int
    true_probability: float
    probability: float


class Range(NamedTuple):
    """Photos whose answers have a probability between two ends: how many, how sure on average, how many are right."""

    low: float
    high: float
    photos: int
    probability: float
    accuracy: Interval


def figures_of(result: Evaluation) -> list[Figure]:
    """The figures, the headline first."""
    metrics, confusion = result.metrics, result.metrics.confusion
    right, photos = np.diag(confusion), confusion.sum(1)
    shares = [("top-1 accuracy", "top1", result.top1_interval)]
    shares.append(("mean per-class accuracy", "mean_per_class", mean_share_interval(right, photos)))
    if metrics.top5 is not None:
        shares.append(("top-5 accuracy", "top5", share_interval(round(metrics.top5 * metrics.n), metrics.n)))
    figures = [Figure(name, interval.mean, interval, key == result.headline) for name, key, interval in shares]
    figures.append(Figure("macro F1", metrics.macro_f1, None, False))
    return sorted(figures, key=lambda figure: not figure.is_first)


def class_rows(result: Evaluation, trained: Mapping[str, int]) -> list[ClassRow]:
    """A row per class, the least accurate first and those without photos last; ``trained`` as far as it is known."""
    confusion = result.metrics.confusion
    wrong = confusion - np.diag(np.diag(confusion))
    rows = []
    for label, name in enumerate(result.classes):
        photos, right = int(confusion[label].sum()), int(confusion[label, label])
        worst = int(wrong[label].argmax())
        times = int(wrong[label, worst])
        accuracy = share_interval(right, photos) if photos else None
        taken_for = result.classes[worst] if times else ""
        rows.append(ClassRow(name, trained.get(name), photos, right, accuracy, taken_for, times))
    return sorted(rows, key=lambda row: (row.accuracy.mean, -row.photos) if row.accuracy else (2.0, 0))


def pairs_of(result: Evaluation) -> list[Pair]:
    """The pairs of classes that are confused most, most often confused first; of equals, the nearer to each other."""
    confusion, given = result.metrics.confusion, _given(result)
    nearest = np.argsort(-np.triu(given, 1), axis=None, kind="stable")[: LEAST if len(given) > 1 else 0]
    near = (divmod(int(at), len(given)) for at in nearest if np.triu(given, 1).flat[at] > 0)
    found = [(i, j) for i, j, _ in confused_pairs(confusion, PAIRS)]
    found += [pair for pair in near if pair not in found][: max(LEAST - len(found), 0)]
    pairs = [Pair(i, j, int(confusion[i, j]), int(confusion[j, i]), float(given[i, j])) for i, j in found]
    return sorted(pairs, key=lambda pair: (-pair.photos, -pair.probability))


def _given(result: Evaluation) -> np.ndarray:
    """The probability (C, C) that photos of two classes give to the other of them, on average."""
    shares, count = np.exp(result.log_probabilities), len(result.classes)
    sums = np.zeros((count, count))
    np.add.at(sums, result.labels, shares)
    photos = np.bincount(result.labels, minlength=count)
    return (sums + sums.T) / np.maximum(photos[:, None] + photos[None], 1)


def mistakes_of(result: Evaluation) -> list[Mistake]:
    """All wrong answers, worst first: those whose true class has the smallest probability."""
    shares, predicted = np.exp(result.log_probabilities), result.logits.argmax(1)
    rows = np.arange(len(result.labels))
    true, likeliest = shares[rows, result.labels], shares[rows, predicted]
    order = np.argsort(true, kind="stable")
    return [
        Mistake(row, int(result.labels[row]), int(predicted[row]), float(true[row]), float(likeliest[row]))
        for row in order.tolist()
        if predicted[row] != result.labels[row]
    ]


def most_confident(mistakes: list[Mistake], count: int) -> list[Mistake]:
    """The mistakes of which the network was surest, surest first."""
    return sorted(mistakes, key=lambda mistake: -mistake.probability)[:count]


def ranges_of(result: Evaluation) -> tuple[Range, ...]:
    """Whether answers are right as often as their probabilities say."""
    return tuple(
        Range(part.low, part.high, part.photos, part.probability, share_interval(part.right, part.photos))
        for part in result.calibration.bins
    )


def example_of(result: Evaluation, label: int, against: int) -> int | None:
    """The row of the photo of a class that shows it best beside another class: right if any is, and the surest.

    None where the class has no photo.
    """
    rows = np.flatnonzero(result.labels == label)
    if not len(rows):
        return None
    shares = result.log_probabilities[rows]
    is_right = result.logits[rows].argmax(1) == label
    order = np.lexsort((-(shares[:, label] - shares[:, against]), ~is_right))
    return int(rows[order[0]])
