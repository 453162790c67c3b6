"""Answers in words: what the model says is in ``test_app.py``, over HTTP; here, what it keeps ready."""

import pytest
from asking import Inside

from fieldmark.serving.answers import Answers
from fieldmark.serving.questions import Question
from fieldmark.serving.refused import Refused


def test_demands_are_made_once(inside: Inside):
    answers = Answers(inside.engine.model)
    question = Question(certainty=0.9, refuse=0.1)
    answers.refuse_unoffered(question)
    assert answers._demands_of(question) is answers._demands_of(Question(certainty=0.9, refuse=0.1, top=2))
    for number in range(200):
        answers.refuse_unoffered(Question(certainty=0.1 + number / 1000))
    assert answers._demands.cache_info().currsize <= 64


def test_offers_can_be_asked_for_and_no_more(inside: Inside):
    answers = Answers(inside.engine.model)
    offers = answers.offers
    answers.refuse_unoffered(Question(refuse=offers["refuse"], coverage=offers["coverage"]))
    for question in (Question(refuse=offers["refuse"] - 0.001), Question(coverage=offers["coverage"] + 0.001)):
        with pytest.raises(Refused):
            answers.refuse_unoffered(question)
