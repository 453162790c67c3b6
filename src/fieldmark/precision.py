"""Half types: raised to float32 where exponentials, sums or positions need it; float64 is never lowered."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def raised(values: Tensor) -> Tensor:
    """Half types as float32; float32 and float64 as they are."""
    return values if values.dtype == torch.float64 else values.float()


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Inside, products on the device of ``like`` are not lowered to half types."""
    device = like.device.type
    # only where it changes something, so that an exported program has no trace of it
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def lower_type(like: Tensor) -> torch.dtype | None:
    """The half type that products with ``like`` may be taken in: its own or automatic mixed precision's, or None."""
    if like.dtype in (torch.float16, torch.bfloat16):
        return like.dtype
    mixed = like.dtype != torch.float64 and torch.is_autocast_enabled(like.device.type)
    return torch.get_autocast_dtype(like.device.type) if mixed else None


def raised_linear(layer: nn.Linear, rows: Tensor) -> Tensor:
    """A linear layer on rows (N, K) in their own precision, whatever that of its weights."""
    bias = None if layer.bias is None else layer.bias.to(rows.dtype)
    return F.linear(rows, layer.weight.to(rows.dtype), bias)
