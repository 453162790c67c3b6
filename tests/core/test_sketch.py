"""The compact bilinear sketch against the outer product that it stands for."""

import pytest
import torch

from fieldmark.core.sketch import TensorSketch


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 5), (5, 3), (4, 9)])
def test_a_sketch_adds_each_product_of_two_numbers_into_a_bucket(inputs: int, outputs: int):
    module = TensorSketch(inputs, outputs)
    x1, x2 = torch.randn(2, 3, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    h, s = module.buckets.tolist(), module.signs.tolist()
    expected = torch.zeros(3, outputs, dtype=torch.float64)
    for row in range(3):
        for i in range(inputs):
            for j in range(inputs):
                expected[row, (h[0][i] + h[1][j]) % outputs] += s[0][i] * s[1][j] * x1[row, i] * x2[row, j]
    torch.testing.assert_close(module(x1, x2), expected, rtol=0, atol=1e-12)


def test_a_sketch_keeps_inner_products_of_outer_products():
    """<sketch(x1, x2), sketch(y1, y2)> is <x1, y1> <x2, y2> on average over many hashes, or pairs."""
    width = 2048
    module = TensorSketch(width, 1000)
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(40, width, generator=generator)
    sketched = module(x[:20], x[20:])
    exact = (x[:20] @ x[:20].T) * (x[20:] @ x[20:].T)
    ratio = (sketched @ sketched.T) / exact
    assert 0.9 < ratio.mean().item() < 1.1


def test_hashes_are_a_function_of_the_sizes_alone_and_not_saved():
    torch.manual_seed(0)
    first = TensorSketch(64, 64)
    torch.manual_seed(1)
    again, other = TensorSketch(64, 64), TensorSketch(65, 64)
    assert torch.equal(first.buckets, again.buckets)
    assert torch.equal(first.signs, again.signs)
    assert not torch.equal(first.buckets, other.buckets[:, :64])
    assert not first.state_dict()
    assert not torch.equal(first.buckets[0], first.buckets[1])
    assert 0 <= first.buckets.min().item() < first.buckets.max().item() < 64
    assert set(first.signs.flatten().tolist()) == {-1.0, 1.0}
