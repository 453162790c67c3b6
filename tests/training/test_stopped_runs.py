"""A run that ends before its time: at any moment it answers as well as it does by then, says so, and goes on."""

import csv
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import fieldmark
from fieldmark import cli
from fieldmark.errors import Interrupted, UserError
from fieldmark.evaluation.inference import infer
from fieldmark.input.loading import Photographs
from fieldmark.runs.checkpoint import MODEL, STATE
from fieldmark.runs.folder import METRICS, open_run
from fieldmark.training import session, starting, validation
from fieldmark.training.runlog import CURVES, RunLog
from fieldmark.training.settings import Settings
from small_runs import small, spelt, stop_after, train_small


class Killed(BaseException):
    """What nothing catches."""


@pytest.fixture(scope="module")
def probe(pretrained: Path) -> Settings:
    """Two epochs, of three batches each, after a start as a probe."""
    return small(start="probe", weights=str(pretrained), size=32, epochs=2, ema=0.5)


def models_of(data: Path, run: Path, settings: Settings) -> dict[int, bytes]:
    """The model's bytes after each epoch of an unbroken run, 0 being the start."""
    models: dict[int, bytes] = {}
    epoch = RunLog.epoch

    def noted(self: RunLog, rows: list[Mapping[str, float]]) -> None:
        models[round(rows[-1]["epoch"])] = (run / MODEL).read_bytes()
        epoch(self, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLog, "epoch", noted)
        train_small(data, run, settings)
    return models


@pytest.fixture(scope="module")
def whole(photos: Path, probe: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, bytes]]:
    run = tmp_path_factory.mktemp("whole") / "run"
    return run, models_of(photos, run, probe)


def stopped(data: Path, run: Path, steps: int, settings: Settings, *, resume: bool = False) -> str:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted) as error:
        stop_after(patch, steps)
        train_small(data, run, settings, resume=resume)
    return str(error.value)


def rows_of(run: Path) -> list[dict[str, str]]:
    """The table of metrics, but for the clock."""
    rows = list(csv.DictReader((run / METRICS).read_text("utf-8").splitlines()))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_each_epoch_leaves_a_model_of_its_own(whole: tuple[Path, dict[int, bytes]]) -> None:
    run, models = whole
    assert list(models) == [0, 1, 2]
    assert len(set(models.values())) == 3
    assert (run / MODEL).read_bytes() == models[2]


def test_the_start_is_measured_as_epoch_0(
    photos: Path, probe: Settings, whole: tuple[Path, dict[int, bytes]], tmp_path: Path
) -> None:
    run, _ = whole
    start, *_ = rows_of(run)
    assert (start["epoch"], start["loss"], start["lr"]) == ("0", "", "")
    assert [row["epoch"] for row in rows_of(run)] == ["0", "1", "2"]
    stopped(photos, tmp_path / "run", 2, probe)
    assert fieldmark.evaluate(tmp_path / "run", split="val").metrics.top1 == pytest.approx(float(start["val_top1"]))


@pytest.mark.parametrize(
    ("steps", "where", "kept"),
    [
        (1, "in epoch 1 of 2; {} answers as the probe that it began as", 0),
        (3, "after epoch 1 of 2; {} answers as after epoch 1", 1),
        (5, "in epoch 2 of 2; {} answers as after epoch 1", 1),
    ],
)
def test_a_stopped_run_says_how_it_answers_and_does(
    steps: int,
    where: str,
    kept: int,
    photos: Path,
    probe: Settings,
    tmp_path: Path,
    whole: tuple[Path, dict[int, bytes]],
) -> None:
    run, (unbroken, models) = tmp_path / "run", whole
    said = stopped(photos, run, steps, probe)
    assert said == f"stopped {where.format(run)}; the same command with --resume goes on"
    assert (run / MODEL).read_bytes() == models[kept]
    (remark,) = open_run(run).remarks
    assert remark.startswith(f"{run} has done {kept} of 2 epochs")
    told = train_small(photos, run, probe, resume=True)
    assert not any("starts as a probe" in line for line in told)
    assert (run / MODEL).read_bytes() == models[2]
    assert rows_of(run) == rows_of(unbroken)
    assert open_run(run).remarks == ()


def test_before_the_first_epoch_a_run_from_zero_cannot_answer(photos: Path, tmp_path: Path) -> None:
    said = stopped(photos, tmp_path, 2, small(size=32))
    assert said == f"stopped in epoch 1 of 2; {tmp_path} cannot answer yet; the same command with --resume goes on"
    for ask in (fieldmark.load, fieldmark.evaluate):
        with pytest.raises(UserError, match=r"has no trained model .* yet; go on with: .*--resume"):
            ask(tmp_path)


@pytest.mark.parametrize(("module", "stage"), [(starting, "infer"), (starting, "regress"), (validation, "measure")])
def test_a_stop_before_the_first_step_says_so_too(
    module: ModuleType,
    stage: str,
    photos: Path,
    probe: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: tuple[Path, dict[int, bytes]],
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, stage, stop)
        with pytest.raises(Interrupted, match=r"stopped at once; .* cannot answer yet; the same command with --resume"):
            train_small(photos, tmp_path / "run", probe)
    train_small(photos, tmp_path / "run", probe, resume=True)
    assert (tmp_path / "run" / MODEL).read_bytes() == whole[1][2]


def test_a_second_ctrl_c_says_what_is_left(photos: Path, probe: Settings, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 5)
        said = stopped(photos, tmp_path, 5, probe)
    assert said == f"stopped at once; {tmp_path} answers as after epoch 1; the same command with --resume goes on"


@pytest.mark.parametrize("writes", [1, 4, *(pytest.param(at, marks=pytest.mark.slow) for at in (2, 3, 5, 6, 7, 8))])
def test_a_run_killed_before_any_of_its_writes_is_whole_and_goes_on(
    writes: int, photos: Path, probe: Settings, tmp_path: Path, whole: tuple[Path, dict[int, bytes]]
) -> None:
    run, (unbroken, models), number = tmp_path / "run", whole, count(1)
    begun: list[bool] = []
    sync, start = os.fsync, session.Loop.start

    def noted(self: session.Loop, validate: Any) -> None:
        begun.append(True)
        start(self, validate)

    def killed(file: int) -> None:
        if begun and next(number) == writes:
            raise Killed
        sync(file)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "fsync", killed)
        patch.setattr(session.Loop, "start", noted)
        train_small(photos, run, probe)
    kept = (None, None, 0, 0, 0, 1, 1, 1)[writes - 1]  # of the start and of each epoch: state, model, table
    assert (run / MODEL).is_file() == (kept is not None)
    if kept is not None:
        assert (run / MODEL).read_bytes() == models[kept]
    train_small(photos, run, probe, resume=True)
    assert (run / MODEL).read_bytes() == models[2]
    assert rows_of(run) == rows_of(unbroken)
    assert (run / CURVES).is_file()


def test_a_model_that_a_kill_kept_from_being_written_is_written_at_once(
    photos: Path, probe: Settings, tmp_path: Path, whole: tuple[Path, dict[int, bytes]]
) -> None:
    run, (_, models) = tmp_path / "run", whole
    stopped(photos, run, 3, probe)
    (run / MODEL).write_bytes(models[0])  # killed between state and model
    stopped(photos, run, 1, probe, resume=True)
    assert (run / MODEL).read_bytes() == models[1]


@pytest.mark.slow
def test_the_start_is_a_candidate_for_the_best(
    photos: Path, probe: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ENOUGH_TO_CHOOSE", 1)
    measure = validation.measure
    for figures, best, said in (
        ([0.6, 0.5, 0.6, 0.4], 0, "answers as the probe that it began as"),
        ([0.3, 0.5, 0.4, 0.5], 1, "answers as after epoch 1, its best so far"),
    ):
        told = iter([*figures[:3], *figures])
        with monkeypatch.context() as patch:
            patch.setattr(validation, "measure", lambda *given, told=told: replace(measure(*given), top1=next(told)))
            settings = replace(probe, recipe=replace(probe.recipe, epochs=3))
            assert said in stopped(photos, tmp_path / f"stopped {best}", 8, settings)
            models = models_of(photos, tmp_path / f"run {best}", settings)
        assert (tmp_path / f"run {best}" / MODEL).read_bytes() == models[best]
        for run in (f"run {best}", f"stopped {best}"):
            assert (tmp_path / run / MODEL).read_bytes() == models[best]


def test_without_validation_the_start_is_saved_and_no_row(photos: Path, probe: Settings, tmp_path: Path) -> None:
    stopped(photos, tmp_path, 2, replace(probe, recipe=replace(probe.recipe, train_on="train+val")))
    assert (tmp_path / MODEL).is_file()
    assert not (tmp_path / METRICS).exists()
    assert "has done 0 of 2 epochs" in open_run(tmp_path).remarks[0]
    train_small(photos, tmp_path, probe, resume=True)
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["1", "2"]


def test_what_answers_is_put_into_the_network_in_one_place(
    photos: Path, probe: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation, the model of each epoch and the last one all see the weights that ``answering`` gives."""
    entered: list[float] = []
    answering = session.Loop.answering

    def noted(self: session.Loop) -> object:
        entered.append(self.position.step)
        return answering(self)

    monkeypatch.setattr(session.Loop, "answering", noted)
    train_small(photos, tmp_path, probe)
    assert entered == [0, 0, 3, 3, 6, 6]
    model = open_run(tmp_path).learner
    val = session.prepare_again(photos, tmp_path, console=session.QUIET, external={}).dataset.of(["val"])
    read = infer(model.method, Photographs(val, open_run(tmp_path).recipe.pixels), method=model.method)
    assert (read.values.argmax(1) == read.labels).mean() == pytest.approx(float(rows_of(tmp_path)[-1]["val_top1"]))
    raw = torch.load(tmp_path / STATE, weights_only=True)["learner"]
    saved = load_file(tmp_path / MODEL)
    assert any(not torch.equal(raw[name], saved[name]) for name in saved)


def test_an_unfinished_run_is_used_with_a_line_and_nothing_in_the_data(
    photos: Path, own_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"{own_run} has done 1 of 2 epochs; training it with --resume goes on"
    words = [["predict", own_run, photos / "ant", "-o", tmp_path / "p.csv"], ["evaluate", own_run, "--split", "val"]]
    whole: list[bytes] = []
    for unfinished in (False, True):
        if unfinished:
            (own_run / METRICS).write_text("epoch;loss\r\n0;\r\n1;0,5\r\n")  # as a spreadsheet leaves it
        for command in words:
            assert cli.run([str(word) for word in command]) == 0
            assert (line in capsys.readouterr().out.splitlines()) == unfinished
        with caplog.at_level(logging.WARNING):
            fieldmark.load(own_run)
        assert (line in caplog.messages) == unfinished
        outputs = (tmp_path / "p.csv", own_run / "evaluation" / "val" / "metrics.json")
        whole.append(b"".join(path.read_bytes() for path in outputs))
    assert whole[0] == whole[1]
    capsys.readouterr()
    assert cli.run([str(word) for word in ["predict", own_run, photos / "ant", "-o", "-"]]) == 0
    said = capsys.readouterr()
    assert line in said.err
    assert line not in said.out
    for left, remarks in ((METRICS, 1), (STATE, 0)):  # without a table the state tells; a bare model says nothing
        (own_run / left).unlink()
        assert len(open_run(own_run).remarks) == remarks


def test_a_terminal_shows_what_is_being_done_from_the_beginning(
    photos: Path, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each of these something moves; what comes between them takes no time."""
    monkeypatch.setattr(cli, "make_console", lambda **_: Console(force_terminal=True, width=200))
    words = spelt("--start", "probe", "--weights", str(pretrained), "--size", "32", "--epochs", "1")
    assert cli.run(["train", str(photos), "--out", str(tmp_path / "run"), *words]) == 0
    shown = capsys.readouterr().out
    stages = [
        "starting", "reading names and labels", "scanning photos", "looking for copies and splitting",
        "building the network", "measuring how long it will take", "features", "fitting the head",
        "measuring the start", "epoch 1/1",
    ]  # fmt: skip
    places = [shown.find(stage) for stage in stages]
    assert -1 not in places
    assert places == sorted(places)
