"""Predictions as they are written and printed."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from fieldmark.errors import UserError
from fieldmark.predictions.prediction import Prediction, Tally
from fieldmark.predictions.writing import print_predictions, refuse_output, write_predictions

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
