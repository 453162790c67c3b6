"""How familiar a photo looks: scores against naive loops, and figures of how well they tell photos apart."""

import math

import numpy as np
import pytest

from fieldmark.confidence import novelty
from fieldmark.confidence.novelty import accepted, auroc, directions, energies, max_logits, nearest

RANDOM = np.random.default_rng(0)


def test_scores_of_logits() -> None:
    logits = RANDOM.normal(size=(5, 4))
    for row, largest, energy in zip(logits, max_logits(logits), energies(logits), strict=True):
        assert largest == max(row)
        assert energy == pytest.approx(math.log(sum(math.exp(value) for value in row)), rel=1e-12)
    huge = np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32)
    np.testing.assert_allclose(energies(huge), [1000, -1000 + math.log(2)])


def test_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "CHUNK", 3)
    photos, gallery = RANDOM.normal(size=(7, 6)), directions(RANDOM.normal(size=(9, 6)))
    places, cosines = nearest(photos, gallery, count=2)
    for at, photo in enumerate(photos):
        roots = [math.copysign(math.sqrt(abs(value)), value) for value in photo]
        length = math.sqrt(sum(root * root for root in roots))
        naive = [sum(a * b for a, b in zip(roots, other, strict=True)) / length for other in gallery.tolist()]
        ranked = sorted(range(9), key=lambda place: -naive[place])[:2]
        assert places[at].tolist() == ranked
        assert cosines[at] == pytest.approx([naive[place] for place in ranked], abs=1e-5)
    assert nearest(photos, gallery, count=99)[0].shape == (7, 9)
    assert nearest(photos[:0], gallery)[1].shape == (0, 1)


def test_an_embedding_of_zeros_is_near_to_nothing() -> None:
    assert nearest(np.zeros((1, 3)), directions(np.eye(3)))[1].tolist() == [[0.0]]
    assert nearest(np.full((1, 3), 7.0), directions(np.full((1, 3), 0.1)))[1].max() <= 1


def test_auroc_counts_pairs() -> None:
    known, unknown = RANDOM.integers(0, 6, 40) + 1.0, RANDOM.integers(0, 6, 30) + 0.0
    naive = sum((k > u) + 0.5 * (k == u) for k in known for u in unknown) / (len(known) * len(unknown))
    assert auroc(known, unknown) == pytest.approx(naive)
    assert auroc(known, known) == pytest.approx(0.5)
    assert auroc(np.array([2.0]), np.array([1.0])) == 1
    with pytest.raises(ValueError, match="known and of unknown"):
        auroc(known, known[:0])


def test_unknown_photos_that_are_accepted() -> None:
    known = np.arange(1.0, 101.0)  # 95 of them are 6 or more
    assert accepted(known, np.array([5.9, 6.0, 50.0, 0.0])) == 0.5
    assert accepted(known, np.array([10.9, 11.0]), share=0.9) == 0.5
