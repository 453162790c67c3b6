"""``fieldmark bench`` as a user types it, and in Python."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from canned import PLAN, answers_of, result_of, write_finals

import fieldmark
from fieldmark import bench, cli
from fieldmark.bench.execution import Executor
from fieldmark.bench.results import write_result
from fieldmark.errors import Interrupted, UserError

RIGHT = np.random.default_rng(0).random((3, 30)) < 0.7


def ran(*words: object) -> int:
    return cli.run([str(word) for word in words])


@pytest.fixture
def plan(photos: Path, tmp_path: Path) -> Path:
    (tmp_path / "plan.toml").write_text(PLAN + '[[entry]]\nname = "plain"\n[[entry]]\nname = "probe"\nkind = "probe"\n')
    return tmp_path / "plan.toml"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench"], ["run", "report"]),
        (
            ["bench", "run", "--help"],
            ["PLAN", "--out", "--data", "--weights", "--only", "--until", "--retry"],
        ),
        (["bench", "report", "--help"], ["FOLDER", "--out"]),
        (["--help"], ["bench"]),
    ],
)
def test_help(words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(*words) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in said)


def test_mistakes_of_a_call_and_a_plan_are_told_without_loading_pytorch(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN + "[entry]\nname = 'plain'\n")
    (tmp_path / "notes.txt").touch()
    for words, said in (
        (["run", "plan.toml", "--out", "notes.txt"], "notes.txt is a file"),
        (["run", "plan.toml", "--out", "o", "--limit", "0"], "limit is 0"),
        (["run", "plan.toml", "--out", "o", "--data", "photos"], "expected NAME=PATH"),
        (["run", "plan.toml", "--out", "o", "--weights", "a=~nobody-of-this-name/b"], "no such file or folder"),
        (["run", "plan.toml", "--out", "o"], "write [[entry]] above each entry"),
    ):
        code = f"import sys; sys.modules['torch'] = None; from fieldmark.cli import run; run({['bench', *words]})"
        ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
        assert (ended.returncode, said in ended.stderr) == (0, True), ended.stderr


def test_mistakes(plan: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", f"photos={photos}"]
    (tmp_path / "empty").mkdir()
    full, broken, lost, unplanned = (tmp_path / name for name in ("full", "broken", "lost", "unplanned"))
    for folder in (full, broken, lost, unplanned):
        write_finals(folder, {"plain": RIGHT})
    (broken / "results" / "birds-plain-seed10.json").write_text('{"format_version": 1,')
    (lost / "results" / "birds-plain-seed11.npz").unlink()
    (unplanned / "plan.toml").write_text("{}")
    for words, said in (
        (["run", tmp_path / "nowhere.toml", "--out", tmp_path / "o"], "No such file"),
        (["run", plan, "--out", tmp_path / "o"], "--data photos=FOLDER"),
        (["run", plan, "--out", tmp_path / "o", *data, "--limit", "0"], "limit is 0"),
        (["run", plan, "--out", tmp_path / "o", *data, "--phase", "last"], "last"),
        (["run", plan, *data], "--out"),
        (["run", plan, *data], "see: fieldmark bench run --help"),
        (["ran"], "see: fieldmark bench --help"),
        (["run", plan, "--out", tmp_path / "o", "--data", "photos"], "NAME=PATH"),
        (["report", tmp_path / "o"], "o: no such folder"),
        (["report", tmp_path / "empty"], "no results here"),
        (["report", plan], "plan.toml: is a file; name the folder"),
        (["report", full / "results"], f"name the folder above, {full}"),
        (["report", full, "--out", full], "is a folder; name a file"),
        (["report", tmp_path / "empty", "--out", full], "is a folder"),
        (["report", full, "--out", plan / "RESULTS.md"], "cannot be written"),
        (["report", broken], "birds-plain-seed10.json: no result that can be read"),
        (["report", lost], "birds-plain-seed11.npz cannot be read"),
        (["report", unplanned], "plan.toml: no plan that can be read"),
    ):
        capsys.readouterr()
        assert ran("bench", *words) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert 1 <= len(told.err.splitlines()) <= 3
        assert said in told.err
    assert not (tmp_path / "o").exists()


def test_from_a_plan_to_a_report(
    plan: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, words = tmp_path / "out", ["--data", f"photos={photos}", "--device", "cpu", "--workers", "0", "--keep"]
    assert ran("bench", "run", plan, "--out", out, *words) == 0
    said = capsys.readouterr().out
    assert "— 2 of 3: plain on photos, seed 10" in said
    assert "3 done, 0 failed, 0 left" in said
    assert f"next: fieldmark bench report {out}" in said
    kept = out / "runs" / "photos-plain-seed11"
    assert fieldmark.evaluate(kept).metrics.n == 3
    assert ran("bench", "report", out) == 0
    printed = capsys.readouterr().out
    assert printed == bench.report(out)
    assert "| plain |" in printed
    assert "| probe |" in printed
    assert ran("bench", "report", out, "--out", tmp_path / "deep" / "RESULTS.md") == 0
    assert capsys.readouterr().out.startswith("written to ")
    text = (tmp_path / "deep" / "RESULTS.md").read_text()
    command = "fieldmark bench report out"
    assert printed.count(f"{command}`") == printed.count(f"\n{command}\n") == 1
    assert text == printed.replace(command, f"{command} --out RESULTS.md")
    assert "All 3 planned runs are recorded." in text


def test_failures_and_stops_are_told_by_the_exit_code(
    plan: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["bench", "run", plan, "--out", tmp_path / "out", "--data", f"photos={photos}", "--device", "cpu"]
    monkeypatch.setattr(Executor, "execute", lambda self, job: (self._blank(job), None))
    assert ran(*words, "--limit", "1") == 1
    assert "0 done, 1 failed, 2 left\n--retry runs the failed ones (1) again\n" in capsys.readouterr().out
    assert ran(*words) == 1  # the two others
    said = capsys.readouterr().out
    assert "0 done, 2 failed, 0 left, 1 failed earlier\n--retry runs the failed ones (3)" in said
    assert ran(*words) == 1  # nothing is left to do, but not all went well
    assert "0 done, 0 failed, 0 left, 3 failed earlier\n" in capsys.readouterr().out
    assert ran(*words, "--phase", "tune") == 0  # none of the runs asked for
    capsys.readouterr()

    def stopped(self: Executor, job: object) -> None:
        raise Interrupted

    monkeypatch.setattr(Executor, "execute", stopped)
    assert ran(*words, "--retry") == 130
    assert "the same command goes on" in capsys.readouterr().out


def test_the_words_in_python(plan: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fieldmark.bench is bench
    monkeypatch.setattr(Executor, "execute", lambda self, job: (self._blank(job), None))
    options = bench.RunOptions(data=(f"photos={photos}",), only=("probe",))
    assert bench.run(plan, tmp_path / "out", options=options).failed == 1
    write_finals(tmp_path / "other", {"plain": RIGHT})
    write_result(tmp_path / "other", result_of("pc", 10), answers_of(RIGHT[0]))
    text = bench.report(tmp_path / "other", tmp_path / "text.md")
    assert (tmp_path / "text.md").read_text() == text


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path) -> None:
    write_finals(tmp_path / "out", {"plain": RIGHT})
    for _ in range(2):
        bench.report(tmp_path / "out", tmp_path / "RESULTS.md")
    result = next((tmp_path / "out" / "results").glob("*.json"))
    (tmp_path / "notes.md").write_text("# Mine\n")
    for path, word in (
        (result, "not a result"),
        (tmp_path / "notes.md", "not a result"),
        (tmp_path / "a.png", "name of an image"),
    ):
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(UserError, match=word):
            bench.report(tmp_path / "out", path)
        assert (path.read_bytes() if path.exists() else None) == before
