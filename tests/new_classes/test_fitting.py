"""The row of a new class against a reference in plain loops, and corner cases."""

import math

import numpy as np
import pytest

from fieldmark.new_classes import fitting
from fieldmark.new_classes.fitting import Rest, Row, fitted, regressed


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
        logits = [
            sum(w * x for w, x in zip(weight, row, strict=True)) + b
            for weight, b in zip(rest.weight, rest.bias, strict=True)
        ]
        assert math.isclose(max(logits), best)
        assert right == (logits.index(max(logits)) == rest.labels[np.flatnonzero((rest.inputs == row).all(1))[0]])


def naive_loss(row: Row, views: np.ndarray, rest: Rest, counts: np.ndarray | None = None) -> float:
    """Cross-entropy of every photo with the old rows and this one, in plain loops, and the penalty."""
    deviations = [math.sqrt(np.mean((column - column.mean()) ** 2)) for column in rest.inputs.T]
    total = sum((w * s) ** 2 for w, s in zip(row.weight, deviations, strict=True)) / (
        2 * fitting.VARIANCE / len(row.weight)
    )

    def logits(x: np.ndarray) -> list[float]:
        rows = [*zip(rest.weight, rest.bias, strict=True), (row.weight, row.bias)]
        return [sum(w * n for w, n in zip(weight, x, strict=True)) + bias for weight, bias in rows]

    def minus_log(x: np.ndarray, own: bool) -> float:
        """Of the new class's probability, or of all the others' together."""
        powers = [math.exp(logit) for logit in logits(x)]
        return -math.log((powers[-1] if own else sum(powers[:-1])) / sum(powers))

    for x, count in zip(rest.inputs, np.ones(len(rest.inputs)) if counts is None else counts, strict=True):
        total += count * minus_log(x, own=False)
    for photo in views:
        for x in photo:
            total += minus_log(x, own=True) / len(photo)
    return total


@pytest.mark.parametrize("without", [None, np.arange(40) >= 10])
def test_no_row_near_it_is_better(without: np.ndarray | None) -> None:
    """Old photos that are left out are counted for by the others."""
    views, rest = drawn()
    counts = np.ones(40) if without is None else 4.0 * ~without
    row = regressed(views, rest, without=without)
    least = naive_loss(row, views, rest, counts)
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(4):
            other = Row(row.weight + size * rng.standard_normal(5), row.bias + size * rng.standard_normal())
            assert naive_loss(other, views, rest, counts) > least - 1e-5
    assert least < naive_loss(Row(np.zeros(5), -20.0), views, rest, counts)


def test_the_threshold_extrapolates_an_exponential_tail() -> None:
    gaps = np.random.default_rng(1).exponential(2.0, 100_000) - 5
    assert fitting._exceeded(gaps) == pytest.approx(2 * math.log(1 / fitting.SHARE) - 5, abs=0.3)
    few = [fitting._exceeded(gaps[start : start + 600]) for start in range(0, 60_000, 600)]
    largest = [np.sort(gaps[start : start + 600])[-2] for start in range(0, 60_000, 600)]
    assert np.std(few) < 0.8 * np.std(largest)
    assert fitting._exceeded(np.array([1.0])) == 1.0
    assert math.isfinite(fitting._exceeded(np.array([1.0, 2.0])))
    assert fitting._exceeded(np.full(50, 3.0)) == 3.0


def test_corner_cases() -> None:
    views, rest = drawn()
    for few in (views[:1], views[:1, :1], np.repeat(views[:1], 2, axis=0)):
        row = fitted(few, rest)
        assert row.weight.shape == (5,)
        assert np.isfinite(row.weight).all()
        assert math.isfinite(row.bias)
    flat = Rest(rest.inputs * np.array([1, 1, 1, 1, 0]), rest.labels, rest.weight, rest.bias)  # a channel that is dead
    row = fitted(views * np.array([1, 1, 1, 1, 0]), flat)
    assert np.isfinite(row.weight).all()
    one = Rest(rest.inputs[:1], rest.labels[:1], rest.weight, rest.bias)
    wrong = Rest(rest.inputs, (rest.labels + 1) % 3, rest.weight, rest.bias)  # not one old photo answered rightly
    for old in (one, wrong):
        assert math.isfinite(fitted(views, old).bias)
    assert fitted(views, rest).bias == fitted(views, rest).bias


def test_a_class_of_its_own_is_found_and_the_old_ones_stay() -> None:
    views, rest = drawn(old=300, new=12)
    row = fitted(views[:6], rest)
    held = views[6:].reshape(-1, 5)
    assert ((held @ row.weight + row.bias) > rest.best_of(held)).mean() > 0.7
    assert ((rest.inputs @ row.weight + row.bias > rest.best) & rest.right).mean() < 0.03


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_the_embedding_does_not_matter(scale: float) -> None:
    views, rest = drawn()
    scaled = fitted(scale * views, Rest(scale * rest.inputs, rest.labels, rest.weight / scale, rest.bias))
    row = fitted(views, rest)
    assert np.allclose(scaled.weight * scale, row.weight, atol=1e-4)
    assert scaled.bias == pytest.approx(row.bias, abs=1e-3)
