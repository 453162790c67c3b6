"""Errors against loops written from their definitions, and the band against networks that are calibrated."""

import tracemalloc

import numpy as np
import pytest

from fieldmark.confidence import calibration
from fieldmark.confidence.calibration import BINS, calibration_of


def perfect(photos: int, *, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities, and labels drawn from them."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(classes, 0.4), photos)
    labels = np.array([random.choice(classes, p=row) for row in shares])
    return np.log(np.maximum(shares, 1e-300)), labels


def errors_by_hand(log_probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """ECE (Guo et al., Eq. 3) and its mean over classes (Kull et al.), photo by photo."""
    shares = np.exp(log_probabilities)
    photos, classes = shares.shape

    def error(values: list[float], hits: list[bool]) -> float:
        total = 0.0
        for place in range(BINS):
            inside = [at for at, value in enumerate(values) if min(int(value * BINS), BINS - 1) == place]
            if inside:
                sure = sum(values[at] for at in inside) / len(inside)
                right = sum(hits[at] for at in inside) / len(inside)
                total += len(inside) / photos * abs(right - sure)
        return total

    best = [int(row.argmax()) for row in shares]
    answers = error([float(row.max()) for row in shares], [a == b for a, b in zip(best, labels, strict=True)])
    by_class = [error(shares[:, c].tolist(), (labels == c).tolist()) for c in range(classes)]
    return answers, sum(by_class) / classes


@pytest.mark.parametrize("seed", range(3))
def test_errors_are_those_of_their_definitions(seed: int) -> None:
    shares, labels = perfect(70, seed=seed)
    found = calibration_of(shares, labels)
    answers, by_class = errors_by_hand(shares, labels)
    assert found.error.value == pytest.approx(answers, rel=1e-9)
    assert found.by_class.value == pytest.approx(by_class, rel=1e-9)
    assert found.log_loss == pytest.approx(-np.mean([row[c] for row, c in zip(shares, labels, strict=True)]))
    assert found.probability == pytest.approx(np.exp(shares).max(1).mean())
    assert sum(part.photos for part in found.bins) == 70
    assert sum(part.right for part in found.bins) == (shares.argmax(1) == labels).sum()


def test_the_band_holds_perfect_networks_as_often_as_it_says() -> None:
    found = [calibration_of(*perfect(60, seed=seed)) for seed in range(80)]
    for errors in ([each.error for each in found], [each.by_class for each in found]):
        share = np.mean([error.low <= error.value <= error.high for error in errors])
        assert share >= 0.87  # of 80, 95 % less three standard errors
    inside = [part.band[0] <= part.right / part.photos <= part.band[1] for each in found for part in each.bins]
    assert np.mean(inside) > 0.93


def test_a_boastful_network_is_outside() -> None:
    shares, labels = perfect(400)
    sharp = 4 * shares - np.log(np.exp(4 * shares).sum(1, keepdims=True))
    assert calibration_of(shares, labels).error.is_chance
    assert not calibration_of(sharp, labels).error.is_chance
    assert not calibration_of(sharp, labels).by_class.is_chance


def test_certainty_and_one_photo() -> None:
    certain = calibration_of(np.log(np.array([[1.0, 1e-300]])), np.array([0]))
    assert certain.error == (0.0, 0.0, 0.0)
    assert [(part.low, part.high, part.right) for part in certain.bins] == [(14 / 15, 1.0, 1)]
    with pytest.raises(ValueError, match="photos"):
        calibration_of(np.zeros((0, 2)), np.zeros(0, np.int64))


def test_the_same_photos_give_the_same_band() -> None:
    assert calibration_of(*perfect(50)) == calibration_of(*perfect(50))


def test_it_is_plain_data() -> None:
    value = calibration_of(*perfect(50)).to_json()
    assert set(value) == {"ece", "class_ece", "log_loss", "probability", "bins"}


def test_in_blocks_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors to the last digits, and bands but for other draws; and memory does not grow with classes times photos."""
    shares, labels = perfect(300)
    whole = calibration_of(shares, labels)
    monkeypatch.setattr(calibration, "BLOCK", 100)
    parts = calibration_of(shares, labels)
    assert parts.error.value == pytest.approx(whole.error.value, rel=1e-12)
    assert parts.by_class.value == pytest.approx(whole.by_class.value, rel=1e-12)
    assert parts.error.high == pytest.approx(whole.error.high, rel=0.1)
    assert parts.by_class.high == pytest.approx(whole.by_class.high, rel=0.1)
    shares, labels = np.full((4_000, 500), -np.log(500)), np.arange(4_000) % 500
    monkeypatch.setattr(calibration, "BLOCK", 1 << 16)
    tracemalloc.start()
    calibration_of(shares, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < shares.nbytes
