"""COCO's head, and the scale that its least loss asks for."""

import math

import pytest
import torch

from fieldmark.papers.congenerous_cosine import CongenerousCosine, least_scale


@pytest.mark.parametrize("classes", [2, 10, 200, 8000])
@pytest.mark.parametrize("loss", [1e-4, 0.01, 0.1])
def test_with_the_least_scale_the_loss_can_fall_that_far(classes: int, loss: float):
    scale = least_scale(classes, loss)
    best = math.log(1 + (classes - 1) * math.exp(-2 * scale))
    assert best == pytest.approx(loss, rel=1e-9) if scale > 1 else best <= loss


def test_scores_are_scaled_cosines():
    head = CongenerousCosine(3, 4, scale=5.0).double()
    x = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for row, scores in zip(x.tolist(), head(x).tolist(), strict=True):
        for weight, score in zip(head.weight.tolist(), scores, strict=True):
            product = sum(a * b for a, b in zip(row, weight, strict=True))
            assert score == pytest.approx(5 * product / (math.hypot(*row) * math.hypot(*weight)), abs=1e-12)
    torch.testing.assert_close(head(x), head(7 * x))  # lengths do not count
    assert torch.autograd.gradcheck(head, x.requires_grad_())
    assert CongenerousCosine(3, 200).scale == least_scale(200)
