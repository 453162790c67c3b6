"""What a run says, and its figures as table and picture."""

import csv
import io
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from fieldmark.evaluation import pictures
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


def curves(rows: list[dict[str, float]], monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure, before it becomes a file."""
    figures: list[Figure] = []
    monkeypatch.setattr(pictures, "save_picture", lambda path, figure: figures.append(figure))
    draw_curves(Path(CURVES), rows)
    return figures[0]


START = {"epoch": 0.0, "val_top1": 0.5, "seconds": 0.0}
"""What the start is measured as."""


def test_the_start_is_a_row_a_line_and_a_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    log = RunLog(tmp_path, console=Console(file=stream, width=160))
    for rows in ([START], [START, *ROWS]):
        log.epoch(rows)
    start, last = stream.getvalue().splitlines()
    assert start == "start  val top1 0.500"
    assert last.startswith("epoch 2/1  ")
    text = (tmp_path / METRICS).read_text("utf-8")
    assert text.startswith("epoch,loss,cross_entropy,train_top1,val_top1,lr,seconds\n")
    assert [row["val_top1"] for row in csv.DictReader(text.splitlines())] == ["0.5", "", "0.75"]
    figure = curves([START, *ROWS], monkeypatch)
    assert figure.get_suptitle() == "training, 2 epochs, trained in 4 s"
    _, shares = figure.axes
    assert np.asarray(shares.lines[-1].get_xdata()).tolist() == [0, 1, 2]
    assert shares.get_xlim() == (-0.5, 2.5)


def test_a_run_may_become_shorter(tmp_path: Path) -> None:
    stream = io.StringIO()
    with RunLog(tmp_path, console=Console(file=stream, force_terminal=True, width=160)) as log:
        log.begin(steps=60, per_epoch=3, done=0)
        log.resize(steps=9)
        log.step(8, 3, 1.0)
        assert log._progress is not None
        assert log._progress.tasks[0].total == 9
        log.epoch(ROWS[:1])
    assert "epoch 1/3  loss" in stream.getvalue()


def test_curves_have_titles_and_axes_with_units(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = curves(ROWS, monkeypatch)
    assert figure.get_suptitle() == "training, 2 epochs, trained in 4 s"
    losses, shares = figure.axes
    assert (losses.get_xlabel(), losses.get_ylabel()) == ("epoch", "loss (no unit)")
    assert (shares.get_xlabel(), shares.get_ylabel()) == ("epoch", "accuracy, %")
    assert all(axes.get_title() for axes in figure.axes)
    assert all(tick == round(tick) for axes in figure.axes for tick in axes.get_xticks())
    assert np.asarray(shares.lines[0].get_ydata()).tolist() == [25, 50]


def test_no_curve_lies_under_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal ones share a line; of others the later ones are thinner, so that the earlier ones show beside them."""
    names = [f"term {at}" for at in range(10)]
    rows = [{"epoch": float(at), "loss": 1 / at, "same": 1 / at, **dict.fromkeys(names, 0.0)} for at in range(1, 40)]
    for row in rows:
        row |= {name: row["loss"] * (1 + 1e-4 * number) for number, name in enumerate(names, 1)}
        row |= {"train_top1": 0.5, "val_top1": 0.5, "val_per_class": 0.5 + row["epoch"] * 1e-4}
    for axes, count in zip(curves(rows, monkeypatch).axes, (11, 2), strict=True):
        assert len(axes.lines) == count
        looks = [(line.get_linestyle(), line.get_marker(), line.get_color()) for line in axes.lines]
        assert len(set(looks)) == count
        values = [tuple(np.asarray(line.get_ydata()).tolist()) for line in axes.lines]
        assert len(set(values)) == count
        widths = [line.get_linewidth() for line in axes.lines]
        assert widths == sorted(widths, reverse=True)
        assert widths[1] < widths[0]
        legend = axes.get_legend()
        assert legend is not None
        assert legend.get_window_extent().y1 < axes.get_window_extent().y0
        told = [text.get_text() for text in legend.get_texts()]
        assert told[0] in ("loss = same", "train top1 = val top1")


@pytest.mark.parametrize(("headline", "shown"), [("top1", "val top1 0.750"), ("mean_per_class", "val per class 0.625")])
def test_an_epoch_s_line_shows_the_headline(headline: str, shown: str, tmp_path: Path) -> None:
    stream = io.StringIO()
    log = RunLog(tmp_path, console=Console(file=stream, width=160), headline=headline)
    log.begin(steps=6, per_epoch=3, done=0)
    log.epoch([{**row, "val_top1": 0.75, "val_per_class": 0.625} for row in ROWS])
    (line,) = stream.getvalue().splitlines()
    assert f"train top1 0.500  {shown}  " in line
    assert line.count("val ") == 1


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
