"""Figures, classes, pairs, mistakes and confidence, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fieldmark.evaluation.evaluate import Evaluation
from fieldmark.evaluation.metrics import measure
from fieldmark.reports.measured import (
    class_rows,
    example_of,
    figures_of,
    mistakes_of,
    most_confident,
    pairs_of,
    ranges_of,
)
from made_up_pages import answers

CLASSES = ("ant", "bee", "cat")


def answered(*rows: tuple[int, tuple[float, ...]], headline: str = "top1") -> Evaluation:
    """Answers as (true class, probabilities)."""
    labels = np.array([label for label, _ in rows])
    logits = np.log(np.array([shares for _, shares in rows])).astype(np.float32)
    made = answers(CLASSES, photos=len(rows))
    return replace(made, labels=labels, logits=logits, metrics=measure(logits, labels), headline=headline)


FOUR = (
    (0, (0.70, 0.20, 0.10)),
    (0, (0.30, 0.60, 0.10)),
    (1, (0.80, 0.15, 0.05)),
    (1, (0.02, 0.95, 0.03)),
)


def test_figures_and_the_one_to_look_at_first() -> None:
    figures = figures_of(answered(*FOUR, headline="mean_per_class"))
    assert [figure.name for figure in figures] == ["mean per-class accuracy", "top-1 accuracy", "macro F1"]
    assert [figure.is_first for figure in figures] == [True, False, False]
    mean, top1, f1 = figures
    assert mean.share == top1.share == 0.5
    assert top1.interval is not None
    assert top1.interval.low < 0.5 < top1.interval.high
    assert f1.interval is None
    assert "top-5 accuracy" in [figure.name for figure in figures_of(answers([str(at) for at in range(7)]))]


def test_a_row_per_class_the_least_accurate_first_and_those_without_photos_last() -> None:
    rows = class_rows(answered(*FOUR, (1, (0.1, 0.8, 0.1))), {"ant": 20})
    assert [row.name for row in rows] == ["ant", "bee", "cat"]
    ant, bee, cat = rows
    assert (ant.trained, ant.photos, ant.right, ant.taken_for, ant.times) == (20, 2, 1, "bee", 1)
    assert (bee.trained, bee.photos, bee.right, bee.taken_for) == (None, 3, 2, "ant")
    assert bee.accuracy is not None
    assert bee.accuracy.mean == pytest.approx(2 / 3)
    assert (cat.accuracy, cat.taken_for, cat.photos) == (None, "", 0)


def test_pairs_say_both_directions() -> None:
    first, *others = pairs_of(answered(*FOUR, (0, (0.1, 0.8, 0.1))))
    assert first[:4] == (0, 1, 2, 1)
    assert first.photos == 3
    assert first.probability == pytest.approx((0.2 + 0.6 + 0.8 + 0.8 + 0.02) / 5)
    assert [(pair.first, pair.second, pair.photos) for pair in others] == [(0, 2, 0), (1, 2, 0)]


def test_where_nothing_is_confused_the_nearest_pairs_come() -> None:
    pairs = pairs_of(answered((0, (0.6, 0.1, 0.3)), (1, (0.05, 0.9, 0.05)), (2, (0.2, 0.1, 0.7))))
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 2), (0, 1), (1, 2)]
    assert pairs[0].probability == pytest.approx(0.25)


def test_mistakes_are_ranked_by_the_true_class_and_by_confidence() -> None:
    mistakes = mistakes_of(answered(*FOUR))
    assert [mistake.row for mistake in mistakes] == [2, 1]
    assert mistakes[0][1:3] == (1, 0)
    assert mistakes[0].true_probability == pytest.approx(0.15)
    assert mistakes[0].probability == pytest.approx(0.8)
    assert [mistake.row for mistake in most_confident(mistakes[::-1], 1)] == [2]


def test_ranges_count_photos() -> None:
    ranges = ranges_of(answered(*FOUR))
    assert [(round(15 * part.low), part.photos, part.accuracy.mean) for part in ranges] == [
        (9, 1, 0.0), (10, 1, 1.0), (12, 1, 0.0), (14, 1, 1.0),
    ]  # fmt: skip


def test_an_example_is_right_if_any_is_and_the_clearest() -> None:
    result = answered(*FOUR, (0, (0.5, 0.1, 0.4)), (2, (0.6, 0.3, 0.1)))
    assert example_of(result, 0, against=1) == 4
    assert example_of(result, 0, against=2) == 0
    assert example_of(result, 2, against=0) == 5
    assert example_of(answered(*FOUR), 2, against=0) is None
