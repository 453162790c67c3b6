"""``fieldmark check`` with labels, as a user types it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import small_runs
from typed import ran, refused

pytest.importorskip("cleanlab", reason="needs the extra [audit]")
SMALL = ("--backbone", "test_resnet", "--weights", "none", "--size", "32", "--device", "cpu")


def test_look_decide_apply_undo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = small_runs.write_photos(tmp_path / "photos", photos=8)
    assert ran("check", data, "--labels", *SMALL, "--json", "report.json") == 0
    said = capsys.readouterr().out
    assert "labels-photos/suspects.html" in said
    assert json.loads(Path("report.json").read_text())["labels"]["photos"] == 24
    table = tmp_path / "labels-photos" / "suspects.csv"
    with table.open(newline="") as file:
        header = next(csv.reader(file))
    assert header[-1] == "decision"
    assert "no row has a decision" in refused(capsys, "check", data, "--apply", table)
    with table.open("a", newline="") as file:
        csv.writer(file).writerow(["cat/0.jpg", "", "cat", "ant", "by hand", "", "suggested"])
    assert ran("check", data, "--apply", table) == 0
    said = capsys.readouterr().out
    assert "from now on left out: 0, relabelled: 1" in said
    assert "removing that file undoes it" in said
    assert ran("check", data) == 0
    assert "photos left out: 0, relabelled: 1" in " ".join(capsys.readouterr().out.split())
    assert "holds decisions (1)" in refused(capsys, "check", data, "--labels", *SMALL)


def test_mistakes_get_lines(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in refused(capsys, "check", photos, "--corrections", tmp_path / "none.csv")
    assert "leave out the others" in refused(capsys, "check", photos, "--apply", "x.csv", "--labels")
    assert "cannot be read" in refused(capsys, "check", photos, "--apply", tmp_path / "none.csv")
    assert "outside of the photos" in refused(capsys, "check", photos, "--labels", "--out", photos / "x")
    assert (
        "not hold a run" in (error := refused(capsys, "check", photos, "--run", tmp_path, "--out", tmp_path / "o"))
        or "run" in error
    )


@pytest.mark.skipif(sys.platform != "linux", reason="privileges are given up as Linux has it")
def test_data_that_cannot_be_written(tmp_path: Path) -> None:
    data = small_runs.write_photos(tmp_path / "photos", photos=2)
    (tmp_path / "decided.csv").write_text("file,given,decision\nant/0.jpg,ant,drop\n")
    data.chmod(0o555)
    words = [sys.executable, "-m", "fieldmark", "check", str(data), "--apply", str(tmp_path / "decided.csv")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "200"}
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, preexec_fn=small_runs.without_privileges
    )
    data.chmod(0o755)
    assert done.returncode == 2
    assert "name another place with --corrections FILE" in done.stderr
    assert not (data / "fieldmark-labels.csv").exists()


def test_without_cleanlab(photos: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cleanlab"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    error = refused(capsys, "check", photos, "--labels", *SMALL, "--out", tmp_path / "out")
    assert "pip install 'fieldmark[audit]'" in error
    assert ran("check", photos) == 0
