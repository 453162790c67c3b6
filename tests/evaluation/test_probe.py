"""Frozen features and logistic regression."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import small_runs
from fieldmark.data.dataset import Dataset
from fieldmark.data.reading import read_dataset
from fieldmark.evaluation.probe import STRENGTHS, _regress, probe


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


def test_the_regression_is_sklearn_s_and_standardised() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2, 3], 12)  # class 1 has no training photo
    x = rng.normal(size=(36, 5)) * [1, 100, 1, 1, 0.01] + labels[:, None] * [1, 100, 0, 0, 0]
    scores, strength = _regress(x[::2], labels[::2], x[1::2], classes=5)
    scaler = StandardScaler().fit(x[::2])
    model = LogisticRegression(C=strength, max_iter=200).fit(scaler.transform(x[::2]), labels[::2])
    assert scores.shape == (18, 5)
    np.testing.assert_allclose(scores[:, [0, 2, 3]], model.predict_log_proba(scaler.transform(x[1::2])))
    assert np.isneginf(scores[:, [1, 4]]).all()
    assert (scores.argmax(1) == labels[1::2]).mean() > 0.5


@pytest.mark.parametrize("photos_a_class", [1, 2])
def test_few_photos_a_class(photos_a_class: int) -> None:
    labels = np.repeat([0, 1, 2], photos_a_class)
    x = np.eye(3)[labels] + np.random.default_rng(0).normal(size=(len(labels), 3)) / 10
    scores, strength = _regress(x, labels, x, classes=3)
    assert (scores.argmax(1) == labels).all()
    assert strength in STRENGTHS
