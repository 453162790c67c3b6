"""Where lines and marks go."""

import math

import pytest

from fieldmark.reports.measured import ranges_of
from fieldmark.reports.plots import BOTTOM, LEFT, RIGHT, TOP, charts_of, reliability_of, ticks, x_of, y_of
from made_up_pages import HISTORY, answers


def test_losses_and_accuracies_have_charts_of_their_own() -> None:
    losses, shares = charts_of(HISTORY)
    assert (losses.title, [line.name for line in losses.lines]) == ("Losses", ["loss"])
    assert (shares.title, [line.name for line in shares.lines]) == ("Accuracy", ["train top1", "val top1"])
    assert [tick.text for tick in losses.across] == ["0", "1", "2", "3", "4", "5"]
    (piece,) = losses.lines[0].pieces
    points = [tuple(map(float, point.split(","))) for point in piece.split()]
    assert [x for x, _ in points] == pytest.approx([x_of(at, 0, 5) for at in range(6)])
    assert [y for _, y in points] == sorted(y for _, y in points)  # falling, and down is larger
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in points)


def test_equal_curves_share_a_line_and_gaps_part_it() -> None:
    rows = [{"epoch": at, "loss": 1.0 + at, "cross_entropy": 1.0 + at, "val_top1": 0.5} for at in range(4)]
    rows[1]["val_top1"] = math.nan
    del rows[3]["val_top1"]
    losses, shares = charts_of(rows)
    assert [line.name for line in losses.lines] == ["loss = cross entropy"]
    assert len(shares.lines[0].pieces) == 2
    assert len(shares.lines[0].marks) == 2


@pytest.mark.parametrize("rows", [[], [{"epoch": 1.0}], [{"epoch": 1.0, "loss": math.inf}]])
def test_nothing_to_draw(rows: list[dict[str, float]]) -> None:
    assert charts_of(rows) == []


def test_a_single_epoch_lies_in_the_middle() -> None:
    (chart,) = charts_of([{"epoch": 3.0, "loss": 0.0}])
    assert chart.lines[0].marks == ((x_of(1, 0, 2), y_of(1, 0, 2)),)
    assert [tick.text for tick in chart.across] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("low", "high", "whole", "wanted"),
    [
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 3, True, [0, 1, 2, 3]), (1, 15, True, [5, 10, 15]),
        (-0.3, 0.3, False, [-0.2, 0.0, 0.2]), (0, 1e-6, False, [0, 2e-7, 4e-7, 6e-7, 8e-7, 1e-6]),
    ],
)  # fmt: skip
def test_ticks_are_round(low: float, high: float, whole: bool, wanted: list[float]) -> None:
    assert ticks(low, high, whole=whole) == pytest.approx(wanted)


def test_confidence_is_drawn_from_the_corner() -> None:
    plot = reliability_of(ranges_of(answers(["ant", "bee"], photos=200)))
    assert max(mark.bar for mark in plot.marks) == 0.25 * (BOTTOM - TOP)
    assert sum(mark.photos for mark in plot.marks) == 200
    for mark in plot.marks:
        assert TOP <= mark.high <= mark.y <= mark.low <= BOTTOM
