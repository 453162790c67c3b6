"""Backbone ► neck ► pool ► head: the classifier that every method trains."""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from fieldmark.core.backbone import Backbone
from fieldmark.errors import UserError


class Features(NamedTuple):
    """Everything between the pixels and the scores, one row an image.

    ``maps`` (B, D, h, w) before the neck, ``refined`` (B, D', h, w) after it, ``embedding`` (B, E) pooled,
    ``logits`` (B, C). ``refined`` is None where nobody reads it and the neck can be pooled without it.
    """

    maps: Tensor
    refined: Tensor | None
    embedding: Tensor
    logits: Tensor


@runtime_checkable
class PooledNeck(Protocol):
    """A neck that knows a shorter way to the average of its output over the positions."""

    def pooled(self, maps: Tensor) -> Tensor:
        """(B, D, h, w) to (B, D'), equal to the average of ``forward`` up to rounding."""
        ...


class Average(nn.Module):
    """Global average pooling: (B, D, h, w) to (B, D)."""

    def forward(self, maps: Tensor) -> Tensor:
        """The mean over positions."""
        return maps.mean((2, 3))

    def width(self, channels: int) -> int:
        """E for D channels."""
        return channels


class Maximum(nn.Module):
    """Global max pooling: (B, D, h, w) to (B, D)."""

    def forward(self, maps: Tensor) -> Tensor:
        """The maximum over positions."""
        return maps.amax((2, 3))

    def width(self, channels: int) -> int:
        """E for D channels."""
        return channels


class Linear(nn.Linear):
    """The default head: (B, E) to (B, C), starting from zero so that the first step sees even probabilities."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class Classifier(nn.Module):
    """A backbone with what makes it a classifier.

    Args:
        backbone: normalised images (B, 3, H, W) to maps (B, D, h, w).
        neck: on maps, (B, D, h, w) to (B, D', h, w).
        pool: (B, D', h, w) to (B, E).
        head: (B, E) to (B, C).
        classes: C.
    """

    def __init__(self, backbone: Backbone, *, neck: nn.Module, pool: nn.Module, head: nn.Module, classes: int) -> None:
        super().__init__()
        if classes < 2:
            raise UserError(f"a classifier needs at least two classes, not {classes}")
        self.backbone = backbone
        self.neck = neck
        self.pool = pool
        self.head = head
        self.classes = classes
        self.keeps_refined = True
        """Whether ``features`` gives the refined maps at any price; a ``Learner`` whose parts read none says False."""

    def features(self, images: Tensor) -> Features:
        """All stages, for training and for looking inside."""
        return self.features_of(self.backbone(images), refined=self.keeps_refined)

    def features_of(self, maps: Tensor, *, refined: bool = True) -> Features:
        """The stages after the backbone, (B, D, h, w); without ``refined`` by the neck's shorter way, if it has one."""
        if not refined and isinstance(self.neck, PooledNeck) and isinstance(self.pool, Average):
            embedding = self.neck.pooled(maps)
            return Features(maps, None, embedding, self.head(embedding))
        finer = self.neck(maps)
        embedding = self.pool(finer)
        return Features(maps, finer, embedding, self.head(embedding))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C) of normalised images (B, 3, H, W)."""
        return self.features_of(self.backbone(images), refined=False).logits
