"""CosFace's head against a loop over images and classes."""

import math

import torch

from fieldmark.papers.large_margin_cosine import LargeMarginCosine

EMBEDDING = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 3, 1, 1, 2])


def naive(x: list[float], weights: list[list[float]], label: int | None, *, s: float, m: float) -> list[float]:
    scores = []
    for index, weight in enumerate(weights):
        lengths = math.hypot(*x) * math.hypot(*weight)
        cosine = sum(a * b for a, b in zip(x, weight, strict=True)) / lengths
        scores.append(s * (cosine - m * (index == label)))
    return scores


def test_scores_are_scaled_cosines_and_the_right_one_has_the_margin():
    head = LargeMarginCosine(3, 4, scale=7.0, margin=0.2).double()
    head.weight.data *= torch.tensor([1.0, 2.0, 0.5, 3.0])[:, None]  # of any length
    weights, logits = head.weight.tolist(), head(EMBEDDING)
    trained = head.with_margin(logits, EMBEDDING, LABELS)
    for found, label in ((logits, None), (trained, 0)):
        labels = [None] * 5 if label is None else LABELS.tolist()
        rows = zip(EMBEDDING.tolist(), labels, strict=True)
        expected = [naive(x, weights, own, s=7.0, m=0.2) for x, own in rows]
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_gradients_and_vectors_of_length_zero():
    head = LargeMarginCosine(3, 4, scale=2.0).double()

    def trained(x: torch.Tensor) -> torch.Tensor:
        return head.with_margin(head(x), x, LABELS)

    assert torch.autograd.gradcheck(trained, EMBEDDING.clone().requires_grad_())
    zero = torch.zeros(1, 3, requires_grad=True)
    scores = head.float()(zero)
    scores.sum().backward()
    assert torch.equal(scores, torch.zeros(1, 4))
    assert zero.grad is not None
    assert zero.grad.isfinite().all()
