"""Two runs on the same photos: which has which right, and by how much one is better."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fieldmark.data.dataset import Photo, Unread
from fieldmark.errors import printable
from fieldmark.evaluation.metrics import Headline
from fieldmark.evaluation.paired import class_weights, mcnemar, paired_share_difference
from fieldmark.evaluation.statistics import Interval, share_interval

FIGURES: tuple[Headline, ...] = ("top1", "mean_per_class")
ROUNDING = 1e-9
"""Points by which a difference may lie below a limit through rounding alone."""


class Counts(NamedTuple):
    """How many photos both runs have right, the first run alone, the second alone, and neither."""

    both: int
    only_first: int
    only_second: int
    neither: int


class ClassChange(NamedTuple):
    """A class of which the runs do not have equally many photos right: ``first`` and ``second`` of ``photos``."""

    name: str
    photos: int
    first: int
    second: int

    @property
    def change(self) -> int:
        """Photos that the first run has right beyond the second."""
        return self.first - self.second


@dataclass(frozen=True)
class Comparison:
    """A run (the first) and one that it is measured against (the second), on the photos that both could read.

    ``runs`` are their folders as given; ``labels`` (N,) of ``photos`` and ``predicted`` (2, N), a row for each run,
    index ``classes``, those of the first run; ``left_out`` are the photos that the first run could not read, and those
    that only the second could not; ``headline`` names the first run's figure to look at; ``trained_on`` counts the
    photos that each run was trained on.
    """

    runs: tuple[str, str]
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    labels: np.ndarray
    predicted: np.ndarray
    headline: Headline
    left_out: tuple[tuple[Unread, ...], tuple[Unread, ...]] = ((), ())
    trained_on: tuple[int, int] = (0, 0)

    @property
    def right(self) -> np.ndarray:
        """Whether each run is right, bool (2, N)."""
        return self.predicted == self.labels

    @property
    def counts(self) -> Counts:
        """Of the photos by who is right."""
        first, second = self.right
        sets = (first & second, first & ~second, ~first & second, ~first & ~second)
        return Counts(*(int(each.sum()) for each in sets))

    @property
    def top1(self) -> tuple[Interval, Interval]:
        """Each run's top-1 on these photos, with its interval."""
        first, second = (share_interval(int(each.sum()), len(self.photos)) for each in self.right)
        return first, second

    @property
    def mean_per_class(self) -> tuple[float, float]:
        """Each run's mean per-class accuracy over the classes that have photos here."""
        first, second = (float(each) for each in self.right @ class_weights(self.labels))
        return first, second

    def difference(self, figure: Headline) -> Interval:
        """The first run's figure less the second's, a share, with its 95 % interval over photos."""
        first, second = self.right.astype(np.int64)
        weights = class_weights(self.labels) if figure == "mean_per_class" else None
        return paired_share_difference(first - second, weights)

    @property
    def p(self) -> float:
        """Of McNemar's exact test."""
        return mcnemar(self.counts.only_first, self.counts.only_second)

    @property
    def changes(self) -> list[ClassChange]:
        """The classes with another number of right photos, the largest change first; equal ones in the classes' order.

        As many photos may have become right as wrong in a class that is not listed.
        """
        size = len(self.classes)
        photos = np.bincount(self.labels, minlength=size).tolist()
        first, second = (np.bincount(self.labels[each], minlength=size).tolist() for each in self.right)
        found = [ClassChange(*row) for row in zip(self.classes, photos, first, second, strict=True)]
        return sorted((each for each in found if each.change), key=lambda each: -abs(each.change))

    def regressed(self, points: float) -> bool:
        """Whether the first run is worse by more than ``points``: its headline itself, not the interval, decides.

        Raises:
            ValueError: points that are no number, infinite or below 0.
        """
        if not 0 <= points < np.inf:
            raise ValueError(f"{points} points: it must be a number from 0 on")
        return 100 * self.difference(self.headline).mean < -points - ROUNDING

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data; shares and differences of shares lie between -1 and 1."""
        return {
            "n": len(self.photos),
            "n_left_out": sum(map(len, self.left_out)),
            "headline": self.headline,
            "runs": [self._run_to_json(at) for at in range(2)],
            "difference": {figure: self.difference(figure).mean for figure in FIGURES},
            "difference_interval": {figure: list(self.difference(figure)[1:]) for figure in FIGURES},
            "mcnemar_p": self.p,
            "photos": self.counts._asdict(),
            "changed_classes": [
                {"class": each.name, "photos": each.photos, "right": [each.first, each.second]} for each in self.changes
            ],
        }

    def _run_to_json(self, at: int) -> dict[str, Any]:
        return {
            "run": printable(self.runs[at]),
            "top1": self.top1[at].mean,
            "top1_interval": list(self.top1[at][1:]),
            "mean_per_class": self.mean_per_class[at],
            "trained_on": self.trained_on[at],
            "left_out": [photo.line for photo in self.left_out[at]],
        }
