"""Maxima over channels of maps, whose gradients go to the winners alone: PyTorch's own take several times the memory.

Groups are neighbouring channels, given by their sizes.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fieldmark.errors import UserError

_RESIDUES = 32
"""Channels are folded to this number before the winner is searched; about the square root of a usual number."""


class Run(NamedTuple):
    """Neighbouring groups with equally many channels: ``number`` groups of ``size``, from channel ``first`` on."""

    first: int
    number: int
    size: int

    def channels_of(self, tensor: Tensor, dim: int) -> Tensor:
        """The run's part of the channels along ``dim``, as two dimensions (number, size) in its place; a view."""
        return tensor.narrow(dim, self.first, self.number * self.size).unflatten(dim, (self.number, self.size))


def runs(groups: Sequence[int]) -> Iterator[Run]:
    """The groups in runs of equal size, in their order."""
    first = 0
    for size, equal in groupby(groups):
        run = Run(first, len(list(equal)), size)
        first += run.number * size
        yield run


def group_maximum(maps: Tensor, groups: Sequence[int], keep: Tensor | None = None) -> Tensor:
    """The maximum over each group's channels: (B, N, l) to (B, c, l); where ``keep`` (N,) is False a channel is 0.

    Raises:
        UserError: the groups do not add up to N.
    """
    if sum(groups) != maps.shape[1]:
        raise UserError(f"groups of {sum(groups)} channels do not fit maps of {maps.shape[1]}")
    return _GroupMaximum.apply(maps, keep, tuple(groups))[0]  # pyright: ignore[reportReturnType, reportIndexIssue]


class _GroupMaximum(torch.autograd.Function):
    """``group_maximum``, and the winners."""

    @staticmethod
    def forward(maps: Tensor, keep: Tensor | None, groups: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        masked = maps if keep is None else maps * keep[:, None]
        values, winners = [], []
        for run in runs(groups):
            value, winner = run.channels_of(masked, 1).max(2)
            starts = torch.arange(run.first, run.first + run.number * run.size, run.size, device=maps.device)
            values.append(value)
            winners.append(winner + starts[:, None])
        return torch.cat(values, 1), torch.cat(winners, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor | None, tuple[int, ...]], output: Any) -> None:
        maps, keep, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1], keep)
        ctx.layout = torch.empty_like(maps, device="meta")  # shape and order in memory, without the memory

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        winners, keep = ctx.saved_tensors
        share = grads[0] if keep is None else grads[0] * keep.take(winners)
        gradient = torch.zeros_like(ctx.layout, dtype=share.dtype, device=share.device)
        return gradient.scatter_(1, winners, share), None, None


def weighted_maximum(values: Tensor, weights: Tensor) -> Tensor:
    """The maximum over channels of weight times value: (B, N, l) and (c, N) to (B, c, l); no gradient to weights.

    B * c * N * l products are made in pieces and never held at once.
    """
    return _WeightedMaximum.apply(values, weights.detach().to(values.dtype))  # pyright: ignore[reportReturnType]


class _WeightedMaximum(torch.autograd.Function):
    """``weighted_maximum``; what backward needs is the winners, (B, c, l)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weights: Tensor) -> Tensor:
        (images, channels, positions), classes = values.shape, len(weights)
        spare = -channels % _RESIDUES  # the last channel again, so that the number can be folded
        repeat = torch.arange(channels + spare, device=values.device).clamp_max(channels - 1)
        rows = values.transpose(1, 2).reshape(-1, channels)
        rows, weights = (part.index_select(1, repeat) if spare else part for part in (rows, weights))
        piece = 2**19 if values.device.type == "cpu" else 2**26  # a core's cache; a GPU needs more at once
        pieces = [_winners(part, weights) for part in rows.split(max(1, piece // weights.numel()))]
        flat = (torch.cat(part).view(images, positions, classes) for part in zip(*pieces, strict=True))
        best, winners = (part.transpose(1, 2) for part in flat)
        ctx.save_for_backward(winners.clamp_max(channels - 1), weights.expand(images, -1, -1).gather(2, winners))
        ctx.shape = values.shape
        return best

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        winners, weights = ctx.saved_tensors
        return grads[0].new_zeros(ctx.shape).scatter_add_(1, winners, grads[0] * weights), None


def _winners(rows: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The largest product a row and class, and its channel: (p, N) and (c, N) to twice (p, c).

    ``max`` with indices over all N would be several times as slow: first which residue, then which channel of it.
    """
    residue = (rows[:, None] * weights).unflatten(2, (-1, _RESIDUES)).amax(2).max(2).indices
    steps = torch.arange(0, weights.shape[1], _RESIDUES, device=rows.device)
    candidates = residue[..., None] + steps  # (p, c, N / residues)
    of_rows = rows.gather(1, candidates.flatten(1)).view_as(candidates)
    best, place = (of_rows * weights.expand(len(rows), -1, -1).gather(2, candidates)).max(2)
    return best, place * _RESIDUES + residue
