"""Channel Interaction Networks for Fine-Grained Image Categorization: the interaction within an image (SCI).

Gao, Han, Wang, Huang, Scott. AAAI 2020. arXiv:2003.05235.

Equations
    Eq. 1   self_channel_interaction    Y = W X: each channel becomes a mixture of the channels that complement it
    Eq. 2   channel_weights             W: softmax over the channels of -X X^T
    Eq. 3   SelfChannelInteraction      Z = phi(Y) + X, phi a 3x3 convolution

Paper and released code
    No code of the authors was found. Equations 5 to 9, between images, are in ``contrastive.py``.
    The paper does not scale X X^T, and neither do we (``scale=1.0``). It takes X X^T with the opposite sign for its
    row "Pos-SCI": that is ``scale=-1.0``. How phi starts is not said: as PyTorch's convolutions do.

    On real features the rows of W are almost even: on 100 photos of CUB-200-2011 with ImageNet weights at 448 px, the
    entropy of a row is 0.92 of its largest (log D) in VGG-16 and 0.98 in EfficientNet-Lite0, as most products of two
    channels are near 0; so Y is close to the mean of all channels. With ``scale=-1.0`` it is 0.11 and 0.53: then a
    channel is mixed with few others than itself (``benchmarks/channel_entropy.py``).

    phi is linear, so the average of phi(Y) over the positions needs only nine sums of Y, one a tap of the convolution:
    over the positions that the tap sees when it slides over the map with zeros around. They are W times the nine sums
    of X. ``SelfChannelInteraction.pooled`` works so, with l = h * w columns made nine, and phi at no position at all.

    Where gradients are wanted, W is kept for the backward pass: D * D numbers an image, 8.4 MB of float16 for 2,048
    channels in the half type of automatic mixed precision, in the precision of X else. Working it out anew in the
    backward pass costs more than a third of the layer's time. W itself is always taken from sums in float32 or better;
    what is kept in bfloat16 is as fine as the maps, which then have that type, too, and works without being widened.
"""

import math
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision, lower_type, raised, suited
from fieldmark.ops.wide_linear import Uses

_TILE = 2**20
"""Numbers of one image's W that are worked at a time on a processor: enough for its products, few for caches."""


def channel_weights(x: Tensor, scale: float = 1.0) -> Tensor:
    """W (B, D, D) of x (B, D, l): how much channel k complements channel i; each row sums to one.

    In float32 for half types. Negative ``scale`` prefers channels that are alike.
    """
    x = raised(x)
    with full_precision(x):
        return torch.softmax(-scale * (x @ x.mT), 2)  # Eq. 2


def self_channel_interaction(x: Tensor, scale: float = 1.0) -> Tensor:
    """Y (B, D, l) of x (B, D, l), without holding W where no gradient is wanted. In float32 for half types.

    Only in a program that ``torch.export`` or ``torch.compile`` makes of it does W stand as a whole.
    """
    columns = raised(x).mT
    return mix(columns, columns, scale=scale, lower=lower_type(x)).values.mT  # Eq. 1


class Mixed(NamedTuple):
    """W times some columns: ``values`` (B, k, D); and W itself, if it was kept, in blocks of rows (B, rows, D).

    ``ports`` are the same rows of W once more, but as zeros that take no memory: who works with a block and wants its
    gradient to reach X gives it to the block's port. Their type is the one that such a gradient may be given in.
    ``whole`` is W (B, D, D) in place of blocks and ports, in a program that is compiled.
    """

    values: Tensor
    blocks: tuple[Tensor, ...] = ()
    ports: tuple[Tensor, ...] = ()
    whole: Tensor | None = None


def mix(x: Tensor, columns: Tensor, *, scale: float, lower: torch.dtype | None = None, keep: bool = False) -> Mixed:
    """W of x (B, l, D) times ``columns`` (B, k, D), channels last throughout; neither is a half type.

    Args:
        x: what W is made of.
        columns: what W mixes.
        scale: as in ``channel_weights``.
        lower: the half type that products of the backward pass may be taken in, None for that of ``x``.
        keep: give W, even where no gradient is wanted.
    """
    with full_precision(x):
        if torch.compiler.is_compiling():
            w = channel_weights(x.mT, scale)
            return Mixed(columns @ w.mT, whole=w)
        keep = keep or (torch.is_grad_enabled() and (x.requires_grad or columns.requires_grad))
        made: Any = _Mix.apply(x.contiguous(), columns.contiguous(), scale, lower, keep)
        count = len(made) // 2
        return Mixed(made[0], made[1 : count + 1], made[count + 1 :])


def row_slices(channels: int) -> list[slice]:
    """The blocks of rows that W (D, D) is worked in."""
    rows = max(1, _TILE // channels)
    return [slice(start, min(start + rows, channels)) for start in range(0, channels, rows)]


def image_slices(count: int, like: Tensor) -> Iterator[slice]:
    """The images that are worked at a time: on a processor as many as it has threads, else many; an even number."""
    step = 2 * -(-torch.get_num_threads() // 2) if like.device.type == "cpu" else 64
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


class _Mix(torch.autograd.Function):
    """W V of X, by blocks of rows of W."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, v: Tensor, scale: float, lower: torch.dtype | None, keep: bool) -> Any:
        values, all_rows = torch.empty_like(v), row_slices(x.shape[2])
        shapes = [(len(x), rows.stop - rows.start, x.shape[2]) for rows in all_rows]
        blocks = [x.new_empty(shape, dtype=lower or x.dtype) for shape in shapes if keep]
        for some in image_slices(len(x), x):
            part, negative, columns = x[some], (-scale * x[some]).mT, v[some]
            for number, rows in enumerate(all_rows):
                weights = torch.softmax(torch.bmm(negative[:, rows], part), 2)
                values[some, :, rows] = torch.bmm(columns, weights.mT)
                if keep:
                    blocks[number][some] = weights
        ports = [x.new_zeros((), dtype=_product_type(x, lower)).expand(block.shape) for block in blocks]
        ctx.save_for_backward(x, v, values, *blocks)
        ctx.mark_non_differentiable(*blocks)
        ctx.set_materialize_grads(False)
        ctx.scale, ctx.lower = scale, lower
        return values, *blocks, *ports

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, v, values, *blocks = ctx.saved_tensors
        g = torch.zeros_like(v) if gradients[0] is None else gradients[0].contiguous()
        into_x, into_v, kind = torch.zeros_like(x), torch.zeros_like(v), _product_type(x, ctx.lower)
        with full_precision(x):
            # a row of W sums to one, so V may be moved: less its mean, little is lost where a row's mean is taken off
            middle = v.mean(2, keepdim=True)
            # a row's sum of W dW is dO . O, so that one product gives dW less that sum
            left = torch.cat([g, -(g * (values - middle)).sum(1, keepdim=True)], 1).to(kind)
            right = torch.cat([v - middle, torch.ones_like(v[:, :1])], 1).to(kind)
            narrow, of_values = x.to(kind), left[:, :-1]
            ports, all_rows = gradients[len(blocks) + 1 :], row_slices(x.shape[2])
            for some in image_slices(len(x), x):
                part, columns, of_part, into = narrow[some], right[some, :-1], of_values[some], into_x[some]
                for rows, block, port in zip(all_rows, blocks, ports, strict=True):
                    weights = block[some].to(kind)
                    into_v[some] += torch.bmm(of_part[:, :, rows], weights)
                    if port is None:
                        logits = torch.bmm(left[some, :, rows].mT, right[some]).mul_(weights)
                    else:
                        of_weights = torch.baddbmm(port[some], of_part[:, :, rows].mT, columns)
                        logits = torch.ops.aten._softmax_backward_data(of_weights, weights, 2, kind)
                    into[:, :, rows] += torch.bmm(part, logits.mT)
                    into += torch.bmm(part[:, :, rows], logits)
        return into_x.mul_(-ctx.scale), into_v, None, None, None


def _product_type(x: Tensor, lower: torch.dtype | None) -> torch.dtype:
    """The type for gradients of W and of logits: float16 would lose them, as they are tiny."""
    return torch.bfloat16 if lower == torch.bfloat16 else x.dtype


def window_averages(maps: Tensor) -> Tensor:
    """The (9, l) sums over what each tap of a 3x3 convolution sees of maps (B, D, h, w) with zeros around, over l."""

    def taps(count: int) -> Tensor:
        seen = torch.ones(3, count, dtype=raised(maps[:0]).dtype, device=maps.device)
        seen[0, -1:], seen[2, :1] = 0, 0
        return seen

    height, width = taps(maps.shape[2]), taps(maps.shape[3])
    return (height[:, None, :, None] * width[None, :, None, :]).reshape(9, -1) / (maps.shape[2] * maps.shape[3])


class Windows(NamedTuple):
    """What the pooled layers need of some maps: the window ``averages`` (B, 9, D) of X, and W times them.

    The fifth window is the whole map. ``weight`` is phi's, in the type that its products are taken in; ``uses``
    lets two uses of phi work out its gradient together.
    """

    averages: Tensor
    mixed: Mixed
    weight: Tensor
    uses: Uses


class Interaction(NamedTuple):
    """What the layer says of ``maps`` (B, D, h, w): their windows with W, and ``pooled`` (B, D), the average of Z."""

    layer: "SelfChannelInteraction"
    maps: Tensor
    windows: Windows
    pooled: Tensor


class SelfChannelInteraction(nn.Module):
    """The SCI layer, a neck: (B, D, h, w) to the same shape.

    Args:
        channels: D.
        scale: of X X^T; -1 is the paper's "Pos-SCI".
    """

    rate: ClassVar[float] = 0.1
    """Of the head's learning rate, which phi's sums over nine times D channels do not survive."""

    def __init__(self, channels: int, scale: float = 1.0) -> None:
        super().__init__()
        if not math.isfinite(scale) or scale == 0:
            raise UserError(f"SelfChannelInteraction(scale={scale}): the scale is a number other than 0")
        self.phi = nn.Linear(9 * channels, channels)
        """A 3x3 convolution as the linear layer that it is on its nine taps: the weight is (D, 3, 3, D), flattened."""
        self.scale = scale

    def forward(self, maps: Tensor) -> Tensor:
        """Z."""
        y = self_channel_interaction(maps.flatten(2), self.scale).reshape(maps.shape)
        return self.convolved(y) + maps  # Eq. 3

    def convolved(self, y: Tensor) -> Tensor:
        """phi(Y) of Y (N, D, h, w), in the type of phi's weight."""
        weight = self.phi.weight.view(y.shape[1], 3, 3, -1).permute(0, 3, 1, 2)
        return F.conv2d(y.to(weight.dtype), weight, self.phi.bias, padding=1)

    def pooled(self, maps: Tensor) -> Tensor:
        """The average (B, D) of Z over the positions; for half types in float32, unless the layer is in one itself."""
        return self._interaction(maps, keep=False).pooled

    def interact(self, maps: Tensor) -> Interaction:
        """What ``ContrastiveChannelInteraction`` reads of maps (B, D, h, w), W kept."""
        return self._interaction(maps, keep=True)

    def _interaction(self, maps: Tensor, *, keep: bool) -> Interaction:
        seen = self._windows(maps, keep=keep)
        pooled = self.averaged(seen, seen.averages[:, 4], seen.mixed.values).to(self.phi.weight.dtype)
        return Interaction(self, maps, seen, pooled)

    def averaged(self, seen: Windows, x: Tensor, y: Tensor) -> Tensor:
        """The average (N, D) of phi(Y) + X, from the average x (N, D) of X and the window averages y (N, 9, D) of Y."""
        with full_precision(x):
            if torch.compiler.is_compiling():
                return x + raised(self.phi(suited(y.flatten(1), self.phi)))
            return x + seen.uses.product(y.flatten(1), self.phi.weight, seen.weight) + self.phi.bias  # Eq. 3

    def _windows(self, maps: Tensor, *, keep: bool) -> Windows:
        x, lower, weight = raised(maps.flatten(2)).mT.contiguous(), lower_type(maps), self.phi.weight.detach()
        with full_precision(x):
            averages = window_averages(maps) @ x
        if torch.is_grad_enabled():
            weight = weight.to(_product_type(weight, lower))
        return Windows(averages, mix(x, averages, scale=self.scale, lower=lower, keep=keep), weight, Uses())
