"""The words of a query."""

import pytest

from fieldmark.serving.questions import Question, question_of
from fieldmark.serving.refused import Refused


@pytest.mark.parametrize(("query", "wanted"), [
    (b"", Question()), (b"top=3", Question(top=3)), (b"maps=1&rival=true", Question(maps=True, rival=True)),
    (b"maps=0", Question()), (b"certainty=0.9&coverage=.8", Question(certainty=0.9, coverage=0.8)),
    (b"refuse=5%25", Question(refuse=0.05)), (b"refuse=0.05", Question(refuse=0.05)),
    (b"neighbours=9", Question(neighbours=9)),
])  # fmt: skip
def test_questions(query: bytes, wanted: Question):
    assert question_of(query) == wanted


@pytest.mark.parametrize("query", [
    b"top=0", b"top=-1", b"top=1.5", b"top=", b"top=many", b"top=1&top=2", b"tpo=3", b"maps=2", b"maps", b"certainty=0",
    b"certainty=1", b"coverage=nan", b"refuse=150%25", b"neighbours=10", b"top=" + b"9" * 5000, b"\xff=1", b"%ff=1",
    b"&".join(b"a%d=1" % at for at in range(40)), b"url=http://example.org/bird.jpg",
])  # fmt: skip
def test_queries_that_are_refused(query: bytes):
    with pytest.raises(Refused) as caught:
        question_of(query)
    assert (caught.value.status, caught.value.code) == (400, "bad_query")
    assert len(caught.value.message) < 400


def test_outputs_are_those_that_are_needed():
    assert Question().outputs == ("logits",)
    assert Question(rival=True).outputs == ("logits", "maps")
    assert set(Question(refuse=0.05, neighbours=2).outputs) == {"logits", "embedding"}
