"""Channel Interaction Networks for Fine-Grained Image Categorization: what one image mixes and another does not.

Gao, Han, Wang, Huang, Scott. AAAI 2020. arXiv:2003.05235. The term that is made of it is in ``channel_interaction.py``.

Equations
    Eq. 5   contrast_weights   W_AB = |W_A - eta W_B|: what one image mixes and the other does not

Paper and released code
    No code of the authors was found. The operations that the paper tried in place of the difference are W_A + eta W_B
    ("add"), W_A * eta W_B by elements ("multiply") and [W_A, eta W_B] applied to the channels of both images,
    [X_A; X_B] ("concatenate"; applied to X_A twice it would be the sum). "none" is the paper's "SCI + Cont": eta =
    gamma = 0.
"""
# The work is as for ``SelfChannelInteraction.pooled``: by tiles of W_AB, from the W that the neck kept. No more than a
# tile of W_AB is ever held. Where W was kept in bfloat16, the forward pass widens a tile of it (an eta of eight bits
# would move all of W_AB), and the backward pass does not.

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision
from fieldmark.papers.channel_interaction.interaction import Mixed, image_slices, row_slices

Operation = Literal["subtract", "add", "multiply", "concatenate", "none"]


def contrast_weights(w_a: Tensor, w_b: Tensor, eta: Tensor, operation: Operation = "subtract") -> Tensor:
    """W_AB (P, D, D) of w_a, w_b (P, D, D) and eta (P,); (P, D, 2 D) for "concatenate".

    Also of some of the rows alone: (P, rows, D).

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
    mixed: Mixed, columns: Tensor, eta: Tensor, images: Tensor, operation: Operation, *, once: bool = False
) -> Tensor:
    """W_AB V_A and W_BA V_B of pairs of images, (2 P, k, D), without holding W_AB.

    Args:
        mixed: W of the images, kept.
        columns: V, (B, k, D); X itself, or sums of its columns.
        eta: (2 P,), eta of the first image of each pair and gamma of the second.
        images: (2 P,) long, the two of a pair are neighbours.
        operation: as in ``contrast_weights``; for "concatenate" W_A V_A + eta W_B V_B.
        once: promises that no image comes twice, and all do but one at most, which saves time.
    """
    if mixed.whole is not None:  # in a compiled program, whose gradients are the compiler's
        own, v = mixed.whole[images], columns[images]
        v = torch.cat([v, swapped(v)], 2) if operation == "concatenate" else v
        return v @ contrast_weights(own, swapped(own), eta, operation).mT
    kept = (*mixed.blocks, *mixed.ports)
    if operation != "concatenate":
        return _Contrast.apply(columns, eta, images, operation, once, *kept)  # pyright: ignore[reportReturnType]
    own: Any = _Contrast.apply(columns, eta, images, "none", once, *kept)
    return own + eta[:, None, None] * swapped(own)


def swapped(rows: Tensor) -> Tensor:
    """(2 P, ...) in which the two images of each pair, neighbours, changed places."""
    return rows.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def _less_other(rows: Tensor, eta: Tensor) -> Tensor:
    """a - eta_a b and b - eta_b a for neighbours a, b of ``rows`` (2 n, ...), in one pass over memory."""
    a, b, result = rows[::2], rows[1::2], torch.empty_like(rows)
    torch.addcmul(a, b, eta[::2, None, None], value=-1, out=result[::2])
    torch.addcmul(b, a, eta[1::2, None, None], value=-1, out=result[1::2])
    return result


class _Contrast(torch.autograd.Function):
    """``contrasted``, but for "concatenate"; ``kept`` are the blocks and the ports of W."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, eta: Tensor, images: Tensor, operation: Operation, once: bool, *kept: Tensor
    ) -> Tensor:
        blocks, columns = kept[: len(kept) // 2], v.index_select(0, images)
        values, all_rows = torch.empty_like(columns), row_slices(v.shape[2])
        for some in image_slices(len(images), v):
            chosen, factor, part = images[some], eta[some], columns[some]
            for rows, block in zip(all_rows, blocks, strict=True):
                own = block.index_select(0, chosen).to(v.dtype)
                if operation == "subtract":
                    contrast = _less_other(own, factor).abs_()
                else:
                    contrast = contrast_weights(own, swapped(own), factor, operation)
                values[some, :, rows] = torch.bmm(part, contrast.mT)
        ctx.save_for_backward(v, eta, images, *blocks)
        ctx.operation, ctx.kind, ctx.once = operation, kept[-1].dtype, once
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (v, eta, images, *blocks), kind = ctx.saved_tensors, ctx.kind
        g, factors, columns = gradients[0].to(kind).contiguous(), eta.to(kind), v.index_select(0, images).to(kind)
        gradients_of = _subtract_gradients if ctx.operation == "subtract" else _other_gradients
        of_columns, of_eta = v.new_zeros(columns.shape), torch.zeros_like(eta)
        of_ports, all_rows = _Ports(blocks, images, kind, once=ctx.once), row_slices(v.shape[2])
        with full_precision(v):
            for some in image_slices(len(images), v):
                chosen, factor, part, of_values = images[some], factors[some], columns[some], g[some]
                for number, (rows, block) in enumerate(zip(all_rows, blocks, strict=True)):
                    own = block.index_select(0, chosen).to(kind)
                    of_contrast = torch.bmm(of_values[:, :, rows].mT, part)
                    contrast, of_own, of_factor = gradients_of(own, factor, of_contrast, ctx.operation)
                    of_columns[some] += torch.bmm(of_values[:, :, rows], contrast)
                    of_eta[some] += of_factor
                    of_ports.add(number, some, of_own)
        of_v = torch.zeros_like(v).index_add_(0, images, of_columns)
        return of_v, of_eta, None, None, None, *[None] * len(blocks), *of_ports.finished()


class _Ports:
    """The gradients of W's blocks, from those of the images of the pairs."""

    def __init__(self, blocks: list[Tensor], images: Tensor, kind: torch.dtype, *, once: bool) -> None:
        self.images, self.once = images, once
        make = torch.empty_like if once else torch.zeros_like
        self.sums = [make(block, dtype=kind) for block in blocks]

    def add(self, block: int, some: slice, values: Tensor) -> None:
        """Of the images ``some``, in pairs' order; each that comes once has its place and is not summed."""
        if self.once:
            self.sums[block][some] = values
        else:
            self.sums[block].index_add_(0, self.images[some], values)

    def finished(self) -> list[Tensor]:
        """In the order of the batch."""
        if not self.once:
            return self.sums
        count = len(self.images)
        # an odd image has the place behind the pairs
        places = self.images.new_full((len(self.sums[0]),), count)
        places.index_copy_(0, self.images, torch.arange(count, device=places.device))
        for block in self.sums:
            block[count:] = 0
        return [block.index_select(0, places) for block in self.sums]


def _subtract_gradients(own: Tensor, eta: Tensor, gradient: Tensor, _: Operation) -> tuple[Tensor, Tensor, Tensor]:
    """As ``_other_gradients`` for |own - eta other|, in few passes over little memory."""
    difference = _less_other(own, eta)
    # the slope of |x| below 0 is -1, and at 0, where it has none, too
    gradient = torch.ops.aten.leaky_relu_backward(gradient, difference, -1.0, False)
    of_own = _less_other(gradient, swapped(eta))
    of_eta = -gradient.mul_(swapped(own)).sum((1, 2), dtype=torch.promote_types(eta.dtype, torch.float32))
    return difference.abs_(), of_own, of_eta


def _other_gradients(own: Tensor, eta: Tensor, gradient: Tensor, operation: Operation) -> tuple[Tensor, Tensor, Tensor]:
    """The contrast (2 n, rows, D) of the weights ``own``, and what its gradient is for them and for eta (2 n,)."""
    with torch.enable_grad():
        own, other = own.detach().requires_grad_(), swapped(own.detach()).requires_grad_()
        eta = eta.detach().requires_grad_()
        contrast = contrast_weights(own, other, eta, operation)
    found = torch.autograd.grad(contrast, (own, other, eta), gradient, allow_unused=True, materialize_grads=True)
    return contrast.detach(), found[0] + swapped(found[1]), found[2]
