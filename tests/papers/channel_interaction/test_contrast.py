"""Contrasted weights against loops written from the paper, and the gradients that are worked tile by tile."""

from typing import Any

import pytest
import torch
from torch import Tensor

from channel_terms import OPERATIONS, eq_5
from fieldmark.errors import UserError
from fieldmark.papers.channel_interaction import interaction as sci
from fieldmark.papers.channel_interaction.contrast import Operation, contrast_weights, contrasted, swapped


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_contrasted_weights_are_eq_5(operation: Operation):
    w_a, w_b = random(3, 4, 4).softmax(2), random(3, 4, 4, seed=1).softmax(2)
    eta = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    found = contrast_weights(w_a, w_b, eta, operation)
    for pair in range(3):
        expected = torch.tensor(eq_5(w_a[pair], w_b[pair], eta[pair].item(), operation), dtype=torch.float64)
        torch.testing.assert_close(found[pair], expected, rtol=0, atol=1e-10)
    assert found.shape == (3, 4, 8 if operation == "concatenate" else 4)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients(operation: Operation):
    w_a, w_b = random(2, 3, 3).softmax(2).requires_grad_(), random(2, 3, 3, seed=1).softmax(2).requires_grad_()
    eta = torch.tensor([0.4, -0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *parts: contrast_weights(*parts, operation), (w_a, w_b, eta))


def test_another_operation_is_refused():
    with pytest.raises(UserError, match=r"contrast_weights.'divide'.: choose 'subtract', 'add'"):
        contrast_weights(random(1, 2, 2), random(1, 2, 2), random(1), "divide")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("images", "once"), [([3, 0, 2, 4], True), ([3, 0, 2, 4], False), ([3, 0, 0, 2, 3, 0], False)])
@pytest.mark.parametrize("threads", [1, 3])
def test_tiles_give_what_whole_weights_give(
    operation: Operation, images: list[int], once: bool, threads: int, monkeypatch: pytest.MonkeyPatch
):
    """Five images, of which one is left out or comes twice; four rows a tile and two to four images at a time."""
    monkeypatch.setattr(sci, "_TILE", 24)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x, v, eta = random(5, 4, 6).requires_grad_(), random(5, 3, 6, seed=1).requires_grad_(), random(len(images), seed=2)
    eta, index = eta.requires_grad_(), torch.tensor(images)
    found = contrasted(sci.mix(x, v, scale=0.3, keep=True), v, eta, index, operation, once=once)
    own = sci.channel_weights(x.mT, 0.3)[index]
    columns = torch.cat([v[index], swapped(v[index])], 2) if operation == "concatenate" else v[index]
    known = columns @ contrast_weights(own, swapped(own), eta, operation).mT
    torch.testing.assert_close(found, known, rtol=0, atol=1e-12)
    wanted: Any = (x, v, eta)
    some = random(*known.shape, seed=3)
    pairs = [torch.autograd.grad((value * some).sum(), wanted, allow_unused=True) for value in (found, known)]
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other, rtol=0, atol=1e-12)


def test_pairs_change_places():
    assert swapped(torch.arange(6)).tolist() == [1, 0, 3, 2, 5, 4]
