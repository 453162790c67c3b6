"""Half precision: raised for exponentials, sums and positions, kept from biases, lowered for layers in that type."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_HALF = (torch.float16, torch.bfloat16)


def raised(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 unchanged."""
    return values if values.dtype == torch.float64 else values.float()


def suited(values: Tensor, layer: nn.Module) -> Tensor:
    """``values`` in the type of a layer's weights if these are in half precision; else unchanged.

    For ``raised`` values before such a layer; automatic mixed precision keeps weights in float32.
    """
    weight = next(layer.parameters(), None)
    return values.to(weight.dtype) if weight is not None and weight.dtype in _HALF else values


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Inside, products on the device of ``like`` are not lowered to half precision."""
    device = like.device.type
    # only where it changes something, so that it leaves no trace in an exported program
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def lower_type(like: Tensor) -> torch.dtype | None:
    """The half type for products with ``like``: its own or that of automatic mixed precision; None if neither."""
    if like.dtype in _HALF:
        return like.dtype
    mixed = like.dtype != torch.float64 and torch.is_autocast_enabled(like.device.type)
    return torch.get_autocast_dtype(like.device.type) if mixed else None


def has_onednn_bf16() -> bool:
    """Whether oneDNN computes bfloat16 on this processor; PyTorch for Apple's and other ARM processors may lack it."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def convolution(images: Tensor, weight: Tensor, bias: Tensor | None, layer: nn.Conv2d) -> Tensor:
    """A layer's convolution, padded with zeros, with another weight and a bias that may be of a better type.

    PyTorch rounds the bias to a half type, which moves a channel by the same amount at all positions. The library that
    computes bfloat16 on processors takes it as it is; elsewhere it is rounded.
    """
    assert not isinstance(layer.padding, str)
    if bias is not None and bias.dtype != images.dtype:
        native = images.dtype == torch.bfloat16 and images.device.type == "cpu" and not torch.compiler.is_compiling()
        if native and has_onednn_bf16():
            geometry = layer.padding, layer.stride, layer.dilation
            return torch.mkldnn_convolution(images, weight, bias, *geometry, layer.groups)
        bias = bias.to(images.dtype)
    return F.conv2d(images, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
