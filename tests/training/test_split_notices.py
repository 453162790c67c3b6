"""Notices about splits: what they lack, where a cut is saved, and which command is next."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fieldmark.data.dataset import Dataset, Photo
from fieldmark.errors import UserError
from fieldmark.training.split_notices import cut_notice, next_command, split_notices
from small_runs import prepare_small, small, write_photos


def dataset(counts: Mapping[str, tuple[int, ...]]) -> Dataset:
    photos = []
    for split, per_class in counts.items():
        for label, count in enumerate(per_class):
            names = [f"{split}/{label}/{number}" for number in range(count)]
            photos += [Photo(name, Path(name), label, split) for name in names]
    return Dataset(Path("birds"), "folder", ("crow", "raven", "rook"), tuple(photos))


def notices(
    counts: Mapping[str, tuple[int, ...]], *, train_on: tuple[str, ...] = ("train",), was_cut: bool
) -> list[str]:
    return list(split_notices(dataset(counts), train_on, was_cut=was_cut))


def test_complete_splits_give_no_notice() -> None:
    full = {"train": (8, 8, 8), "val": (1, 1, 1), "test": (1, 1, 1)}
    assert notices(full, was_cut=True) == []
    assert notices(full, train_on=("train", "val"), was_cut=True) == []
    assert notices({"train": (8, 8, 8), "test": (1, 1, 1)}, was_cut=False) == []


def test_classes_that_val_or_test_lack_are_named() -> None:
    val, test = notices({"train": (8, 8, 8), "val": (1, 0, 0), "test": (1, 1, 0)}, was_cut=True)
    assert val.startswith("warning: classes without a photo in val: raven, rook. ")
    assert test.startswith("warning: classes without a photo in test: rook. ")
    (line,) = notices({"train": (8, 8, 8), "val": (1, 0, 1), "test": (1, 1, 1)}, was_cut=False)
    assert "in val: raven." in line


def test_no_test_photos_are_a_warning_that_says_what_to_do() -> None:
    test, val = notices({"train": (8, 8, 8)}, was_cut=True)
    assert test.startswith("warning: no test photos, nothing is left to measure on: each class is a single photo")
    assert "Add photos" in test
    assert val.startswith("warning: classes without a photo in val: crow, raven, rook. ")
    (line,) = notices({"train": (8, 8, 8), "val": (1, 1, 1)}, was_cut=False)
    assert line.startswith("warning: no test photos, only val is left to measure on. Add a folder test")


def test_a_class_that_is_not_trained_on_is_refused() -> None:
    with pytest.raises(UserError, match="no training photo: rook"):
        notices({"train": (8, 8, 0), "test": (1, 1, 1)}, was_cut=False)


def test_a_notice_says_where_the_cut_is_saved() -> None:
    assert cut_notice(Path("runs/mine")).endswith(
        "runs/mine/splits.csv; use it for later runs with --splits runs/mine/splits.csv"
    )


@pytest.mark.parametrize(
    ("splits", "train_on", "words"),
    [
        ((), "train", "evaluate RUN"),
        (("train", "val", "test"), "train", "evaluate RUN"),
        (("train", "val"), "train", "evaluate RUN --split val"),
        (("train", "val"), "train+val", "predict RUN PHOTOS"),
        (("train",), "train", "predict RUN PHOTOS"),
    ],
)
def test_the_next_command_names_a_split_of_the_run(
    splits: tuple[str, ...], train_on: str, words: str, photos: Path, tmp_path: Path
) -> None:
    data, run = photos, tmp_path / "run"
    for number, split in enumerate(splits):
        data = write_photos(tmp_path / "data" / split, photos=3 + number).parent
    prepare_small(data, run, small(train_on=train_on)).write(run)
    assert next_command(run) == f"fieldmark {words.replace('RUN', str(run))}"
