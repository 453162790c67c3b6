"""The benchmark of "none of these": its cosines, sums and intervals, on made-up answers."""

import numpy as np
import pytest

import none_of_these as benchmark

RANDOM = np.random.default_rng(0)


def answers(count: int, shift: float) -> benchmark.Answers:
    logits = RANDOM.normal(size=(count, 3)) + shift
    return benchmark.Answers(np.arange(count) % 4, logits, RANDOM.normal(size=(count, 6)) + 2 * shift)


def test_all_rules_tell_what_is_plain() -> None:
    parts = {"gallery": answers(40, 2.0), "known": answers(60, 2.0), "unknown": answers(50, -2.0)}
    scores = benchmark.scores_of(parts)
    assert list(scores) == [*benchmark.RULES, *benchmark.SUMS]
    labels = [parts["known"].labels, parts["unknown"].labels]
    figures = {rule: benchmark.figures_of(*both, labels) for rule, both in scores.items() if "max logit" in rule}
    for area, accepted in figures.values():
        assert 0.9 < area.low <= area.value <= area.high <= 1
        assert 0 <= accepted.low <= accepted.value <= accepted.high
    assert len(benchmark.table([figures, figures])) == 2 + len(figures)


def test_cosines_of_powers() -> None:
    gallery, photos = answers(3, 0.0), answers(2, 0.0)
    found = benchmark.cosines(gallery, photos, power=0.5)
    for row, photo in enumerate(photos.embeddings):
        for column, other in enumerate(gallery.embeddings):
            first, second = (np.sign(one) * np.sqrt(np.abs(one)) for one in (photo, other))
            expected = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
            assert found[row, column] == pytest.approx(expected)
