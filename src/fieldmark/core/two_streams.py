"""Two networks side by side, whose maps are the channels of one backbone (Bilinear CNN, Lin et al., ICCV 2015)."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fieldmark.core.backbone import Backbone
from fieldmark.errors import UserError

PLUS = "+"


class TwoStreams(nn.Module):
    """Images normalised for the first network (B, 3, H, W) to the maps of both (B, D1 + D2, h, w).

    ``h`` and ``w`` are those of the first network's maps; where the second's are others, they are resized to them.
    """

    def __init__(self, first: Backbone, second: Backbone) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, images: Tensor) -> Tensor:
        """The first network's channels before the second's."""
        left = self.first(images)
        scale, shift = (value.view(-1, 1, 1) for value in self._change())
        right = self.second(images * scale.to(images.dtype) + shift.to(images.dtype))
        if right.shape[2:] != left.shape[2:]:
            right = F.interpolate(right, left.shape[2:], mode="area" if right.shape[2] > left.shape[2] else "bilinear")
        return torch.cat([left, right.to(left.dtype)], 1)

    def _change(self) -> tuple[Tensor, Tensor]:
        """What the second network's statistics make of numbers that the first's were taken off: a factor, a summand."""
        first, second = self.first, self.second
        return first.std / second.std, (first.mean - second.mean) / second.std


def joined(first: Backbone, second: Backbone, *, example: Tensor) -> Backbone:
    """A backbone of both; it has no stages, and the pixel statistics of the first."""
    statistics = (tuple(first.mean.tolist()), tuple(first.std.tolist()))
    note = "; ".join(filter(None, (first.note, second.note)))
    return Backbone(TwoStreams(first, second), example=example, statistics=statistics, first=first.channels, note=note)


def streams_of(name: str) -> list[str]:
    """The networks that a backbone's name joins: one, or two as in ``vgg16+resnet18``.

    Raises:
        UserError: more than two.
    """
    names = name.split(PLUS)
    if len(names) > 2 or ("" in names and len(names) == 2):
        raise UserError(f"--backbone {name}: name one network, or two with a + between them")
    return names


def sources_of(weights: str, names: Sequence[str], *, words: Sequence[str]) -> list[str] | None:
    """Where each network's weights come from; None where one file or run holds those of all.

    Args:
        weights: a word, a file or run, or two of these with a + between them.
        names: of the networks.
        words: what ``weights`` may be that is no path.
    """
    if weights in words:
        return [weights] * len(names)
    parts = weights.split(PLUS)
    if Path(weights).exists() or len(parts) != len(names):
        return [weights] if len(names) == 1 else None
    return parts


def located(weights: str, names: Sequence[str], *, words: Sequence[str]) -> str:
    """``weights`` with whole paths, which mean the same in any working folder; the rest is as for ``sources_of``."""
    sources = sources_of(weights, names, words=words)
    if weights in words or not weights:
        return weights
    return PLUS.join(each if each in words else os.path.abspath(each) for each in sources or [weights])
