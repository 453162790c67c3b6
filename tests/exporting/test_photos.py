"""Photos that a file is tried with: validation photos or those of the training, never test photos."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fieldmark.data.dataset import Photo
from fieldmark.errors import UserError
from fieldmark.exporting.photos import Tried, held_out_and_calibration, photos_to_try, trained_on
from fieldmark.runs.folder import Opened


def names(tried: Tried | None) -> set[str]:
    assert tried is not None
    return {photo.name for photo in tried.photos}


def in_split(opened: Opened, split: str) -> set[str]:
    return {photo.name for photo in trained_on(opened, None, splits=(split,)).dataset.photos}


def with_training_on(opened: Opened, *splits: str) -> Opened:
    return opened._replace(recipe=replace(opened.recipe, train_on=splits))


def tried_of(counts: list[int]) -> Tried:
    photos = [Photo(f"{at}", Path(f"{at}"), label) for label, count in enumerate(counts) for at in range(count)]
    return Tried("train", tuple(photos))


def test_validation_photos_come_first(opened: Opened):
    tried = photos_to_try(opened, None)
    assert tried is not None
    assert tried.split == "val"
    assert names(tried) == in_split(opened, "val")
    assert len(tried.labels) == len(tried.photos)


def test_validation_photos_that_were_trained_on_are_photos_of_the_training(opened: Opened):
    tried = photos_to_try(with_training_on(opened, "train", "val"), None)
    assert tried is not None
    assert tried.split == "train + val"
    assert names(tried) == in_split(opened, "train") | in_split(opened, "val")
    assert not names(tried) & in_split(opened, "test")


def test_photos_that_are_gone(opened: Opened, own_run: Path, tmp_path: Path):
    with pytest.raises(UserError, match="gone"):
        photos_to_try(opened, tmp_path / "gone")
    about = own_run / "run.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"data": str(tmp_path / "gone")}))
    assert photos_to_try(opened._replace(path=own_run), None) is None
    with pytest.raises(UserError, match="give them with --data DATA"):
        held_out_and_calibration(opened._replace(path=own_run), None)


def test_eight_bits_are_measured_on_photos_that_gave_no_scale(opened: Opened):
    measured, calibration = held_out_and_calibration(opened, None)
    assert (measured.split, calibration.split) == ("val", "train")
    assert names(calibration) == in_split(opened, "train")
    measured, calibration = held_out_and_calibration(with_training_on(opened, "train", "val"), None)
    assert not names(measured) & names(calibration)
    assert names(measured) | names(calibration) == in_split(opened, "train") | in_split(opened, "val")
    assert abs(len(calibration.photos) - len(measured.photos)) <= 1


@pytest.mark.parametrize("counts", [[50, 50, 50], [100, 3, 1], [200], [1] * 40])
def test_photos_are_spread_over_classes(counts: list[int]):
    tried = tried_of(counts)
    few = tried.spread(20)
    assert len(few.photos) == 20
    assert len(set(few.photos)) == 20
    kept, shares = np.bincount(few.labels, minlength=len(counts)), 20 * np.array(counts) / sum(counts)
    assert np.abs(kept - shares).max() <= 1
    assert tried.spread(10_000) is tried
