"""Temperature scaling: one number that makes probabilities as sure as answers are right.

C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

COLDEST, HOTTEST = 0.01, 100.0
"""Temperatures looked at."""
WIDEST = 3.0
"""How many times the lower end of its interval the upper one may be, for a temperature to be used.

With wider ones, the log loss of other photos was further from its least than it may be without any temperature.
"""
HALVINGS = 30
"""Of the range of temperatures, in search of one: to 1e-8 of it."""
QUANTILE = 3.841459
"""Of chi-squared with one degree of freedom: 95 % lie below."""


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by, and the two ends of its 95 % interval, ``COLDEST`` and ``HOTTEST`` at the utmost."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether the photos tell it well enough to be used."""
        return self.high <= WIDEST * self.low


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> Temperature:
    """The temperature of least log loss, with the interval of its likelihood ratio.

    The log loss is convex in the inverse temperature, so the root of its derivative is the least.

    Args:
        logits: (N, C) of photos that the network was not trained on.
        labels: (N,).

    Raises:
        ValueError: no photos.
    """
    if not len(labels):
        raise ValueError("a temperature needs photos")
    margins = _margins(logits, labels)
    ends = (-math.log(HOTTEST), -math.log(COLDEST))

    def slope(log_inverse: float) -> float:
        inverse = math.exp(log_inverse)
        weights = np.exp(inverse * margins - _log_sums(inverse, margins)[:, None])
        return float((weights * margins).sum())

    def excess(log_inverse: float) -> float:
        return _log_loss(math.exp(log_inverse), margins) - least - bound

    best = _root(slope, *ends)
    least, bound = _log_loss(math.exp(best), margins), QUANTILE / 2
    low, high = (end if excess(end) <= 0 else _root(excess, *sorted((best, end))) for end in reversed(ends))
    return Temperature(*(round(math.exp(-log_inverse), 6) for log_inverse in (best, low, high)))


def _margins(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, C), how far each logit is above that of the photo's own class."""
    values = logits.astype(np.float64)
    return values - np.take_along_axis(values, labels[:, None], 1)


def _log_sums(inverse: float, margins: np.ndarray) -> np.ndarray:
    """(N,), the log loss of each photo."""
    top = margins.max(1)
    return inverse * top + np.log(np.exp(inverse * (margins - top[:, None])).sum(1))


def _log_loss(inverse: float, margins: np.ndarray) -> float:
    return float(_log_sums(inverse, margins).sum())


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function changes its sign; the end at which it is nearer to doing so, where it does not."""
    first, last = function(low), function(high)
    if first * last >= 0:
        return low if abs(first) < abs(last) else high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if function(middle) * first <= 0 else (middle, high)
    return (low + high) / 2
