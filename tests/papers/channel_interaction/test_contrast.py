"""Contrasted weights against loops written from the paper, and the gradients that are worked piece by piece."""

import pytest
import torch
from torch import Tensor

from channel_terms import OPERATIONS, eq_5
from fieldmark.errors import UserError
from fieldmark.papers.channel_interaction.contrast import Operation, contrast_weights, contrasted
from random_values import drawn


@pytest.mark.parametrize("operation", OPERATIONS)
def test_contrasted_weights_are_eq_5(operation: Operation):
    w_a, w_b = drawn(3, 4, 4).softmax(2), drawn(3, 4, 4, seed=1).softmax(2)
    eta = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    found = contrast_weights(w_a, w_b, eta, operation)
    for pair in range(3):
        expected = torch.tensor(eq_5(w_a[pair], w_b[pair], eta[pair].item(), operation), dtype=torch.float64)
        torch.testing.assert_close(found[pair], expected, rtol=0, atol=1e-10)
    assert found.shape == (3, 4, 8 if operation == "concatenate" else 4)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients(operation: Operation):
    w_a, w_b = drawn(2, 3, 3).softmax(2).requires_grad_(), drawn(2, 3, 3, seed=1).softmax(2).requires_grad_()
    eta = torch.tensor([0.4, -0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *parts: contrast_weights(*parts, operation), (w_a, w_b, eta))


def test_another_operation_is_refused():
    with pytest.raises(UserError, match=r"contrast_weights.'divide'.: choose 'subtract', 'add'"):
        contrast_weights(drawn(1, 2, 2), drawn(1, 2, 2), drawn(1), "divide")  # pyright: ignore[reportArgumentType]


def whole(weights: Tensor, columns: Tensor, eta: Tensor, pairs: list[list[int]], operation: Operation) -> Tensor:
    """Y' of all pairs at once, in operators that autograd knows."""
    values = []
    for (a, b), factor in zip((pairs, pairs[::-1]), eta, strict=True):
        v = torch.cat([columns[a], columns[b]], 2) if operation == "concatenate" else columns[a]
        values.append(v @ contrast_weights(weights[a], weights[b], factor, operation).mT)
    return torch.stack(values)


PAIRS = [[[3, 0], [2, 4]], [[3, 0, 0, 1, 4], [2, 1, 2, 3, 0]]]
"""Of five images, of which one is left out or several come twice: two pairs, and five."""


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_pieces_give_what_all_pairs_at_once_give(operation: Operation, pairs: list[list[int]]):
    weights, columns = drawn(5, 6, 6).softmax(2).requires_grad_(), drawn(5, 3, 6, seed=1).requires_grad_()
    eta, images = drawn(2, len(pairs[0]), seed=2).requires_grad_(), torch.tensor(pairs)
    found = contrasted(weights, columns, eta, images, operation=operation, lower=torch.float64)
    known = whole(weights, columns, eta, pairs, operation)
    torch.testing.assert_close(found, known, rtol=0, atol=1e-12)
    inputs, some = (weights, columns, eta), drawn(*known.shape, seed=3)
    both = [torch.autograd.grad((value * some).sum(), inputs, allow_unused=True) for value in (found, known)]
    for one, other in zip(*both, strict=True):
        torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_second_derivatives(operation: Operation):
    weights, columns = drawn(3, 3, 3).softmax(2).requires_grad_(), drawn(3, 2, 3, seed=1).requires_grad_()
    eta, images = drawn(2, 3, seed=2).requires_grad_(), torch.tensor([[0, 0, 2], [1, 2, 1]])

    def value(*inputs: Tensor) -> Tensor:
        return contrasted(*inputs, images, operation=operation, lower=torch.float64)

    assert torch.autograd.gradgradcheck(value, (weights, columns, eta))
    with_eta_alone = [part.detach() for part in (weights, columns)]
    assert torch.autograd.gradgradcheck(lambda eta: value(*with_eta_alone, eta), eta)
