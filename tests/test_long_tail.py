"""The long-tailed flowers: counts fall evenly from 20 to 1, and a plan runs on them."""

from pathlib import Path

import numpy as np

from fieldmark.bench.plan import read_plan
from fieldmark.data.dataset import Dataset, Photo
from long_tail import counts_of, long_tailed


def flowers(classes: int = 6, photos: int = 10) -> Dataset:
    made = [
        Photo(f"{label}/{split}/{number}", Path("x"), label, split)
        for label in range(classes)
        for split in ("train", "val", "test")
        for number in range(photos)
    ]
    return Dataset(Path("."), "folder", tuple(map(str, range(classes))), tuple(made))


def test_counts_fall_by_one_factor_from_20_to_1() -> None:
    counts = np.sort(counts_of(102))
    assert (counts[0], counts[-1]) == (1, 20)
    assert counts_of(102).sum() == counts.sum() == 649
    assert not np.array_equal(counts_of(102), np.sort(counts_of(102)))
    exact = 20 ** (np.arange(102) / 101)
    assert np.abs(counts - exact).max() <= 0.5


def test_photos_are_training_and_validation_ones_and_the_same_each_time() -> None:
    chosen = long_tailed(flowers())
    assert [sum(photo.label == label for photo in chosen) for label in range(6)] == counts_of(6).tolist()
    assert {photo.split for photo in chosen} == {"train", "val"}
    assert len({photo.name for photo in chosen}) == len(chosen)
    assert chosen == long_tailed(flowers())


def test_the_plan_is_read() -> None:
    plan = read_plan(Path(__file__).parent.parent / "benchmarks" / "long_tail.toml")
    assert [entry.name for entry in plan.entries] == ["none", "sampler", "logit-adjust"]
