"""Sets of answers that hold the true class with a stated coverage: split conformal prediction.

Photos that were kept out of training say how doubtful the true class may look: the score of a class is one minus its
probability, and a set holds the classes whose score is at most that of the k-th least doubtful of n held-out photos,
k being the coverage times n + 1, rounded up. For photos of the same kind the true class is then in the set with at
least that probability, on average over draws of the held-out photos, whatever the network is worth (V. Vovk,
A. Gammerman and G. Shafer, "Algorithmic learning in a random world", 2005). Of all sets with that coverage those of
this score are the smallest on average, if the probabilities are right (M. Sadinle, J. Lei and L. Wasserman, "Least
ambiguous set-valued classifiers with bounded error levels", Journal of the American Statistical Association 114 (2019),
223-234). ``benchmarks/CONFORMAL.md`` has it beside adaptive sets (APS, arXiv:2006.02544) and regularised ones (RAPS,
arXiv:2009.14193), which are larger.

A class with many held-out photos has a threshold of its own, so that it is covered by itself, and not at the expense of
harder classes (V. Vovk, "Conditional validity of inductive conformal predictors", Machine Learning 92 (2013), 349-376).
The others share one. In principle (coverage 0.9) nine photos are enough for a threshold; but with n of them a class's
coverage has a standard deviation of about sqrt(0.09 / n), and is up to 1 / (n + 1) too high on average. So a class
needs as many that five of them are expected outside of their sets: 50 at a coverage of 0.9.

A set may be empty: where the network is right more often than the coverage asks, even the likeliest class of the most
doubtful photos is less likely than it has to be. Then no class is likely enough, and a higher coverage names some.
"""

import math
from typing import NamedTuple

import numpy as np

from fieldmark.errors import UserError

OUTSIDE = 5
"""Held-out photos that must be expected outside of their sets for a threshold of a class's own."""


class Thresholds(NamedTuple):
    """The largest score that a class may have to be in a set."""

    scores: np.ndarray
    """(C,) float64."""
    own: np.ndarray
    """(C,) bool: whether it comes from the class's own photos."""


def scores_of(probabilities: np.ndarray) -> np.ndarray:
    """How doubtful each class looks: (N, C), from probabilities (N, C)."""
    return 1.0 - probabilities.astype(np.float64)


def photos_needed(coverage: float) -> int:
    """The fewest held-out photos of which a threshold of this coverage exists."""
    return math.ceil(round(coverage / (1 - coverage), 9))


def photos_for_own(coverage: float) -> int:
    """The fewest held-out photos of a class for a threshold of its own."""
    return math.ceil(round(OUTSIDE / (1 - coverage), 9))


def true_scores(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How doubtful the right classes look: (N,), from scores (N, C) and labels (N,)."""
    return scores[np.arange(len(labels)), labels]


def thresholds(
    scores: np.ndarray, labels: np.ndarray, *, classes: int, coverage: float, own_from: int | None = None
) -> Thresholds:
    """Thresholds for sets that hold the true class with the given coverage.

    Classes with enough held-out photos have thresholds of their own; the rest share one, of their photos if these are
    enough for that, else of all.

    Args:
        scores: (N,) of held-out photos, those of their own classes.
        labels: (N,) their classes.
        classes: C.
        coverage: such as 0.9.
        own_from: held-out photos that a class needs for a threshold of its own; by default ``photos_for_own``.

    Raises:
        UserError: a coverage that is none, or one for which there are too few held-out photos.
    """
    refuse_coverage(coverage, photos=len(labels))
    least = photos_for_own(coverage) if own_from is None else own_from
    counts = np.bincount(labels, minlength=classes)
    own = counts >= max(least, photos_needed(coverage))
    rest = scores[~own[labels]]
    shared = np.sort(rest if len(rest) >= photos_for_own(coverage) else scores)
    by_class = scores[np.lexsort((scores, labels))]  # class after class, each in the order of its scores
    at = np.cumsum(counts) - counts + _rank(counts, coverage) - 1
    found = np.full(classes, shared[_rank(np.array([len(shared)]), coverage)[0] - 1])
    found[own] = by_class[at[own]]
    return Thresholds(found, own)


def sets_of(scores: np.ndarray, limits: Thresholds) -> np.ndarray:
    """Which classes are in each photo's set: bool (N, C), from scores (N, C)."""
    return scores <= limits.scores


def refuse_coverage(coverage: float, *, photos: int | None = None) -> None:
    """Raises ``UserError`` for a coverage that is none, or too high for a number of held-out photos, where known."""
    if not 0 < coverage < 1:
        raise UserError(f"--coverage {coverage}: it must lie between 0 and 1, such as 0.9")
    if photos is not None and (needed := photos_needed(coverage)) > photos:
        few = f"it needs {needed:,} photos kept out of training, and the run has {photos:,}"
        most = math.floor(1000 * photos / (photos + 1)) / 1000
        advice = f"ask for at most {most:g}" if photos else "leave it out"
        raise UserError(f"--coverage {coverage}: {few};\n{advice}")


def _rank(counts: np.ndarray, coverage: float) -> np.ndarray:
    """Which of n scores is the threshold, counted from 1: coverage times n + 1, rounded up but for rounding errors."""
    return np.ceil(np.round((counts + 1) * coverage, 9)).astype(np.int64)
