"""Copies by features, and photos unlike their class, against naive loops."""

import numpy as np
from made_up import clouds

from fieldmark.label_audit.likeness import COPY, LEAST, MOST, NEIGHBOURS, likeness_of, unlike_their_class
from fieldmark.label_audit.out_of_fold import standardised


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.astype(float) @ b.astype(float) / np.linalg.norm(a) / np.linalg.norm(b))


def test_against_loops() -> None:
    made = clouds(classes=3, photos=12)
    features, units = standardised(made.features), np.where(np.arange(36) < 3, 0, np.arange(36))
    found = likeness_of(features, made.given, units)
    for at in range(36):
        near = sorted(
            (
                cosine(features[at], features[other])
                for other in range(36)
                if made.given[other] == made.given[at] and units[other] != units[at]
            ),
            reverse=True,
        )[:NEIGHBOURS]
        assert abs(found.to_class[at] - np.mean(near)) < 1e-5


def test_copies_that_are_not_known_to_belong_together() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 64)).astype(np.float32)
    features[20] = features[3] + 0.2 * rng.normal(size=64)
    features[25] = features[20] + 0.2 * rng.normal(size=64)
    features[9] = features[8]
    labels, units = np.arange(30) % 3, np.arange(30)
    units[9] = 8  # known by their pixels
    assert cosine(features[3], features[20]) > COPY
    assert likeness_of(features, labels, units).copies == [(3, 20, 25)]


def test_one_scene_is_no_copy() -> None:
    features = np.ones((MOST + 1, 8), np.float32)
    found = likeness_of(features, np.zeros(MOST + 1, int), np.arange(MOST + 1))
    assert found.copies == []
    assert likeness_of(features[:MOST], np.zeros(MOST, int), np.arange(MOST)).copies == [tuple(range(MOST))]


def test_a_photo_unlike_its_class() -> None:
    made = clouds(classes=4, photos=30, wrong=0.0)
    features = made.features.copy()
    features[5] = 12 * np.random.default_rng(5).normal(size=24)
    features = standardised(features)
    assert unlike_their_class(likeness_of(features, made.given, made.units), made.given).tolist() == [5]


def test_classes_too_small_to_tell() -> None:
    labels = np.repeat([0, 1], (LEAST - 1, 1))
    features = np.random.default_rng(0).normal(size=(LEAST, 6)).astype(np.float32)
    found = likeness_of(features, labels, np.arange(LEAST))
    assert np.isnan(found.to_class[-1])
    assert not len(unlike_their_class(found, labels))
