"""Which classes the table of confusions shows, in which order, and how deep its colours are."""

import numpy as np

from fieldmark.reports.matrix import LARGEST, LEVELS, matrix_of


def test_classes_that_are_confused_stand_side_by_side() -> None:
    confusion = np.diag([9] * 6)
    confusion[0, 5] = confusion[5, 0] = 4
    confusion[1, 3] = 2
    matrix = matrix_of(confusion)
    order = list(matrix.labels)
    assert sorted(order) == [0, 1, 2, 3, 4, 5]
    assert abs(order.index(0) - order.index(5)) == 1
    assert abs(order.index(1) - order.index(3)) == 1
    assert (matrix.confused, matrix.hidden) == (4, 0)


def test_cells_say_what_they_count() -> None:
    matrix = matrix_of(np.array([[8, 2], [0, 10]]))
    assert matrix.labels == (0, 1)
    (right, wrong), (empty, other) = matrix.rows
    assert right == (0, 0, 8, LEVELS)
    assert wrong == (0, 1, 2, 2)
    assert empty is None
    assert other is not None
    assert wrong is not None
    assert (other.level, other.is_mistake, wrong.is_mistake) == (LEVELS, False, True)


def test_of_many_classes_those_with_most_mistakes_are_shown() -> None:
    count = LARGEST + 40
    confusion = np.diag(np.full(count, 5))
    for at in range(0, 20, 2):
        confusion[at, at + 1] = 1 + at
    matrix = matrix_of(confusion)
    assert set(matrix.labels) == set(range(20))
    assert matrix.hidden == 0
    rng = np.random.default_rng(0)
    confusion = rng.integers(0, 2, (count, count))
    matrix = matrix_of(confusion)
    assert len(matrix.labels) == LARGEST == len(matrix.rows)
    wrong = int(confusion.sum() - np.trace(confusion))
    assert matrix.hidden == wrong - sum(cell.photos for row in matrix.rows for cell in row if cell and cell.is_mistake)
    assert matrix.confused == count


def test_many_classes_without_a_mistake_and_a_single_class() -> None:
    assert matrix_of(np.diag(np.ones(100, dtype=int))).labels == ()
    assert matrix_of(np.array([[3]])).labels == (0,)
