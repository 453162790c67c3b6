"""The row of a new class against a reference in plain loops, and corner cases."""

import math

import numpy as np
import pytest

from fieldmark.new_classes import fitting
from fieldmark.new_classes.fitting import Rest, Row, fitted


def drawn(old: int = 40, new: int = 4, views: int = 3, width: int = 5, classes: int = 3) -> tuple[np.ndarray, Rest]:
    rng = np.random.default_rng(7)
    labels = np.arange(old) % classes
    centres = 2 * rng.standard_normal((classes + 1, width))
    rest = Rest(
        centres[labels] + rng.standard_normal((old, width)),
        labels,
        centres[:classes] / 2,
        0.1 * rng.standard_normal(classes),
    )
    return centres[classes] + rng.standard_normal((new, views, width)), rest


def test_the_old_classes_are_scored_as_the_layer_does() -> None:
    _, rest = drawn()
    for row, best, right in zip(rest.inputs, rest.best, rest.right, strict=True):
        logits = [sum(w * x for w, x in zip(weight, row, strict=True)) + b for weight, b in zip(rest.weight, rest.bias, strict=True)]
        assert math.isclose(max(logits), best)
        assert right == (logits.index(max(logits)) == rest.labels[np.flatnonzero((rest.inputs == row).all(1))[0]])
