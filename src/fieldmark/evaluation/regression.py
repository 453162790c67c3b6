"""Logistic regression on frozen features: what a probe measures, and what a classifier may begin as."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse strengths of the penalty that cross-validation within the training photos tries."""
FOLDS = 3


class Regression(NamedTuple):
    """A fitted regression: ``features @ weight.T + bias`` are logits.

    ``weight`` (C, E) and ``bias`` (C,), -inf for a class without photos, are for features as they are, float64;
    ``strength`` is the chosen inverse penalty; ``hits``, bool (N,), says which photos were classified rightly by a fit
    to the other folds, and is None where no class has two units.
    """

    weight: np.ndarray
    bias: np.ndarray
    strength: float
    hits: np.ndarray | None

    def log_probabilities(self, features: np.ndarray) -> np.ndarray:
        """Of each class, (N, C), for features (N, E)."""
        logits = features @ self.weight.T + self.bias
        logits -= logits.max(1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def regress(features: np.ndarray, labels: np.ndarray, *, classes: int, units: np.ndarray | None = None) -> Regression:
    """Fits a multinomial logistic regression to standardised features.

    The penalty is chosen by cross-validation. A class whose photos are all in one fold counts as missed there. One
    thread computes, as several wait for each other between the short steps of L-BFGS.

    Args:
        features: (N, E).
        labels: (N,) integers below ``classes``, of at least two classes.
        classes: C.
        units: (N,), equal for photos that must share a fold, such as those of one animal; by default each is its own.
    """
    features = features.astype(np.float64)
    scaler = StandardScaler().fit(features)
    mean, scale = np.asarray(scaler.mean_), np.asarray(scaler.scale_)
    x, strength, hits = (features - mean) / scale, STRENGTHS[1], None
    if cuts := folds_of(labels, np.arange(len(labels)) if units is None else units):
        tried = {c: _out_of_fold(x, labels, cuts, c) for c in STRENGTHS}
        strength = max(tried, key=lambda c: tried[c].sum())
        hits = tried[strength]
    fitted = fit(x, labels, strength)
    # of two classes, the regression has the second one's alone
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:
        coefficients, intercepts = (np.concatenate([-value / 2, value / 2]) for value in (coefficients, intercepts))
    weight, bias = np.zeros((classes, x.shape[1])), np.full(classes, -np.inf)
    weight[fitted.classes_] = coefficients / scale
    bias[fitted.classes_] = intercepts - weight[fitted.classes_] @ mean
    return Regression(weight, bias, strength, hits)


def folds_of(labels: np.ndarray, units: np.ndarray, *, folds: int = FOLDS) -> list[tuple[np.ndarray, np.ndarray]]:
    """The other photos and those of each fold, by index; none where each class is a single unit.

    Args:
        labels: (N,).
        units: (N,), equal for photos that must share a fold.
        folds: how many, or fewer where no class has as many units.
    """
    pairs = np.unique(np.stack([labels, units]), axis=1)
    folds = min(folds, int(np.unique(pairs[0], return_counts=True)[1].max()))
    if folds < 2:
        return []
    single = len(np.unique(units)) == len(units)
    splitter = (StratifiedKFold if single else StratifiedGroupKFold)(folds, shuffle=True, random_state=0)
    with _ignored(UserWarning):  # a class with fewer units than folds
        cuts = splitter.split(labels, labels) if single else splitter.split(labels, labels, units)
        return [(others, fold) for others, fold in cuts if len(fold) and len(np.unique(labels[others])) > 1]


def _out_of_fold(x: np.ndarray, y: np.ndarray, cuts: Sequence[tuple[np.ndarray, ...]], strength: float) -> np.ndarray:
    hits = np.zeros(len(y), dtype=bool)
    for others, fold in cuts:
        hits[fold] = fit(x[others], y[others], strength).predict(x[fold]) == y[fold]
    return hits


def fit(x: np.ndarray, y: np.ndarray, strength: float) -> LogisticRegression:
    """The regression with an inverse penalty, in the precision of the standardised features ``x`` (N, E)."""
    # 200 iterations are enough for a probe
    with _ignored(ConvergenceWarning), threadpool_limits(1, user_api="blas"):
        return LogisticRegression(C=strength, max_iter=200).fit(x, y)


@contextmanager
def _ignored(kind: type[Warning]) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kind)
        yield
