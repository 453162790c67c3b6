"""From logits to probabilities."""

import numpy as np


def log_probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The logarithms of the softmax of logits (N, C) divided by a temperature, in float64."""
    shifted = (logits.astype(np.float64) - logits.max(1, keepdims=True)) / temperature
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
