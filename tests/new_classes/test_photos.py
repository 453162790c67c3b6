"""Photos of a new class and of the old ones: which are taken, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import small_runs
from fieldmark.data.dataset import Photo
from fieldmark.data.unlabelled import photos_of
from fieldmark.errors import UserError
from fieldmark.input.loading import Photographs
from fieldmark.new_classes import photos as module
from fieldmark.new_classes.photos import known_photos, refuse_name, sampled, sound_photos, views
from fieldmark.recipe import Pixels

PIXELS = Pixels(32, 32)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ant", "the run has the class 'ant' already; give"),
        ("Ant", "can hardly be told from"),
        ("fire_ant", "can hardly be told from"),
        ("café", "the run has the class"),
        ("", "is no name for a class"),
        ("  ", "is no name for a class"),
        ("two\nlines", "is no name for a class"),
    ],
)
def test_a_name_is_new_and_a_name(name: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        refuse_name(name, ("ant", "bee", "fire ant", "cafe\u0301"))
    assert said in str(refused.value)
    refuse_name("wasp/queen 2", ("ant", "bee"))


def test_unreadable_photos_are_told_and_the_rest_is_taken(tmp_path: Path) -> None:
    good = small_runs.write_photo(tmp_path / "good.jpg", label=1, number=1)
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    found = sound_photos(photos_of(tmp_path).photos, PIXELS, ())
    assert [photo.path for photo in found.photos] == [good]
    assert [photo.photo.name for photo in found.unread] == [str(tmp_path / "bad.jpg")]
    with pytest.raises(UserError, match="1 of 1 photos cannot be read") as refused:
        sound_photos(photos_of(tmp_path / "bad.jpg").photos, PIXELS, ())
    assert len(str(refused.value).splitlines()) == 1


def test_a_photo_counts_once(tmp_path: Path) -> None:
    first = small_runs.write_photo(tmp_path / "a.jpg", label=1, number=1)
    shutil.copyfile(first, tmp_path / "copy.jpg")
    with pytest.raises(UserError, match="show the very same picture"):
        sound_photos(photos_of(tmp_path).photos, PIXELS, ())
    with pytest.raises(UserError, match=r"a\.jpg was given twice"):
        sound_photos(photos_of([first, str(first)]).photos, PIXELS, ())


def test_pictures_in_memory_will_do() -> None:
    arrays = list(np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8))
    listed, pictures, _ = photos_of(arrays)
    assert len(sound_photos(listed, PIXELS, pictures).photos) == 3
    listed, pictures, _ = photos_of([arrays[0], arrays[0].copy()])
    with pytest.raises(UserError, match="same picture"):
        sound_photos(listed, PIXELS, pictures)


def test_boxes_where_the_run_needs_them(photos: Path) -> None:
    with pytest.raises(UserError, match="have no box"):
        sound_photos(photos_of(photos / "ant").photos, Pixels(32, 32, fit="box"), ())


def test_views_come_epoch_by_epoch(photos: Path) -> None:
    own = Photographs(photos_of(photos / "ant").photos, PIXELS, seed=3)
    seen = np.concatenate([batch.pixels.numpy() for batch in views(own, range(-1, 3))])
    assert seen.shape == (40, 32, 32, 3)
    assert np.array_equal(seen[7], own[7].pixels[0].numpy())
    assert np.array_equal(seen[37], own.__getitems__([(2, 7)]).pixels[0].numpy())
    assert not np.array_equal(seen[17], seen[37])


def test_old_photos_are_not_test_photos_nor_those_of_the_new_class(trained: Path, photos: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    small_runs.write_photo(data / "wasp" / "0.jpg", label=9, number=9)
    splits = (trained / "splits.csv").read_text()
    for where in (None, data):
        dataset = known_photos(trained, where, name="wasp", own=()).dataset
        assert {photo.split for photo in dataset.photos} == {"train", "val"}
        assert len(dataset.photos) == splits.count(",train") + splits.count(",val") == 27


def test_a_photo_of_another_class_is_refused(trained: Path, photos: Path) -> None:
    own = [Photo("mine.jpg", photos / "bee" / "0.jpg")]
    with pytest.raises(UserError, match=r"mine\.jpg is a photo of 'bee' in"):
        known_photos(trained, None, name="wasp", own=own)


def test_data_that_are_gone(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    about = (run / "run.json").read_text().replace('"data": "', '"data": "/nowhere')
    (run / "run.json").write_text(about)
    with pytest.raises(UserError, match="does not exist; use --data DATA"):
        known_photos(run, None, name="wasp", own=())


def test_the_sample_has_as_many_of_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLD", 18)
    many = [Photo(str(at), Path(str(at)), label=at % 3 if at < 40 else 0) for at in range(60)]
    many = [photo for photo in many if photo.label != 2 or int(photo.name) < 9]  # three of the last class
    chosen = sampled(many, classes=3, seed=5)
    assert [sum(photo.label == label for photo in chosen) for label in range(3)] == [6, 6, 3]
    assert chosen == sampled(many, classes=3, seed=5) != sampled(many, classes=3, seed=6)
    assert [many.index(photo) for photo in chosen] == sorted(many.index(photo) for photo in chosen)
    monkeypatch.setattr(module, "OLD", 2)
    assert len(sampled(many, classes=3, seed=5)) == 3  # one of each at least
