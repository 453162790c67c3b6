"""Sets of answers: thresholds beside a count by hand, the coverage that is promised, and too few photos."""

import math
from fractions import Fraction

import numpy as np
import pytest

from fieldmark.confidence.conformal import (
    Thresholds,
    photos_for_own,
    photos_needed,
    refuse_coverage,
    scores_of,
    sets_of,
    thresholds,
    true_scores,
)
from fieldmark.errors import UserError


def drawn(rng: np.random.Generator, photos: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels that follow another law, with classes of different sizes and difficulties."""
    labels = rng.choice(classes, photos, p=(weights := np.arange(1, classes + 1)) / weights.sum())
    logits = rng.normal(size=(photos, classes))
    logits[np.arange(photos), labels] += 1 + labels / classes
    shares = np.exp(logits)
    return shares / shares.sum(1, keepdims=True), labels


def found(shares: np.ndarray, labels: np.ndarray, *, coverage: float, own_from: int | None = None) -> Thresholds:
    """The thresholds of probabilities (N, C)."""
    true = true_scores(scores_of(shares), labels)
    return thresholds(true, labels, classes=shares.shape[1], coverage=coverage, own_from=own_from)


def by_hand(scores: list[float], coverage: float) -> float:
    k = math.ceil((len(scores) + 1) * Fraction(str(coverage)))
    return sorted(scores)[k - 1]


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("own_from", [None, 12, 10**6])
def test_thresholds_by_hand(coverage: float, own_from: int | None) -> None:
    shares, labels = drawn(np.random.default_rng(0), 400, 6)
    limits = found(shares, labels, coverage=coverage, own_from=own_from)
    least = max(photos_needed(coverage), photos_for_own(coverage) if own_from is None else own_from)
    true = {label: [1 - shares[at, label] for at in np.flatnonzero(labels == label)] for label in range(6)}
    rest = [score for scores in true.values() if len(scores) < least for score in scores]
    if len(rest) < 5 / (1 - coverage):
        rest = [score for scores in true.values() for score in scores]
    for label, own in true.items():
        assert limits.own[label] == (len(own) >= least)
        assert limits.scores[label] == by_hand(own if limits.own[label] else rest, coverage)


@pytest.mark.parametrize(
    ("coverage", "needed", "own"), [(0.9, 9, 50), (0.95, 19, 100), (0.5, 1, 10), (0.8, 4, 25), (0.85, 6, 34)]
)
def test_how_many_photos(coverage: float, needed: int, own: int) -> None:
    assert photos_needed(coverage) == needed == math.ceil(1 / (1 - Fraction(str(coverage)))) - 1
    assert photos_for_own(coverage) == own
    shares, labels = drawn(np.random.default_rng(1), needed, 3)
    limits = found(shares, labels, coverage=coverage)
    assert limits.scores.tolist() == [max(1 - shares[np.arange(needed), labels])] * 3 or coverage == 0.85
    with pytest.raises(UserError, match=f"it needs {needed} photos kept out of training, and the run has {needed - 1}"):
        found(shares[1:], labels[1:], coverage=coverage)


def test_the_finite_sample_rank_is_exact() -> None:
    """Rounding errors of (n + 1) x coverage move no rank: all n up to 2,000."""
    scores = np.arange(2000.0)
    for coverage in ("0.9", "0.7", "0.95", "0.99"):
        for photos in range(photos_needed(float(coverage)), 2000, 7):
            labels = np.zeros(photos, np.int64)
            limits = thresholds(scores[:photos], labels, classes=1, coverage=float(coverage), own_from=10**6)
            assert limits.scores[0] == math.ceil((photos + 1) * Fraction(coverage)) - 1


def test_the_coverage_is_what_was_asked() -> None:
    """400 draws of 60 held-out photos: k / (n + 1) on average, 55 / 61 here, whatever the classes."""
    rng = np.random.default_rng(2)
    shares, labels = drawn(rng, 400 * 120, 5)
    shares, labels = shares.reshape(400, 120, 5), labels.reshape(400, 120)
    covered = []
    for each, true in zip(shares, labels, strict=True):
        limits = found(each[:60], true[:60], coverage=0.9, own_from=10**6)
        covered.append(sets_of(scores_of(each[60:]), limits)[np.arange(60), true[60:]].mean())
    assert np.mean(covered) == pytest.approx(55 / 61, abs=4 * np.std(covered) / math.sqrt(400))


def test_classes_with_enough_photos_are_covered_by_themselves() -> None:
    shares, labels = drawn(np.random.default_rng(3), 40_000, 4)
    shares[labels == 0] = shares[labels == 0][:, [1, 0, 2, 3]]  # a class that looks like another one
    half = len(labels) // 2
    by_class = []
    for own_from in (None, 10**6):
        limits = found(shares[:half], labels[:half], coverage=0.9, own_from=own_from)
        hits = sets_of(scores_of(shares[half:]), limits)[np.arange(half), labels[half:]]
        by_class.append([hits[labels[half:] == label].mean() for label in range(4)])
    assert np.allclose(by_class[0], 0.9, atol=0.02)
    assert by_class[1][0] < 0.8


def test_a_set_may_be_empty() -> None:
    shares = np.array([[0.99, 0.01]] * 19 + [[0.6, 0.4]])
    limits = found(shares, np.zeros(20, np.int64), coverage=0.9)
    assert sets_of(scores_of(shares), limits).sum(1).tolist() == [1] * 19 + [0]


def test_a_class_that_no_held_out_photo_shows_has_the_shared_threshold() -> None:
    shares, labels = drawn(np.random.default_rng(4), 300, 3)
    wider = np.pad(shares, ((0, 0), (0, 2)))
    limits = found(wider, labels, coverage=0.9)
    assert isinstance(limits, Thresholds)
    assert not limits.own[3:].any()
    assert np.isfinite(limits.scores).all()


@pytest.mark.parametrize("coverage", [0, 1, 1.5, float("nan")])
def test_what_is_no_coverage(coverage: float) -> None:
    with pytest.raises(UserError, match=r"--coverage .*: it must lie between 0 and 1"):
        refuse_coverage(coverage)


def test_the_most_that_can_be_asked_is_said_and_can_be() -> None:
    for photos in (1, 2, 7, 9, 60, 999):
        with pytest.raises(UserError, match="ask for at most") as caught:
            refuse_coverage(0.9995, photos=photos)
        refuse_coverage(float(str(caught.value).split()[-1]), photos=photos)
    with pytest.raises(UserError, match="leave it out"):
        refuse_coverage(0.5, photos=0)
