"""Predictions made of probabilities."""

import numpy as np

from fieldmark.confidence.answers import Answer
from fieldmark.predictions.prediction import Prediction, columns_of, predictions_of

CLASSES = ("ant", "bee", "cat")


def test_the_likeliest_classes_come_first_and_equal_ones_in_their_order() -> None:
    shares = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]])
    found = list(predictions_of(["a", "b", "c"], shares, classes=CLASSES, top=2, reasons={2: "an empty file"}))
    assert found == [
        Prediction("a", ("bee", "cat"), (0.5, 0.3)),
        Prediction("b", ("ant", "bee"), (0.4, 0.4)),
        Prediction("c", reason="an empty file"),
    ]


def test_answers_stand_beside_their_photos() -> None:
    shares = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
    answers = [Answer("insects", "family", 0.7), Answer(classes=("ant",))]
    one, other = predictions_of(["a", "b"], shares, classes=CLASSES, top=1, answers=answers, reasons={})
    assert (one.answer, one.level, one.answer_probability, one.set) == ("insects", "family", 0.7, None)
    assert (other.answer, other.set) == ("", ("ant",))


def test_columns_are_those_asked_for() -> None:
    assert columns_of(None, None) == ()
    assert columns_of(0.9, None) == ("answer", "level", "answer_probability")
    assert columns_of(None, 0.9, "5%") == ("answer", "nearest", "distance", "set")


def test_scores_that_are_no_numbers_are_no_answer() -> None:
    shares = np.array([[0.2, 0.5, 0.3], [np.nan, np.nan, np.nan]])
    good, bad = predictions_of(["a", "b"], shares, classes=CLASSES, top=2, reasons={})
    assert good.classes == ("bee", "cat")
    assert (bad.classes, bad.reason) == ((), "the network's scores of it are not numbers; its weights may be damaged")
