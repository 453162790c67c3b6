"""A photo ends once."""

import numpy as np
import pytest

from fieldmark.serving.photo import Photo
from fieldmark.serving.refused import Unanswered


def test_a_photo_ends_once():
    ended: list[Photo] = []
    photo = Photo(b"x", ("logits",), ended.append)
    photo.fail("because")
    photo.answer({"logits": np.zeros(2)})
    assert ended == [photo]
    dropped = Photo(b"x", ("logits",), ended.append)
    dropped.drop()
    dropped.fail("too late")
    assert ended == [photo]


def test_outputs_or_a_reason():
    answered, failed = (Photo(b"x", ("logits",), lambda photo: None) for _ in range(2))
    answered.answer({"logits": np.ones(2)})
    assert answered.found()["logits"].sum() == 2
    failed.fail("because")
    with pytest.raises(Unanswered, match="because"):
        failed.found()
