"""Learning curves: the law is found again, intervals hold it, and what cannot be known is said."""

import numpy as np
import pytest

from fieldmark.label_audit.growth import LEAST, curve_of, growth_of


def hits_of(rng: np.random.Generator, count: int, *, mistakes: float, exponent: float) -> np.ndarray:
    """bool (3, N): mistakes of a power law, those of a fit to more photos among those of one to fewer."""
    shares = mistakes * np.array([0.25, 0.5, 1.0])[:, None] ** -exponent
    return rng.random(count)[None] >= shares


def test_the_exponent_is_found_and_held_by_its_interval() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(40):
        curve = curve_of(hits_of(rng, 1500, mistakes=0.15, exponent=0.4))
        assert curve is not None
        assert abs(curve.exponent.mean - 0.4) < 0.4
        inside += curve.exponent.low <= 0.4 <= curve.exponent.high
    assert inside >= 34


def test_the_exponent_is_the_slope() -> None:
    hits = np.ones((3, 1000), bool)
    for row, wrong in enumerate((400, 200, 100)):
        hits[row, :wrong] = False
    curve = curve_of(hits)
    assert curve is not None
    assert curve.mistakes == (0.4, 0.2, 0.1)
    assert curve.exponent.mean == pytest.approx(1.0)


def test_a_curve_that_flattens_promises_no_more_than_its_last_step() -> None:
    hits = np.ones((3, 1000), bool)
    for row, wrong in enumerate((400, 200, 190)):
        hits[row, :wrong] = False
    curve = curve_of(hits)
    assert curve is not None
    assert curve.exponent.mean == pytest.approx(np.log2(200 / 190))
    assert curve.exponent.high > 0.5  # the whole curve has 0.54


def test_classes() -> None:
    hits = hits_of(np.random.default_rng(1), 2000, mistakes=0.1, exponent=0.5)
    labels = np.arange(2000) % 20
    hits[2, labels == 3] = True
    few = np.arange(2000) < 2000 - 20 * (100 - LEAST + 1)
    hits, labels = (hits[:, (labels != 4) | few], labels[(labels != 4) | few])
    curve, growth = growth_of(hits, labels, classes=21)
    assert curve is not None
    assert len(growth) == 21
    first = growth[0]
    assert first.gain is not None
    assert first.needed is not None
    assert 0 <= first.gain.low < first.gain.mean < first.gain.high < 1
    # a fifth fewer mistakes by the law itself
    more = (first.photos + first.needed) / first.photos
    assert more**-curve.exponent.mean == pytest.approx(0.8, abs=0.01)
    assert (growth[3].needed, growth[3].reason) == (None, "none of its photos is mistaken")
    assert growth[4].photos == LEAST - 1
    assert (growth[4].gain, growth[4].reason) == (None, f"fewer than {LEAST} photos")
    assert growth[20] == growth[20]._replace(photos=0, right=0, gain=None, needed=None)


def test_where_nothing_can_be_said() -> None:
    assert curve_of(np.ones((3, 50), bool)) is None
    assert curve_of(np.ones((3, 0), bool)) is None
    _, growth = growth_of(np.ones((3, 50), bool), np.zeros(50, int), classes=1)
    assert growth[0].reason == "hardly a mistake is made"
    flat = np.tile(np.random.default_rng(0).random(300) > 0.2, (3, 1))
    _, growth = growth_of(flat, np.zeros(300, int), classes=1)
    assert growth[0].reason == "it is not clear that more photos help"
    assert growth[0].needed is None
