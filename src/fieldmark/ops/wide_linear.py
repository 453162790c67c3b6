"""A linear layer of few rows and a weight far larger than they are, applied twice to one batch.

The gradient of such a weight is as large as the weight, and most of the time of the layer: two uses make it together.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fieldmark.ops.precision import full_precision


class Uses:
    """The uses of one weight on one batch: every second leaves the factors of its gradient to the one before it."""

    def __init__(self) -> None:
        self._open: tuple[Tensor, list[Tensor]] | None = None

    def product(self, y: Tensor, weight: Tensor, narrow: Tensor) -> Tensor:
        """Y W^T, (N, M) of y (N, K) and the weight (M, K).

        Args:
            y: float32 or float64; the result has its type.
            weight: whose gradient is wanted.
            narrow: the weight without a gradient, or its copy in bfloat16; all products are taken in its type.
        """
        if self._open is not None:
            (port, left), self._open = self._open, None
            return _LaterLinear.apply(y, port, narrow, left)
        left: list[Tensor] = []
        product, port = _Linear.apply(y, weight, narrow, left)
        if torch.is_grad_enabled():
            self._open = (port, left)
        return product


class _Linear(torch.autograd.Function):
    """Y W^T, worked out transposed, as it is faster for few rows.

    Gives also a port: who has one leaves its gradient's factors in ``left`` before the port's gradient arrives here.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, weight: Tensor, narrow: Tensor, left: list[Tensor]) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(y, narrow)
        ctx.set_materialize_grads(False)
        ctx.left = left
        return _product(y, narrow), y.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (y, narrow), (g, of_port) = ctx.saved_tensors, gradients
        g = y.new_zeros(len(y), len(narrow)) if g is None else g.contiguous()
        with full_precision(g):
            of_y = _product(g, narrow.mT)
            if not ctx.needs_input_grad[1]:
                return of_y, None, None, None
            if of_port is not None:  # else what was left is of another pass
                g, y = torch.cat([g, ctx.left[0]]), torch.cat([y, ctx.left[1]])
            # rows that differ little are parted from their mean, which rounding to a half type would else take with it
            middle = y.sum(0, keepdim=True) / max(len(y), 1)
            g, y = torch.cat([g, g.sum(0, keepdim=True)]), torch.cat([y - middle, middle])
            of_weight = (g.to(narrow.dtype).mT @ y.to(narrow.dtype)).to(g.dtype)
            return of_y, of_weight, None, None


class _LaterLinear(torch.autograd.Function):
    """The same product once more, whose gradient of the weight ``_Linear`` works out with its own."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, port: Tensor, narrow: Tensor, left: list[Tensor]) -> Tensor:
        ctx.save_for_backward(y, narrow)
        ctx.left = left
        return _product(y, narrow)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (y, narrow), g = ctx.saved_tensors, gradients[0].contiguous()
        ctx.left[:] = g, y
        with full_precision(g):
            return _product(g, narrow.mT), g.new_zeros(()), None, None


def _product(y: Tensor, narrow: Tensor) -> Tensor:
    return (narrow @ y.mT.to(narrow.dtype)).mT.to(y.dtype)
