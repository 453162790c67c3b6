"""Pairing maths that several papers share. Index arithmetic only: nothing is read back to the host."""

import torch
from torch import Tensor


def halves(count: int, *, order: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """The two halves of a batch, zipped: two (count // 2,) index tensors; an odd image is left over.

    Args:
        count: B, images in the batch.
        order: (B,) long, a permutation applied first, or None.
        like: gives the device.
    """
    order = torch.arange(count, device=like.device) if order is None else order
    pairs = count // 2
    return order[:pairs], order[pairs : 2 * pairs]
