"""Frozen features and logistic regression."""

from dataclasses import replace
from pathlib import Path

import numpy as np

import small_runs
from fieldmark.data.dataset import Dataset
from fieldmark.data.reading import read_dataset
from fieldmark.evaluation.probe import probe
from fieldmark.evaluation.regression import STRENGTHS


def split(data: Path) -> Dataset:
    dataset = read_dataset(data)
    return dataset.with_photos(
        replace(photo, split="test" if at % 5 == 0 else "train") for at, photo in enumerate(dataset.photos)
    )


def test_a_probe_measures_what_it_was_not_fitted_on(photos: Path) -> None:
    done: list[int] = []
    found = probe(
        split(photos),
        backbone=small_runs.BACKBONE,
        weights="none",
        train_on=["train"],
        split="test",
        size=32,
        device="cpu",
        workers=0,
        progress=done.append,
    )
    assert found.metrics.n == 6
    assert sum(done) == 30
    assert found.strength in STRENGTHS
    assert found.metrics.top1 > 0.5  # the tints of the classes differ
    assert [("ant", "bee", "cat")[label] for label in found.labels] == [name.split("/")[0] for name in found.names]
    assert found.metrics.top1 == np.mean(found.scores.argmax(1) == found.labels)


def test_damaged_photos_are_left_out(photos: Path, tmp_path: Path) -> None:
    data = small_runs.write_photos(tmp_path / "photos")
    (data / "ant" / "0.jpg").write_bytes(b"bad")
    found = probe(
        split(data), backbone="test_resnet", weights="none", train_on=["train"], split="test", size=32, device="cpu",
        workers=0,
    )  # fmt: skip
    assert found.metrics.n == 5
