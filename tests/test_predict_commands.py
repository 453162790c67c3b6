"""``fieldmark predict`` by an exported model, and what it leaves behind, as a user types it."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from small_runs import write_photo
from tiny_models import gallery, held_out, manifest, write_model
from typed import ran, refused


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model.onnx", manifest(held_out=held_out()), gallery=gallery())


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_table_is_that_of_a_run(
    model: Path, trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    for run in (model, trained):
        words = (run, photos / "ant", tmp_path / "bad.jpg", "--top", "2", "--certainty", "0.6")
        assert ran("predict", *words, "-o", tmp_path / f"{run.stem}.csv") == 0
        assert capsys.readouterr().out.count("cannot be read: text, not an image") == 1
    own, other = rows(tmp_path / "model.csv"), rows(tmp_path / "run.csv")
    assert own[0] == other[0]
    assert [row[0] for row in own] == [row[0] for row in other]
    assert own[-1] == other[-1]
    assert ran("predict", model, photos / "ant", "-o", "-", "--coverage", "0.8", "--refuse", "20%") == 0
    header = capsys.readouterr().out.splitlines()[0]
    assert header.endswith("probability_5,answer,nearest,distance,set,error")


def test_mistakes(model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ("-o", tmp_path / "p.csv")
    for said, words in {
        "none.onnx cannot be read": (tmp_path / "none.onnx", photos, *table),
        "an exported model runs on auto, cpu, cuda or cuda:N": (model, photos, *table, "--device", "tpu"),
        "--workers -1: it must be at least 0": (model, photos, *table, "--workers", "-1"),
        "no such file or folder": (model, tmp_path / "nowhere", *table),
        "--link says how --sort fills its folders": (model, photos, *table, "--link"),
        "choose a folder outside of the photos": (model, photos, *table, "--sort", photos / "sorted"),
        "--resume goes on with a table; name a .csv file": (model, photos, "-o", tmp_path / "p.json", "--resume"),
        "name a .csv file, not -o -": (model, photos, "-o", "-", "--resume"),
        "--certainty 2": (model, photos, *table, "--certainty", "2"),
    }.items():
        assert said in refused(capsys, "predict", *words)
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(model.read_bytes().replace(b"ant", b"tan"))
    assert "changed.onnx was changed or damaged" in refused(capsys, "predict", changed, photos, *table)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "changed.onnx"}


@pytest.mark.parametrize("by", ["model", "run"])
def test_photos_are_sorted(
    by: str, model: Path, trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, into = {"model": model, "run": trained}[by], tmp_path / "sorted"
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    words = ("predict", run, photos / "ant", photos / "bee", tmp_path / "bad.jpg", "-o", tmp_path / "p.csv")
    assert ran(*words, "--sort", into, "--link") == 0
    assert capsys.readouterr().out.endswith(f"21 photos linked: {into}\n")
    found = {os.path.realpath(path): path.parent.name for path in into.rglob("*.jpg")}
    assert found == {row[0]: row[1] or "unreadable" for row in rows(tmp_path / "p.csv")[1:]}
    assert ran(*words, "--sort", into, "--link") == 0
    assert "0 photos linked, 21 there already" in capsys.readouterr().out


@pytest.mark.parametrize("by", ["model", "run"])
def test_rows_that_are_there_are_kept(
    by: str, model: Path, trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, table = {"model": model, "run": trained}[by], tmp_path / "p.csv"
    words = ("predict", run, "-o", table, "--top", "2")
    assert ran(*words, photos, "--resume") == 0  # nothing to go on with
    whole = table.read_bytes()
    lines = whole.splitlines(keepends=True)
    partial = tmp_path / "p.csv.0a1b2c.partial"
    partial.write_bytes(b"".join(lines[:12]) + lines[12][:20])
    table.unlink()
    capsys.readouterr()
    assert ran(*words, photos, "--resume") == 0
    assert capsys.readouterr().out.endswith(f"30 photos: {table}\n11 of them were there already\n")
    assert table.read_bytes() == whole
    assert not partial.exists()
    write_photo(photos := tmp_path / "more" / "new.jpg", label=0, number=99)
    assert ran(*words, photos, "--resume") == 0
    assert table.read_bytes().startswith(whole)
    assert len(rows(table)) == 32
    assert "has other columns" in refused(capsys, *words[:-1], "3", photos, "--resume")


def test_rows_of_another_model_are_not_gone_on_with(
    model: Path, trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (photos, "-o", tmp_path / "p.csv")
    assert ran("predict", trained, *words) == 0
    before = (tmp_path / "p.csv").read_bytes()
    assert "says something else of" in refused(capsys, "predict", model, *words, "--resume")
    assert (tmp_path / "p.csv").read_bytes() == before


def _heeding() -> None:
    """A shell has programs in the background ignore the signal, and their children with them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def program(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fieldmark", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=_heeding
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_call_goes_on(number: int, model: Path, photos: Path, tmp_path: Path) -> None:
    """With readers of its own: what it has written stays, and the rest is added; the table is that of one call."""
    words = ("predict", model, *[photos] * 60, "-o", tmp_path / "p.csv", "--workers", "1", "--quiet")
    running = program(*words)
    end = time.monotonic() + 60
    while time.monotonic() < end and not any(len(path.read_bytes()) > 6_000 for path in tmp_path.glob("*.partial")):
        time.sleep(0.01)
    running.send_signal(number)
    said = running.communicate()[1]
    assert running.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), said
    assert "Traceback" not in said
    (partial,) = tmp_path.glob("p.csv.*.partial")
    written = partial.read_bytes()
    assert ran(*words, "--resume") == 0
    assert (tmp_path / "p.csv").read_bytes().startswith(written[: written.rindex(b"\r\n")])
    assert [row[0] for row in rows(tmp_path / "p.csv")[1:31]] * 60 == [row[0] for row in rows(tmp_path / "p.csv")[1:]]
    assert [path.name for path in tmp_path.glob("p.csv*")] == ["p.csv"]
