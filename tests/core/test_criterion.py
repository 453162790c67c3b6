"""The criterion against cross-entropy written out."""

import math

import pytest
import torch

from fieldmark.core.criterion import CrossEntropy
from fieldmark.errors import UserError

LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], dtype=torch.float64)
LABELS = torch.tensor([2, 0])


def written_out(smoothing: float, prior: list[float]) -> list[float]:
    """-sum of target times log softmax, one number a row."""
    losses = []
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        scores = [value + math.log(share) for value, share in zip(row, prior, strict=True)]
        total = math.log(sum(math.exp(score) for score in scores))
        targets = [(1 - smoothing) * (index == label) + smoothing / len(row) for index in range(len(row))]
        losses.append(-sum(t * (score - total) for t, score in zip(targets, scores, strict=True)))
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_rows_and_their_mean_are_cross_entropy(smoothing: float):
    expected = torch.tensor(written_out(smoothing, [1.0, 1.0, 1.0]), dtype=torch.float64)
    criterion = CrossEntropy(smoothing=smoothing)
    torch.testing.assert_close(criterion.rows(LOGITS, LABELS), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(criterion(LOGITS, LABELS), expected.mean(), rtol=0, atol=1e-12)


def test_logit_adjustment_adds_log_priors():
    criterion = CrossEntropy(smoothing=0.1, adjust=True, counts=torch.tensor([10, 30, 60]))
    expected = torch.tensor(written_out(0.1, [0.1, 0.3, 0.6]), dtype=torch.float64)
    torch.testing.assert_close(criterion.rows(LOGITS, LABELS), expected, rtol=0, atol=1e-6)


def test_a_branch_may_have_a_smoothing_of_its_own_and_keeps_the_adjustment():
    criterion = CrossEntropy(smoothing=0.1, adjust=True, counts=torch.tensor([10, 30, 60]))
    for smoothing in (0.0, 0.4):
        expected = torch.tensor(written_out(smoothing, [0.1, 0.3, 0.6]), dtype=torch.float64)
        torch.testing.assert_close(criterion.rows(LOGITS, LABELS, smoothing=smoothing), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(criterion(LOGITS, LABELS, smoothing=smoothing), expected.mean(), rtol=0, atol=1e-6)


def test_the_adjustment_is_asked_for_and_needs_the_photos_per_class():
    assert CrossEntropy(counts=torch.tensor([10, 30, 60])).adjustment is None
    with pytest.raises(UserError, match=r"^CrossEntropy\(adjust=True\) needs counts"):
        CrossEntropy(adjust=True)


def test_even_classes_need_no_adjustment():
    adjusted = CrossEntropy(adjust=True, counts=torch.tensor([20, 20, 20]))(LOGITS, LABELS)
    torch.testing.assert_close(adjusted, CrossEntropy()(LOGITS, LABELS), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("given", "taken"), [("float64", "float64"), ("float32", "float32"), ("bfloat16", "float32")])
def test_half_types_are_raised_and_double_is_never_lowered(given: str, taken: str):
    criterion = CrossEntropy(adjust=True, counts=torch.tensor([1, 2, 3]))
    assert criterion(LOGITS.to(getattr(torch, given)), LABELS).dtype == getattr(torch, taken)


def test_the_adjustment_moves_with_the_module_but_is_not_saved():
    criterion = CrossEntropy(adjust=True, counts=torch.tensor([1, 2]))
    assert criterion.state_dict() == {}
    assert criterion.to("meta").adjustment.device.type == "meta"


def test_gradient_is_that_of_the_loss():
    criterion = CrossEntropy(smoothing=0.2)
    assert torch.autograd.gradcheck(lambda logits: criterion(logits, LABELS), LOGITS.clone().requires_grad_())
