"""SphereFace's head against a loop over images, and its margin in pieces."""

import math

import pytest
import torch

from fieldmark.papers.angular_softmax import DECAY, AngularSoftmax, psi

EMBEDDING = 3 * torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 3, 1, 1, 2, 0])


def naive_psi(theta: float, m: int) -> float:
    """(-1)^k cos(m theta) - 2k for theta between k pi / m and (k + 1) pi / m."""
    k = min(m - 1, int(theta * m / math.pi))
    return (-1) ** k * math.cos(m * theta) - 2 * k


@pytest.mark.parametrize("m", [1, 2, 3, 4, 7])
def test_psi_is_the_formula_and_falls_all_the_way(m: int):
    theta = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    found = psi(theta.cos(), m)
    expected = torch.tensor([naive_psi(angle, m) for angle in theta.tolist()], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert (found.diff() <= 1e-12).all()
    assert found[0].item() == 1
    assert found[-1].item() == pytest.approx(1 - 2 * m)


def test_its_gradient_is_finite_at_both_ends():
    cosine = torch.tensor([-1.0, 1.0], requires_grad=True)
    psi(cosine, 4).sum().backward()
    assert cosine.grad is not None
    assert cosine.grad.abs().tolist() == pytest.approx([16.0, 16.0])  # m squared


def naive(x: list[float], weights: list[list[float]], label: int, *, m: int, share: float) -> list[float]:
    scores = []
    for index, weight in enumerate(weights):
        cosine = sum(a * b for a, b in zip(x, weight, strict=True)) / (math.hypot(*x) * math.hypot(*weight))
        own = (share * cosine + naive_psi(math.acos(cosine), m)) / (1 + share)
        scores.append(math.hypot(*x) * (own if index == label else cosine))
    return scores


def test_the_margin_comes_in_as_steps_pass():
    head = AngularSoftmax(3, 4, first=100.0, least=2.0).double()
    weights, logits = head.weight.tolist(), head(EMBEDDING)
    for step in (0, 1, 2, 500, 501):
        head.steps.fill_(step)
        share = max(2.0, 100.0 / (1 + DECAY * step))
        rows = zip(EMBEDDING.tolist(), LABELS.tolist(), strict=True)
        expected = torch.tensor([naive(x, weights, y, m=4, share=share) for x, y in rows], dtype=torch.float64)
        torch.testing.assert_close(head.with_margin(logits, EMBEDDING, LABELS), expected, rtol=0, atol=1e-9)
        assert head.steps.item() == step + 1
    head.eval().with_margin(logits, EMBEDDING, LABELS)
    assert head.steps.item() == 502


def test_gradients():
    head = AngularSoftmax(3, 4, first=0.0, least=0.0).double().eval()
    assert torch.autograd.gradcheck(lambda x: head.with_margin(head(x), x, LABELS), EMBEDDING.clone().requires_grad_())
    zero = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    head.with_margin(head(zero), zero, LABELS[:1]).sum().backward()
    assert zero.grad is not None
    assert zero.grad.isfinite().all()
