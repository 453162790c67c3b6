"""``--groups``, ``--certainty`` and ``--coverage`` as a user types them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import fieldmark
from fieldmark.confidence.held_out import HeldOut
from fieldmark.errors import UserError
from fieldmark.runs.folder import CONFIDENCE
from small_runs import BACKBONE, KEYWORDS
from sure_runs import sure
from typed import ran, refused

GROUPS = "class,kind,all\nant,insects,animals\nbee,insects,animals\ncat,,animals\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "groups.csv"
    path.write_text(GROUPS)
    return path


@pytest.fixture
def measured(own_run: Path) -> Path:
    """The run with answers to held-out photos."""
    logits = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    sure(own_run, answers=HeldOut(tuple(map(str, range(60))), np.arange(60) % 3, logits))
    return own_run


def test_evaluate_by_level(own_run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("evaluate", own_run, "--groups", table, "--split", "train", "--json", tmp_path / "f.json") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "by level of groups" in said
    assert "answers: % of photos (% of these right)" in said
    found = json.loads((tmp_path / "f.json").read_text())["by_level"]
    assert [level["level"] for level in found["levels"]] == ["class", "kind", "all"]
    assert found["levels"][2]["accuracy"] == 1
    assert [each["certainty"] for each in found["answers"]] == [0.8, 0.9, 0.95]
    assert all(sum(level["photos"] for level in each["levels"]) + each["unsure"] == 24 for each in found["answers"])
    assert json.loads((own_run / "evaluation" / "train" / "metrics.json").read_text())["by_level"] == found
    assert ran("evaluate", own_run, "--split", "train") == 0
    assert "by level" not in capsys.readouterr().out


def test_predictions_with_answers_and_sets(
    measured: Path, photos: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    words = (
        "predict",
        measured,
        photos / "ant" / "0.jpg",
        tmp_path / "bad.jpg",
        photos / "cat" / "1.jpg",
        "--top",
        "1",
    )
    asked = ("--certainty", "0.999", "--coverage", "0.9", "--groups", table)
    assert ran(*words, *asked, "-o", tmp_path / "p.csv") == 0
    said = capsys.readouterr().out
    assert said.count("; answer: animals (all) 100 %; set: ") == 2
    with (tmp_path / "p.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "class_1", "probability_1", "answer", "level", "answer_probability", "set", "error"]
    assert [row[3:6] for row in rows] == [["animals", "all", "1.000000"], ["", "", ""], ["animals", "all", "1.000000"]]
    assert rows[1][6] == ""
    assert rows[1][7]
    assert ran(*words, *asked, "-o", tmp_path / "p.json") == 0
    found = json.loads((tmp_path / "p.json").read_text())["predictions"]
    assert [one["set"] for one in (found[0], found[2])] == [json.loads(row[6]) for row in (rows[0], rows[2])]
    assert (found[0]["answer"], found[0]["level"]) == ("animals", "all")
    assert found[1]["answer"] is found[1]["set"] is None
    (first, _) = fieldmark.predict(measured, [photos / "ant" / "0.jpg", tmp_path / "bad.jpg"], coverage=0.9)
    assert first.set == tuple(found[0]["set"])
    assert first.level == ""


def test_only_what_was_asked_for_is_written(measured: Path, photos: Path, tmp_path: Path) -> None:
    columns = {
        (): [],
        ("--certainty", "0.9"): ["answer", "level", "answer_probability"],
        ("--coverage", "0.9"): ["set"],
    }
    for asked, further in columns.items():
        assert ran("predict", measured, photos / "ant", "-o", tmp_path / "p.csv", "--top", "1", *asked) == 0
        header = (tmp_path / "p.csv").read_text().splitlines()[0].split(",")
        assert header == ["file", "class_1", "probability_1", *further, "error"]


def test_many_photos_are_summed_up(
    measured: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--certainty", "0.999999", "--coverage", "0.9")
    assert ran("predict", measured, photos, "-o", tmp_path / "p.csv", *asked) == 0
    said = capsys.readouterr().out
    assert "answers: unsure 30" in said
    assert "sets: " in said
    assert " classes on average, " in said


def test_refusals(measured: Path, photos: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("predict", measured, photos / "ant")
    assert "--groups needs --certainty" in refused(capsys, *words, "--groups", table)
    assert "it must lie between 0 and 1" in refused(capsys, *words, "--certainty", "90")
    assert "ask for at most 0.983" in refused(capsys, *words, "--coverage", "0.99")
    table.write_text(GROUPS.replace("cat,,animals\n", ""))
    assert "no row for 1 of the run's 3 classes: cat" in refused(capsys, "evaluate", measured, "--groups", table)
    certain = (*words, "--certainty", "0.9", "--groups", table)
    assert "no row for 1 of the run's 3 classes: cat" in refused(capsys, *certain)
    assert "is an input of this command" in refused(capsys, *certain, "-o", table)
    assert not (measured / "evaluation").exists()
    (measured / CONFIDENCE).unlink()
    assert "fieldmark calibrate" in refused(capsys, *words, "--coverage", "0.9")


def test_a_run_keeps_the_groups_that_it_was_trained_with(photos: Path, table: Path, tmp_path: Path) -> None:
    run = fieldmark.train(photos, tmp_path / "run", **KEYWORDS | {"epochs": 1}, groups=table)  # pyright: ignore
    kept = json.loads((run / "groups.json").read_text())
    assert kept["levels"][0] == {"name": "kind", "groups": ["insects", "insects", "cat"]}
    table.unlink()
    result = fieldmark.evaluate(run, split="train")
    assert result.by_level is not None
    assert result.by_level.right[2] == 24
    with pytest.raises(UserError, match="the table cannot be read"):
        fieldmark.train(photos, tmp_path / "other", backbone=BACKBONE, groups=table)
    assert not (tmp_path / "other").exists()
