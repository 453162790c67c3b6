"""Squeeze-and-Excitation Networks.

Hu, Shen, Albanie, Sun, Wu. CVPR 2018. arXiv:1709.01507.

Equations
    Eq. 2   squeezed                   squeeze: the mean of each channel over the positions
    Eq. 3   SqueezeExcitation.gates    excitation: sigmoid(W2 ReLU(W1 z))
    Eq. 4   SqueezeExcitation.forward  each channel times its gate

Paper and released code
    The paper has a block in each block of a network; the papers here compare with one after its last maps. The
    reduction between the two layers is 16, as in the paper, and leaves one number at least.
"""

from typing import Annotated

from torch import Tensor, nn

from fieldmark.core.inputs import refuse_misfits
from fieldmark.plain import Count

Maps = Annotated[Tensor, "B D h w"]


def squeezed(maps: Maps) -> Tensor:
    """z, the mean of each channel: (B, D, h, w) to (B, D)."""
    refuse_misfits(squeezed, maps)
    return maps.mean((2, 3))  # Eq. 2


class SqueezeExcitation(nn.Module):
    """A neck that weighs channels by all of the image: (B, D, h, w) to the same shape.

    Args:
        channels: D.
        reduction: how many times fewer numbers there are between the layers.
    """

    def __init__(self, channels: Count, reduction: Count = 16) -> None:
        super().__init__()
        refuse_misfits(SqueezeExcitation, channels, reduction)
        hidden = max(1, channels // reduction)
        self.channels = channels
        self.layers = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def gates(self, means: Tensor) -> Tensor:
        """How open each channel is, in (0, 1): (B, D) of the channels' means (B, D)."""
        return self.layers(means)  # Eq. 3

    def forward(self, maps: Maps) -> Tensor:
        """Maps, each channel times its gate."""
        refuse_misfits(SqueezeExcitation.forward, maps, sizes={"D": self.channels})
        return maps * self.gates(squeezed(maps))[:, :, None, None]  # Eq. 4

    def pooled(self, maps: Maps) -> Tensor:
        """The average of ``forward`` over the positions, without it: (B, D)."""
        refuse_misfits(SqueezeExcitation.pooled, maps, sizes={"D": self.channels})
        means = squeezed(maps)
        return means * self.gates(means)
