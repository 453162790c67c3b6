"""The row of a new class: a logistic regression against the old classes, whose rows stay as they are.

Its bias is then set by what the old classes can spare: few photos of theirs may go to the new class by a fit without
them. With few photos of the new class, the regression's own bias is far too low for others of its kind.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

VARIANCE = 400.0
"""Of the new class's logit, before anything is known of the class: the penalty on its weight is as strong as that."""
SHARE = 0.0015
"""Of photos of the old classes that the new one may take."""
TAIL = 0.07
"""Share of these photos, the likeliest to be taken, by which that share is extrapolated."""
FOLDS = 3
STEPS = 200


class Row(NamedTuple):
    """``weight`` (E,) and ``bias`` of one class, float64."""

    weight: np.ndarray
    bias: float


@dataclass(frozen=True)
class Rest:
    """The old classes, as one layer scores them.

    Args:
        inputs: (N, E), what the layer is given for photos of them.
        labels: (N,), their classes.
        weight: (C, E).
        bias: (C,).
    """

    inputs: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def logits_of(self, inputs: np.ndarray) -> np.ndarray:
        """(n, C) for inputs (n, E)."""
        return inputs @ self.weight.T + self.bias

    def best_of(self, inputs: np.ndarray) -> np.ndarray:
        """The highest logit of an old class, (n,)."""
        return self.logits_of(inputs).max(1)

    @cached_property
    def best(self) -> np.ndarray:
        """``best_of`` the old photos."""
        return self.best_of(self.inputs)

    @cached_property
    def right(self) -> np.ndarray:
        """Which old photos get their own class, bool (N,)."""
        return self.logits_of(self.inputs).argmax(1) == self.labels


def fitted(views: np.ndarray, rest: Rest) -> Row:
    """The row of a class, of whose photos as much is known as ``views`` show.

    Args:
        views: (n, V, E), inputs of the layer for V views of each photo of the class.
        rest: the old classes.
    """
    row = regressed(views, rest)
    return Row(row.weight, row.bias - threshold(views, rest))


def regressed(views: np.ndarray, rest: Rest, *, without: np.ndarray | None = None) -> Row:
    """The row with the least cross-entropy of all photos and a penalty on its weight; convex.

    Each photo of the new class counts once, however many views it has.

    Args:
        views: (n, V, E).
        rest: the old classes.
        without: bool (N,), photos of the old classes that are left out; those that stay count for them.
    """
    kept = slice(None) if without is None else ~without
    old, flat = rest.inputs[kept], views.reshape(-1, views.shape[2])
    x = np.concatenate([old, flat]).astype(np.float64)
    mean, scale = rest.inputs.mean(0), np.maximum(rest.inputs.std(0), 1e-2 * rest.inputs.std() + 1e-12)
    counts = np.repeat([len(rest.inputs) / len(old), 1 / views.shape[1]], [len(old), len(flat)])
    signs = np.repeat([-1.0, 1.0], [len(old), len(flat)])
    others, strength = _log_sum(rest.logits_of(x)), VARIANCE / x.shape[1]
    x = (x - mean) / scale

    def loss(row: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (x @ row[:-1] + row[-1] - others)
        slopes = -counts * signs * np.exp(-np.logaddexp(0, margins))
        value = counts @ np.logaddexp(0, -margins) + row[:-1] @ row[:-1] / (2 * strength)
        return value, np.append(x.T @ slopes + row[:-1] / strength, slopes.sum())

    with threadpool_limits(1, user_api="blas"):
        found: Any = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    weight = found.x[:-1] / scale
    return Row(weight, float(found.x[-1] - weight @ mean))


def threshold(views: np.ndarray, rest: Rest) -> float:
    """By how much the new class's logit must exceed the old ones' so that it takes ``SHARE`` of their photos.

    Photos that are answered rightly, each under a row that was fitted without it.

    Args:
        views: (n, V, E).
        rest: the old classes.
    """
    gaps, fold = np.empty(len(rest.inputs)), np.random.default_rng(0).permutation(len(rest.inputs)) % FOLDS
    for number in range(min(FOLDS, len(gaps))):
        out = fold == number
        row = regressed(views, rest, without=out if len(gaps) > 1 else None)
        gaps[out] = rest.inputs[out] @ row.weight + row.bias - rest.best[out]
    return _exceeded(gaps[rest.right] if rest.right.any() else gaps)


def _exceeded(gaps: np.ndarray) -> float:
    """What ``SHARE`` of the gaps' kind exceed, by an exponential tail: the largest of few are a matter of chance."""
    ordered = np.sort(gaps)[::-1]
    count = max(1, round(TAIL * len(gaps)))
    if count >= len(gaps):
        return float(ordered[0])
    excess = ordered[:count] - ordered[count]
    return float(ordered[count] + excess.mean() * np.log(count / len(gaps) / SHARE))


def _log_sum(logits: np.ndarray) -> np.ndarray:
    """log sum exp over the classes, (n,)."""
    most = logits.max(1)
    return most + np.log(np.exp(logits - most[:, None]).sum(1))
