"""Logistic regression on frozen features, with the standardisation folded into weight and bias."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fieldmark.evaluation.regression import FOLDS, STRENGTHS, regress


def features(labels: np.ndarray, *, noise: float = 1.0) -> np.ndarray:
    """(N, 5), of which the first two tell classes apart, on very different scales."""
    normal = np.random.default_rng(0).normal(size=(len(labels), 5)) * noise
    return normal * [1, 100, 1, 1, 0.01] + labels[:, None] * [1, 100, 0, 0, 0] + 3


@pytest.mark.parametrize("present", [[0, 2, 3], [1, 3]])
def test_it_is_sklearn_s_on_standardised_features(present: list[int]) -> None:
    """Of five classes, some have no photo."""
    labels = np.repeat(present, 12)
    x = features(labels)
    fitted = regress(x[::2], labels[::2], classes=5)
    scaler = StandardScaler().fit(x[::2])
    model = LogisticRegression(C=fitted.strength, max_iter=200).fit(scaler.transform(x[::2]), labels[::2])
    scores = fitted.log_probabilities(x[1::2])
    assert scores.shape == (len(labels) // 2, 5)
    expected = model.predict_log_proba(scaler.transform(x[1::2]))
    np.testing.assert_allclose(scores[:, present], expected, rtol=1e-6, atol=1e-9)
    absent = [index for index in range(5) if index not in present]
    assert np.isneginf(scores[:, absent]).all()
    assert (scores.argmax(1) == labels[1::2]).mean() > 0.5


@pytest.mark.parametrize("photos_per_class", [1, 2])
def test_few_photos_per_class(photos_per_class: int) -> None:
    labels = np.repeat([0, 1, 2], photos_per_class)
    x = np.eye(3)[labels] + np.random.default_rng(0).normal(size=(len(labels), 3)) / 10
    fitted = regress(x, labels, classes=3)
    assert (fitted.log_probabilities(x).argmax(1) == labels).all()
    assert fitted.strength in STRENGTHS
    assert (fitted.hits is None) == (photos_per_class == 1)


def test_hits_are_of_photos_that_were_not_fitted_on() -> None:
    labels = np.arange(60) % 3
    x = np.eye(3)[labels] + np.random.default_rng(0).normal(size=(60, 3)) / 10
    hits = regress(x, labels, classes=3).hits
    assert hits is not None
    assert hits.all()
    hits = regress(x, np.random.default_rng(1).permutation(labels), classes=3).hits
    assert hits is not None
    assert hits.mean() < 0.6, "labels of noise cannot be told out of fold"
    assert FOLDS == 3


def test_a_constant_feature_does_no_harm() -> None:
    labels = np.arange(30) % 2
    x = features(labels)
    x[:, 3] = 7
    fitted = regress(x, labels, classes=2)
    assert np.isfinite(fitted.weight).all()
    assert np.isfinite(fitted.bias).all()


def test_photos_of_one_unit_share_a_fold() -> None:
    """Each unit has three copies: taken apart, all would be known from a copy."""
    units = np.repeat(np.arange(20), 3)
    labels = (np.arange(20) % 2)[units]
    x = np.random.default_rng(0).normal(size=(20, 80))[units]
    apart, together = (regress(x, labels, classes=2, units=value).hits for value in (None, units))
    assert apart is not None
    assert together is not None
    assert apart.all()
    assert together.mean() < 0.8
    assert all(len(set(together[units == unit])) == 1 for unit in range(20))


def test_a_class_of_one_photo_counts_as_missed() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 2])
    hits = regress(np.eye(3)[labels], labels, classes=3).hits
    assert hits is not None
    assert hits.tolist() == [True] * 6 + [False]
    assert regress(np.eye(3), np.arange(3), classes=3, units=np.arange(3)).hits is None
