"""What the papers' pictures are made of."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fieldmark.data.dataset import Photo
from fieldmark.errors import UserError
from fieldmark.paper_figures.figure import heat, names_of_runs, study
from fieldmark.runs.folder import open_run
from small_figures import write_drawn_run


def test_heat_is_a_share_of_each_maps_own_maximum():
    maps = torch.tensor([[[-1.0, 2.0], [4.0, 0.0]], [[-3.0, -1.0], [-2.0, -5.0]]])
    np.testing.assert_allclose(heat(maps), [[[0, 0.5], [1, 0]], [[0, 0], [0, 0]]])
    assert heat(maps).dtype == np.float32
    together = heat(maps, together=(0, 1, 2))
    np.testing.assert_allclose(together, [[[0, 0.5], [1, 0]], [[0, 0], [0, 0]]])
    np.testing.assert_allclose(heat(torch.stack([maps, 2 * maps]), together=(0, 2, 3))[0, 0], [[0, 0.25], [0.5, 0]])


def test_the_true_class_is_that_of_the_list_that_labels_index(photos: Path, tmp_path: Path):
    opened = open_run(write_drawn_run(tmp_path / "run", "plain"))
    photo = Photo("0.jpg", photos / "bee" / "0.jpg", 3)
    (panel,) = study(opened, [photo], name="run", classes=("w", "x", "y", "z")).photo_panels()
    assert panel.title.endswith("\nin truth z")


def test_runs_are_called_by_as_little_as_tells_them_apart():
    assert names_of_runs([Path("a/runs/pc"), Path("a/runs/plain")]) == ["pc", "plain"]
    assert names_of_runs([Path("a/pc"), Path("b/pc"), Path("b/plain")]) == ["a/pc", "b/pc", "b/plain"]
    assert names_of_runs([Path("runs/one")]) == ["one"]
    with pytest.raises(UserError, match="pc is named twice"):
        names_of_runs([Path("runs/pc"), Path("runs/../runs/pc")])
