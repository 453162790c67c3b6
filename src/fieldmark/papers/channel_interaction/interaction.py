"""Channel Interaction Networks for Fine-Grained Image Categorization: the interaction within an image (SCI).

Gao, Han, Wang, Huang, Scott. AAAI 2020. arXiv:2003.05235.

Equations
    Eq. 1   self_channel_interaction    Y = W X: each channel becomes a mixture of the channels that complement it
    Eq. 2   channel_weights             W: softmax over the channels of -X X^T
    Eq. 3   SelfChannelInteraction      Z = phi(Y) + X, phi a 3x3 convolution

Paper and released code
    No code of the authors was found. Equations 5 to 9, between images, are in ``contrastive.py``.
    The paper does not scale X X^T, and neither do we (``scale=1.0``). For its row "Pos-SCI" it takes X X^T with the
    opposite sign: ``scale=-1.0``. It does not say how phi is initialised: here as PyTorch's convolutions are.

    On real features the rows of W are almost even: on 100 photos of CUB-200-2011 with ImageNet weights at 448 px, the
    entropy of a row is 0.92 of its largest (log D) in VGG-16 and 0.98 in EfficientNet-Lite0, as most products of two
    channels are near 0; so Y is close to the mean of all channels. With ``scale=-1.0`` it is 0.11 and 0.53: then a
    channel is mixed with few others than itself (``benchmarks/channel_entropy.py``).

The average of Z
    phi is linear, so the average of phi(Y) over the positions needs only nine averages of Y, one for each tap of phi:
    over the positions that the tap sees while phi slides over the map with zeros around. These windows of Y are W
    times the windows of X, so nine columns replace the h * w of X, and phi is applied once instead of at every
    position.
"""

from typing import Annotated, Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.core.inputs import refuse_misfits
from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision, lower_type, raised, suited
from fieldmark.plain import Count, Finite

_IMAGES = 4
"""Images whose W is held at a time when no gradient is recorded: 16.8 MB each for 2,048 channels."""
Flat = Annotated[Tensor, "B D l"]
Maps = Annotated[Tensor, "B D h w"]


def channel_weights(x: Flat, scale: Finite = 1.0) -> Tensor:
    """W (B, D, D) of x (B, D, l): how much channel k complements channel i; each row sums to one.

    In float32 for half types. Negative ``scale`` prefers channels that are alike.
    """
    refuse_misfits(channel_weights, x, scale)
    x = raised(x)
    with full_precision(x):
        return torch.softmax((-scale * x) @ x.mT, 2)  # Eq. 2


def self_channel_interaction(x: Flat, scale: Finite = 1.0) -> Tensor:
    """Y (B, D, l) of x (B, D, l), in float32 for half types.

    It is attention over the channels with negated queries; PyTorch's CPU kernels for that do not hold W.
    """
    refuse_misfits(self_channel_interaction, x, scale)
    x = raised(x)[:, None]
    with full_precision(x):
        return F.scaled_dot_product_attention(-scale * x, x, x, scale=1.0).squeeze(1)  # Eq. 1


def weighted(rows: Annotated[Tensor, "B k D"], weights: Annotated[Tensor, "B M D"]) -> Tensor:
    """Rows V (B, k, D), such as maps with their channels last, mixed by weights W (B, M, D): V W^T, (B, k, M)."""
    refuse_misfits(weighted, rows, weights)
    with full_precision(rows):
        return _Weighted.apply(rows, weights)  # pyright: ignore[reportReturnType]


class _Weighted(torch.autograd.Function):
    """``rows @ weights.mT`` with a gradient of the weights in their own memory order.

    That of ``@`` would be transposed, and the softmax's backward pass would copy it, which takes as long as the
    products.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        return rows @ weights.mT

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (rows, weights), gradient = ctx.saved_tensors, gradients[0]
        return gradient @ weights, gradient.mT @ rows


def window_averages(maps: Maps) -> Tensor:
    """(B, 9, D) of maps (B, D, h, w): what each tap of a 3x3 convolution sees of them, averaged over the positions.

    In float32 for half types. Zeros lie around the maps; the fifth window is the whole map.
    """

    refuse_misfits(window_averages, maps)

    def taps(count: int) -> Tensor:
        mask = torch.ones(3, count, dtype=x.dtype, device=x.device)
        mask[0, -1:], mask[2, :1] = 0, 0
        return mask

    x = raised(maps.flatten(2))
    height, width = maps.shape[2:]
    windows = (taps(height)[:, None, :, None] * taps(width)[None, :, None, :]).reshape(9, -1)
    with full_precision(x):
        return windows / (height * width) @ x.mT


class Interaction(NamedTuple):
    """What ``SelfChannelInteraction.interact`` returns: all that the layer computes from its maps.

    ``layer`` is the layer itself, ``maps`` are X (B, D, h, w), ``weights`` W (B, D, D), ``windows`` the window averages
    (B, 9, D) of X, ``mixed`` those of Y, ``pooled`` is the average (B, D) of Z over the positions, and ``kernel`` phi's
    weight as ``layer.average`` takes it.
    """

    layer: "SelfChannelInteraction"
    maps: Tensor
    weights: Tensor
    windows: Tensor
    mixed: Tensor
    pooled: Tensor
    kernel: Tensor

    @property
    def y(self) -> Tensor:
        """Y (B, D, h, w), computed at each access; in float32 for half types."""
        x = raised(self.maps.flatten(2))
        with full_precision(x):
            return (self.weights @ x).view(self.maps.shape)

    @property
    def z(self) -> Tensor:
        """Z (B, D, h, w), computed at each access: the layer's output for the maps."""
        return self.layer.added(self.y, self.maps)


class SelfChannelInteraction(nn.Module):
    """The SCI layer, a neck: (B, D, h, w) to the same shape.

    ``layer(maps)`` is Z, ``layer.pooled(maps)`` its average, and ``layer.interact(maps)`` all in between, for
    ``ContrastiveChannelInteraction`` and for figures.

    Args:
        channels: D.
        scale: of X X^T; -1 is the paper's "Pos-SCI".

    Raises:
        UserError: a scale of 0 or not finite; in a call, maps of another shape.
    """

    rate: ClassVar[float] = 0.1
    """The share of the head's learning rate: at the full rate training fails, as phi sums over nine times D numbers."""

    def __init__(self, channels: Count, scale: Finite = 1.0) -> None:
        super().__init__()
        refuse_misfits(SelfChannelInteraction, channels, scale)
        if scale == 0:
            raise UserError("SelfChannelInteraction(scale=0): the scale is a number other than 0")
        phi = nn.Conv2d(channels, channels, 3, padding=1)
        self.phi = phi.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        """Its weight lies as (D, 3, 3, D) in memory, so that ``average`` takes it as a matrix without a copy."""
        self.scale = scale

    def forward(self, maps: Maps) -> Tensor:
        """Z."""
        self._refuse(maps)
        return self.added(self_channel_interaction(maps.flatten(2), self.scale).view(maps.shape), maps)

    def pooled(self, maps: Tensor) -> Tensor:
        """The average (B, D) of Z over the positions; for half types in float32, unless the layer itself is in one."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.interact(maps).pooled
        self._refuse(maps)
        windows = window_averages(maps)
        pieces = zip(maps.flatten(2).split(_IMAGES), windows.split(_IMAGES), strict=True)
        mixed = torch.cat([weighted(rows, channel_weights(x, self.scale)) for x, rows in pieces])
        return self.average(windows[:, 4], mixed, self.kernel(maps)).to(self.phi.weight.dtype)

    @torch.no_grad()
    def become_identity(self) -> None:
        """Zeroes phi, so that Z is X; it learns from the first step on."""
        assert self.phi.bias is not None
        self.phi.weight.zero_()
        self.phi.bias.zero_()

    def interact(self, maps: Tensor) -> Interaction:
        """W and the windows of maps (B, D, h, w), with the average of Z."""
        self._refuse(maps)
        weights, windows = channel_weights(maps.flatten(2), self.scale), window_averages(maps)
        mixed, kernel = weighted(windows, weights), self.kernel(maps)
        pooled = self.average(windows[:, 4], mixed, kernel).to(self.phi.weight.dtype)
        return Interaction(self, maps, weights, windows, mixed, pooled, kernel)

    def kernel(self, maps: Tensor) -> Tensor:
        """phi's weight as a matrix (D, 9 D), in the type of its products with windows of these maps."""
        weight = self.phi.weight.permute(0, 2, 3, 1).flatten(1)
        return weight.bfloat16() if torch.is_grad_enabled() and lower_type(maps) == torch.bfloat16 else weight

    def added(self, y: Tensor, x: Tensor) -> Tensor:
        """phi(Y) + X of maps (N, D, h, w)."""
        return self.phi(suited(y, self.phi)) + x  # Eq. 3

    def average(self, x: Tensor, y: Tensor, kernel: Tensor) -> Tensor:
        """The average (N, D) of phi(Y) + X.

        Args:
            x: (N, D), the average of X.
            y: (N, 9, D), the window averages of Y.
            kernel: phi's weight, as ``kernel`` gives it.
        """
        assert self.phi.bias is not None
        with full_precision(x):
            return x + raised(F.linear(y.flatten(1).to(kernel.dtype), kernel)) + raised(self.phi.bias)  # Eq. 3

    def _refuse(self, maps: Tensor) -> None:
        refuse_misfits(SelfChannelInteraction.forward, maps, sizes={"D": self.phi.in_channels})
