"""Half precision: raised to float32 for exponentials, sums and positions, lowered for layers in half precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
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
