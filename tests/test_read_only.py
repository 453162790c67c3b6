"""Folders that may not be written: said in a line before the work, and no hindrance where nothing is written."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldmark.evaluation.evaluate import OPENINGS
from small_runs import without_privileges

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="privileges are given up as Linux has it")
PROGRAM = """
import contextlib, io, json, sys
import fieldmark
from fieldmark import cli

def answer(words):
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = cli.run(words)
    return code, err.getvalue()

run, photo, *commands = json.loads(sys.argv[1])
model, transform, classes = fieldmark.load(run)
print(json.dumps([[len(classes), model(transform(photo)[None]).shape[1]], *map(answer, commands)]))
"""


@pytest.fixture
def read_only(own_run: Path) -> Iterator[Path]:
    """A run none of whose files and folders may be changed."""
    places = [own_run, *own_run.rglob("*")]
    before = {place: place.stat().st_mode for place in places}
    for place in places:
        place.chmod(before[place] & 0o555)
    yield own_run
    for place in places:
        place.chmod(before[place])


def answers(run: Path, photo: Path, *commands: list[object]) -> list[Any]:
    """What a program that is held to permissions answers."""
    words = json.dumps([str(run), str(photo), *([str(word) for word in command] for command in commands)])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, words], capture_output=True, text=True, env=environment,
        preexec_fn=without_privileges,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_what_cannot_be_written_is_said_before_the_work(read_only: Path, photos: Path, tmp_path: Path) -> None:
    """A run that is read-only is evaluated elsewhere and predicts; so is one where the log of openings alone is so."""
    before = sorted(read_only.rglob("*"))
    photo, out, shut = photos / "ant" / "0.jpg", tmp_path / "results", tmp_path / "shut"
    shut.mkdir(mode=0o555)
    logged = Path(shutil.copytree(read_only, tmp_path / "logged"))
    logged.chmod(0o755)
    (logged / OPENINGS).write_text("time,split,photos,data_digest\n")
    (logged / OPENINGS).chmod(0o444)
    loaded, on_test, on_all, on_log, on_val, in_shut, table, figures, *done = answers(
        read_only,
        photo,
        ["evaluate", read_only],
        ["evaluate", read_only, "--split", "all", "--out", out],
        ["evaluate", logged, "--out", out],
        ["evaluate", read_only, "--split", "val"],
        ["evaluate", read_only, "--split", "val", "--out", shut],
        ["predict", read_only, photo, "-o", read_only / "p.csv"],
        ["check", photos, "--json", read_only / "f.json"],
        ["evaluate", read_only, "--split", "val", "--out", out],
        ["evaluate", logged, "--split", "val"],
        ["predict", read_only, photo, "-o", tmp_path / "p.csv"],
    )
    assert loaded == [3, 3]
    denied = "cannot be written: Permission denied;"
    advice = (
        "looks at test photos are logged there: make the run writable or evaluate a copy of it "
        "(--split val --out FOLDER needs neither)"
    )
    for answer, place, said in (
        (on_test, read_only / OPENINGS, advice),
        (on_all, read_only / OPENINGS, advice),
        (on_log, logged / OPENINGS, advice),
        (on_val, read_only / "evaluation/val/metrics.json", "name a folder for the results with --out"),
        (in_shut, shut / "metrics.json", "name a folder for the results with --out"),
        (table, read_only / "p.csv", "name another file with -o"),
        (figures, read_only / "f.json", "name another file with --json"),
    ):
        assert answer == [2, f"fieldmark: {place} {denied} {said}\n"]
    assert done == [[0, ""]] * 3
    assert (out / "metrics.json").is_file()
    assert (logged / "evaluation" / "val" / "metrics.json").is_file()
    assert sorted(read_only.rglob("*")) == before
