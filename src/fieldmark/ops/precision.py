"""Half types: raised to float32 where exponentials, sums or positions need it, lowered for layers that are half."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

_HALF = (torch.float16, torch.bfloat16)


def raised(values: Tensor) -> Tensor:
    """Half types as float32; float32 and float64 as they are."""
    return values if values.dtype == torch.float64 else values.float()


def suited(values: Tensor, layer: nn.Module) -> Tensor:
    """``values`` as a layer takes them that is held in a half type: in that of its weights; else as they are.

    What was ``raised`` before such a layer goes through this; automatic mixed precision keeps weights in float32.
    """
    weight = next(layer.parameters(), None)
    return values.to(weight.dtype) if weight is not None and weight.dtype in _HALF else values


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Inside, products on the device of ``like`` are not lowered to half types."""
    device = like.device.type
    # only where it changes something, so that an exported program has no trace of it
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def lower_type(like: Tensor) -> torch.dtype | None:
    """The half type that products with ``like`` may be taken in: its own or automatic mixed precision's, or None."""
    if like.dtype in _HALF:
        return like.dtype
    mixed = like.dtype != torch.float64 and torch.is_autocast_enabled(like.device.type)
    return torch.get_autocast_dtype(like.device.type) if mixed else None
