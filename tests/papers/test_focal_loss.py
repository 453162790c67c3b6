"""Focal loss against a loop over images and classes."""

import math

import pytest
import torch

from fieldmark.core.criterion import CrossEntropy
from fieldmark.papers.focal_loss import FocalLoss, focal_loss

LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [0.2, 0.1, 0.3]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 1])


def naive(logits: list[float], label: int, gamma: float, smoothing: float) -> float:
    """Each class's -(1 - p)^gamma log p, by its share of the label."""
    total = sum(math.exp(value) for value in logits)
    loss = 0.0
    for index, value in enumerate(logits):
        p = math.exp(value) / total
        share = (1 - smoothing) * (index == label) + smoothing / len(logits)
        loss -= share * (1 - p) ** gamma * math.log(p)
    return loss


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_rows_are_the_formula(gamma: float, smoothing: float):
    rows = FocalLoss(smoothing, gamma).rows(LOGITS, LABELS)
    expected = [
        naive(row, label, gamma, smoothing) for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True)
    ]
    torch.testing.assert_close(rows, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: FocalLoss(smoothing, gamma)(x, LABELS), LOGITS.clone().requires_grad_())


def test_without_focusing_it_is_cross_entropy():
    for smoothing in (0.0, 0.2):
        torch.testing.assert_close(FocalLoss(smoothing, 0.0)(LOGITS, LABELS), CrossEntropy(smoothing)(LOGITS, LABELS))
    torch.testing.assert_close(FocalLoss(0.3, 0.0)(LOGITS, LABELS, smoothing=0.0), CrossEntropy()(LOGITS, LABELS))


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0])
def test_an_image_that_is_certain_costs_nothing_and_has_no_gradient(gamma: float):
    logits = torch.tensor([[80.0, -80.0], [200.0, 0.0]], requires_grad=True)
    loss = FocalLoss(gamma=gamma)(logits, torch.tensor([0, 0]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(2, 2))


@pytest.mark.parametrize("gamma", [0.1, 0.5])
def test_a_certain_image_of_another_class_still_learns(gamma: float):
    logits = torch.tensor([[200.0, 0.0], [30.0, 0.0]], requires_grad=True)
    loss = FocalLoss(0.1, gamma)(logits, torch.tensor([1, 1]))
    loss.backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[0.475, -0.475]]).repeat(2, 1))


def test_hopeless_images_cost_as_in_cross_entropy():
    logits = torch.tensor([[-100.0, 100.0]])
    assert FocalLoss()(logits, torch.tensor([0])).item() == pytest.approx(200.0)
    assert focal_loss(logits.half().log_softmax(1)).isfinite().all()
