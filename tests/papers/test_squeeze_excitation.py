"""The squeeze-and-excitation neck against a loop over channels."""

import math

import torch
from torch import nn

from fieldmark.papers.squeeze_excitation import SqueezeExcitation

MAPS = torch.randn(3, 6, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def layer(neck: SqueezeExcitation, at: int) -> tuple[list[list[float]], list[float]]:
    linear = neck.layers[at]
    assert isinstance(linear, nn.Linear)
    return linear.weight.tolist(), linear.bias.tolist()


def test_it_is_the_formula():
    torch.manual_seed(0)
    neck = SqueezeExcitation(6, reduction=2).double()
    (w1, b1), (w2, b2) = layer(neck, 0), layer(neck, 2)
    found = neck(MAPS)
    for image, result in zip(MAPS.tolist(), found.tolist(), strict=True):
        z = [sum(map(sum, channel)) / 8 for channel in image]
        hidden = [max(0.0, b + sum(w * x for w, x in zip(row, z, strict=True))) for row, b in zip(w1, b1, strict=True)]
        scores = [b + sum(w * x for w, x in zip(row, hidden, strict=True)) for row, b in zip(w2, b2, strict=True)]
        for channel, output, score in zip(image, result, scores, strict=True):
            gate = 1 / (1 + math.exp(-score))
            expected = [[gate * value for value in row] for row in channel]
            torch.testing.assert_close(torch.tensor(output), torch.tensor(expected))
    assert torch.autograd.gradcheck(neck, MAPS.clone().requires_grad_())


def test_its_average_needs_no_maps():
    neck = SqueezeExcitation(6).double()
    torch.testing.assert_close(neck.pooled(MAPS), neck(MAPS).mean((2, 3)), rtol=0, atol=1e-14)
    first = neck.layers[0]
    assert isinstance(first, nn.Linear)
    assert first.out_features == 1  # 6 // 16 would leave nothing
