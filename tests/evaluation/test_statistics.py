"""Statistics of seeds and photos, against hand-calculated values, scipy and simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from fieldmark.evaluation.statistics import (
    detectable,
    holm,
    mean_share_interval,
    paired_difference,
    seed_interval,
    share_interval,
)


def test_the_interval_over_seeds_is_student_s() -> None:
    # 81.03, 82.74, 82.05: mean 81.94, standard deviation 0.8603, t(2) = 4.3027
    mean, low, high = seed_interval([0.8103, 0.8274, 0.8205])
    assert mean == pytest.approx(0.8194)
    assert (high - low) / 2 == pytest.approx(4.30265 * 0.0086029 / math.sqrt(3), rel=1e-4)
    values = np.random.default_rng(0).normal(size=7)
    told = seed_interval(values, level=0.9)
    wanted = stats.t.interval(0.9, 6, loc=values.mean(), scale=stats.sem(values))
    assert told == pytest.approx((values.mean(), *wanted))


def test_the_interval_of_a_share_is_wilson_s() -> None:
    # 479 of 585: share 0.8188, z^2 = 3.8415; centre (0.8188 + 0.003283) / 1.006567, half 0.03118
    assert share_interval(479, 585) == pytest.approx((0.818803, 0.785539, 0.847900), abs=1e-5)
    for hits, count in ((0, 1), (1, 1), (0, 9), (9, 9), (1, 30), (17, 40), (5793, 5794)):
        wanted = stats.binomtest(hits, count).proportion_ci(method="wilson")
        interval = share_interval(hits, count)
        assert interval[1:] == pytest.approx((wanted.low, wanted.high), abs=1e-12)
        assert 0 <= interval.low <= interval.mean <= interval.high <= 1
    assert share_interval(0, 9).low == 0
    assert share_interval(9, 9).high == 1
    assert share_interval(3, 9, level=0.5).high < share_interval(3, 9).high
    for hits, count in ((0, 0), (2, 1), (-1, 3)):
        with pytest.raises(ValueError, match="no share"):
            share_interval(hits, count)


def test_one_seed_has_no_interval_and_none_no_mean() -> None:
    mean, low, high = seed_interval([0.5])
    assert mean == 0.5
    assert math.isnan(low)
    assert math.isnan(high)
    with pytest.raises(ValueError, match="at least one"):
        seed_interval([])


def naive_difference(d: np.ndarray) -> tuple[float, float, float]:
    """Mean, variance of the mean and degrees of freedom, sum by sum."""
    seeds, photos = d.shape
    mean = sum(d[s, i] for s in range(seeds) for i in range(photos)) / (seeds * photos)
    ms_s = photos * sum((sum(d[s]) / photos - mean) ** 2 for s in range(seeds)) / (seeds - 1)
    ms_i = seeds * sum((sum(d[:, i]) / seeds - mean) ** 2 for i in range(photos)) / (photos - 1)
    df = (ms_s + ms_i) ** 2 / (ms_s**2 / (seeds - 1) + ms_i**2 / (photos - 1))
    return mean, (ms_s + ms_i) / (seeds * photos), df


def test_the_difference_by_hand_and_by_loops() -> None:
    first = np.array([[1, 1, 0, 1], [1, 0, 1, 1]], dtype=bool)
    second = np.array([[0, 1, 0, 0], [1, 0, 0, 1]], dtype=bool)
    # differences: 1 0 0 1 / 0 0 1 0; means of seeds 1/2, 1/4; of photos 1/2, 0, 1/2, 1/2; of all 3/8
    # MS_S = 4 * 2 * (1/8)^2 / 1 = 1/8, MS_I = 2 * (3 * (1/8)^2 + (3/8)^2) / 3 = 1/8
    found = paired_difference(first, second)
    assert found.interval.mean == 3 / 8
    assert found.error == pytest.approx(math.sqrt((1 / 8 + 1 / 8) / 8))
    assert found.df == pytest.approx((1 / 4) ** 2 / ((1 / 8) ** 2 + (1 / 8) ** 2 / 3))
    assert found.p == pytest.approx(2 * stats.t.sf(3 / 8 / found.error, found.df))
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 2, (3, 17)), rng.integers(0, 2, (3, 17))
    found = paired_difference(first, second)
    mean, variance, df = naive_difference(first - second)
    assert (found.interval.mean, found.error**2, found.df) == pytest.approx((mean, variance, df))
    half = stats.t.ppf(0.975, df) * math.sqrt(variance)
    assert found.interval == pytest.approx((mean, mean - half, mean + half))
    turned = paired_difference(second, first)
    assert turned.interval.mean == -found.interval.mean
    assert turned.p == found.p


def test_differences_without_spread() -> None:
    some = np.eye(3, 8)
    same = paired_difference(some, some)
    assert (same.interval, same.error, same.p) == ((0, 0, 0), 0, 1)
    always = paired_difference(np.ones((3, 8)), np.zeros((3, 8)))
    assert (always.interval, always.p) == ((1, 1, 1), 0)
    alone = paired_difference(some[:1], 1 - some[:1])
    assert alone.interval.mean == pytest.approx(-0.75)
    assert all(map(math.isnan, (alone.interval.low, alone.interval.high, alone.error, alone.df, alone.p)))
    for shapes in (((2, 3), (2, 4)), ((3,), (3,)), ((0, 3), (0, 3)), ((3, 0), (3, 0))):
        with pytest.raises(ValueError, match="seeds by photos"):
            paired_difference(np.zeros(shapes[0]), np.zeros(shapes[1]))


@pytest.mark.parametrize(
    ("seeds", "seed_spread", "tastes", "floor"),
    [(3, 0.0, 0.0, 0.93), (3, 0.2, 0.5, 0.93), (5, 0.1, 1.5, 0.93), (3, 0.5, 0.5, 0.9), (5, 0.5, 0.5, 0.92)],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(
    seeds: int, seed_spread: float, tastes: float, floor: float
) -> None:
    """Two methods of one worth: seeds shift all photos, photos suit one method or the other, and the rest is noise.

    Three seeds that differ much are the hard case: intervals hold the truth in 92 % to 94 % of cases.
    """
    rng = np.random.default_rng(7)
    photos, rounds = 120, 600
    hard = rng.normal(2, 2, (rounds, 1, photos))

    def right() -> np.ndarray:
        taste = rng.normal(0, tastes, (rounds, 1, photos)) if tastes else 0.0
        shift = rng.normal(0, seed_spread, (rounds, seeds, 1)) if seed_spread else 0.0
        return hard + taste + shift + rng.normal(0, 1.5, (rounds, seeds, photos)) > 0

    found = [paired_difference(*pair) for pair in zip(right(), right(), strict=True)]
    held = np.mean([one.interval.low <= 0 <= one.interval.high for one in found])
    assert floor <= held <= 0.999
    called = np.mean([one.p < 0.05 for one in found])
    assert called == pytest.approx(1 - held, abs=1e-9)


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.03, 0.6: times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.6
    assert holm([0.6, 0.01, 0.03, 0.02]) == pytest.approx([0.6, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([0.03]) == pytest.approx([0.03])
    corrected = holm([0.01, math.nan, 0.04])
    assert corrected[[0, 2]] == pytest.approx([0.02, 0.04])
    assert math.isnan(corrected[1])
    assert len(holm([])) == 0


def test_holm_keeps_false_findings_rare() -> None:
    rng = np.random.default_rng(0)
    false = np.mean([holm(rng.uniform(size=6)).min() < 0.05 for _ in range(4000)])
    assert 0.04 < false < 0.06


def test_what_could_have_been_seen() -> None:
    # the normal distribution: (1.96 + 0.8416) standard errors
    assert detectable(1.0, math.inf) == pytest.approx(1.959964 + 0.841621, abs=1e-4)
    assert detectable(0.013, 40.0) == pytest.approx(0.013 * detectable(1.0, 40.0))
    assert detectable(1.0, 2.0) > 5
    assert detectable(1.0, 5.0, alpha=0.01) > detectable(1.0, 5.0)
    assert detectable(0.0, 3.0) == 0
    assert math.isnan(detectable(math.nan, math.nan))


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 8])
def test_an_effect_of_that_size_is_seen_that_often(alpha: float) -> None:
    rng = np.random.default_rng(3)
    values = 4
    effect = detectable(1 / math.sqrt(values), values - 1, alpha=alpha)
    sample = rng.normal(effect, 1, (20_000, values))
    t = sample.mean(1) / (sample.std(1, ddof=1) / math.sqrt(values))
    assert np.mean(t > stats.t.ppf(1 - alpha / 2, values - 1)) == pytest.approx(0.8, abs=0.01)


def test_the_mean_of_shares_is_not_certain_where_all_are_right():
    interval = mean_share_interval(np.array([5, 5, 0]), np.array([5, 5, 0]))
    assert interval.mean == interval.high == 1
    half = 1.959964 * np.sqrt(2 * (6 / 7) * (1 / 7) / 5) / 2
    assert interval.low == pytest.approx(1 - half, abs=1e-6)
    with pytest.raises(ValueError, match="a class with photos"):
        mean_share_interval(np.array([0]), np.array([0]))


@pytest.mark.parametrize(("classes", "photos"), [(20, 30), (20, 5), (100, 5), (8, 40)])
def test_the_mean_of_shares_lies_in_its_interval(classes: int, photos: int):
    """In 93 % of draws or more, for accuracies that differ from class to class."""
    rng = np.random.default_rng(0)
    accuracies = np.linspace(0.5, 1.0, classes)
    counts = np.full(classes, photos)
    held = []
    for _ in range(1000):
        _, low, high = mean_share_interval(rng.binomial(counts, accuracies), counts)
        held.append(low <= accuracies.mean() <= high)
    assert np.mean(held) >= 0.93
