"""How far more photos would help each class: a learning curve from fits to a quarter, a half and all of the photos.

The share of mistakes e of n photos is taken for a power law, e = a n^(-b) (Hestness et al., "Deep Learning Scaling is
Predictable, Empirically", 2017, arXiv:1712.00409), with one exponent b for all classes, as the few photos of one class
say nothing of its own; a is that of the class. Doubted labels stay in: only mistakes of the fit to all photos are
doubted, so that the curve would fall too steeply without them, while wrong labels can but flatten it. Curves often
flatten, so b is the lower one of that of the whole curve and that of its last doubling, and its interval holds both. It
is of logistic regression on frozen features, and reaches as far as twice the photos.
"""

from typing import NamedTuple

import numpy as np

from fieldmark.evaluation.statistics import Interval, share_interval
from fieldmark.label_audit.out_of_fold import SHARES

LEAST = 10
"""Photos of a class below which nothing is said of it."""
FEWER = 0.8
"""What is left of the mistakes where a fifth of them is gone."""
_DRAWS = 400
_SIZES = np.log(np.array((*SHARES, 1.0)))


class Growth(NamedTuple):
    """What more photos would do for a class.

    ``photos`` are those judged, of which ``right`` were classified rightly out of fold; ``gain`` is how
    much of the class, a share between 0 and 1, would be right in addition with twice the photos, with its 95 %
    interval; ``needed`` photos more would take away a fifth of the mistakes, None where that takes more than twice the
    photos.
    Where nothing can be said, both are None and ``reason`` says why; where only ``needed`` cannot, that alone.
    """

    label: int
    photos: int
    right: int
    gain: Interval | None
    needed: int | None
    reason: str = ""


class Curve(NamedTuple):
    """Shares of mistakes of fits to a quarter, a half and all photos, and the exponent b with its 95 % interval."""

    mistakes: tuple[float, float, float]
    exponent: Interval


def curve_of(hits: np.ndarray) -> Curve | None:
    """The curve of all classes together, by a bootstrap over photos; None where a fit makes no mistake.

    Args:
        hits: bool (3, N), whether a fit to a quarter, a half and all of the other photos had each right.
    """
    mistakes = ~hits
    if not hits.shape[1] or not mistakes.any(1).all():
        return None
    # photos with the same three answers are alike, so that eight kinds are drawn from
    kinds = np.arange(8)[:, None] >> np.arange(3) & 1
    of_kind = np.bincount((mistakes * np.array([[1], [2], [4]])).sum(0), minlength=8)
    draws = np.random.default_rng(0).multinomial(hits.shape[1], of_kind / hits.shape[1], _DRAWS)
    counts = np.maximum(draws @ kinds, 0.5)  # (draws, 3)
    drawn, found = _exponents(counts), _exponents(mistakes.mean(1)[None])
    low, high = np.quantile(drawn.min(0), 0.025), np.quantile(drawn.max(0), 0.975)
    first, second, whole = mistakes.mean(1).tolist()
    return Curve((first, second, whole), Interval(float(found.min()), float(low), float(high)))


def growth_of(hits: np.ndarray, labels: np.ndarray, *, classes: int) -> tuple[Curve | None, list[Growth]]:
    """The curve of all, and what it says of each class.

    Args:
        hits: as for ``curve_of``, of photos that were judged, those with doubted labels among them.
        labels: (N,), of the same photos.
        classes: C.
    """
    curve = curve_of(hits)
    photos = np.bincount(labels, minlength=classes)
    right = np.bincount(labels, weights=hits[-1], minlength=classes).astype(int)
    return curve, [_of_class(at, int(photos[at]), int(right[at]), curve) for at in range(classes)]


def _of_class(label: int, photos: int, right: int, curve: Curve | None) -> Growth:
    known = Growth(label, photos, right, None, None)
    if photos < LEAST:
        return known._replace(reason=f"fewer than {LEAST} photos")
    if curve is None:
        return known._replace(reason="hardly a mistake is made")
    exponent, wrong = curve.exponent, photos - right
    share = (wrong + 2 * curve.mistakes[-1]) / (photos + 2)  # drawn to that of all classes, as if by two photos
    _, low, high = share_interval(wrong, photos)
    gain = Interval(
        share * _gone(exponent.mean), max(low * _gone(exponent.low), 0.0), max(high * _gone(exponent.high), 0.0)
    )
    if not wrong:
        return known._replace(gain=gain, reason="none of its photos is mistaken")
    if exponent.low <= 0:
        return known._replace(gain=gain, reason="it is not clear that more photos help")
    needed = photos * (FEWER ** (-1 / exponent.mean) - 1)
    return known._replace(gain=gain, needed=int(np.ceil(needed)) if needed <= photos else None)


def _gone(exponent: float) -> float:
    """The share of mistakes that twice the photos take away."""
    return 1 - 2.0**-exponent


def _exponents(mistakes: np.ndarray) -> np.ndarray:
    """Minus the slopes of log mistakes (R, 3) over log photos, (2, R): by least squares, and of the last two."""
    logs, away = np.log(mistakes), _SIZES - _SIZES.mean()
    return -np.stack([logs @ away / (away @ away), (logs[:, 2] - logs[:, 1]) / (_SIZES[2] - _SIZES[1])])
