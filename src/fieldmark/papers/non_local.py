"""Non-local Neural Networks.

Wang, Girshick, Gupta, He. CVPR 2018. arXiv:1711.07971.

Equations
    Eq. 1   NonLocal.forward  each position's sum of all positions' g, weighed by f, normalised
    Eq. 3   NonLocal.forward  f is exp(theta' phi), so that the weights are a softmax (embedded Gaussian)
    Eq. 6   NonLocal.forward  W_z of it, added to the maps

Paper and released code
    One block after the last maps, as the papers here compare with it; the paper adds blocks between stages. theta, phi
    and g have half of the channels; W_z is followed by a batch norm whose weight starts at zero, so that the block
    starts as the identity; nothing is sampled down, as there are few positions.
"""

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fieldmark.core.inputs import refuse_misfits
from fieldmark.plain import Count

Maps = Annotated[Tensor, "B D h w"]


class NonLocal(nn.Module):
    """A neck by which each position sees all others: (B, D, h, w) to the same shape.

    Args:
        channels: D.
    """

    def __init__(self, channels: Count) -> None:
        super().__init__()
        refuse_misfits(NonLocal, channels)
        self.channels = channels
        inner = max(1, channels // 2)
        self.theta, self.g = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1, bias=False)  # one would add the same to all weights of a position
        self.w_z = nn.Sequential(nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels))
        self.become_identity()

    @torch.no_grad()
    def become_identity(self) -> None:
        """Zeroes the norm after W_z, so that the maps stay as they are; it learns from the first step on."""
        norm = self.w_z[1]
        assert isinstance(norm, nn.BatchNorm2d)
        norm.weight.zero_()
        norm.bias.zero_()

    def forward(self, maps: Maps) -> Tensor:
        """Z."""
        refuse_misfits(NonLocal.forward, maps, sizes={"D": self.channels})
        # with one head, as exporters take no attention without
        theta, phi, g = (layer(maps).flatten(2).mT[:, None] for layer in (self.theta, self.phi, self.g))
        mixed = F.scaled_dot_product_attention(
            theta,
            phi,
            g,
            scale=1.0,  # Eq. 3
        )  # Eq. 1
        return maps + self.w_z(mixed[:, 0].mT.unflatten(2, maps.shape[2:]))  # Eq. 6
