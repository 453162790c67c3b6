"""Photos that a run was trained on, wherever they lie."""

import shutil
from pathlib import Path

from fieldmark.data.dataset import Photo
from fieldmark.data.reading import read_dataset
from fieldmark.data.split import read_splits
from fieldmark.evaluation.evaluate import split_of_run
from fieldmark.evaluation.training_photos import known_to, trained_on, weights_before
from small_runs import small, train_small, write_photo


def test_they_are_known_under_any_name(photos: Path, own_run: Path, tmp_path: Path) -> None:
    cut = read_splits(own_run)
    name = next(name for name, split in cut.items() if split == "train")
    unseen = next(name for name, split in cut.items() if split == "test")
    data = tmp_path / "data" / name.split("/")[0]
    data.mkdir(parents=True)
    shutil.copy(photos / name, data / "renamed.jpg")
    shutil.copy(photos / unseen, data / "new.jpg")
    write_photo(tmp_path / "data" / name, label=0, number=70)  # another photo of that name
    chosen = split_of_run(own_run, tmp_path / "data", "all").dataset.photos
    assert trained_on(own_run, chosen) == {f"{data.name}/renamed.jpg"}
    gone = Photo("gone.jpg", tmp_path / "gone.jpg", 0)
    packed = Photo(name, photos / unseen, 0, row=3)
    assert trained_on(own_run, [gone, packed]) == {name}


def test_those_of_the_run_that_weights_come_from_count(trained: Path, photos: Path, tmp_path: Path) -> None:
    everything = read_dataset(photos).photos
    one = trained_on(trained, everything)
    train_small(photos, tmp_path / "run", small(weights=str(trained), epochs=1, seed=5))
    both = trained_on(tmp_path / "run", everything)
    own = {name for name, split in read_splits(tmp_path / "run").items() if split == "train"}
    assert both == one | own > own
    assert known_to("none", everything) == known_to(str(tmp_path), everything) == frozenset()
    assert weights_before(str(tmp_path / "run"), everything) == "none"
