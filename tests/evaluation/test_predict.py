"""Predictions: in the order asked for, a reason where there are none, and equal to evaluation's."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fieldmark.data.dataset import Box, Photo
from fieldmark.data.unlabelled import photos_of
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import evaluate, split_of_run
from fieldmark.evaluation.predict import (
    Prediction,
    Tally,
    predict,
    print_predictions,
    refuse_output,
    write_predictions,
)
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
    assert {(answer.classes, answer.probabilities) for answer in answers[:5]} == {
        (answers[0].classes, answers[0].probabilities)
    }
    assert [bool(answer.reason) for answer in answers] == [False] * 5 + [True, False]
    assert str(answers[5]) == "inputs[5]  cannot be read: text, not an image"


PREDICTIONS = [
    Prediction("a,\n.jpg", ("ant", "bee"), (0.75, 0.25)),
    Prediction("caf\udce9.jpg", reason="an empty file"),
]


def test_the_table_of_predictions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.csv"
    tally = write_predictions(path, PREDICTIONS, top=3)
    assert (tally.count, tally.unreadable, tally.first) == (2, PREDICTIONS[1:], PREDICTIONS)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "file": "a,\n.jpg", "class_1": "ant", "probability_1": "0.750000", "class_2": "bee",
        "probability_2": "0.250000", "class_3": "", "probability_3": "", "error": "",
    }  # fmt: skip
    assert (rows[1]["file"], rows[1]["class_1"], rows[1]["error"]) == ("caf\\udce9.jpg", "", "an empty file")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_predictions_as_json(count: int, tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.JSON"
    write_predictions(path, PREDICTIONS[:count], top=3)
    assert (
        json.loads(path.read_bytes())["predictions"]
        == [
            {
                "file": "a,\n.jpg",
                "classes": [{"class": "ant", "probability": 0.75}, {"class": "bee", "probability": 0.25}],
                "error": None,
            },
            {"file": "caf\udce9.jpg", "classes": [], "error": "an empty file"},
        ][:count]
    )
    refuse_output(path)  # it may be replaced


@pytest.mark.parametrize("name", ["p.txt", "p.tsv", "p", "p.csv.gz", "p.xlsx", "p.jsonl", "new/p.parquet"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"-o .*{re.escape(name)}: name a .csv or .json file, or -"):
        refuse_output(tmp_path / name)
    for allowed in (tmp_path / "p.csv", tmp_path / "p.CSV", tmp_path / "p.json", Path("-"), Path("/dev/stdout")):
        refuse_output(allowed)


def test_files_of_another_kind_are_not_written_over(tmp_path: Path) -> None:
    table, data = tmp_path / "p.csv", tmp_path / "p.json"
    table.write_text("path,label\n")
    data.write_text("{}")
    for path in (table, data):
        with pytest.raises(UserError, match="not a result of this command"):
            refuse_output(path)


def lines_of(predictions: list[Prediction], path: Path) -> list[str]:
    """What is told of predictions."""
    said = io.StringIO()
    tally = Tally()
    assert list(tally.counted(predictions)) == predictions
    print_predictions(tally, path, Console(file=said, width=20))
    return said.getvalue().splitlines()


def answered(number: int) -> Prediction:
    return Prediction(f"{number}.jpg", (f"class {number % 7}", "rose", "none"), (0.374, 0.302, 0.004))


def unread(number: int) -> Prediction:
    return Prediction(f"bad{number}.jpg", reason="an empty file")


def test_few_answers_are_printed() -> None:
    path = Path("p.csv")
    few = [answered(number) for number in range(20)]
    lines = lines_of(few, path)
    assert lines[:20] == [f"{number}.jpg  class {number % 7} 37 %, rose 30 %" for number in range(20)]
    assert lines[20:] == ["20 photos: p.csv"]
    assert lines_of([answered(0), unread(1)], path) == [
        "0.jpg  class 0 37 %, rose 30 %",
        "bad1.jpg  cannot be read: an empty file",
        "2 photos, 1 of them unreadable: p.csv",
    ]
    assert str(Prediction("a.jpg", ("ant", "bee"), (0.004, 0.003))) == "a.jpg  ant 0 %"


def test_of_many_answers_a_summary_is_printed() -> None:
    many = [answered(number) for number in range(21)]
    *others, last = lines_of(many, Path("p.csv"))
    assert last == "21 photos: p.csv"
    assert others == [f"likeliest class: {', '.join(f'class {k} 3' for k in range(5))}, and 2 others"]
    lines = lines_of(many + [unread(number) for number in range(15)], Path("p.csv"))
    assert lines[:10] == [f"bad{number}.jpg  cannot be read: an empty file" for number in range(10)]
    assert lines[10] == "and 5 more that cannot be read: see error"
    assert lines[-1] == "36 photos, 15 of them unreadable: p.csv"
    none = lines_of([unread(number) for number in range(21)], Path("p.csv"))
    assert none[-2:] == ["and 11 more that cannot be read: see error", "21 photos, 21 of them unreadable: p.csv"]


def test_beside_a_table_on_standard_output_no_answer_is_printed() -> None:
    lines = lines_of([answered(0), unread(1)], Path("-"))
    assert lines == ["bad1.jpg  cannot be read: an empty file", "2 photos, 1 of them unreadable"]
