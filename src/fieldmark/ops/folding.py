"""Batch norms at fixed statistics, computed by the convolutions before them.

Where its statistics rest, a batch norm multiplies each channel by a number and adds another. The convolution whose
output it alone reads can do both: its weight is multiplied and its bias moved, at each step anew, so that weight, gamma
and beta get their exact gradients. That saves a pass over the maps, two over their gradients, and the memory of the
norm's input. Names, parameters and statistics stay where they are; ``unfold`` gives the modules their own ``forward``
back.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fieldmark.ops.depthwise import DepthwiseConv2d
from fieldmark.ops.precision import convolution, lower_type
from fieldmark.ops.zoo import BatchNormAct2d, Conv2dSame, pad_same

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]
_CONVOLUTIONS, _NORMS = (nn.Conv2d, Conv2dSame, DepthwiseConv2d), (nn.BatchNorm2d, BatchNormAct2d)
_PAYING = 8
"""A norm passes over the maps of a batch, folding it over the weight: where that has more numbers per channel than this
many times the positions of a map, folding is the slower way with ResNet-50 and batches of 16."""


class _Calls(TorchDispatchMode):
    """Keeps which tensors each of PyTorch's operations reads, and what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[list[Tensor], Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.calls.append(([leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)], result))
        return result


@torch.no_grad()
def foldable(network: nn.Module, images: Tensor, *, resting: Iterable[nn.Module]) -> list[Pair]:
    """The convolutions whose output a batch norm among ``resting`` reads, and nothing else, each with that norm.

    They are found in a forward pass of ``images`` through the network, which is in eval mode. Modules that run twice,
    or whose class may compute something else, are left out, and so are those that it would not pay to fold.
    """
    norms = {m.running_mean: m for m in resting if isinstance(m, nn.BatchNorm2d) and type(m) in _NORMS and m.affine}
    convs = {m.weight: m for m in network.modules() if isinstance(m, nn.Conv2d) and _is_plain(m)}
    if not norms:
        return []
    with _Calls() as log:
        network(images)
    readers = Counter(tensor for read, _ in log.calls for tensor in set(read))
    outputs = {result: convs[t] for read, result in log.calls for t in read if t in convs and readers[t] == 1}
    normed = [(read[0], norms[t]) for read, _ in log.calls for t in read if t in norms and readers[t] == 1]
    pairs = [(maps, outputs[maps], norm) for maps, norm in normed if maps in outputs and readers[maps] == 1]
    return [(conv, norm) for maps, conv, norm in pairs if conv.weight[0].numel() <= _PAYING * maps[0, 0].numel()]


def _is_plain(conv: nn.Conv2d) -> bool:
    return type(conv) in _CONVOLUTIONS and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Lets the convolution compute the norm, which must be in eval mode, and the norm its activation alone."""
    conv.forward = partial(_convolved, conv, norm)
    norm.forward = partial(_activated, norm)


def unfold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Undoes ``fold``, if it was done."""
    for module in (conv, norm):
        vars(module).pop("forward", None)


def _convolved(conv: nn.Conv2d, norm: nn.BatchNorm2d, input: Tensor) -> Tensor:
    """The norm of the convolution's output."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight * (variance + norm.eps).rsqrt()
    bias = torch.addcmul(norm.bias, mean if conv.bias is None else mean - conv.bias, scale, value=-1)
    weight = conv.weight * scale.view(-1, 1, 1, 1)
    if isinstance(conv, DepthwiseConv2d):
        return conv._conv_forward(input, weight, bias)
    if isinstance(conv, Conv2dSame):
        input = pad_same(input, list(conv.kernel_size), list(conv.stride), list(conv.dilation))
    kind = lower_type(input) or input.dtype
    return convolution(input.to(kind), weight.to(kind), bias, conv)


def _activated(norm: nn.BatchNorm2d, input: Tensor) -> Tensor:
    """What follows inside timm's norms, dropping and activation; nothing does in PyTorch's."""
    for module in norm.children():
        input = module(input)
    return input
