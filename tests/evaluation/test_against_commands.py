"""``fieldmark evaluate RUN --against RUN2`` as a user types it."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from fieldmark.evaluation.comparison_output import AGAINST, COLUMNS
from fieldmark.evaluation.output import FILES
from typed import ran, refused


@pytest.fixture
def worse(tmp_path: Path, trained: Path) -> Path:
    """The run with its classes interchanged."""
    run = Path(shutil.copytree(trained, tmp_path / "worse"))
    path = run / "classes.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"classes": ["cat", "ant", "bee"]}))
    return run


def test_what_is_printed_and_written(
    own_run: Path, worse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, folder = tmp_path / "f.json", own_run / "evaluation" / "train"
    for _ in range(2):  # an earlier result is replaced
        assert ran("evaluate", own_run, "--against", worse, "--split", "train", "--json", figures) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"warning: {worse} was trained on 24 of these 24 photos" in said
    for words in ("24 photos", "top1, difference", "right: both", "McNemar's exact test", "better:", "written to"):
        assert words in said
    found = json.loads(figures.read_text())
    assert json.loads((folder / "metrics.json").read_text()) == found
    two = found["against"]
    assert set(two) == {
        "n", "n_left_out", "headline", "runs", "difference", "difference_interval", "mcnemar_p", "photos",
        "changed_classes",
    }  # fmt: skip
    assert [each["run"] for each in two["runs"]] == [str(own_run), str(worse)]
    assert two["difference"]["top1"] == pytest.approx(two["runs"][0]["top1"] - two["runs"][1]["top1"])
    assert sum(two["photos"].values()) == two["n"] == found["n"] == 24
    assert {path.name for path in folder.iterdir()} == {*FILES, AGAINST}
    with (folder / AGAINST).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert sum(row["right"] == "run" for row in rows) == two["photos"]["only_first"]
    assert sum(row["true"] == row["against"] for row in rows) / 24 == two["runs"][1]["top1"]


def test_a_comparison_of_earlier_figures_goes_with_them(own_run: Path, worse: Path) -> None:
    folder = own_run / "evaluation" / "val"
    assert ran("evaluate", own_run, "--against", worse, "--split", "val") == 0
    assert (folder / AGAINST).is_file()
    assert ran("evaluate", own_run, "--split", "val") == 0
    assert not (folder / AGAINST).exists()
    (folder / AGAINST).write_text("path,remark\na.jpg,mine\n")
    assert ran("evaluate", own_run, "--split", "val") == 0
    assert (folder / AGAINST).read_text() == "path,remark\na.jpg,mine\n"


def test_a_file_of_others_is_not_written_over(
    own_run: Path, worse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", own_run, "--against", worse, "--split", "val", "--out", tmp_path / "out")
    assert ran(*words) == 0
    (tmp_path / "out" / AGAINST).write_text("path,remark\na.jpg,mine\n")
    assert "its against.csv is not an earlier result" in refused(capsys, *words)
    assert (tmp_path / "out" / AGAINST).read_text() == "path,remark\na.jpg,mine\n"


def test_the_exit_code(own_run: Path, worse: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = ("--split", "train")
    assert ran("evaluate", worse, "--against", own_run, *split, "--max-regression", "2") == 1
    assert "a larger loss than --max-regression 2 allows; the interval says so, too" in capsys.readouterr().out
    assert (worse / "evaluation" / "train" / AGAINST).is_file()
    assert ran("evaluate", worse, "--against", own_run, *split, "--max-regression", "100") == 0
    assert ran("evaluate", worse, "--against", own_run, *split) == 0
    assert ran("evaluate", own_run, "--against", worse, *split, "--max-regression", "0", "--quiet") == 0
    assert ran("evaluate", own_run, "--against", own_run, *split, "--max-regression", "0", "--quiet") == 0


def test_only_the_first_of_several_processes_writes_and_fails(
    own_run: Path, worse: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one that fails would have torchrun stop the first one before it has written all."""
    monkeypatch.setenv("RANK", "1")
    assert ran("evaluate", worse, "--against", own_run, "--split", "train", "--max-regression", "2") == 0
    assert capsys.readouterr().out == ""
    assert not (worse / "evaluation").exists()


def test_wrong_use_is_refused(own_run: Path, worse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_run / "recipe.json").unlink()  # nothing of the run has to be read for these
    assert "--max-regression needs --against RUN" in refused(capsys, "evaluate", own_run, "--max-regression", "1")
    for points in ("-1", "nan", "inf", "-inf"):
        words = ("evaluate", own_run, "--against", worse, f"--max-regression={points}")
        assert "it must be a number of points from 0 on" in refused(capsys, *words)
    assert "many" in refused(capsys, "evaluate", own_run, "--against", worse, "--max-regression", "many")
    assert "--against" in refused(capsys, "evaluate", worse, "--against")
    assert "is not a Fieldmark run" in refused(capsys, "evaluate", worse, "--against", tmp_path / "nowhere")
    assert "is not a Fieldmark run" in refused(capsys, "evaluate", worse, "--against", own_run)
    assert not (worse / "evaluation").exists()
