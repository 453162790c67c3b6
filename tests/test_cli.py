"""The command line as a user types it: what it answers, writes and exits with."""

import csv
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cyclopts.completion import detect

from fieldmark import api
from fieldmark.data.split import read_splits
from fieldmark.evaluation.evaluate import OPENINGS
from fieldmark.runs.checkpoint import MODEL
from small_runs import spelt, write_photo, write_photos
from sure_runs import sure
from typed import ran, refused

COMMANDS = {
    "check": ["--json", "--annotation"],
    "train": [
        "--out",
        "--resume",
        "--overwrite",
        "--method",
        "--term",
        "--weights",
        "--seed",
        "--strict",
        "--external",
        "--recipe",
        "--set",
    ],
    "probe": ["--backbone", "--split", "--train-on", "--json"],
    "evaluate": [
        "--data",
        "--split",
        "--against",
        "--max-regression",
        "--localization",
        "--groups",
        "--out",
        "--json",
        "--external",
    ],
    "predict": ["--out", "-o", "--top", "--certainty", "--coverage", "--groups", "--refuse", "--external"],
    "report": ["--data", "--split", "--out", "--device", "--external"],
    "convert": ["SOURCE", "TARGET"],
    "equations": ["PAPER", "--json"],
    "recipes": ["PAPER", "--json"],
    "demo": ["--out", "--species", "--images", "--epochs", "--device"],
}
OWN_METHOD = """
from fieldmark.core.contract import Encoded, Method, TrainOutput


class Mine(Method):
    def forward(self, images):
        return self.classifier(images)

    def encode(self, images, draws):
        features = self.classifier.features(images)
        return Encoded(features, features.logits, {})

    def objective(self, encoded, labels, draws):
        losses = {"mine": 2 * self.criterion(encoded.logits, labels)}
        return TrainOutput(losses, encoded.logits, labels, encoded.features, {})
"""


def program(*words: object, folder: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from fieldmark.cli import main; main()", *map(str, words)]
    environment = os.environ | {"COLUMNS": "200", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=folder)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    assert ran(command, "--help") == 0
    said = capsys.readouterr().out
    for option in COMMANDS[command]:
        assert option in said


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("--help") == 0
    said = capsys.readouterr().out
    assert all(command in said for command in COMMANDS)
    assert ran("--version") == 0
    assert capsys.readouterr().out.strip()[0].isdigit()
    assert ran() == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_for_the_shell_that_is_named(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ZSH", "ZSH_CUSTOM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for _ in range(2):
        assert ran("--install-completion", "--shell", shell) == 0
    script = Path(re.findall(r"completion is in (.*?);", capsys.readouterr().out)[-1])
    assert script.is_relative_to(tmp_path)
    assert "--optimizer" in script.read_text("utf-8")
    if shell != "fish":  # which finds it by itself
        assert (tmp_path / f".{shell}rc").read_text("utf-8").count("# ") == 1  # once, though it was said twice
    if shell == "bash" and shutil.which("bash"):
        asked = (
            f"source {script}; COMP_WORDS=(fieldmark train x --optimizer a); COMP_CWORD=4; _fieldmark; echo $COMPREPLY"
        )
        assert subprocess.run(["bash", "-c", asked], capture_output=True, text=True).stdout == "adamw\n"


def test_a_shell_that_cannot_be_told_has_to_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise detect.ShellDetectionError

    monkeypatch.setattr(detect, "detect_shell", fail)
    assert "say --shell bash, zsh, fish or powershell" in refused(capsys, "--install-completion")


def test_mistakes_in_words(capsys: pytest.CaptureFixture[str], photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert "trian" in refused(capsys, "trian", photos)
    assert "--bogus" in refused(capsys, "train", photos, "--bogus")
    assert "abc" in refused(capsys, "train", photos, "--out", out, "--epochs", "abc")
    assert "epochs is 0; it must be at least 1" in refused(capsys, "train", photos, "--out", out, "--epochs", "0")
    assert "smoothing is 2.0; it must be at least 0 and below 1" in refused(
        capsys, "train", photos, "--out", out, "--smoothing", "2"
    )
    assert "fold" in refused(capsys, "train", photos, "--out", out, "--fit", "fold")
    assert refused(capsys, "train")
    assert "no such" in refused(capsys, "train", tmp_path / "nowhere", "--out", out)
    assert "no such" in refused(capsys, "check", tmp_path / "nowhere")
    assert "no such" in refused(capsys, "probe", tmp_path / "nowhere")
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "nothing"], "--method nothing: choose plain, pc"),
        (["--method", "nowhere:Mine"], "nowhere:Mine: No module named"),
        (["--method", "json:JSONDecoder"], "JSONDecoder is not a Method"),
        (["--method", "pc,weight=5"], "--term"),
        (["--term", "nothing"], "--term nothing: choose"),
        (["--term", "plain"], "--term plain: that is a method; "),
        (["--term", "pairwise-confusion,weihgt=5"], "weight"),
        (["--term", "pairwise-confusion,weight=much"], "weight"),
        (["--term", "pairwise-confusion,on=pixels"], "logits"),
        (["--term", "pairwise-confusion,weight"], "name=value"),
        (["--term", "soft-channel-labels", "--accumulate", "2"], "--micro-batch in place of --accumulate"),
        (["--head", "average"], "--head average: that is a pool; choose linear, two-layer-head"),
        (["--pool", "linear"], "--pool linear: that is a head; choose average, maximum"),
        (["--neck", "average"], "--neck average: that is a pool; choose channel-expansion, self-channel-"),
        (["--backbone", "no_such_network"], "no_such_network"),
        (["--backbone", "resnet18.nobody"], "did you mean resnet18"),
        (
            ["--backbone", "resnet18.nobody", "--recipe", "pc/cub-resnet50", "--accumulate", "1"],
            "did you mean resnet18",
        ),
        (["--weights", "nowhere.safetensors"], "no such file"),
        (["--weights", "old.pth"], "fieldmark convert"),
        (["--weights", "lite0"], "lite0"),
        (["--backbone", "test_vit", "--size", "33"], "--size"),
        (["--device", "cuda:9"], "--device cuda:9: PyTorch sees no such device here; choose auto, cpu"),
        (["--splits", "nowhere.csv"], "nowhere.csv"),
        (["--train-on", "training"], "training"),
        (["--annotation", "family"], "annotation"),
        (["--recipe", "pc/cub"], "did you mean pc/cub"),
        (["--recipe", "nowhere.json"], "--recipe nowhere.json: no such file"),
        (["--recipe", "pc/cub-resnet50", "--set", "stages.0.rate=1"], "no setting 'rate'; choose epochs, optimiser"),
        (
            ["--recipe", "pc/cub-resnet50", "--accumulate", "1", "--set", "stages.0.optimiser.scales.body=1"],
            "group 'body'",
        ),
        (
            ["--recipe", "pc/cub-resnet50", "--set", "model.terms.0.colour=1"],
            "no option 'colour'; choose weight, label_aware",
        ),
        (
            [
                "--recipe",
                "pc/cub-resnet50",
                "--accumulate",
                "1",
                "--set",
                'batches={"type": "ShuffledPairs", "size": 7}',
            ],
            "even number",
        ),
        (
            ["--recipe", "pc/cub-resnet50", "--accumulate", "1", "--set", 'batches={"type": "Balanced", "classes": 9}'],
            "classes, not 3",
        ),
        (["--set", "stages.0.epochs=few"], "stages.0.epochs is 'few'; it must be a whole number"),
        (["--set", "seed"], "write a path and a value"),
    ],
)
def test_mistakes_in_a_training_command(
    words: list[str], said: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, "train", photos, "--out", tmp_path / "run", *spelt(*words))
    assert not (tmp_path / "run").exists()


def test_mistakes_about_runs(photos: Path, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["evaluate", photos], ["predict", photos, photos], ["evaluate", tmp_path / "nowhere"]):
        assert "not a Fieldmark run" in refused(capsys, *words)
    assert "it holds a run" in refused(capsys, "train", photos, "--out", own_run, *spelt())
    assert "exclude each other" in refused(capsys, "train", photos, "--out", own_run, "--resume", "--overwrite")
    assert "'tset'" in refused(capsys, "evaluate", own_run, "--split", "tset")
    assert "--device tpu" in refused(capsys, "evaluate", own_run, "--device", "tpu")
    assert "no such file or folder" in refused(capsys, "predict", own_run, tmp_path / "none.jpg")
    assert "--top 0" in refused(capsys, "predict", own_run, photos, "--top", "0", "-o", tmp_path / "p.csv")
    assert refused(capsys, "predict", own_run)
    (tmp_path / "file").touch()
    assert "file" in refused(capsys, "predict", own_run, photos / "ant", "-o", tmp_path / "file" / "p.csv")
    assert "is a folder" in refused(capsys, "predict", own_run, photos / "ant", "-o", tmp_path)
    for name, text in (("recipe.json", "[]"), ("recipe.json", "\udc80"), ("run.json", "{}"), ("classes.json", "no")):
        before = (own_run / name).read_bytes()
        (own_run / name).write_text(text, "utf-8", "surrogateescape")
        assert refused(capsys, "evaluate", own_run)
        (own_run / name).write_bytes(before)
    (own_run / MODEL).write_bytes(b"junk")
    assert MODEL in refused(capsys, "evaluate", own_run)


def test_every_command_that_takes_a_device_lists_those_that_are_here(
    photos: Path, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('format_version = 1\ntitle = "p"\ndata = ["photos"]\nseeds = [1]\n[[entry]]\nname = "plain"\n')
    commands = (
        ["train", photos, "--out", tmp_path / "run"],
        ["probe", photos],
        ["evaluate", own_run],
        ["predict", own_run, photos, "-o", tmp_path / "p.csv"],
        ["demo", "--out", tmp_path / "demo"],
        ["bench", "run", plan, "--out", tmp_path / "bench", "--data", f"photos={photos}"],
    )
    for command in commands:
        said = refused(capsys, *command, "--device", "gpu")
        assert "--device gpu: PyTorch sees no such device here; choose auto, cpu" in said, command
    assert {path.name for path in tmp_path.iterdir()} == {"plan.toml", "own"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotImplementedError("The operator 'aten::x' is not\ncurrently implemented for the MPS device."), "aten::x"),
        (TypeError("Cannot convert a MPS Tensor to float64 dtype"), "to float64"),
        (RuntimeError("MPS: Unsupported Border padding mode"), "Border padding"),
    ],
)
def test_what_apples_gpus_lack_is_said_in_two_lines(
    error: Exception, said: str, own_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(api, "evaluate", fail)
    lines = refused(capsys, "evaluate", own_run).splitlines()
    assert len(lines) == 2
    assert said in lines[0]
    assert "--device cpu" in lines[1]


def test_evaluate_is_refused_before_the_network_is_read(
    photos: Path, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_run / MODEL).write_bytes(b"junk")
    other = write_photos(tmp_path / "other", classes=("ant", "dog"), photos=1)
    assert "choose train, val, test or all" in refused(capsys, "evaluate", own_run, "--split", "tset")
    assert "'dog' (1 photos)" in refused(capsys, "evaluate", own_run, "--data", other, "--split", "all")
    assert "has no such split; it has train" in refused(
        capsys, "evaluate", own_run, "--data", write_photos(tmp_path / "new" / "train").parent
    )
    assert "--device tpu" in refused(capsys, "evaluate", own_run, "--device", "tpu")
    assert "cannot be written" in refused(capsys, "evaluate", own_run, "--json", own_run / MODEL / "f.json")
    assert not (own_run / OPENINGS).exists()
    assert MODEL in refused(capsys, "evaluate", own_run)


def test_where_no_photo_can_be_read_there_are_no_figures(
    photos: Path, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, figures = Path(shutil.copytree(photos, tmp_path / "photos")), ["--json", tmp_path / "f.json"]
    for name in (name for name, split in read_splits(own_run).items() if split == "val"):
        (data / name).write_bytes(b"no picture")
    said = refused(capsys, "evaluate", own_run, "--data", data, "--split", "val", *figures)
    assert "3 of 3 photos cannot be read: " in said
    for photo in data.rglob("*.jpg"):
        photo.write_bytes(b"no picture")
    said = refused(capsys, "evaluate", own_run, "--data", data, "--split", "all", *figures)
    assert "30 of 30 photos cannot be read: " in said
    probe = ["--backbone", "test_resnet", "--weights", "none", "--device", "cpu", "--size", "32"]
    assert "30 of 30 photos cannot be read" in refused(capsys, "probe", data, *probe, *figures)
    assert not (tmp_path / "f.json").exists()
    assert not (own_run / "evaluation").exists()


def test_mistakes_about_weights_and_probes(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in refused(capsys, "convert", tmp_path / "a.pth", tmp_path / "a.safetensors")
    (tmp_path / "b.pth").write_bytes(b"junk")
    assert "not a file of plain tensors" in refused(capsys, "convert", tmp_path / "b.pth", tmp_path / "b.safetensors")
    small = ["--backbone", "test_resnet", "--weights", "none"]
    assert "'tset'" in refused(capsys, "probe", photos, *small, "--split", "tset")
    assert "'trian'" in refused(capsys, "probe", photos, *small, "--train-on", "trian")
    assert "--size 0" in refused(capsys, "probe", photos, *small, "--size", "0")
    assert "no_such_network" in refused(capsys, "probe", photos, "--backbone", "no_such_network")
    for more in ([], ["--size", "64"], ["--weights", "none"]):
        assert "did you mean resnet18" in refused(capsys, "probe", photos, "--backbone", "resnet18.nobody", *more)
    assert "no such file" in refused(capsys, "probe", photos, "--weights", tmp_path / "none.safetensors")


def test_a_mistyped_tag_beside_nothing_else(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", photos, "--out", tmp_path / "run", "--device", "cpu", "--backbone", "resnet18.nobody"]
    assert "did you mean resnet18" in refused(capsys, *words)
    assert not (tmp_path / "run").exists()


def test_from_training_to_predictions(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, table, figures = tmp_path / "run", tmp_path / "p.csv", tmp_path / "deep" / "figures.json"
    words = spelt("--method", "pc", "--term", "pairwise-confusion,weight=5", "--epochs", "1")
    assert ran("train", photos, "--out", run, *words) == 0
    said = capsys.readouterr().out
    assert f"next: fieldmark evaluate {run}" in said
    terms = json.loads((run / "recipe.json").read_text())["model"]["terms"]
    assert [term["type"] for term in terms] == ["PairwiseConfusion"] * 2
    assert [term.get("weight") for term in terms] == [None, 5]
    assert "PairwiseConfusion 2" in (run / "metrics.csv").read_text().splitlines()[0]

    assert ran("evaluate", run, "--json", figures) == 0
    assert "top1" in capsys.readouterr().out.replace(" ", "")
    found = json.loads(figures.read_text())
    assert 0 <= found["top1"] <= 1
    assert (found["n"], found["classes"]) == (3, 3)
    assert json.loads((run / "evaluation/test/metrics.json").read_text()) == found
    assert (run / "evaluation/test/confusion.png").is_file()
    assert len((run / "evaluation/test/photos.csv").read_text().splitlines()) == 4
    assert len((run / OPENINGS).read_text().splitlines()) == 2
    assert ran("evaluate", run, "--data", photos, "--split", "val", "--out", tmp_path / "val") == 0
    assert (tmp_path / "val" / "logits.npz").is_file()
    assert len((run / OPENINGS).read_text().splitlines()) == 2

    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    capsys.readouterr()
    assert ran("predict", run, photos / "bee", tmp_path / "bad.jpg", "-o", table, "--top", "2") == 0
    assert "11 photos, 1 of them unreadable" in capsys.readouterr().out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 11
    assert [name for name in rows[0] if name.startswith("class")] == ["class_1", "class_2"]
    assert [bool(row["error"]) for row in rows] == [False] * 10 + [True]

    assert ran("train", photos, "--out", run, *words, "--resume") == 0
    assert "nothing is left to do" in capsys.readouterr().out
    assert ran("train", photos, "--out", run, *words, "--overwrite") == 0
    assert not (run / "evaluation").exists()


def test_large_photographs_are_let_in_if_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_photos(tmp_path / "photos", photos=4)
    for number in range(2):
        write_photo(data / "ant" / f"large{number}.jpg", label=0, number=70 + number, size=(1100, 1000))
    few = "pixels.megapixels=1"
    assert ran("check", data, "--max-megapixels", "1") == 0
    assert "above the limit of 1 megapixels" in capsys.readouterr().out
    assert ran("check", data) == 0
    assert "above the limit" not in capsys.readouterr().out
    assert "--max-megapixels 0.0: it must be above 0" in refused(capsys, "check", data, "--max-megapixels", "0")
    run = tmp_path / "run"
    assert ran("train", data, "--out", run, *spelt("--epochs", "1"), "--set", few) == 0
    said = capsys.readouterr().out
    assert said.count("left out: ant/large") == 2
    assert said.count("--set pixels.megapixels=N") == 1
    assert ran("predict", run, data / "ant", "-o", tmp_path / "small.csv") == 0
    assert "2 of them unreadable" in capsys.readouterr().out
    assert ran("train", data, "--out", run, *spelt("--epochs", "1"), "--overwrite") == 0
    assert "left out" not in capsys.readouterr().out


def test_a_strict_check_says_by_its_exit_code_whether_anything_was_found(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "photos", photos=10)
    assert (ran("check", data, "--strict"), ran("check", data)) == (0, 0)
    (data / "notes.txt").touch()  # left out, which is no finding
    assert ran("check", data, "--strict") == 0
    shutil.copy(data / "ant" / "0.jpg", data / "ant" / "again.jpg")  # a note
    assert (ran("check", data, "--strict"), ran("check", data)) == (1, 0)
    (data / "ant" / "again.jpg").write_bytes(b"bad")  # an error
    assert (ran("check", data, "--strict"), ran("check", data)) == (1, 0)
    assert ran("check", tmp_path / "none", "--strict") == 2


def test_check_and_probe(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("check", photos, "--json", tmp_path / "deep" / "check.json") == 0
    assert json.loads((tmp_path / "deep/check.json").read_text())["photos"] == 30
    words = ["--backbone", "test_resnet", "--backbone", "test_vit", "--weights", "none", "--size", "64"]
    assert ran("probe", photos, *words, "--device", "cpu", "--json", tmp_path / "probe.json") == 0
    probes = json.loads((tmp_path / "probe.json").read_text())["probes"]
    assert [one["backbone"] for one in probes] == ["test_resnet", "test_vit"]
    assert all(0 <= one["top1"] <= 1 and one["n"] == 3 for one in probes)
    assert "test_vit" in capsys.readouterr().out


def test_check_prints_the_notes_of_the_reader(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    (data / "ant" / "1.dng").touch()
    assert ran("check", data) == 0
    lines = capsys.readouterr().out.splitlines()
    (note,) = [line for line in lines if line.startswith("note: 1 file")]  # a long place may fill two lines before it
    assert "ant/1.dng" in note
    assert "Nothing to fix." not in lines
    assert ["ant", "10", "8", "1", "1"] in [line.split() for line in lines]


def test_equations(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert ran("equations", "--json", tmp_path / "all.json") == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads((tmp_path / "all.json").read_text())["equations"]
    assert len(lines) == len(found) > 5
    for line, one in zip(lines, found, strict=True):
        place = f"{one['file']}:{one['line']}"
        assert line.split("  ") == [one["paper"], f"Eq. {one['number']}", one["function"], place, one["meaning"]]
        assert Path(one["file"]).read_text("utf-8").splitlines()[one["line"] - 1].endswith(f"Eq. {one['number']}")
    assert ran("equations", "pc") == 0
    alone = capsys.readouterr().out.splitlines()
    assert alone == [line for line in lines if line.startswith("pc  ")]
    assert "no paper is called 'nothing'; choose" in refused(capsys, "equations", "nothing")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    assert ran("equations", "pairwise_confusion") == 0
    assert "euclidean_confusion" in (table := capsys.readouterr().out)
    assert "│" in table


def test_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("recipes", "--json", tmp_path / "all.json") == 0
    lines = capsys.readouterr().out.splitlines()
    listed = json.loads((tmp_path / "all.json").read_text())
    rows, quoted = listed["recipes"], listed["quoted"]
    assert len(lines) == len(rows) + len(quoted) + len(listed["remarks"])
    assert len(rows) > 20
    for line, row in zip(lines, rows, strict=False):
        words = line.split("  ")
        assert words[:4] == [row["name"], row["table"], row["data"], row["backbone"]]
        figure = "-" if row["paper"] is None else f"{row['paper']:.2f}"
        assert words[5:] == [str(row["epochs"]), figure, row["ours"]]
    for line, figure in zip(lines[len(rows) :], quoted, strict=False):
        figures = [figure["table"], figure["data"], figure["system"], f"{figure['figure']:.2f}"]
        assert line.split("  ") == [f"{figure['paper']} quotes", *figures]
    assert lines[len(rows) + len(quoted) :] == listed["remarks"]
    assert ran("recipes", "pairwise-confusion") == 0
    assert capsys.readouterr().out.splitlines() == [line for line in lines if line.startswith(("pc/", "pc quotes"))]
    assert ran("recipes", "mc-loss/cub-resnet50") == 0
    text = capsys.readouterr().out
    assert "quotes" not in text
    assert "mc-loss: its released scripts report the epoch that was best on the test photos" in text
    assert "choose pc" in refused(capsys, "recipes", "nothing")


@pytest.mark.slow
def test_a_row_of_a_paper_is_followed_with_other_settings(photos: Path, tmp_path: Path) -> None:
    run, words = tmp_path / "run", [word for word in spelt() if word not in ("--lr", "0.05")]
    pairs = 'batches={"type": "ShuffledPairs", "size": 12}'
    more = ("--set", pairs, "--set", "model.terms.0.shuffle=false", "--set", "stages.0.optimiser.lr=0.02")
    more += ("--accumulate", "1")  # the row's pieces would part the pairs
    words[words.index("--batch") : words.index("--batch") + 2] = []
    assert ran("train", photos, "--out", run, "--recipe", "pc/flowers-resnet50", *words, *more) == 0
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["batches"] == {"type": "ShuffledPairs", "size": 12}
    assert recipe["model"]["terms"] == [{"type": "PairwiseConfusion", "weight": 10.0, "shuffle": False}]
    assert recipe["model"]["criterion"] == {"type": "CrossEntropy", "smoothing": 0.0}
    assert recipe["stages"][0]["optimiser"]["lr"] == 0.02
    assert "PairwiseConfusion" in (run / "metrics.csv").read_text().splitlines()[0]
    again = tmp_path / "again"
    here = ["--device", "cpu", "--workers", "0"]
    assert ran("train", photos, "--out", again, "--recipe", run / "recipe.json", *here) == 0
    assert (again / "recipe.json").read_text() == (run / "recipe.json").read_text()
    assert (again / MODEL).read_bytes() == (run / MODEL).read_bytes()
    plain = ["--method", "plain", "--epochs", "1", *here]
    assert ran("train", photos, "--out", again, "--overwrite", "--recipe", run / "recipe.json", *plain) == 0
    assert json.loads((again / "recipe.json").read_text())["model"]["terms"] == []


def test_a_method_of_one_s_own(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module, name = tmp_path / "my_own_methods.py", "my_own_methods:Mine"
    module.write_text(OWN_METHOD)
    train = ["train", photos, "--out", "run", *spelt()]
    before = list(sys.path)
    assert ran(*train, "--method", name) == 0
    assert sys.path == before
    assert json.loads(Path("run/recipe.json").read_text())["model"]["method"] == {"type": name}
    assert "mine" in Path("run/metrics.csv").read_text().splitlines()[0]
    for words in (["evaluate", "run"], ["predict", "run", photos / "ant"], [*train, "--resume"]):
        assert f"--external {name}" in refused(capsys, *words)
        assert ran(*words, "--external", name) == 0
    yours = "my_own_methods:Yours"
    assert f"{yours}: module" in refused(capsys, "evaluate", "run", "--external", yours)


def wait_for(path: Path, running: subprocess.Popen[str]) -> None:
    begun = time.monotonic()
    while not path.exists():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() - begun < 120
        time.sleep(0.02)


LONG = ("--epochs", "12", "--batch", "4", "--ema", "0.9")


@pytest.fixture(scope="module")
def unbroken(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of a run of ``LONG`` that nobody stopped."""
    run = tmp_path_factory.mktemp("unbroken") / "run"
    assert ran("train", photos, "--out", run, *spelt(*LONG)) == 0
    return (run / MODEL).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_a_stopped_program_goes_on(how: signal.Signals, photos: Path, tmp_path: Path, unbroken: bytes) -> None:
    run = tmp_path / "run"
    running = program("train", photos, "--out", run, *spelt(*LONG, "--workers", "1"))
    wait_for(run / MODEL, running)
    running.send_signal(how)
    _, said = running.communicate(timeout=120)
    if how == signal.SIGINT:
        assert running.returncode == 130
        (line,) = said.splitlines()
        said = rf"fieldmark: stopped (in|after) epoch \d+ of 12; {run} answers as after epoch \d+; .*--resume goes on"
        assert re.fullmatch(said, line)
    else:
        assert running.returncode == -signal.SIGKILL
    assert ran("predict", run, photos / "ant", "-o", tmp_path / "p.csv") == 0
    assert ran("train", photos, "--out", run, *spelt(*LONG), "--resume") == 0
    assert (run / MODEL).read_bytes() == unbroken


def test_a_typing_mistake_is_answered_by_the_program_itself(tmp_path: Path) -> None:
    running = program("train", tmp_path / "nowhere", folder=tmp_path)
    out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "")
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_python_and_command_line_agree(photos: Path, own_run: Path, tmp_path: Path) -> None:
    import fieldmark

    assert ran("evaluate", own_run, "--split", "val") == 0
    result = fieldmark.evaluate(own_run, split="val")
    with np.load(own_run / "evaluation/val/logits.npz") as saved:
        np.testing.assert_array_equal(saved["logits"], result.logits)
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    write_photo(data / "ant" / "later.jpg", label=0, number=99)
    assert ran("evaluate", own_run, "--data", data, "--split", "val", "--out", tmp_path / "again") == 0
    with np.load(tmp_path / "again/logits.npz") as saved:
        np.testing.assert_array_equal(saved["logits"], result.logits)


def digests(*folders: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_no_photo_list_or_run_is_written_over(
    photos: Path, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    monkeypatch.chdir(data / "ant")
    Path("list.csv").write_text("path,remark\n1.jpg,mine\n")
    Path("link.csv").symlink_to("list.csv")
    os.link("list.csv", "hard.csv")
    os.link("0.jpg", "photo.csv")
    Path("notes.json").write_text("{}")
    before = digests(data, own_run)
    given = sorted(Path().glob("*.jpg"))
    assert "The shell expands" in refused(capsys, "predict", own_run, "-o", *given)
    assert "name of an image" in refused(capsys, "predict", own_run, "1.jpg", "-o", "new.jpg")
    for name in ("list.csv", "link.csv", "hard.csv", data / "ant" / "list.csv"):
        assert "is an input of this command" in refused(capsys, "predict", own_run, "list.csv", "-o", name)
    for name in (
        "photo.csv",
        "list.csv",
        "notes.json",
        own_run / "splits.csv",
        own_run / "recipe.json",
        own_run / MODEL,
    ):
        assert "not a result of this command" in refused(capsys, "predict", own_run, "1.jpg", "-o", name)
        for command in (["check", data], ["probe", data], ["evaluate", own_run], ["equations"], ["recipes"]):
            assert "not a result of this command" in refused(capsys, *command, "--json", name)
    assert "is an input of this command" in refused(capsys, "check", "list.csv", "--json", "list.csv")
    assert "name of an image" in refused(capsys, "check", data, "--json", "1.jpg")
    assert "outside of the photos" in refused(capsys, "evaluate", own_run, "--data", data, "--out", data / "bee")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "confusion.png").write_bytes(Path("0.jpg").read_bytes())
    assert "its confusion.png is not an earlier" in refused(capsys, "evaluate", own_run, "--out", tmp_path / "other")
    assert "exists" in refused(capsys, "convert", "list.csv", "link.csv")
    assert digests(data, own_run) == before


def test_earlier_results_are_replaced(
    photos: Path, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, figures = tmp_path / "p.csv", tmp_path / "f.json"
    for _ in range(2):
        assert ran("predict", own_run, photos / "ant", "-o", table) == 0
        assert ran("evaluate", own_run, "--json", figures, "--out", tmp_path / "out") == 0
    assert ran("predict", own_run, photos / "ant" / "1.jpg", "-o", table, "--top", "2") == 0
    assert len(table.read_text().splitlines()) == 2
    assert (
        ran("check", photos, "--json", tmp_path / "c.json") == ran("check", photos, "--json", tmp_path / "c.json") == 0
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json", "f.json", "out", "own", "p.csv"]
    capsys.readouterr()


def test_a_stopped_prediction_keeps_its_rows(
    photos: Path, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fieldmark.evaluation import predict

    table, stream = tmp_path / "p.csv", predict.stream

    def stopped(*words: Any, **more: Any) -> Iterator[Any]:
        yield from stream(*words, **more)
        raise KeyboardInterrupt

    assert ran("predict", own_run, photos / "ant" / "1.jpg", "-o", table) == 0
    before = table.read_text()
    monkeypatch.setattr(predict, "stream", stopped)
    assert ran("predict", own_run, photos / "ant", "-o", table) == 130
    (partial,) = tmp_path.glob("p.csv.*.partial")
    assert f"kept in {partial}" in capsys.readouterr().err
    assert len(partial.read_text().splitlines()) == 11
    assert table.read_text() == before


def test_predictions_on_standard_output_stand_alone(
    photos: Path, own_run: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = Path(shutil.copytree(photos / "ant", tmp_path / "ant"))
    (folder / "鷺.jpg").write_bytes(b"no picture")
    (folder / "raw.dng").touch()
    table = tmp_path / "p.csv"
    sure(own_run)
    assert ran("predict", own_run, folder, "-o", table) == 0
    said = capfdbinary.readouterr()
    assert said.err == b""
    lines = said.out.decode().splitlines()
    assert lines[0] == (
        "passed over: 1 file whose name does not end like an image's (it is tried if it is named itself), "
        f"e.g. {folder / 'raw.dng'}"
    )
    assert re.fullmatch(rf"{folder}/0.jpg  [a-z]+ \d+ %, [a-z]+ \d+ %, [a-z]+ \d+ %", lines[1])
    assert lines[11:] == [
        f"{folder}/鷺.jpg  cannot be read: text, not an image",
        f"11 photos, 1 of them unreadable: {table}",
    ]
    for out in ("-", "/dev/stdout"):
        assert ran("predict", own_run, folder, "-o", out) == 0
        said = capfdbinary.readouterr()
        assert said.out == table.read_bytes()
        assert said.err.decode().splitlines() == [lines[0], lines[11], "11 photos, 1 of them unreadable"]
    assert ran("predict", own_run, folder, "-o", "-", "--quiet") == 0
    assert capfdbinary.readouterr() == (table.read_bytes(), b"")


def test_predictions_where_nothing_can_be_read(
    own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    assert ran("predict", own_run, tmp_path / "a.jpg", "-o", tmp_path / "p.json") == 1
    assert capsys.readouterr().out.endswith(f"1 photo, 1 of them unreadable: {tmp_path / 'p.json'}\n")
    (prediction,) = json.loads((tmp_path / "p.json").read_bytes())["predictions"]
    assert (prediction["classes"], prediction["error"]) == ([], "text, not an image")
    assert "name a .csv or .json file" in refused(capsys, "predict", own_run, tmp_path / "a.jpg", "-o", "p.xlsx")
    assert "the empty path" in refused(capsys, "predict", own_run, "", "-o", tmp_path / "p.csv")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes that break")
def test_a_reader_that_ends_early_ends_the_table(photos: Path, trained: Path) -> None:
    running = program("predict", trained, *[photos / "ant"] * 150, "-o", "-")
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    assert (running.communicate()[1], running.returncode) == ("", 1)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("command", ["check", "recipes", "bench report"])
def test_quiet_and_verbose_stand_before_or_after_the_command(
    place: str, command: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"check": ["check", photos], "recipes": ["recipes"], "bench report": ["bench", "report", tmp_path]}[command]
    code = 2 if command == "bench report" else 0  # nothing to report of
    said = {}
    for option in ("", "--quiet", "-q", "--verbose", "-v"):
        given = [option] if option else []
        assert ran(*(given + words if place == "before" else words + given)) == code
        said[option] = capsys.readouterr()
    assert said["--quiet"] == said["-q"]
    assert said["-q"].out == ""
    assert said["-q"].err == said[""].err
    assert bool(said[""].err) is (code == 2)
    assert said["-v"].out == said["--verbose"].out == said[""].out
    if command == "check":
        assert re.search(r"scanning photos: \d", said["-v"].err)
    if code:
        assert "Traceback" in said["-v"].err
        assert said["-v"].err.endswith(said[""].err)


def test_training_tells_more_if_asked(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", photos, *spelt("--epochs", "1")]
    assert ran(*words, "--out", tmp_path / "a", "-v") == 0
    said = capsys.readouterr()
    assert "device cpu" in said.err
    assert "scanning photos" in said.err
    assert "trained in" in said.out
    assert ran(*words, "--out", tmp_path / "b", "--quiet") == 0
    said = capsys.readouterr()
    assert said.out == said.err == ""
    assert logging.getLogger("fieldmark").handlers == []
