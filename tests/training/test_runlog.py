"""What a run says, and its figures as table and picture."""

import csv
import io
import time
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from fieldmark.training import runlog
from fieldmark.training.runlog import CURVES, METRICS, RunLog, clock, draw_curves, write_metrics

ROWS = [
    {"epoch": 1.0, "loss": 1.5, "cross_entropy": 1.5, "train_top1": 0.25, "lr": 0.1, "seconds": 2.0},
    {"epoch": 2.0, "loss": 1.0, "cross_entropy": 1.0, "train_top1": 0.5, "val_top1": 0.75, "lr": 0.01, "seconds": 4.0},
]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (89, "89 s"), (90, "2 min"), (600, "10 min"), (5400, "1 h 30 min"), (7500, "2 h 05 min")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_metrics_keep_columns_that_some_rows_lack(tmp_path: Path) -> None:
    write_metrics(tmp_path / METRICS, ROWS)
    rows = list(csv.DictReader((tmp_path / METRICS).read_text("utf-8").splitlines()))
    assert [row["val_top1"] for row in rows] == ["", "0.75"]
    assert [float(row["loss"]) for row in rows] == [1.5, 1.0]


@pytest.mark.parametrize("rows", [ROWS, [], [{"epoch": 1.0, "loss": float("nan"), "a $x loss$": 1.0, "b $": 2.0}]])
def test_curves(rows: list[dict[str, float]], tmp_path: Path) -> None:
    draw_curves(tmp_path / CURVES, rows)
    with Image.open(tmp_path / CURVES) as picture:
        assert picture.width > 800


def lines(tmp_path: Path, *, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=160)
    with RunLog(tmp_path, console=console) as log:
        log.begin(steps=6, per_epoch=3, done=0)
        for step in (1, 2, 3):
            log.step(8, step, 1.0)
        log.epoch(ROWS[:1])
        log.note("left out: [brackets].jpg")
    return stream.getvalue()


def test_plain_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    first, second = lines(tmp_path, terminal=False).splitlines()
    assert first.startswith("epoch 1/2  loss 1.500  train top1 0.250")
    assert first.endswith("left")
    assert second == "left out: [brackets].jpg"
    assert (tmp_path / METRICS).is_file()


def test_the_parts_of_a_loss_stand_in_the_line_of_an_epoch(tmp_path: Path) -> None:
    stream = io.StringIO()
    row = {"epoch": 1.0, "loss": 5.0, "Mine": 0.5, "Mine/L_dis": 2.25, "Mine/L_div": 1.5, "train_top1": 0.5, "lr": 0.1}
    with RunLog(tmp_path, console=Console(file=stream, width=200)) as log:
        log.epoch([row])
    assert "loss 5.000  Mine/L_dis 2.250  Mine/L_div 1.500  train top1 0.500" in stream.getvalue()
    (written,) = csv.DictReader((tmp_path / METRICS).read_text("utf-8").splitlines())
    assert (float(written["Mine/L_dis"]), float(written["Mine/L_div"])) == (2.25, 1.5)


def test_a_live_display_in_a_terminal(tmp_path: Path) -> None:
    text = lines(tmp_path, terminal=True)
    assert "images/s" in text
    assert "epoch 1/2" in text
    assert "[brackets].jpg" in text


def test_long_epochs_are_not_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), time.perf_counter()
    log = RunLog(tmp_path, console=Console(file=stream, width=160))
    log.begin(steps=100, per_epoch=50, done=0)
    for step in range(1, 11):
        monkeypatch.setattr(runlog.time, "perf_counter", lambda step=step: now + 10 * step)
        log.step(4, step, 10.0)
    told = stream.getvalue().splitlines()
    assert len(told) == 2
    assert told[0].startswith("epoch 1 step 4/100")
    assert "16 min" in told[0]
