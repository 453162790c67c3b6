"""Bilinear pooling against loops over positions and pairs of channels, and its sketch against Algorithm 2."""

import math

import pytest
import torch
from torch import Tensor

from fieldmark.core.sketch import TensorSketch
from fieldmark.errors import UserError
from fieldmark.papers.bilinear_cnn import EPSILON, Bilinear, CompactBilinearPool, outer_products, signed_root

MAPS = torch.randn(3, 4, 2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def naive_products(maps: list[list[list[float]]], first: int) -> list[list[float]]:
    """Of one image, maps[channel][row][column]: the mean over positions of each pair's product."""
    flat = [[value for row in channel for value in row] for channel in maps]
    left, right = (flat[:first], flat[first:]) if first else (flat, flat)
    return [[sum(x * y for x, y in zip(a, b, strict=True)) / len(a) for b in right] for a in left]


def naive_embedding(products: list[list[float]]) -> list[float]:
    """Signed root, then length one."""
    roots = [x / math.sqrt(abs(x) + EPSILON) for row in products for x in row]
    length = math.sqrt(sum(x * x for x in roots))
    return [x / length for x in roots]


@pytest.mark.parametrize("first", [0, 1, 3])
def test_pooling_is_the_formula(first: int):
    expected = [naive_products(image, first) for image in MAPS.tolist()]
    torch.testing.assert_close(outer_products(MAPS, first), torch.tensor(expected, dtype=torch.float64))
    pooled = [naive_embedding(products) for products in expected]
    found = Bilinear(4, first)(MAPS)
    torch.testing.assert_close(found, torch.tensor(pooled, dtype=torch.float64), rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(Bilinear(4, first), MAPS.clone().requires_grad_())


def test_empty_maps_have_an_embedding_and_a_gradient_of_zero():
    maps = torch.zeros(2, 4, 3, 3, requires_grad=True)
    found = Bilinear(4)(maps)
    found.sum().backward()
    assert torch.equal(found, torch.zeros(2, 16))
    assert maps.grad is not None
    assert maps.grad.isfinite().all()
    assert signed_root(torch.tensor([-4.0, 0.0, 9.0])).tolist() == pytest.approx([-2, 0, 3], abs=1e-5)
    assert signed_root(torch.tensor([1e-9, -1e-9])).abs().max() < 1e-6, "rounding around 0 changes next to nothing"


def test_all_channels_of_one_network_are_refused():
    with pytest.raises(UserError, match=r"Bilinear\(first=4\): the network has 4 channels, and some must be left"):
        Bilinear(4, first=4)


def sketch_of(vector: Tensor, sketch: TensorSketch) -> Tensor:
    """Algorithm 2 for one vector: two count sketches, and their circular convolution."""
    size = sketch.outputs
    counts = [[0.0] * size, [0.0] * size]
    for side in (0, 1):
        for place, value in enumerate(vector.tolist()):
            counts[side][int(sketch.buckets[side][place])] += float(sketch.signs[side][place]) * value
    found = [sum(counts[0][k] * counts[1][(n - k) % size] for k in range(size)) for n in range(size)]
    return torch.tensor(found, dtype=torch.float64)


def test_the_compact_pool_is_the_mean_of_algorithm_2_over_the_positions():
    pool = CompactBilinearPool(4, width=7)
    rows = MAPS.flatten(2).mT
    means = torch.stack([torch.stack([sketch_of(x, pool.sketch) for x in image]).mean(0) for image in rows])
    torch.testing.assert_close(pool.sketch.of_products(outer_products(MAPS)), means, rtol=0, atol=1e-12)
    expected = signed_root(means)
    torch.testing.assert_close(pool(MAPS), expected / expected.norm(dim=1, keepdim=True), rtol=0, atol=1e-12)
    one = pool.sketch(rows[0], rows[0]).mean(0)  # as API-Net sketches single vectors
    torch.testing.assert_close(one, means[0], rtol=0, atol=1e-12)


def test_a_wide_sketch_keeps_products_of_embeddings():
    maps = torch.rand(2, 16, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    products = outer_products(maps).flatten(1)
    sketched = CompactBilinearPool(16, width=4096).sketch.of_products(outer_products(maps))
    assert float(sketched[0] @ sketched[1]) == pytest.approx(float(products[0] @ products[1]), rel=0.1)
