"""Predictions for each photo by regressions that have seen neither it nor the photos that belong with it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from fieldmark.evaluation.regression import fit, folds_of

FOLDS = 5
STRENGTHS = (1e-3, 1e-2, 1e-1)
"""Inverse strengths of the penalty, of which the one with the lowest log loss out of fold is taken."""
SHARES = (0.25, 0.5)
"""Shares of the other photos that a learning curve is fitted to, besides all of them."""
_LEAST = 1e-12
_NONE = -1e5
"""A logarithm so low that its exponential is 0 at any temperature."""
Cuts = Sequence[tuple[np.ndarray, np.ndarray]]
Progress = Callable[[int], object]


class Predicted(NamedTuple):
    """What is said of each photo by fits to the other folds.

    ``probabilities`` float64 (N, C), calibrated; ``judged`` bool (N,) is False for photos whose class the fit has not
    seen, as all photos of it are one unit; ``strength`` is the inverse penalty and ``temperature`` what the logits were
    divided by; ``hits`` bool (3, N) says which photos a fit to a quarter, a half and all of the others had right.
    """

    probabilities: np.ndarray
    judged: np.ndarray
    strength: float
    temperature: float
    hits: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The likeliest class of each photo, (N,)."""
        return self.probabilities.argmax(1)


def fits_of(cuts: Cuts) -> int:
    """How many regressions ``predict_out_of_fold`` fits."""
    return len(cuts) * (len(STRENGTHS) + len(SHARES))


def predict_out_of_fold(
    features: np.ndarray, labels: np.ndarray, cuts: Cuts, *, classes: int, progress: Progress | None = None
) -> Predicted:
    """Fits regressions to all folds but one and predicts that one, in turn.

    Logits are divided by the temperature with the lowest log loss, as their confidence decides which labels are doubted
    (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599).

    Args:
        features: standardised, float32 (N, E).
        labels: (N,) integers below ``classes``.
        cuts: as ``cuts_of`` gives them, at least one.
        classes: C.
        progress: called with the number of regressions just fitted.
    """
    judged = np.zeros(len(labels), dtype=bool)
    for others, fold in cuts:
        judged[fold] = np.isin(labels[fold], labels[others])
    tried = {}
    for strength in STRENGTHS:
        logs = _logs(features, labels, cuts, classes, strength, progress)
        tried[strength] = _calibrated(logs, labels, judged)
    strength = min(tried, key=lambda strength: tried[strength][2])
    logs, temperature, _ = tried[strength]
    partly = [_logs(features, labels, _parts(labels, cuts, share), classes, strength, progress) for share in SHARES]
    hits = np.stack([each.argmax(1) == labels for each in (*partly, logs)])
    return Predicted(np.exp(logs), judged, strength, temperature, hits)


def cuts_of(labels: np.ndarray, units: np.ndarray) -> Cuts:
    """The positions of the other photos and of those in each of up to ``FOLDS`` folds; photos of a unit share one."""
    return folds_of(labels, units, folds=FOLDS)


def standardised(features: np.ndarray) -> np.ndarray:
    """Features (N, E) with mean 0 and deviation 1 in each column, float32; constant columns become 0."""
    features = features.astype(np.float64)
    spread = features.std(0)
    return ((features - features.mean(0)) / np.where(spread > 0, spread, 1)).astype(np.float32)


def _logs(
    features: np.ndarray, labels: np.ndarray, cuts: Cuts, classes: int, strength: float, progress: Progress | None
) -> np.ndarray:
    """Log-probabilities (N, C) out of fold; a class that a fit has not seen has none."""
    logs = np.full((len(labels), classes), _NONE)
    for others, fold in cuts:
        fitted = fit(features[others], labels[others], strength)
        seen = fitted.predict_proba(features[fold]).astype(np.float64)
        logs[np.ix_(fold, fitted.classes_)] = np.log(np.maximum(seen, _LEAST))
        if progress:
            progress(1)
    return logs


def _calibrated(logs: np.ndarray, labels: np.ndarray, judged: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The log-probabilities at the best temperature, that temperature, and their log loss over the judged photos."""
    rows = np.flatnonzero(judged)
    if not len(rows):
        return logs, 1.0, 0.0

    def at(inverse: float) -> np.ndarray:
        scaled = logs * inverse
        scaled -= scaled.max(1, keepdims=True)
        return scaled - np.log(np.exp(scaled).sum(1, keepdims=True))

    best: Any = minimize_scalar(
        lambda inverse: -at(inverse)[rows, labels[rows]].mean(), bounds=(0.2, 5), method="bounded"
    )
    return at(best.x), 1 / float(best.x), float(best.fun)


def _parts(labels: np.ndarray, cuts: Cuts, share: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The folds, with a share of the other photos of each class, at least one."""
    generator = np.random.default_rng(0)
    parts = []
    for others, fold in cuts:
        mixed = generator.permutation(others)
        order = np.argsort(labels[mixed], kind="stable")
        mixed, own = mixed[order], labels[mixed][order]
        first = np.searchsorted(own, own, side="left")
        counts = np.searchsorted(own, own, side="right") - first
        parts.append((np.sort(mixed[np.arange(len(own)) - first < np.maximum(share * counts, 1)]), fold))
    return parts
