"""Predictions: in the order asked for, a reason where there are none, and equal to evaluation's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldmark.data.dataset import Box, Photo
from fieldmark.data.unlabelled import photos_of
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import evaluate, split_of_run
from fieldmark.evaluation.predict import predict
from fieldmark.runs.folder import Opened, open_run
from small_runs import write_photo


@pytest.fixture
def opened(trained: Path) -> Opened:
    return open_run(trained)


def test_order_damage_and_repeats(opened: Opened, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    good = photos / "ant" / "0.jpg"
    inputs = [good, tmp_path / "bad.jpg", photos / "bee" / "1.jpg", good]
    found = list(predict(opened, photos_of(inputs).photos, top=3))
    assert [one.file for one in found] == [str(path) for path in inputs]
    assert found[0] == found[3]
    assert found[1].classes == found[1].probabilities == ()
    assert found[1].reason
    assert str(tmp_path) not in found[1].reason
    for one in (found[0], found[2]):
        assert sorted(one.classes) == ["ant", "bee", "cat"]
        assert list(one.probabilities) == sorted(one.probabilities, reverse=True)
        assert sum(one.probabilities) == pytest.approx(1)
        assert one.reason == ""
    (first,) = predict(opened, photos_of([good]).photos, top=1)
    assert first.classes == found[0].classes[:1]


def test_they_are_evaluation_s(opened: Opened, photos: Path) -> None:
    result = evaluate(opened, split_of_run(opened.path, photos, "val"), split="val", workers=0)
    found = list(predict(opened, photos_of([photos / name for name in result.names]).photos, top=9))
    for one, row in zip(found, result.logits.astype(np.float64), strict=True):
        shares = np.exp(row) / np.exp(row).sum()
        assert [opened.classes[label] for label in np.argsort(-shares)] == list(one.classes)
        np.testing.assert_allclose(sorted(shares, reverse=True), one.probabilities, rtol=1e-5)


def test_boxes_are_needed_where_the_run_needs_them(photos: Path, opened: Opened) -> None:
    recipe = replace(opened.recipe, pixels=replace(opened.recipe.pixels, fit="box"))
    boxed = opened._replace(recipe=recipe)
    path = photos / "ant" / "0.jpg"
    with pytest.raises(UserError, match="1 of 1 photos have no box") as error:
        predict(boxed, photos_of(path).photos)  # at once, before anything is written
    assert "CSV" in str(error.value)
    whole, part = Box(0, 0, 80, 64), Box(5, 5, 20, 20)
    found = list(predict(boxed, [Photo("0", path, box=box) for box in (whole, part, whole)]))
    assert found[0].probabilities == pytest.approx(found[2].probabilities, rel=1e-5)
    assert found[0].probabilities != found[1].probabilities


def test_top_is_at_least_one(opened: Opened, photos: Path) -> None:
    with pytest.raises(UserError, match="--top 0: at least 1"):
        predict(opened, photos_of(photos).photos, top=0)


def test_many_photos_come_in_order_from_a_worker(opened: Opened, tmp_path: Path) -> None:
    for number in range(40):
        write_photo(tmp_path / f"{number}.jpg", label=number, number=number)
    one, other = (list(predict(opened, photos_of(tmp_path).photos, workers=workers)) for workers in (0, 1))
    assert [found.file for found in one] == [str(tmp_path / f"{number}.jpg") for number in range(40)]
    assert one == other


def test_pictures_in_memory_are_answered_as_their_files(opened: Opened, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with Image.open(photos / "ant" / "0.jpg") as photo:
        photo.save(path)
    with Image.open(path) as picture, path.open("rb") as file:
        forms = [path, path.read_bytes(), file, picture, np.asarray(picture), b"no picture", photos / "bee" / "0.jpg"]
        found, pictures, _ = photos_of(forms)
        answers = list(predict(opened, found, pictures=pictures))
    assert {answer.classes for answer in answers[:5]} == {answers[0].classes}
    for answer in answers[:5]:  # some processors round rows of a batch otherwise than their neighbours
        assert answer.probabilities == pytest.approx(answers[0].probabilities, rel=1e-5)
    assert [bool(answer.reason) for answer in answers] == [False] * 5 + [True, False]
    assert str(answers[5]) == "inputs[5]  cannot be read: text, not an image"
