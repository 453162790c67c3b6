"""How far probabilities are from the share of right answers, beside what chance alone would make of perfect ones.

The expected calibration error (ECE) is that of Guo et al. (ICML 2017, arXiv:1706.04599), and by class that of M. Kull
et al., "Beyond temperature scaling" (NeurIPS 2019, arXiv:1910.12656). It is never 0 for a finite number of photos, so
it is held against the errors of as many photos whose labels are drawn from the probabilities themselves.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

BINS = 15
"""Ranges of probability, equally wide."""
DRAWS, CLASS_DRAWS = 1000, 200
BLOCK = 1 << 22
"""Numbers of one array that are held at a time."""
BAND = (2.5, 97.5)
"""Percentiles of a perfectly calibrated model's errors: 95 % of them lie between."""


class Bin(NamedTuple):
    """Photos whose answers have a probability between ``low`` and ``high``.

    ``probability`` is the mean, ``right`` counts the right ones; ``band`` holds the ends of the share of right answers
    that a perfectly calibrated model has in 95 % of all cases.
    """

    low: float
    high: float
    photos: int
    right: int
    probability: float
    band: tuple[float, float]


class CalibrationError(NamedTuple):
    """A mean distance between probability and accuracy, and the 95 % band that it has by chance alone."""

    value: float
    low: float
    high: float

    @property
    def is_chance(self) -> bool:
        """Whether a perfectly calibrated model has as large an error in more than 2.5 % of all cases."""
        return self.value <= self.high


class Calibration(NamedTuple):
    """How far probabilities can be trusted: of the answers (``error``) and of all classes (``by_class``).

    ``bins`` are those with photos in them; ``probability`` is that of the answers, and ``log_loss``, in nats, that of
    the true classes, both on average over photos.
    """

    bins: tuple[Bin, ...]
    error: CalibrationError
    by_class: CalibrationError
    probability: float
    log_loss: float

    def to_json(self) -> dict[str, object]:
        """As plain data; shares between 0 and 1."""

        def told(error: CalibrationError) -> dict[str, object]:
            return {"value": error.value, "band": [error.low, error.high]}

        bins = [part._asdict() | {"band": list(part.band)} for part in self.bins]
        errors: dict[str, object] = {"ece": told(self.error), "class_ece": told(self.by_class)}
        return errors | {"log_loss": self.log_loss, "probability": self.probability, "bins": bins}


def calibration_of(
    log_probabilities: np.ndarray, labels: np.ndarray, *, bins: int = BINS, seed: int = 0
) -> Calibration:
    """Probabilities against the labels that photos have.

    Args:
        log_probabilities: (N, C), logarithms.
        labels: (N,).
        bins: ranges of probability.
        seed: of the band's draws.

    Raises:
        ValueError: no photos.
    """
    if not len(labels):
        raise ValueError("calibration needs photos")
    drawn = np.random.default_rng(seed)
    sure, right = np.exp(log_probabilities.max(1)), log_probabilities.argmax(1) == labels
    places = _places(sure, bins)
    sums = np.bincount(places, sure, bins)
    error, errors, hits = _answers(sure, right, places=places, sums=sums, drawn=drawn)
    counts = np.bincount(places, minlength=bins)
    low, high = np.percentile(hits, BAND, axis=0) / np.maximum(counts, 1)
    rows = tuple(
        Bin(
            at / bins,
            (at + 1) / bins,
            int(counts[at]),
            int(hit),
            float(sums[at] / counts[at]),
            (float(low[at]), float(high[at])),
        )
        for at, hit in enumerate(np.bincount(places, right, bins))
        if counts[at]
    )
    log_loss = float(-np.take_along_axis(log_probabilities, labels[:, None], 1).mean())
    return Calibration(
        rows,
        CalibrationError(error, *np.percentile(errors, BAND).tolist()),
        _classes(log_probabilities, labels, bins=bins, drawn=drawn),
        float(sure.mean()),
        log_loss,
    )


def _places(shares: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((shares * bins).astype(np.int64), bins - 1)


def _blocks(count: int, width: int) -> Iterator[slice]:
    """Parts of ``count`` rows, of which arrays with ``width`` columns are small beside a network."""
    size = max(1, BLOCK // width)
    return (slice(start, start + size) for start in range(0, count, size))


def _answers(
    sure: np.ndarray, right: np.ndarray, *, places: np.ndarray, sums: np.ndarray, drawn: np.random.Generator
) -> tuple[float, np.ndarray, np.ndarray]:
    """The error of the answers; and errors (draws,) and right answers by bin (draws, bins) of perfect calibration."""
    bins, count = len(sums), len(sure)
    hits = np.zeros((DRAWS, bins))
    for part in _blocks(count, DRAWS):
        inside = np.eye(bins)[places[part]]
        hits += (drawn.random((DRAWS, len(inside))) < sure[part]).astype(np.float64) @ inside
    error = float(np.abs(np.bincount(places, right, bins) - sums).sum()) / count
    return error, np.abs(hits - sums).sum(1) / count, hits


def _classes(
    log_probabilities: np.ndarray, labels: np.ndarray, *, bins: int, drawn: np.random.Generator
) -> CalibrationError:
    """The mean over classes of the error of each class's probability, over all photos."""
    count, classes = log_probabilities.shape
    sums = np.zeros(classes * bins)
    hits = np.zeros((1 + CLASS_DRAWS, classes * bins), np.int32)  # of the labels, then of those drawn
    for part in _blocks(count, classes):
        shares = np.exp(log_probabilities[part])
        places = _places(shares, bins) + bins * np.arange(classes)
        sums += np.bincount(places.ravel(), shares.ravel(), classes * bins)
        for row, own in zip(hits, (labels[part], *_labels_drawn(shares, drawn)), strict=True):
            row += np.bincount(places[np.arange(len(own)), own], minlength=classes * bins)
    value, *errors = [float(np.abs(row - sums).sum()) / (count * classes) for row in hits]
    return CalibrationError(value, *np.percentile(errors, BAND).tolist())


def _labels_drawn(shares: np.ndarray, drawn: np.random.Generator) -> Iterator[np.ndarray]:
    """Labels (n,) drawn from the probabilities (n, C) of n photos, as often as the band of classes takes them."""
    count, classes = shares.shape
    rows = np.arange(count)
    ends = (shares.cumsum(1) + rows[:, None]).ravel()  # ascending, so that one search draws all photos' labels
    for _ in range(CLASS_DRAWS):
        found = np.searchsorted(ends, drawn.random(count) + rows) - classes * rows
        yield np.clip(found, 0, classes - 1)  # but for rounding
