"""Accuracy by epoch, from tables of metrics."""

import json
from pathlib import Path

import pytest
from PIL import Image

import fieldmark
from fieldmark.errors import UserError
from fieldmark.paper_figures.convergence import Convergence, curves_of
from fieldmark.runs.folder import METRICS
from small_figures import write_drawn_run

TABLE = """epoch,loss,MutualChannelLoss/L_div,train_top1,val_top1,seconds
0,,,,0.4,0
1,1.5,2,0.25,0.5,3
2,nan,2,0.5,0.75,6
"""


def test_columns_by_epoch(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text(TABLE)
    assert curves_of(tmp_path) == {
        "epoch": [0, 1, 2],
        "loss": [None, 1.5, None],
        "train_top1": [None, 0.25, 0.5],
        "val_top1": [0.4, 0.5, 0.75],
    }
    (tmp_path / METRICS).write_text("epoch;loss\n1;2,5\n")
    with pytest.raises(UserError, match="changed by hand"):
        curves_of(tmp_path)
    (tmp_path / METRICS).write_text("epoch,loss\n,2.5\n")
    with pytest.raises(UserError, match="an epoch has no number"):
        curves_of(tmp_path)
    assert curves_of(tmp_path / "nowhere") == {"epoch": []}


def test_runs_are_drawn_beside_each_other_without_photos(tmp_path: Path) -> None:
    own, other = write_drawn_run(tmp_path / "雀 $x$", "pc"), write_drawn_run(tmp_path / "plain", "plain")
    none = write_drawn_run(tmp_path / "none", "plain")
    (own / METRICS).write_text(TABLE)
    (other / METRICS).write_text("epoch,loss,train_top1\n1,1.5,0.5\n")
    (drawn,) = fieldmark.figures(own, beside=[other, none])
    assert isinstance(drawn, Convergence)
    path = drawn.save(tmp_path / "out")
    with Image.open(path) as picture:
        assert picture.width > 900
    said = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert list(said["curves"]) == ["雀 $x$", "plain"]
    assert said["curves"]["plain"] == {"epoch": [1], "loss": [1.5], "train_top1": [0.5]}
    assert list(said["runs"]) == ["雀 $x$", "plain", "none"]
