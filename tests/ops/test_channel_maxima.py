"""Maxima over channels against loops, their gradients, and how many numbers they hold."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from channel_terms import random_maps, weighted
from fieldmark.errors import UserError
from fieldmark.ops.channel_maxima import Run, group_maximum, runs, weighted_maximum


def test_groups_of_equal_size_make_runs():
    assert list(runs((2, 2, 3, 3, 3, 2))) == [Run(0, 2, 2), Run(4, 3, 3), Run(13, 1, 2)]
    assert list(runs(())) == []
    tensor = torch.arange(30).view(2, 15)
    run = Run(4, 3, 3)
    assert torch.equal(run.channels_of(tensor, 1), tensor[:, 4:13].view(2, 3, 3))
    assert torch.equal(run.channels_of(tensor.mT, 0), tensor.mT[4:13].view(3, 3, 2))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 3), st.booleans(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_group_maxima_are_those_of_the_loop(groups: list[int], images: int, masked: bool, seed: int):
    maps = random_maps(images, sum(groups), seed=seed).flatten(2)
    keep = torch.arange(sum(groups)) % 3 != 1 if masked else None
    shown = maps if keep is None else maps * keep[:, None]
    expected = torch.stack([part.amax(1) for part in shown.split(groups, 1)], 1)
    assert torch.equal(group_maximum(maps, groups, keep), expected)


@pytest.mark.parametrize("masked", [False, True])
def test_group_maxima_have_the_right_gradients(masked: bool):
    maps = random_maps(2, 7).flatten(2).requires_grad_()
    keep = torch.arange(7) % 2 == 0 if masked else None
    assert torch.autograd.gradcheck(lambda values: group_maximum(values, (2, 2, 3), keep), maps)
    assert torch.autograd.gradgradcheck(lambda values: group_maximum(values, (2, 2, 3), keep), maps)


def test_groups_that_do_not_fit_the_maps_are_refused():
    with pytest.raises(UserError, match="groups of 9 channels do not fit maps of 8"):
        group_maximum(random_maps(1, 8).flatten(2), (4, 5))


@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_weighted_maxima_are_those_of_the_loop(images: int, channels: int, positions: int, classes: int, seed: int):
    values = random_maps(images, channels, positions, 1, seed).flatten(2)
    weights = torch.rand(classes, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(weighted_maximum(values, weights), weighted(values, weights), rtol=0, atol=1e-15)


@pytest.mark.parametrize("channels", [3, 32, 45])
def test_weighted_maxima_have_the_right_gradients(channels: int):
    values = random_maps(2, channels).flatten(2).requires_grad_()
    weights = torch.rand(3, channels, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: weighted_maximum(v, weights), values)


def test_pieces_give_what_one_piece_gives():
    """Enough products for several pieces; the gradient reaches each position's winner, times its weight."""
    values = random_maps(2, 2000, 3, 2).flatten(2).float().requires_grad_()
    weights = torch.rand(150, 2000)
    actual = weighted_maximum(values, weights)
    products = values.detach()[:, None] * weights[None, :, :, None]
    best = products.max(2)
    assert torch.equal(actual.detach(), best.values)
    actual.sum().backward()
    expected = torch.zeros(2, 2000, 6)
    for b in range(2):
        for i in range(150):
            for k, j in enumerate(best.indices[b, i].tolist()):
                expected[b, j, k] += weights[i, j]
    assert values.grad is not None
    torch.testing.assert_close(values.grad, expected)
