"""Tables and figures as a reader sees them."""

import math

from fieldmark.bench.markdown import (
    difference_interval,
    grid,
    listed,
    p_value,
    percent,
    share_interval,
    signed,
)
from fieldmark.evaluation.statistics import Interval


def test_a_table() -> None:
    assert grid(("method", ">%"), [("a|b", "1.0"), ("c", "")]) == "\n".join(
        ("| method | % |", "| --- | ---: |", "| a\\|b | 1.0 |", "| c |  |")
    )
    assert listed(["one", "two"]) == "- one\n- two"


def test_figures() -> None:
    assert [percent(share) for share in (0.7654, 1.0, math.nan)] == ["76.5", "100.0", ""]
    assert [signed(share) for share in (0.0123, -0.0123, 0.0004, -0.0004)] == ["+1.2", "−1.2", "0.0", "0.0"]
    assert [p_value(p) for p in (0.0004, 0.001, 0.5, 1.0, math.nan)] == ["< 0.001", "0.001", "0.500", "1.000", ""]


def test_intervals() -> None:
    assert share_interval(Interval(0.9, 0.75, 1.05)) == "90.0 (75.0 to 100.0)"
    assert share_interval(Interval(0.02, -0.1, 0.14)) == "2.0 (0.0 to 14.0)"
    assert share_interval(Interval(0.5, math.nan, math.nan)) == "50.0"
    assert difference_interval(Interval(-0.01, -0.03, 0.01)) == "−1.0 (−3.0 to +1.0)"
    assert difference_interval(Interval(-0.01, math.nan, math.nan)) == "−1.0"
