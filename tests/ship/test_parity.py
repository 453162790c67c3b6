"""What a comparison allows; how it is told stands in exporting/test_parity.py."""

from fieldmark.ship.parity import LARGE, LIMIT, limit_of


def test_large_logits_may_differ_in_proportion():
    assert limit_of(0.0) == limit_of(LARGE) == LIMIT == 1e-4
    assert limit_of(10 * LARGE) == 10 * LIMIT
