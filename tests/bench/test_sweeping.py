"""Accuracy by the value of a setting, from the trials of a comparison."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from canned import failed, result_of
from PIL import Image

from fieldmark import bench
from fieldmark.bench.results import Asked, Result, write_result
from fieldmark.bench.sweeping import lines_of
from fieldmark.errors import UserError
from typed import ran, refused

OVER = "model.terms.0.weight"


def trial_of(entry: str, trial: int, seed: int, top1: float, weight: Any, **changes: Any) -> Result:
    asked: Mapping[str, Any] = ({OVER: weight} if weight is not None else {}) | changes
    recipe = {"model": {"terms": [{"type": "PairwiseConfusion", "weight": 5.0 if weight is None else weight}]}}
    return replace(result_of(entry, seed, trial=trial, top1=top1), asked=Asked((asked,)), recipe=recipe)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pc = [
        trial_of("pc", trial, seed, 0.1 * trial + 0.01 * seed, weight)
        for trial, weight in enumerate((10, 0, None))
        for seed in (0, 1)
    ]
    others = [trial_of("pc", 3, 0, 0.9, 2.0, lr=0.1), failed(trial_of("pc", 4, 0, 0.9, 7.0), "no memory")]
    plain = [result_of("plain", 0, trial=0), result_of("pc", 10)]
    for result in (*pc, *others, *plain):
        write_result(tmp_path / "made", result)
    return tmp_path / "made"


def test_trials_that_differ_in_one_setting_alone(folder: Path) -> None:
    (sweep,) = bench.sweep(folder, OVER)
    assert (sweep.data, sweep.entry) == ("birds", "pc")
    assert [point.value for point in sweep.points] == [0, 5, 10]  # the trial without changes has the recipe's own
    assert [point.top1 for point in sweep.points] == [
        pytest.approx((0.1, 0.11)), pytest.approx((0.2, 0.21)), pytest.approx((0.0, 0.01)),
    ]  # fmt: skip
    assert lines_of([sweep])[0] == "birds  pc  0  10.5 % of 20 photos (seeds: 10.0, 11.0)"


def test_a_picture_and_its_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("bench", "sweep", folder, "--over", OVER) == 0
    assert "written to" in capsys.readouterr().out
    with Image.open(folder / "sweep.png") as picture:
        assert picture.width > 400
    said = json.loads((folder / "sweep.json").read_text("utf-8"))
    assert (said["over"], said["sweeps"][0]["entry"]) == (OVER, "pc")
    assert said["sweeps"][0]["points"][0] == {"value": 0.0, "top1": [0.1, 0.11], "photos": 20}
    assert ran("bench", "sweep", folder, "--over", OVER) == 0  # once more


def test_mistakes_get_a_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "bench", "sweep", folder, "--over", "model.terms.0.wieght")
    assert f"trials differ in {OVER}" in said
    with pytest.raises(UserError, match="no such folder"):
        bench.sweep(tmp_path / "nowhere", OVER)
    taken = tmp_path / "photo.png"
    taken.write_bytes(b"mine")
    assert "is not an earlier sweep" in refused(capsys, "bench", "sweep", folder, "--over", OVER, "--out", taken)
    assert taken.read_bytes() == b"mine"
    assert "ends in .png" in refused(capsys, "bench", "sweep", folder, "--over", OVER, "--out", tmp_path / "a.pdf")
