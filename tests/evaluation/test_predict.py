"""Predictions: in the order asked for, a reason where there are none, and equal to evaluation's."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fieldmark.data.dataset import Box, Photo
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import evaluate, split_of_run
from fieldmark.evaluation.predict import Prediction, photos_of, predict, write_predictions
from fieldmark.runs.folder import Opened, open_run
from small_runs import write_photo


@pytest.fixture
def opened(trained: Path) -> Opened:
    return open_run(trained)


def test_order_damage_and_repeats(opened: Opened, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    good = photos / "ant" / "0.jpg"
    inputs = [good, tmp_path / "bad.jpg", photos / "bee" / "1.jpg", good]
    found = list(predict(opened, photos_of(inputs), top=3))
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
    (first,) = predict(opened, photos_of([good]), top=1)
    assert first.classes == found[0].classes[:1]


def test_they_are_evaluation_s(opened: Opened, photos: Path) -> None:
    result = evaluate(opened, split_of_run(opened.path, photos, "val"), split="val", workers=0)
    found = list(predict(opened, photos_of([photos / name for name in result.names]), top=9))
    for one, row in zip(found, result.logits.astype(np.float64), strict=True):
        shares = np.exp(row) / np.exp(row).sum()
        assert [opened.classes[label] for label in np.argsort(-shares)] == list(one.classes)
        np.testing.assert_allclose(sorted(shares, reverse=True), one.probabilities, rtol=1e-5)


def test_folders_are_searched_through_in_natural_order(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/10.jpg", "a/x/1.PNG", "9.jpg", "10.jpg", ".hidden/1.jpg", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [photo.path.relative_to(tmp_path).as_posix() for photo in photos_of([tmp_path])]
    assert found == ["9.jpg", "10.jpg", "a/x/1.PNG", "b/2.jpg", "b/10.jpg"]


def test_inputs_without_photos(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        photos_of([tmp_path / "none.jpg"])
    with pytest.raises(UserError, match="no photos in"):
        photos_of([tmp_path])
    with pytest.raises(UserError, match="no photos in"):
        photos_of([])


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(folder: Path, onerror) -> list[object]:
        onerror(PermissionError(13, "Permission denied", str(folder / "locked")))
        return []

    monkeypatch.setattr("fieldmark.evaluation.predict.os.walk", denied)
    with pytest.raises(UserError, match=r"locked: the folder cannot be read \(Permission denied\)"):
        photos_of([tmp_path])


def test_tables(photos: Path, tmp_path: Path, opened: Opened) -> None:
    table = tmp_path / "list.csv"
    table.write_text(
        f"path,x,y,width,height\n{photos}/ant/0.jpg,10,10,40,40\n{photos}/bee/0.jpg,,,,\nmissing.jpg,,,,\n"
    )
    listed = photos_of([table])
    assert [photo.box for photo in listed] == [Box(10, 10, 40, 40), None, None]
    found = list(predict(opened, listed))
    assert [bool(one.reason) for one in found] == [False, False, True]


def test_boxes_are_needed_where_the_run_needs_them(photos: Path, opened: Opened) -> None:
    recipe = replace(opened.recipe, pixels=replace(opened.recipe.pixels, fit="box"))
    boxed = opened._replace(recipe=recipe)
    path = photos / "ant" / "0.jpg"
    with pytest.raises(UserError, match="1 of 1 photos have no box") as error:
        predict(boxed, photos_of([path]))  # at once, before anything is written
    assert "CSV" in str(error.value)
    whole, part = Box(0, 0, 80, 64), Box(5, 5, 20, 20)
    found = list(predict(boxed, [Photo("0", path, box=box) for box in (whole, part, whole)]))
    assert found[0].probabilities == pytest.approx(found[2].probabilities, rel=1e-5)
    assert found[0].probabilities != found[1].probabilities


def test_top_is_at_least_one(opened: Opened, photos: Path) -> None:
    with pytest.raises(UserError, match="--top 0: at least 1"):
        predict(opened, photos_of([photos]), top=0)


def test_many_photos_come_in_order_from_a_worker(opened: Opened, tmp_path: Path) -> None:
    for number in range(40):
        write_photo(tmp_path / f"{number}.jpg", label=number, number=number)
    one, other = (list(predict(opened, photos_of([tmp_path]), workers=workers)) for workers in (0, 1))
    assert [found.file for found in one] == [str(tmp_path / f"{number}.jpg") for number in range(40)]
    assert one == other


def test_the_table_of_predictions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.csv"
    predictions = [
        Prediction("a,\n.jpg", ("ant", "bee"), (0.75, 0.25)),
        Prediction("caf\udce9.jpg", reason="an empty file"),
    ]
    assert write_predictions(path, predictions, top=3) == (2, 1)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "file": "a,\n.jpg", "class_1": "ant", "probability_1": "0.750000", "class_2": "bee",
        "probability_2": "0.250000", "class_3": "", "probability_3": "", "error": "",
    }  # fmt: skip
    assert (rows[1]["file"], rows[1]["class_1"], rows[1]["error"]) == ("caf\\udce9.jpg", "", "an empty file")
