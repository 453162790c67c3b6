"""Weak evidence looks weak beside strong."""

from dataclasses import replace
from pathlib import Path

import numpy as np

import fieldmark


def test_heatmaps_of_a_photo_share_a_scale(trained: Path, photos: Path):
    result = fieldmark.compare(trained, photos / "ant" / "0.jpg", photos / "bee" / "0.jpg")
    row = result.rows[0]
    first, second = row.explanation.reasons
    ones = np.ones_like(first.heatmap)
    strong, weak = replace(first, strength=4.0, heatmap=ones), replace(second, strength=1.0, heatmap=ones)
    changed = replace(result, rows=(replace(row, explanation=replace(row.explanation, reasons=(strong, weak))),))
    _, one, other, *_ = changed.panels()[0]
    assert one.heatmap is not None
    assert other.heatmap is not None
    assert (one.heatmap.max(), other.heatmap.max()) == (1.0, 0.25)
    assert changed.to_json()["photos"][0]["reasons"][1]["strength"] == 1.0
