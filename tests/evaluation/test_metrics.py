"""Every figure against sklearn's or a loop written from its definition."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from fieldmark.evaluation.metrics import confused_pairs, headline, measure, per_class


def example(seed: int, *, photos: int = 60, classes: int = 7, absent: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Logits with some signal; the last ``absent`` classes have no photo, but are predicted now and then."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - absent, photos)
    logits = rng.normal(size=(photos, classes)).astype(np.float32)
    logits[np.arange(photos), labels] += 1
    return logits, labels


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("absent", [0, 2])
def test_figures_are_those_of_sklearn(seed: int, absent: int) -> None:
    logits, labels = example(seed, absent=absent)
    said, there = logits.argmax(1), np.unique(labels)
    found = measure(logits, labels)
    assert found.n == 60
    assert found.top1 == pytest.approx(accuracy_score(labels, said))
    ranked = np.argsort(-logits, axis=1)[:, :5]
    assert found.top5 == pytest.approx(np.mean([label in row for label, row in zip(labels, ranked, strict=True)]))
    # classes without a photo do not count, even where they are predicted
    kwargs = {"labels": there, "average": "macro", "zero_division": 0.0}
    assert found.mean_per_class == pytest.approx(recall_score(labels, said, **kwargs))
    assert found.macro_f1 == pytest.approx(f1_score(labels, said, **kwargs))
    assert np.array_equal(found.confusion, confusion_matrix(labels, said, labels=range(7)))


@pytest.mark.parametrize("classes", [2, 5, 6])
def test_five_of_few_classes_say_nothing(classes: int) -> None:
    logits, labels = example(0, classes=classes, absent=0)
    assert (measure(logits, labels).top5 is None) == (classes < 6)


def test_one_photo() -> None:
    one = measure(np.array([[0.0, 1.0]], np.float32), np.array([1]))
    assert (one.top1, one.mean_per_class, one.macro_f1) == (1.0, 1.0, 1.0)


def test_the_figures_of_a_case_worked_by_hand() -> None:
    said, labels = [0, 0, 1, 1, 2], np.array([0, 0, 0, 1, 1])
    found = measure(np.eye(3, dtype=np.float32)[said], labels)
    assert found.top1 == pytest.approx(3 / 5)
    assert found.mean_per_class == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.macro_f1 == pytest.approx((4 / 5 + 1 / 2) / 2)


@pytest.mark.parametrize(
    ("counts", "figure"),
    [((5, 5), "top1"), ((49, 5), "top1"), ((50, 5), "mean_per_class"), ((50, 0, 49), "top1"), ((0, 0), "top1")],
)
def test_the_headline_follows_the_balance(counts: tuple[int, ...], figure: str) -> None:
    assert headline(counts) == figure


def test_confused_pairs_by_a_loop() -> None:
    rng = np.random.default_rng(0)
    confusion = rng.integers(0, 9, (6, 6))
    naive = sorted(
        ((int(confusion[i, j] + confusion[j, i]), i, j) for i in range(6) for j in range(i + 1, 6)),
        key=lambda one: (-one[0], one[1], one[2]),
    )
    assert confused_pairs(confusion, count=4) == [(i, j, count) for count, i, j in naive[:4]]
    assert confused_pairs(np.diag([3, 4, 5])) == []
    assert confused_pairs(np.array([[0, 1], [2, 0]])) == [(0, 1, 3)]


def test_rows_by_class() -> None:
    confusion = np.array([[2, 1, 0], [0, 0, 0], [0, 4, 0]])
    rows = per_class(confusion, ["ant", "bee", "cat"])
    assert rows[0] == {
        "class": "ant", "photos": 3, "recall": 0.6667, "precision": 1.0, "f1": 0.8, "most_taken_for": "bee", "times": 1,
    }  # fmt: skip
    assert (rows[1]["photos"], rows[1]["recall"], rows[1]["precision"], rows[1]["f1"]) == (0, "", 0.0, "")
    assert (rows[1]["most_taken_for"], rows[1]["times"]) == ("", 0)
    assert (rows[2]["recall"], rows[2]["precision"], rows[2]["most_taken_for"]) == (0.0, "", "bee")
