"""Halving a batch into pairs."""

import pytest
import torch

from fieldmark.pairs import halves
from fieldmark.testing import no_reading_back

LIKE = torch.zeros(0)


@pytest.mark.parametrize("count", range(8))
def test_every_image_but_an_odd_one_is_in_one_pair(count: int):
    order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    first, second = halves(count, order=order, like=LIKE)
    assert len(first) == len(second) == count // 2
    assert first.tolist() + second.tolist() == order.tolist()[: count // 2 * 2]


def test_without_an_order_image_i_meets_image_i_plus_half():
    first, second = halves(7, order=None, like=LIKE)
    assert first.tolist() == [0, 1, 2]
    assert second.tolist() == [3, 4, 5]


def test_nothing_is_read_back():
    with no_reading_back():
        halves(6, order=torch.arange(6), like=LIKE)
