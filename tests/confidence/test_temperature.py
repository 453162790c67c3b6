"""The temperature against a search by hand, and on labels drawn from known probabilities."""

import math

import numpy as np
import pytest

from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.confidence.temperature import COLDEST, HOTTEST, Temperature, fit_temperature


def drawn(photos: int, *, temperature: float, classes: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax at a temperature."""
    random = np.random.default_rng(seed)
    logits = (4 * random.normal(size=(photos, classes))).astype(np.float32)
    ends = np.exp(log_probabilities(logits, temperature)).cumsum(1)
    return logits, (ends < random.random((photos, 1))).sum(1).clip(0, classes - 1)


def loss(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """The log loss, summed photo by photo."""
    return -sum(float(row[label]) for row, label in zip(log_probabilities(logits, temperature), labels, strict=True))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_it_has_the_least_log_loss_and_its_ends_are_the_likelihood_ratio_s(temperature: float) -> None:
    logits, labels = drawn(300, temperature=temperature)
    found = fit_temperature(logits, labels)
    least = loss(logits, labels, found.value)
    assert all(least <= loss(logits, labels, found.value * factor) for factor in (0.97, 0.999, 1.001, 1.03))
    for end in (found.low, found.high):
        assert 2 * (loss(logits, labels, end) - least) == pytest.approx(3.841459, abs=1e-2)
    assert found.low < found.value < found.high


def test_its_interval_holds_the_truth_in_95_of_100_cases() -> None:
    found = [fit_temperature(*drawn(80, temperature=1.7, seed=seed)) for seed in range(300)]
    share = np.mean([each.low <= 1.7 <= each.high for each in found])
    assert 0.92 <= share <= 0.98  # of 300, 95 % and three standard errors to either side


def test_the_order_of_classes_does_not_change() -> None:
    logits, labels = drawn(200, temperature=2.0)
    value = fit_temperature(logits, labels).value
    assert (log_probabilities(logits, value).argmax(1) == logits.argmax(1)).all()


def test_few_photos_cannot_tell() -> None:
    logits, labels = drawn(24, temperature=1.0, classes=4)
    right = logits.argmax(1)
    assert fit_temperature(logits, right).low == COLDEST  # nothing is wrong: the surer the better
    assert not fit_temperature(logits, right).is_known
    assert not fit_temperature(logits[:3], labels[:3]).is_known
    assert fit_temperature(*drawn(1000, temperature=1.0)).is_known


def test_answers_that_know_nothing_or_less() -> None:
    logits, _ = drawn(500, temperature=1.0)
    worst = fit_temperature(logits, logits.argmin(1))
    assert math.isclose(worst.value, HOTTEST, rel_tol=1e-3)
    equal = fit_temperature(np.zeros((9, 3), np.float32), np.zeros(9, np.int64))
    assert not equal.is_known
    assert COLDEST <= equal.low <= equal.value <= equal.high <= HOTTEST


def test_without_photos_there_is_none() -> None:
    with pytest.raises(ValueError, match="photos"):
        fit_temperature(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))


def test_it_is_known_by_its_interval() -> None:
    assert Temperature(1.0, 0.8, 1.5).is_known
    assert not Temperature(1.0, 0.5, 1.6).is_known
