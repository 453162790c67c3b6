"""What may be in the folder that a run goes to; ``test_session.py`` trains there."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fieldmark.data.dataset import Dataset
from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError
from fieldmark.locks import LOCK
from fieldmark.training.destination import clear, kept_cut, locked_folder, pinned_splits, refuse_deletion, resumes_run
from fieldmark.training.settings import DataSettings, Destination, RecipeSettings, Settings


def test_a_place_is_locked_for_as_long_as_it_is_held(photos: Path, tmp_path: Path) -> None:
    with locked_folder(photos, tmp_path / "run", Destination()):
        with pytest.raises(UserError, match="another process is training there"):
            locked_folder(photos, tmp_path / "run", Destination(overwrite=True)).__enter__()
        assert not resumes_run(tmp_path / "run", Destination())  # a lock is not a run
    assert not (tmp_path / "run").exists()


def test_a_run_with_a_state_is_resumed(own_run: Path) -> None:
    assert resumes_run(own_run, Destination(resume=True))
    assert not resumes_run(own_run, Destination(overwrite=True))
    with pytest.raises(UserError, match="--resume to continue it or --overwrite"):
        resumes_run(own_run, Destination())


def test_a_folder_with_a_recipe_alone_is_nobodys_run(tmp_path: Path, own_run: Path) -> None:
    (tmp_path / "cook" / "chapters").mkdir(parents=True)
    (tmp_path / "cook" / "recipe.json").write_text('{"title": "soup"}')
    for destination in (Destination(), Destination(overwrite=True), Destination(resume=True)):
        with pytest.raises(UserError, match="not empty and does not hold a run"):
            resumes_run(tmp_path / "cook", destination)


def test_a_run_whose_deletion_was_stopped_can_be_deleted(own_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count, unlink = len(list(own_run.iterdir())), Path.unlink
    left = iter(range(count))

    def stopped(path: Path, *words: bool) -> None:
        if next(left) >= count - 4:
            raise KeyboardInterrupt
        unlink(path, *words)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "unlink", stopped)
        clear(own_run)
    assert not resumes_run(own_run, Destination(overwrite=True))
    clear(own_run)
    assert not [path for path in own_run.iterdir() if path.name != LOCK]


def test_the_splits_of_the_run_before_are_kept_unless_others_are_named(own_run: Path, tmp_path: Path) -> None:
    kept = pinned_splits(own_run, None)
    assert set(kept.values()) == {"train", "val", "test"}
    (tmp_path / "other.csv").write_text("name,label,split\nant/0.jpg,ant,test\n")
    assert pinned_splits(own_run, tmp_path / "other.csv") == {"ant/0.jpg": "test"}
    assert pinned_splits(tmp_path, None) == {}
    (line,) = kept_cut(own_run, None)
    assert line.startswith(f"photos stay in the splits that they had in {own_run}; for a new cut, ")
    assert kept_cut(own_run, tmp_path / "other.csv") == kept_cut(tmp_path, None) == ()


def moved(dataset: Dataset, path: Path) -> Dataset:
    first, *others = dataset.photos
    return dataset.with_photos([replace(first, path=path), *others])


def test_what_a_training_is_made_from_is_not_deleted(photos: Path, own_run: Path, tmp_path: Path) -> None:
    dataset = read_dataset(photos)
    names = RecipeSettings(recipe="pc/cub-resnet50", weights="hub")  # which are no files
    elsewhere = RecipeSettings(recipe=str(photos), weights=str(photos))
    for recipe in (names, elsewhere):
        refuse_deletion(own_run, Settings(recipe, DataSettings(splits=photos, groups=photos)), dataset)
    (own_run / "groups.csv").touch()
    with pytest.raises(UserError, match="would delete --groups"):
        refuse_deletion(own_run, Settings(data=DataSettings(groups=own_run / "groups.csv")), dataset)
    photo = own_run / "photo.jpg"
    photo.write_bytes(dataset.photos[0].path.read_bytes())
    (tmp_path / "link.jpg").symlink_to(photo)
    (own_run / "link.jpg").symlink_to(dataset.photos[1].path)
    for path in (photo, tmp_path / "link.jpg", own_run / "link.jpg", own_run / ".." / "run" / "photo.jpg"):
        with pytest.raises(UserError, match=r"would delete the photo ant/0\.jpg"):
            refuse_deletion(own_run, Settings(), moved(dataset, path))


@pytest.mark.skipif(os.name != "posix", reason="links and open locks as on POSIX")
def test_clearing_leaves_the_lock_and_what_links_lead_to(own_run: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").touch()
    (own_run / "link").symlink_to(tmp_path / "letters")
    (own_run / LOCK).touch()
    clear(own_run)
    assert [path.name for path in own_run.iterdir()] == [LOCK]
    assert (tmp_path / "letters" / "letter.txt").exists()
