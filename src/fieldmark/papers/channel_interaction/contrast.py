"""Channel Interaction Networks for Fine-Grained Image Categorization: what one image mixes and another does not.

Gao, Han, Wang, Huang, Scott. AAAI 2020. arXiv:2003.05235. The term that is made of it is in ``contrastive.py``.

Equations
    Eq. 5   contrast_weights   W_AB = |W_A - eta W_B|: what one image mixes and the other does not

Paper and released code
    No code of the authors was found. The operations that the paper tried in place of the difference are W_A + eta W_B
    ("add"), W_A * eta W_B by elements ("multiply") and [W_A, eta W_B] applied to the channels of both images,
    [X_A; X_B] ("concatenate"; applied to X_A twice it would be the sum). "none" is the paper's "SCI + Cont": eta =
    gamma = 0.

Working by pieces
    W_AB is as large as W, and autograd would keep it four times: as the product with eta, as the difference, as its
    absolute value, and as copies of W by pairs. So ``contrasted`` takes a few pairs at a time and keeps nothing of them
    but Y'. With V the windows of X (or X itself), for each piece of pairs (A, B),

        forward    W_AB = |W_A - eta W_B|      W_BA = |W_B - gamma W_A|
                   Y'_A = W_AB V_A             Y'_B = W_BA V_B
        backward   the same once more, now followed by autograd, which gives the piece's gradients of W_A, W_B, V_A,
                   V_B, eta and gamma from those of Y'_A and Y'_B; they are added into those of W and V.

    Under automatic mixed precision in bfloat16 the backward pass works in it, as it moves half the memory. The forward
    pass does not: an eta of eight bits would move all of W_AB. In float16 tiny gradients of W would be lost.

    Second derivatives are those of autograd on all pairs at once, W_AB kept.
"""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision
from fieldmark.papers.channel_interaction.interaction import weighted

Operation = Literal["subtract", "add", "multiply", "concatenate", "none"]

_PAIRS = 2
"""Pairs that are worked at a time."""


def contrast_weights(w_a: Tensor, w_b: Tensor, eta: Tensor, operation: Operation = "subtract") -> Tensor:
    """W_AB (P, D, D) of w_a, w_b (P, D, D) and eta (P,); (P, D, 2 D) for "concatenate".

    Raises:
        UserError: an operation that is none.
    """
    other = eta[:, None, None] * w_b
    match operation:
        case "subtract":
            return (w_a - other).abs()  # Eq. 5
        case "add":
            return w_a + other
        case "multiply":
            return w_a * other
        case "concatenate":
            return torch.cat([w_a, other], 2)
        case "none":
            return w_a
    raise UserError(f"contrast_weights({operation!r}): choose {', '.join(map(repr, get_args(Operation)))}")


def contrasted(
    weights: Tensor, rows: Tensor, eta: Tensor, pairs: Tensor, *, operation: Operation, lower: torch.dtype
) -> Tensor:
    """W_AB V_A and W_BA V_B of pairs of images: (2, P, k, D).

    Args:
        weights: W (B, D, D).
        rows: V (B, k, D), X with its channels last or windows of it.
        eta: (2, P), eta and gamma.
        pairs: (2, P) long, the images A and B.
        operation: as in ``contrast_weights``; for "concatenate" W_A V_A + eta W_B V_B.
        lower: the type that products with the maps are taken in.
    """
    if torch.compiler.is_compiling():  # the compiler makes its own choice of what to keep
        return _of_pairs(operation, *_by_image(weights, rows, pairs), *eta)
    kind = torch.bfloat16 if lower == torch.bfloat16 else weights.dtype
    return _Contrasted.apply(weights, rows, eta, pairs, operation, kind)  # pyright: ignore[reportReturnType]


def _by_image(weights: Tensor, rows: Tensor, pairs: Tensor) -> list[Tensor]:
    """W_A, W_B, V_A and V_B of pairs (2, P) of images."""
    return [values.index_select(0, images) for values in (weights, rows) for images in pairs]


def _of_pairs(
    operation: Operation, w_a: Tensor, w_b: Tensor, v_a: Tensor, v_b: Tensor, eta: Tensor, gamma: Tensor
) -> Tensor:
    """Y'_A and Y'_B, (2, P, k, D), of the weights (P, D, D), the rows (P, k, D), eta and gamma (P,)."""
    w_ab, w_ba = contrast_weights(w_a, w_b, eta, operation), contrast_weights(w_b, w_a, gamma, operation)
    if operation == "concatenate":
        v_a, v_b = torch.cat([v_a, v_b], 2), torch.cat([v_b, v_a], 2)
    return torch.stack([weighted(v_a, w_ab), weighted(v_b, w_ba)])


class _Contrasted(torch.autograd.Function):
    """``_of_pairs`` for a few pairs at a time."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, rows: Tensor, eta: Tensor, pairs: Tensor, operation: Operation, kind: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(weights, rows, eta, pairs)
        ctx.operation, ctx.kind = operation, kind
        pieces = zip(pairs.split(_PAIRS, 1), eta.split(_PAIRS, 1), strict=True)
        return torch.cat([_of_pairs(operation, *_by_image(weights, rows, some), *e) for some, e in pieces], 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        *inputs, pairs = ctx.saved_tensors
        if torch.is_grad_enabled():  # second derivatives are wanted: all pairs at once, by autograd
            inputs = [part if part.requires_grad else part.detach().requires_grad_() for part in inputs]
            values = _of_pairs(ctx.operation, *_by_image(*inputs[:2], pairs), *inputs[2])
            return *_gradients(values, inputs, gradients[0], create_graph=True), None, None, None
        weights, rows, eta = inputs
        of_weights, of_rows, of_eta = (torch.zeros_like(part) for part in inputs)
        pieces = (part.split(_PAIRS, 1) for part in (pairs, eta, of_eta, gradients[0]))
        with full_precision(weights):
            for some, factors, of_factors, gradient in zip(*pieces, strict=True):
                leaves = [part.to(ctx.kind) for part in (*_by_image(weights, rows, some), *factors)]
                with torch.enable_grad():
                    leaves = [part.detach().requires_grad_() for part in leaves]
                    values = _of_pairs(ctx.operation, *leaves)
                w_a, w_b, v_a, v_b, *of_both = _gradients(values, leaves, gradient.to(ctx.kind))
                for images, of_w, of_v in ((some[0], w_a, v_a), (some[1], w_b, v_b)):
                    of_weights.index_add_(0, images, of_w.to(weights.dtype))
                    of_rows.index_add_(0, images, of_v.to(rows.dtype))
                of_factors.copy_(torch.stack(of_both))
        return of_weights, of_rows, of_eta, None, None, None


def _gradients(values: Tensor, inputs: list[Tensor], gradient: Tensor, *, create_graph: bool = False) -> Any:
    """Of each input; 0 where the operation leaves one out."""
    keep = {"allow_unused": True, "materialize_grads": True, "create_graph": create_graph}
    return torch.autograd.grad(values, inputs, gradient, **keep)
