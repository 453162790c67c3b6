"""Compact Generalized Non-local Network (CGNL).

Yue, Sun, Yuan, Zhou, Ding, Xu. NeurIPS 2018. arXiv:1810.13125.

Formulas
    generalized_attention     vec(theta) (vec(phi)' vec(g)): every channel at every position sees every other, within
        its group
    GeneralizedNonLocal       W_z of that, normed group by group, added to the maps

Paper and released code
    The kernel is the paper's dot product, whose sum over all pairs takes no matrix of pairs: phi and g meet first, in
    one number per group. The Taylor series of its other kernel, a Gaussian, is left out. theta, phi and g have half of
    the channels; there are 8 groups, or as many as divide these channels; the norm after W_z starts at zero, so that
    the block starts as the identity. One block after the last maps, as the papers here compare with it.
"""

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from fieldmark.core.inputs import refuse_misfits
from fieldmark.ops.precision import full_precision, raised
from fieldmark.plain import Count

Maps = Annotated[Tensor, "B D h w"]


def generalized_attention(theta: Maps, phi: Maps, g: Maps, groups: Count) -> Tensor:
    """(B, D, h, w) three times to the same shape, in float32 or better; D must be a multiple of ``groups``."""
    refuse_misfits(generalized_attention, theta, phi, g, groups)
    theta, phi, g = raised(theta), raised(phi), raised(g)
    with full_precision(theta):
        met = (phi * g).unflatten(1, (groups, -1)).sum((2, 3, 4), keepdim=True)
        return (theta.unflatten(1, (groups, -1)) * met).flatten(1, 2)


class GeneralizedNonLocal(nn.Module):
    """A neck by which each channel at each position sees all others: (B, D, h, w) to the same shape.

    Args:
        channels: D.
        groups: of channels, at most.
    """

    def __init__(self, channels: Count, groups: Count = 8) -> None:
        super().__init__()
        refuse_misfits(GeneralizedNonLocal, channels, groups)
        self.channels = channels
        inner = max(1, channels // 2)
        self.groups = math.gcd(groups, inner, channels)
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(3))
        last = nn.Conv2d(inner, channels, 1, groups=self.groups, bias=False)
        self.w_z = nn.Sequential(last, nn.GroupNorm(self.groups, channels))
        self.become_identity()

    @torch.no_grad()
    def become_identity(self) -> None:
        """Zeroes the norm after W_z, so that the maps stay as they are; it learns from the first step on."""
        norm = self.w_z[1]
        assert isinstance(norm, nn.GroupNorm)
        norm.weight.zero_()
        norm.bias.zero_()

    def forward(self, maps: Maps) -> Tensor:
        """Z."""
        refuse_misfits(GeneralizedNonLocal.forward, maps, sizes={"D": self.channels})
        mixed = generalized_attention(self.theta(maps), self.phi(maps), self.g(maps), self.groups)
        return maps + self.w_z(mixed.to(maps.dtype))
