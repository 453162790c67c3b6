"""Predictions by fits that have not seen a photo: folds, calibration, parts of the photos."""

import numpy as np
import pytest
from made_up import clouds
from sklearn.linear_model import LogisticRegression

from fieldmark.label_audit.out_of_fold import (
    FOLDS,
    SHARES,
    STRENGTHS,
    cuts_of,
    fits_of,
    predict_out_of_fold,
    standardised,
)


def test_columns_have_mean_0_and_deviation_1() -> None:
    values = np.random.default_rng(0).normal(3, 2, (50, 4))
    values[:, 2] = 7
    found = standardised(values)
    assert found.dtype == np.float32
    for column in (0, 1, 3):
        expected = [(value - values[:, column].mean()) / values[:, column].std() for value in values[:, column]]
        np.testing.assert_allclose(found[:, column], expected, atol=1e-6)
    assert not found[:, 2].any()


def test_each_fold_is_predicted_by_the_others() -> None:
    made = clouds(classes=3, photos=20, wrong=0.0, apart=2.0)
    x, cuts = standardised(made.features), cuts_of(made.given, made.units)
    assert len(cuts) == FOLDS
    assert sorted(np.concatenate([fold for _, fold in cuts]).tolist()) == list(range(60))
    ticks = []
    found = predict_out_of_fold(x, made.given, cuts, classes=3, progress=ticks.append)
    assert sum(ticks) == FOLDS * (len(STRENGTHS) + len(SHARES)) == fits_of(cuts)
    # naively, in float64: the same fits, their log loss at every temperature of a grid
    best: tuple[float, np.ndarray] = (np.inf, np.zeros(0))
    for strength in STRENGTHS:
        logits = np.zeros((60, 3))
        for others, fold in cuts:
            fitted = LogisticRegression(C=strength, max_iter=200).fit(x[others].astype(float), made.given[others])
            logits[fold] = fitted.decision_function(x[fold].astype(float))
        for temperature in np.exp(np.linspace(np.log(0.2), np.log(5), 801)):
            powers = np.exp(logits / temperature)
            shares = powers / powers.sum(1, keepdims=True)
            loss = -np.log(shares[np.arange(60), made.given]).mean()
            best = min(best, (loss, shares), key=lambda one: one[0])
    np.testing.assert_allclose(found.probabilities, best[1], atol=0.01)
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    assert found.judged.all()
    assert found.hits.shape == (len(SHARES) + 1, 60)


def test_photos_that_belong_together_share_a_fold() -> None:
    made = clouds(classes=3, photos=20)
    units = np.arange(60) // 4
    for others, fold in cuts_of(made.given, units):
        assert not set(units[others]) & set(units[fold])


def test_a_class_of_one_unit_is_not_judged() -> None:
    made = clouds(classes=3, photos=12, wrong=0.0)
    units = np.where(made.given == 2, 99, made.units)
    found = predict_out_of_fold(standardised(made.features), made.given, cuts_of(made.given, units), classes=4)
    assert found.judged.tolist() == (made.given != 2).tolist()
    assert found.probabilities.shape == (36, 4)
    assert not found.probabilities[:, 3].any()  # a class without photos


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 1, 1], [0, 1, 1, 1]])
def test_hardly_a_photo(labels: list[int]) -> None:
    given = np.array(labels)
    cuts = cuts_of(given, np.arange(len(given)))
    if len(labels) == 2:
        assert not cuts
        return
    features = standardised(np.random.default_rng(0).normal(size=(len(given), 3)))
    found = predict_out_of_fold(features, given, cuts, classes=2)
    assert np.isfinite(found.probabilities).all()
