"""The non-local block against a loop over pairs of positions."""

import torch
from torch import nn

from fieldmark.papers.non_local import NonLocal

MAPS = torch.randn(3, 4, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def started() -> NonLocal:
    """A neck that has learnt: its norm does not hide the rest."""
    torch.manual_seed(0)
    neck = NonLocal(4).double().eval()
    norm = neck.w_z[1]
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return neck


def test_each_position_is_the_weighted_sum_of_all():
    neck = started()
    theta, phi, g = (layer(MAPS).flatten(2) for layer in (neck.theta, neck.phi, neck.g))
    y = torch.zeros_like(g)
    for image in range(3):
        for i in range(6):
            weights = torch.stack([(theta[image, :, i] * phi[image, :, j]).sum().exp() for j in range(6)])
            for j in range(6):
                y[image, :, i] += weights[j] / weights.sum() * g[image, :, j]
    expected = MAPS + neck.w_z(y.unflatten(2, (2, 3)))
    torch.testing.assert_close(neck(MAPS), expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(neck, MAPS.clone().requires_grad_())


def test_it_starts_as_the_identity_and_learns():
    neck = NonLocal(4).double()
    assert torch.equal(neck(MAPS), MAPS)
    (neck(MAPS) * torch.randn(MAPS.shape)).sum().backward()
    norm = neck.w_z[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.weight.grad is not None
    assert norm.weight.grad.abs().min() > 0
