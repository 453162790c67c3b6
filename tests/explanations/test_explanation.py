"""Explanations on disk: all that was said, or nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fieldmark
from fieldmark.errors import UserError
from fieldmark.explanations.explanation import Explanation


def one(run: Path, photo: Path) -> Explanation:
    (explanation,) = fieldmark.explain(run, photo)
    assert isinstance(explanation, Explanation)
    return explanation


def test_saved_is_all_that_was_said(trained: Path, photos: Path, tmp_path: Path):
    value = one(trained, photos / "ant" / "0.jpg")
    path = value.save(tmp_path / "out", "first")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["first.json", "first.npz", "first.png"]
    with Image.open(path) as image:
        assert image.width > 600
    said = json.loads((tmp_path / "out" / "first.json").read_text("utf-8"))
    assert said["run"] == value.run
    assert said["reasons"][1]["against"] == value.reasons[1].against
    with np.load(tmp_path / "out" / "first.npz") as arrays:
        assert np.array_equal(arrays["heatmap_2"], value.reasons[1].heatmap)
        assert np.array_equal(arrays["picture"], value.picture)


def test_a_failed_save_changes_nothing(trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    value, out = one(trained, photos / "ant" / "0.jpg"), tmp_path / "out"
    value.save(out, "first")
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match="cannot be written: No space left"):
        one(trained, photos / "bee" / "0.jpg").save(out, "first")
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
