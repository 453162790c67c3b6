"""Out of fold: each photo is answered by a network that was not trained on it, and a stopped command goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fieldmark.data.split import read_splits
from fieldmark.errors import Interrupted, UserError
from fieldmark.recipe import Recipe
from fieldmark.runs.folder import open_run
from fieldmark.training import folds as module
from fieldmark.training.folds import FOLDER, Folding, out_of_fold
from fieldmark.training.settings import MachineSettings
from small_runs import QUIET, stop_after, train_small, write_photos

MACHINE = MachineSettings(device="cpu", workers=0)


def folding(run: Path, folds: int = 2) -> Folding:
    return Folding(run, None, folds, MACHINE)


def training_photos(run: Path) -> set[str]:
    return {name for name, split in read_splits(run).items() if split == "train"}


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], Recipe]]:
    """What each network was trained on, and by which recipe."""
    seen = []
    train = module.train

    def told(*args, opened, recipe, **options):
        seen.append(({photo.name for photo in opened.dataset.of(["train"])}, recipe))
        return train(*args, opened=opened, recipe=recipe, **options)

    monkeypatch.setattr(module, "train", told)
    return seen


def test_each_photo_is_new_to_the_network_that_answers_it(
    own_run: Path, trained_on: list[tuple[set[str], Recipe]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, galleries = [], []
    beside = module.answers_beside

    def told(gallery, method, photos, **options):
        asked.append({photo.name for photo in photos.photos})
        galleries.append(set(gallery.names))
        return beside(gallery, method, photos, **options)

    monkeypatch.setattr(module, "answers_beside", told)
    found = out_of_fold(folding(own_run), console=QUIET)
    everything = training_photos(own_run)
    assert set(found.names) == everything
    assert len(found.names) == len(everything)
    assert found.similarities is not None
    assert found.similarities.shape == found.labels.shape
    for (known, recipe), new, gallery in zip(trained_on, asked, galleries, strict=True):
        assert gallery == known
        assert known | new == everything
        assert not known & new
        run_recipe = open_run(own_run).recipe
        assert replace(recipe, length_by_start=run_recipe.length_by_start) == run_recipe
    assert not (own_run / FOLDER).exists()


def test_what_is_done_is_not_done_again(
    own_run: Path, trained_on: list[tuple[set[str], Recipe]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_after(patched, 3)  # in the second network
        with pytest.raises(Interrupted, match=r"fold 2 of 2; the same command goes on"):
            out_of_fold(folding(own_run), console=QUIET)
    trained_on.clear()
    found = out_of_fold(folding(own_run), console=QUIET)
    assert len(trained_on) == 1
    assert set(found.names) == training_photos(own_run)


def test_a_table_may_lie_beside_its_runs(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", photos=4)
    rows = (f"{path.relative_to(tmp_path)},{path.parent.name}\n" for path in sorted(photos.rglob("*.jpg")))
    (tmp_path / "photos.csv").write_text("path,label\n" + "".join(rows))
    train_small(tmp_path / "photos.csv", tmp_path / "runs" / "mine")
    found = out_of_fold(folding(tmp_path / "runs" / "mine"), console=QUIET)
    assert set(found.names) == training_photos(tmp_path / "runs" / "mine")


def test_one_fold_is_refused(own_run: Path) -> None:
    with pytest.raises(UserError, match="--folds 1: at least 2"):
        out_of_fold(folding(own_run, 1), console=QUIET)


def test_photos_that_are_gone_are_named(own_run: Path) -> None:
    about = json.loads((own_run / "run.json").read_text())
    (own_run / "run.json").write_text(json.dumps(about | {"data": "/nowhere/photos"}))
    with pytest.raises(UserError, match=r"/nowhere/photos.*--data"):
        out_of_fold(folding(own_run), console=QUIET)
