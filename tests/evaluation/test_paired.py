"""Paired shares, against published values, sums photo by photo and simulations."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from fieldmark.evaluation.paired import class_weights, mcnemar, paired_share_difference


def changes(only_first: int, only_second: int, alike: int) -> np.ndarray:
    return np.repeat([1, -1, 0], [only_first, only_second, alike])


def bonett_price(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """By the formula in Fagerland, Lydersen and Laake (2014)."""
    p, q = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = 1.959963984540054 * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return max(-1, p - q - half), min(1, p - q + half)


def test_the_published_examples() -> None:
    # airway hyper-responsiveness before and after stem cell transplantation (Bentur et al. 2009): 1, 1 / 7, 12
    mean, low, high = paired_share_difference(changes(1, 7, 13))
    assert mean == pytest.approx(-6 / 21)
    assert (low, high) == pytest.approx((-0.508, -0.013), abs=6e-4)
    assert mcnemar(1, 7) == pytest.approx(0.0703, abs=1e-4)
    # complete response before and after consolidation therapy (Cavo et al. 2012): 59, 6 / 16, 80
    assert mcnemar(6, 16) == pytest.approx(0.0525, abs=1e-4)


def test_the_interval_by_its_formula() -> None:
    for first, second, alike in itertools.product((0, 1, 2, 7, 40), repeat=3):
        if n := first + second + alike:
            mean, low, high = paired_share_difference(changes(first, second, alike))
            assert mean == pytest.approx((first - second) / n)
            assert (low, high) == pytest.approx(bonett_price(first, second, n))
            assert -1 <= low <= mean <= high <= 1
            assert low < high
            turned = paired_share_difference(changes(second, first, alike))
            assert turned == pytest.approx((-mean, -high, -low))
    assert paired_share_difference(changes(3, 1, 9), level=0.5).high < paired_share_difference(changes(3, 1, 9)).high
    with pytest.raises(ValueError, match="at least one photo"):
        paired_share_difference(changes(0, 0, 0))


def test_mcnemar_by_adding_probabilities() -> None:
    for first, second in ((0, 5), (3, 4), (9, 2), (12, 12)):
        n, least = first + second, min(first, second)
        tail = sum(math.comb(n, k) for k in range(least + 1)) / 2**n
        assert mcnemar(first, second) == mcnemar(second, first) == pytest.approx(min(1, 2 * tail))
    assert mcnemar(0, 0) == 1


def test_weighted_photos_by_a_loop() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 9 + [2] * 3 + [3])
    signs = rng.integers(-1, 2, len(labels))
    weights = class_weights(labels)
    assert weights.tolist() == pytest.approx([1 / 27] * 9 + [1 / 9] * 3 + [1 / 3])
    wanted = sum(signs[labels == label].mean() for label in (0, 2, 3)) / 3
    count = 1 / sum(w * w for w in weights)
    centre = (count * wanted) / (count + 2)
    squares = sum((w * count * (x - centre)) ** 2 for w, x in zip(weights, signs, strict=True))
    half = 1.959963984540054 * math.sqrt(squares + (1 - centre) ** 2 + (-1 - centre) ** 2) / (count + 2)
    found = paired_share_difference(signs, weights)
    assert found == pytest.approx((wanted, max(-1, centre - half), min(1, centre + half)))
    alike = np.full(len(labels), 1 / len(labels))
    assert paired_share_difference(signs, alike) == pytest.approx(paired_share_difference(signs))


@pytest.mark.parametrize("n", [10, 30, 100])
@pytest.mark.parametrize(("only_first", "only_second"), [(0.02, 0.02), (0.05, 0.15), (0.1, 0.1), (0.3, 0.1)])
def test_the_interval_holds_the_truth_as_often_as_it_says(n: int, only_first: float, only_second: float) -> None:
    """Not by drawing: all tables of n photos, each as probable as it is."""
    held = total = 0.0
    truth, agree = only_first - only_second, 1 - only_first - only_second
    for first, second in itertools.product(range(n + 1), repeat=2):
        if first + second > n:
            continue
        chance = stats.multinomial.pmf((first, second, n - first - second), n, (only_first, only_second, agree))
        if chance > 1e-7:
            low, high = bonett_price(first, second, n)
            total += chance
            held += chance * (low <= truth <= high)
    assert total == pytest.approx(1, abs=1e-3)
    assert held >= 0.935


@pytest.mark.parametrize("photos", [(10,) * 20, (4,) * 50, (120, 60, 30, 15, 8), (1, 2, 4, 8, 16, 32)])
def test_the_interval_of_means_over_classes_holds_the_truth_too(photos: tuple[int, ...]) -> None:
    """Classes differ: in each the first run gains and loses other shares."""
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(len(photos)), photos)
    gained, lost = rng.uniform(0, 0.25, (2, len(photos)))
    drawn = rng.uniform(size=(1500, len(labels)))
    signs = (drawn < gained[labels]).astype(int) - (drawn > 1 - lost[labels])
    ends = [paired_share_difference(each, class_weights(labels)) for each in signs]
    truth = (gained - lost).mean()
    held = np.mean([low <= truth <= high for _, low, high in ends])
    assert 0.93 <= held <= 0.999
