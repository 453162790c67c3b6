"""Two uses of one weight on a batch have the gradients of two linear layers, in whatever part they are asked for."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.ops.wide_linear import Uses


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


WEIGHT = random(3, 7, seed=1)


def used(count: int, uses: Uses | None = None) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs of 4, 5, 6 … rows and the squared outputs' sums; each input is made of the output before it."""
    inputs, losses, before = [], [], torch.zeros(1, 1, dtype=torch.float64)
    for number in range(count):
        inputs.append(random(4 + number, 7, seed=2 + number))
        y = inputs[-1] + before.mean()
        product = F.linear(y, WEIGHT) if uses is None else uses.product(y, WEIGHT, WEIGHT.detach())
        losses.append(product.square().sum())
        before = product
    return inputs, losses


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_all_gradients_are_those_of_linear_layers(count: int):
    gradients = []
    for inputs, losses in (used(count, Uses()), used(count)):
        gradients.append([torch.stack(losses), *torch.autograd.grad(torch.stack(losses).sum(), [WEIGHT, *inputs])])
    for found, expected in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_each_loss_alone_has_its_own_gradient(number: int):
    (_, found), (_, expected) = used(2, Uses()), used(2)
    for _ in range(2):  # nothing is left of the pass before
        gradients = [torch.autograd.grad(losses[number], WEIGHT, retain_graph=True)[0] for losses in (found, expected)]
        assert torch.allclose(*gradients, atol=1e-10)


def test_what_a_pass_that_never_asked_for_the_weight_left_is_not_counted():
    (inputs, found), (_, expected) = used(2, Uses()), used(2)
    torch.autograd.grad(found[1], inputs[1], retain_graph=True)
    first = [torch.autograd.grad(losses[0], WEIGHT, retain_graph=True)[0] for losses in (found, expected)]
    assert torch.allclose(*first, atol=1e-10)
    both = [torch.autograd.grad(torch.stack(losses).sum(), WEIGHT)[0] for losses in (found, expected)]
    assert torch.allclose(*both, atol=1e-10)


def test_without_gradients_it_is_the_product():
    uses, y = Uses(), random(2, 7)
    with torch.no_grad():
        for _ in range(3):
            assert torch.allclose(uses.product(y, WEIGHT, WEIGHT), F.linear(y, WEIGHT), atol=1e-12)


def test_a_narrow_copy_gives_the_type_of_the_rows():
    y, weight = random(2, 7).detach().float(), WEIGHT.detach().float().requires_grad_()
    product = Uses().product(y, weight, weight.detach().bfloat16())
    product.sum().backward()
    assert product.dtype == torch.float32
    assert torch.allclose(product, F.linear(y, weight), atol=0.05)
    assert weight.grad is not None
    assert torch.allclose(weight.grad, y.sum(0).expand(3, -1), rtol=2**-7, atol=0)


def test_rows_that_differ_little_keep_their_difference_in_a_narrow_copy():
    """As bfloat16 the two rows would be one."""
    uses, weight = Uses(), WEIGHT.detach().float().requires_grad_()
    y = 100 + 0.1 * random(2, 7).detach().float()
    product = uses.product(y, weight, weight.detach().bfloat16())
    (product[0] - product[1]).sum().backward()
    assert weight.grad is not None
    assert torch.allclose(weight.grad, (y[0] - y[1]).expand(3, -1), rtol=2**-6, atol=1e-4)


def test_no_rows_have_a_gradient_of_zero():
    (gradient,) = torch.autograd.grad(Uses().product(random(0, 7), WEIGHT, WEIGHT.detach()).sum(), WEIGHT)
    assert (gradient == 0).all()


def test_a_frozen_weight_costs_no_gradient(monkeypatch: pytest.MonkeyPatch):
    uses, weight, rows = Uses(), WEIGHT.detach(), [random(n, 7, seed=n).requires_grad_() for n in (2, 3)]
    loss = torch.stack([uses.product(y, weight, weight).square().sum() for y in rows]).sum()
    monkeypatch.setattr(torch, "cat", None)  # rows are brought together for the gradient of the weight alone
    for y, found in zip(rows, torch.autograd.grad(loss, rows), strict=True):
        assert torch.allclose(found, 2 * F.linear(y, weight) @ weight, atol=1e-10)
