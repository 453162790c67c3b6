"""Data sets as all runs of a comparison see them."""

import shutil
from pathlib import Path

import pytest

import small_runs
from fieldmark.bench.material import read_material
from fieldmark.bench.plan import Place
from fieldmark.errors import UserError


def test_official_splits_stay(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("test", 2)):
        small_runs.write_photos(tmp_path / "photos" / split, photos=count)
    found = read_material("a", tmp_path / "photos", Place(train_on=("train",)), folder=tmp_path / "out")
    assert found.splits is None
    assert not found.has_val
    assert [len(found.dataset.of([split])) for split in ("train", "val", "test")] == [12, 0, 6]
    assert found.train_on(None) == ("train",)
    assert found.train_on(("train", "val")) == ("train", "val")
    assert not (tmp_path / "out").exists()


def test_unsplit_photos_are_cut_once_for_all(photos: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    first = read_material("a", data, Place(), folder=tmp_path / "out")
    assert first.has_val
    assert first.splits == tmp_path / "out" / "splits" / "a.csv"
    again = read_material("a", data, Place(), folder=tmp_path / "out")
    assert (again.dataset.photos, again.digest) == (first.dataset.photos, first.digest)
    small_runs.write_photo(data / "ant" / "more.jpg", label=0, number=99)
    more = read_material("a", data, Place(), folder=tmp_path / "out")
    assert more.dataset.of(["train", "val", "test"]) == first.dataset.photos
    assert more.digest != first.digest


def test_without_test_photos_nothing_can_be_compared(tmp_path: Path) -> None:
    for split in ("train", "val"):
        small_runs.write_photos(tmp_path / "photos" / split, photos=2)
    with pytest.raises(UserError, match="no test photos"):
        read_material("a", tmp_path / "photos", Place(), folder=tmp_path / "out")
