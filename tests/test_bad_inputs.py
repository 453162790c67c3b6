"""Every kind of bad file on the whole way: named where it is refused, used where it is only odd, never the end."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import fieldmark
from fieldmark import cli
from fieldmark.errors import printable
from fieldmark.input.loading import Photographs
from fieldmark.runs.checkpoint import MODEL
from small_runs import KEYWORDS, spelt, without_privileges, write_photos

sys.path.insert(0, str(Path(__file__).parent / "data"))
from bad_inputs import EXPECTED, write_bad_inputs

NO_PERMISSION = "no permission to read it"
Inputs = tuple[Path, dict[str, Path], set[str]]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Good photos of three classes with all kinds of bad ones among one, the bad ones, and the kinds to be refused."""
    data = write_photos(tmp_path_factory.mktemp("bad") / "photos")
    kinds = write_bad_inputs(data / "ant")
    readable_to_root = {"no permission"} if os.name == "posix" and os.geteuid() == 0 else set()
    refused = {kind for kind in kinds if EXPECTED[kind] == "refused"} - readable_to_root
    return data, kinds, refused


def ran(*words: object) -> int:
    return cli.run([str(word) for word in words])


def test_check_names_them(inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, kinds, refused = inputs
    assert ran("check", data, "--json", tmp_path / "check.json") == 0
    assert "photos that cannot be read" in capsys.readouterr().out
    report = json.loads((tmp_path / "check.json").read_text())
    (found,) = [finding["items"] for finding in report["findings"] if finding["kind"] == "damaged"]
    # a folder is no photo, whatever its name; all else is
    assert {name for name, _ in found} == {f"ant/{kinds[kind].name}" for kind in refused - {"directory"}}
    assert all(reason for _, reason in found)


@pytest.fixture(scope="module")
def run(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run on them, and what it said."""
    data, _, _ = inputs
    folder = tmp_path_factory.mktemp("bad run")
    with (folder / "said").open("w", encoding="utf-8") as file:
        fieldmark.train(data, folder / "run", console=Console(file=file, width=10_000), **KEYWORDS)
    return folder / "run", (folder / "said").read_text("utf-8").splitlines()


def test_training_names_them_and_goes_on(inputs: Inputs, run: tuple[Path, list[str]]) -> None:
    _, kinds, refused = inputs
    folder, said = run
    assert (folder / MODEL).is_file()
    told = {line.removeprefix("left out: ") for line in said if line.startswith("left out: ")}
    named = {kind: f"{printable('ant/' + kinds[kind].name)}: " for kind in kinds}
    for kind in refused - {"directory"}:
        (line,) = [line for line in told if line.startswith(named[kind])]
        assert len(line) > len(named[kind])
    assert len(told) == len(refused - {"directory"})
    with (folder / "splits.csv").open(encoding="utf-8", errors="surrogatepass", newline="") as file:
        used = {row["name"] for row in csv.DictReader(file)}
    assert used >= {f"ant/{kinds[kind].name}" for kind in set(kinds) - refused}
    assert len(used) == 30 + len(set(kinds) - refused)


def test_strict_training_stops(inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("train", inputs[0], "--out", tmp_path / "run", *spelt(), "--strict") == 2
    said = capsys.readouterr().err
    assert "cannot be read" in said
    assert len(said.splitlines()) <= 3
    assert not (tmp_path / "run").exists()


def test_prediction_gives_each_a_row(inputs: Inputs, trained: Path, tmp_path: Path) -> None:
    data, kinds, refused = inputs
    table = tmp_path / "predictions.csv"
    assert ran("predict", trained, data / "ant", "-o", table) == 0
    with table.open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == 10 + len(kinds) - ("directory" in kinds)
    for kind, path in kinds.items():
        if kind == "directory":
            continue
        row = rows[str(path).encode("utf-8", "backslashreplace").decode("utf-8")]
        assert bool(row["error"]) == (kind in refused), kind
        assert bool(row["class_1"]) == (kind not in refused), kind
    named = list(fieldmark.predict(trained, [path for path in kinds.values() if not path.is_dir()]))
    assert [one.file for one in named] == [str(path) for path in kinds.values() if not path.is_dir()]


def test_evaluation_leaves_them_out(inputs: Inputs, own_run: Path) -> None:
    data, kinds, refused = inputs
    result = fieldmark.evaluate(own_run, data, split="all")
    assert len(result.damaged) == len(refused - {"directory"})
    assert result.metrics.n == 30 + len(set(kinds) - refused)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_becomes_unreadable_does_not_end_a_run(
    workers: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    made = Photographs.__init__

    def damaging(self: Photographs, *given: object, **options: object) -> None:
        made(self, *given, **options)  # after the first pass, before the first batch
        (data / "ant" / "1.jpg").write_bytes(b"now damaged")
        (data / "bee" / "2.jpg").unlink(missing_ok=True)

    monkeypatch.setattr(Photographs, "__init__", damaging)
    words = spelt("--train-on", "train+val+test", "--workers", str(workers))
    assert ran("train", data, "--out", tmp_path / "run", *words) == 0
    assert (tmp_path / "run" / MODEL).is_file()
    said = capsys.readouterr().out
    for name in ("ant/1.jpg: ", "bee/2.jpg: no such file"):
        assert f"became unreadable, another photo took its place: {name}" in said


def test_a_folder_that_vanishes_ends_a_run_in_words(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for workers in (0, 1):
        data = Path(shutil.copytree(photos, tmp_path / f"photos{workers}"))
        made = Photographs.__init__

        def vanishing(self: Photographs, *given: object, data: Path = data, made=made, **options: object) -> None:
            made(self, *given, **options)
            shutil.rmtree(data, ignore_errors=True)

        monkeypatch.setattr(Photographs, "__init__", vanishing)
        words = spelt("--workers", str(workers))
        assert ran("train", data, "--out", tmp_path / f"run{workers}", *words) == 2
        monkeypatch.undo()
        said = capsys.readouterr().err
        assert "is the folder still there?" in said
        assert len(said.splitlines()) <= 3, said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="privileges are given up as Linux has it")
def test_a_photo_that_one_may_not_read_is_named_by_a_run_that_one_may_not_change(photos: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    (data / "bee" / "3.jpg").chmod(0)
    words = [
        ["check", str(data), "--json", "check.json"],
        ["train", str(data), "--out", "run", *spelt("--epochs", "1", "--workers", "1")],
        ["predict", "run", str(data), "-o", "predictions.csv"],
    ]
    code = (
        f"import os, fieldmark\nfrom fieldmark import cli\ncodes = [cli.run(words) for words in {words[:2]}]\n"
        f"os.chmod('run', 0o555)\nassert not os.access('run', os.W_OK)\nfieldmark.load('run')\n"
        f"print([*codes, cli.run({words[2]})])"
    )
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "preexec_fn": without_privileges}
    done = subprocess.run([sys.executable, "-c", code], **options)
    said = done.stdout.splitlines()
    assert said[-1:] == ["[0, 0, 0]"], done.stderr
    (tmp_path / "run").chmod(0o755)
    findings = json.loads((tmp_path / "check.json").read_text())["findings"]
    assert [one["items"] for one in findings if one["kind"] == "damaged"] == [[["bee/3.jpg", NO_PERMISSION]]]
    assert f"left out: bee/3.jpg: {NO_PERMISSION}" in said
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    unread = {row["file"]: row["error"] for row in rows if row["error"]}
    assert unread == {str(data / "bee" / "3.jpg"): NO_PERMISSION}


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peak memory cannot be reset here")
def test_none_takes_long_or_much_memory(photos: Path, trained: Path, tmp_path: Path) -> None:
    kinds = {path.name: kind for kind, path in write_bad_inputs(tmp_path).items() if not path.is_dir()}
    assert len(kinds) >= 30
    program = [sys.executable, str(Path(__file__).with_name("bad_input_costs.py"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    words = [str(trained), str(photos / "ant" / "0.jpg"), str(tmp_path)]
    running = {
        command: subprocess.Popen([*program, command, *words], env=environment, stdout=subprocess.PIPE)
        for command in ("check", "train", "predict")
    }
    for command, process in running.items():
        costs = json.loads(process.communicate()[0])
        assert costs.keys() == kinds.keys()
        worst = {kinds[name]: cost for name, cost in costs.items() if cost[0] > 2 or cost[1] > 150}
        assert worst == {}, command
