"""Logits of photographs: the same code for validation, evaluation and prediction."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from fieldmark.contract import Method
from fieldmark.data.loading import Photographs, inference_batches


class Logits(NamedTuple):
    """``values`` float32 (N, C) in the order of the photos; ``damaged`` a line for each index that has no true row."""

    values: np.ndarray
    damaged: dict[int, str]


def stream(
    function: Callable[[torch.Tensor], torch.Tensor], photos: Photographs, *, method: Method, size: int, workers: int
) -> Iterator[Logits]:
    """What ``function`` gives for normalised images, batch by batch, in order and in float32.

    Args:
        function: (B, 3, S, S) to (B, K).
        photos: as evaluation sees them.
        method: gives device and pixel statistics.
        size: images a batch.
        workers: processes that read ahead.
    """
    backbone = method.classifier.backbone
    device = backbone.mean.device
    for batch in inference_batches(photos, size=size, workers=workers):
        with torch.inference_mode():
            values = function(backbone.normalise(batch.pixels.to(device, non_blocking=True)))
        yield Logits(values.float().cpu().numpy(), dict(batch.damaged))


def infer(
    function: Callable[[torch.Tensor], torch.Tensor],
    photos: Photographs,
    *,
    method: Method,
    size: int = 32,
    workers: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Logits:
    """All of ``stream`` in one array, with the module in eval mode; ``progress`` is told the photos done."""
    values: list[np.ndarray] = []
    damaged: dict[int, str] = {}
    with in_eval_mode(method):
        for part in stream(function, photos, method=method, size=size, workers=workers):
            values.append(part.values)
            damaged |= part.damaged
            if progress:
                progress(len(part.values))
    return Logits(np.concatenate(values) if values else np.zeros((0, 0), np.float32), damaged)


class in_eval_mode:
    """Puts a module in eval mode and back."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.before = module, module.training

    def __enter__(self) -> None:
        """Eval mode."""
        self.module.eval()

    def __exit__(self, *_: object) -> None:
        """As it was."""
        self.module.train(self.before)
