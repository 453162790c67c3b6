"""Cosines between embeddings and the classes' weights: what several losses of face recognition score by."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fieldmark.ops.precision import full_precision, raised


def directions(classes: int, width: int) -> nn.Parameter:
    """Weights (C, E) that are taken at length one, drawn from torch's generator: all directions equally likely."""
    return nn.Parameter(F.normalize(torch.randn(classes, width)))


def cosines(embedding: Tensor, weight: Tensor) -> Tensor:
    """Of the angles between embeddings (B, E) and weights (C, E): (B, C), in float32 or better; 0 for a zero vector."""
    embedding, weight = raised(embedding), raised(weight)
    with full_precision(embedding):
        return F.normalize(embedding, dim=1) @ F.normalize(weight.to(embedding.dtype), dim=1).T


def of_right_class(values: Tensor, labels: Tensor) -> Tensor:
    """(B,) of (B, C)."""
    return values.gather(1, labels[:, None])[:, 0]


def with_right_class(values: Tensor, labels: Tensor, replacement: Tensor) -> Tensor:
    """(B, C) with other values (B,) for the right classes."""
    return values.scatter(1, labels[:, None], replacement[:, None].to(values.dtype))
