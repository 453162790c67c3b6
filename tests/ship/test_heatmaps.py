"""Heatmaps of exported models: those of ``fieldmark explain --layer response``."""

import numpy as np
import pytest
import torch

from fieldmark.explanations.maps import enlarged as enlarged_by_torch
from fieldmark.explanations.maps import scaled
from fieldmark.ship.heatmaps import enlarged, heatmap


@pytest.mark.parametrize("size", [(28, 28), (7, 5), (3, 16), (1, 1)])
def test_another_size_as_torch_has_it(size: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    expected = enlarged_by_torch(torch.from_numpy(values)[None], size)[0]
    np.testing.assert_allclose(enlarged(values, size), expected, atol=1e-6)
    np.testing.assert_allclose(enlarged(values[:1, :1], size), np.full(size, values[0, 0]), atol=1e-6)


def test_for_a_class_and_for_it_rather_than_another() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 7, 7)).astype(np.float32)
    tensor = torch.from_numpy(maps)
    for against, score in ((None, tensor[1]), (2, tensor[1] - tensor[2])):
        expected = scaled(enlarged_by_torch(score[None], (28, 28)))[0]
        found = heatmap(maps, 1, against=against, size=(28, 28))
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert (found.dtype, found.min(), found.max()) == (np.float32, 0, 1)


def test_where_nothing_speaks_for_it() -> None:
    assert not heatmap(np.full((2, 3, 3), -1, np.float32), 0, size=(6, 6)).any()
    assert not heatmap(np.ones((2, 3, 3), np.float32), 0, against=1, size=(6, 6)).any()
    half = heatmap(np.arange(8, dtype=np.float16).reshape(2, 2, 2), 1, size=(4, 4))
    assert half.dtype == np.float32
