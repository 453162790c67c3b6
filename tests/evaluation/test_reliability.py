"""The reliability plot: its marks and bands are where the figures say."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fieldmark.confidence.calibration import calibration_of
from fieldmark.evaluation import reliability as module
from fieldmark.evaluation.reliability import draw_reliability

SHARES = np.array([[0.9, 0.1], [0.92, 0.08], [0.6, 0.4], [0.55, 0.45]])
LABELS = np.array([0, 1, 0, 0])


def test_it_is_a_picture(tmp_path: Path) -> None:
    draw_reliability(tmp_path / "plot.png", calibration_of(np.log(SHARES), LABELS), title="val: 4 photos")
    with Image.open(tmp_path / "plot.png") as picture:
        assert min(picture.size) > 300


def test_marks_are_where_the_figures_say(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(module, "save_picture", lambda path, figure: figures.append(figure))
    calibration = calibration_of(np.log(SHARES), LABELS)
    draw_reliability(Path("plot.png"), calibration, title="val: 4 photos")
    (axes,) = figures[0].axes
    marks = [tuple(np.asarray(marks.get_offsets())[0]) for marks in axes.collections]
    wanted = [(0.55, 100.0), (0.6, 100.0), (0.91, 50.0)]
    assert sorted(marks) == [pytest.approx(mark) for mark in wanted]
    bands = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in axes.patches]
    assert bands == [pytest.approx((100 * low, 100 * high)) for low, high in (part.band for part in calibration.bins)]
    assert axes.get_title().startswith("val: 4 photos\ncalibration error")
