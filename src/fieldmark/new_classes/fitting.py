"""The row of a new class: a logistic regression against the old classes, whose rows stay as they are."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

STRENGTH = 1e-2
"""The inverse strength of the penalty on the row's weight, for inputs of variance 1."""
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

    The cross-entropy of all photos under the old rows and this one, each photo counting once however many views it has,
    with a penalty on the weight; convex.

    Args:
        views: (n, V, E), inputs of the layer for V views of each photo of the class.
        rest: the old classes.
    """
    flat = views.reshape(-1, views.shape[2]).astype(np.float64)
    x = np.concatenate([rest.inputs, flat])
    mean, scale = rest.inputs.mean(0), np.maximum(rest.inputs.std(0), 1e-3 * rest.inputs.std() + 1e-12)
    counts = np.concatenate([np.ones(len(rest.inputs)), np.full(len(flat), 1 / views.shape[1])])
    signs = np.concatenate([-np.ones(len(rest.inputs)), np.ones(len(flat))])
    others = _log_sum(rest.logits_of(x))
    x = (x - mean) / scale

    def loss(row: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (x @ row[:-1] + row[-1] - others)
        slopes = -counts * signs * np.exp(-np.logaddexp(0, margins))
        value = counts @ np.logaddexp(0, -margins) + row[:-1] @ row[:-1] / (2 * STRENGTH)
        return value, np.append(x.T @ slopes + row[:-1] / STRENGTH, slopes.sum())

    with threadpool_limits(1, user_api="blas"):
        found: Any = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    weight = found.x[:-1] / scale
    return Row(weight, float(found.x[-1] - weight @ mean))


def _log_sum(logits: np.ndarray) -> np.ndarray:
    """log sum exp over the classes, (n,)."""
    most = logits.max(1)
    return most + np.log(np.exp(logits - most[:, None]).sum(1))
