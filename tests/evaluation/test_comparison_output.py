"""What the comparison of two runs writes and prints."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fieldmark.data.dataset import Photo, Unread
from fieldmark.evaluation.comparison import Comparison
from fieldmark.evaluation.comparison_output import COLUMNS, print_comparison, print_limit, write_comparison
from two_runs import comparison, random_comparison


def printed(two: Comparison, *, width: int = 80) -> str:
    stream = io.StringIO()
    print_comparison(two, Console(file=stream, width=width))
    return stream.getvalue()


def limited(two: Comparison, points: float) -> str:
    stream = io.StringIO()
    print_limit(two, points, Console(file=stream, width=80))
    return stream.getvalue()


def lost(*names: str) -> tuple[Unread, ...]:
    return tuple(Unread(Photo(name, Path(name), 1, "test"), "truncated") for name in names)


def test_a_row_for_each_photo(tmp_path: Path) -> None:
    two = comparison([0, 1, 2, 3], [0, 1, 0, 0], [0, 2, 2, 1])
    write_comparison(replace(two, left_out=(lost("a.jpg"), lost("b.jpg"))), tmp_path / "deep" / "against.csv")
    with (tmp_path / "deep" / "against.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == list(COLUMNS)
    assert rows == [
        ["0.jpg", "test", "class 0", "class 0", "class 0", "both", ""],
        ["1.jpg", "test", "class 1", "class 1", "class 2", "run", ""],
        ["2.jpg", "test", "class 2", "class 0", "class 2", "against", ""],
        ["3.jpg", "test", "class 3", "class 0", "class 1", "neither", ""],
        ["a.jpg", "test", "class 1", "", "", "", "truncated (by runs/new)"],
        ["b.jpg", "test", "class 1", "", "", "", "truncated (by runs/old)"],
    ]


def test_figures_in_80_columns() -> None:
    two = random_comparison()
    text = printed(two)
    assert max(map(len, text.splitlines()[:8])) <= 80
    assert "runs/new against runs/old: 80 photos" in text
    mean, low, high = (100 * share for share in two.difference("top1"))
    (line,) = (line for line in text.splitlines() if "top1, difference" in line)
    assert line.split("│")[2].strip() == f"{mean:+.2f}"
    assert line.split("│")[3].strip() == f"{low:+.1f} to {high:+.1f}"
    both, first, second, neither = two.counts
    assert f"right: both {both}, only this run {first}, only runs/old {second}, neither {neither} (McNemar's" in text
    assert "mean per class" not in text
    assert "warning" not in text
    uneven = printed(replace(two, headline="mean_per_class"))
    for name, share in zip(("this run", "against"), two.mean_per_class, strict=True):
        (line,) = (line for line in uneven.splitlines() if f"mean per class, {name}" in line)
        assert f"{100 * share:.2f}" in line
    assert "top1, difference" in uneven
    assert "mean per class, difference" in uneven


def test_classes_that_are_better_and_worse() -> None:
    labels = np.repeat(np.arange(14), 4)
    first, second = np.where(labels < 7, labels, 13), np.where(labels < 7, 13, labels)
    first[0] = 13  # class 0 wins a photo less
    lines = printed(comparison(labels, first, second, classes=14)).splitlines()
    at = lines.index("better, 5 of 7 classes:")
    assert lines[at + 1] == "  +4  class 1 (4 right of 4, against 0)"
    assert lines[at + 6] == "worse, 5 of 6 classes:"
    assert lines[at + 7] == "  -4  class 7 (0 right of 4, against 4)"
    assert lines[at + 12].startswith("with so few photos per class (4 in the median of these) single classes are")
    same = printed(comparison(labels, first, first, classes=14))
    assert "better" not in same
    assert "worse" not in same
    assert "weakly known" not in same


def test_warnings_come_first() -> None:
    two = replace(random_comparison(), trained_on=(0, 12), runs=("new", "runs/[bold]old"))
    first = printed(two).splitlines()[0]
    assert first.startswith("warning: runs/[bold]old was trained on 12 of these 80 photos: it has seen their answers")
    assert "runs/[bold]old: 80 photos" in printed(two)
    two = replace(two, left_out=(lost("mine.jpg"), lost(*(f"{at}.jpg" for at in range(7)))))
    text = printed(two)
    assert "mine.jpg" not in text, "told with the run's own figures"
    assert text.count("left out, as runs/[bold]old cannot read it: ") == 5
    assert "left out: 2 more; against.csv names them all" in text


@pytest.mark.parametrize(
    ("lost", "points", "said"),
    [
        (0, 1, "top1 +0.00 points (-0.6 to +0.6): no larger loss than --max-regression 1 allows; the interval says so"),
        (0, 0, "no larger loss than --max-regression 0 allows; the interval leaves it open"),
        (30, 1, "top1 -6.00 points (-8.1 to -3.8): a larger loss than --max-regression 1 allows; the interval says so"),
        (30, 5, "a larger loss than --max-regression 5 allows; the interval leaves it open, and more photos would"),
        (30, 7.5, "no larger loss than --max-regression 7.5 allows; the interval leaves it open"),
    ],
)
def test_whether_the_interval_bears_it_out(lost: int, points: float, said: str) -> None:
    labels = np.zeros(500, np.int64)
    text = limited(comparison(labels, np.arange(500) < lost, labels), points)
    assert said in text
    assert len(text.splitlines()) == 1
