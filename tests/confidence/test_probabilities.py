"""Logits to probabilities."""

import numpy as np
import pytest

from fieldmark.confidence.probabilities import log_probabilities


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_they_are_the_softmax_at_a_temperature(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    for row, found in zip(logits.astype(np.float64), log_probabilities(logits, temperature), strict=True):
        powers = [np.exp(value / temperature) for value in row]
        assert np.exp(found) == pytest.approx([power / sum(powers) for power in powers], rel=1e-12)


def test_large_logits_stay_finite() -> None:
    found = log_probabilities(np.array([[1e4, -1e4]], np.float32), 0.01)
    assert found[0, 0] == 0
    assert np.isfinite(found).all()
    far = log_probabilities(np.array([[1000.0, 0.0], [2000.0, 0.0]], np.float32))
    assert far[:, 1].tolist() == [-1000, -2000]  # which differ though both probabilities are 0
