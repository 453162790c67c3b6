"""Cosines, and the right class's values."""

import math

import torch

from fieldmark.core.cosine import cosines, directions, of_right_class, with_right_class


def test_cosines_are_those_of_the_angles():
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(n, 3, dtype=torch.float64, generator=generator) for n in (5, 4))
    for row, scores in zip(x.tolist(), cosines(x, w).tolist(), strict=True):
        for weight, score in zip(w.tolist(), scores, strict=True):
            product = sum(a * b for a, b in zip(row, weight, strict=True))
            assert abs(score - product / (math.hypot(*row) * math.hypot(*weight))) < 1e-12
    assert cosines(x.half(), w.half()).dtype == torch.float32
    assert torch.equal(cosines(torch.zeros(1, 3), w.float()), torch.zeros(1, 4))


def test_directions_have_length_one():
    torch.testing.assert_close(directions(50, 7).norm(dim=1), torch.ones(50))


def test_only_the_right_classes_are_replaced():
    values, labels = torch.arange(6.0).reshape(2, 3), torch.tensor([2, 0])
    assert of_right_class(values, labels).tolist() == [2, 3]
    replaced = with_right_class(values, labels, torch.tensor([-1.0, -2.0]))
    assert replaced.tolist() == [[0, 1, -1], [-2, 4, 5]]
