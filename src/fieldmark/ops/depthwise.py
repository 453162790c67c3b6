"""Depthwise convolutions whose gradients are fast on the CPU.

PyTorch's depthwise kernels for the CPU are fast in the forward pass, but two of their gradients fall back to code tens
of times slower: the gradient of the input at stride 2, and that of a 5×5 weight. Both can be computed by fast kernels:
the first is a stride-1 convolution of the gradient with zeros between its positions, the second is four overlapping 3×3
gradients. The values are the same up to rounding; fine-tuning EfficientNet-Lite0 takes half the time. Forward passes
and other devices use PyTorch's own code; double backward is refused.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.ops.precision import convolution, lower_type
from fieldmark.ops.zoo import Conv2dSame, pad_same


def _gradient(gradient: Tensor, x: Tensor, weight: Tensor, *, stride: int, padding: int, of_input: bool) -> Tensor:
    """PyTorch's own gradient of a depthwise convolution, with respect to its input or its weight."""
    mask = [of_input, not of_input, False]
    both = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], weight.shape[0], mask
    )
    return both[0] if of_input else both[1]


def input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
    """With respect to x (B, D, H, W), given the gradient (B, D, h, w) of the output and the weight (D, 1, k, k)."""
    if stride == 1:
        return _gradient(gradient, x, weight, stride=1, padding=padding, of_input=True)
    size = weight.shape[-1]
    height, width = x.shape[2] + 2 * padding - size + 1, x.shape[3] + 2 * padding - size + 1
    spread = torch.zeros(*gradient.shape[:2], height, width, dtype=gradient.dtype, device=gradient.device)
    spread = spread.contiguous(memory_format=torch.channels_last)
    spread[:, :, ::stride, ::stride] = gradient
    return F.conv2d(spread, weight.flip(2, 3), padding=size - 1 - padding, groups=weight.shape[0])


def weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
    """With respect to the weight (D, 1, k, k), given the gradient (B, D, h, w) of the output and x (B, D, H, W)."""
    if weight.shape[-1] != 5:
        return _gradient(gradient, x, weight, stride=stride, padding=padding, of_input=False)
    padded = F.pad(x, (padding,) * 4) if padding else x
    height, width = (stride * (n - 1) + 3 for n in gradient.shape[2:])
    corner = weight[:, :, :3, :3].contiguous()
    result = torch.empty_like(weight)
    for top in (0, 2):  # taps 0-2 and 2-4 of each axis: the shared tap is written twice, with the same value
        for left in (0, 2):
            window = padded[:, :, top : top + height, left : left + width]
            part = _gradient(gradient, window, corner, stride=stride, padding=0, of_input=False)
            result[:, :, top : top + 3, left : left + 3] = part
    return result


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution with the gradients above."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, layer: nn.Conv2d) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = {"stride": layer.stride[0], "padding": layer.padding[0]}
        return convolution(x, weight, bias, layer)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        for_x = input_gradient(gradient, x, weight, **ctx.geometry) if ctx.needs_input_grad[0] else None
        for_weight = weight_gradient(gradient, x, weight, **ctx.geometry) if ctx.needs_input_grad[1] else None
        for_bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        return for_x, for_weight, for_bias, None


class DepthwiseConv2d(nn.Conv2d):
    """Replaces a square, undilated depthwise ``nn.Conv2d`` without bias and shares its parameter.

    Args:
        original: the convolution to replace.
        same: whether the original pads by its input's size, as TensorFlow's "SAME" does.
    """

    def __init__(self, original: nn.Conv2d, *, same: bool) -> None:
        super().__init__(
            original.in_channels,
            original.out_channels,
            (original.kernel_size[0], original.kernel_size[1]),
            stride=(original.stride[0], original.stride[1]),
            padding=0 if same else original.padding,  # pyright: ignore[reportArgumentType]
            groups=original.groups,
            bias=False,
        )
        self.weight = original.weight
        self.same = same

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution; PyTorch's own unless a gradient is needed on the CPU."""
        if self.same:
            input = pad_same(input, list(self.kernel_size), list(self.stride))
        kind = lower_type(input) or input.dtype
        input, weight = input.to(kind), weight.to(kind)
        if input.device.type != "cpu" or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return convolution(input, weight, bias, self)
        return _Depthwise.apply(input, weight, bias, self)  # pyright: ignore[reportReturnType]


def _replaceable(module: nn.Module) -> bool:
    return (
        type(module) in (nn.Conv2d, Conv2dSame)  # a subclass may compute something else (standardised weights)
        and isinstance(module, nn.Conv2d)
        and module.groups == module.in_channels == module.out_channels > 1
        and module.kernel_size[0] == module.kernel_size[1]
        and module.kernel_size[0] in (3, 5)
        and module.stride[0] == module.stride[1]
        and module.dilation == (1, 1)
        and module.bias is None
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.padding[0] == module.padding[1] < module.kernel_size[0]
    )


def with_fast_depthwise(network: nn.Module) -> nn.Module:
    """Replaces in place each depthwise convolution that ``DepthwiseConv2d`` supports; returns the network.

    Names and parameters stay the same, so weights load as before.
    """
    for name, module in list(network.named_modules()):
        if name and _replaceable(module):
            assert isinstance(module, nn.Conv2d)
            fast = DepthwiseConv2d(module, same=isinstance(module, Conv2dSame))
            network.set_submodule(name, fast)
    return network
