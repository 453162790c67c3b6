"""Backbone ► neck ► pool ► head: the classifier that every method trains."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from fieldmark.core.backbone import Backbone
from fieldmark.core.inputs import refuse_misfits
from fieldmark.errors import UserError
from fieldmark.plain import Count


class Interaction(Protocol):
    """What a neck works out of its maps: a NamedTuple of the neck's own, of which other modules know only this."""

    @property
    def pooled(self) -> Tensor:
        """(B, D'), the average of the neck's output over the positions."""
        ...


class Features(NamedTuple):
    """Everything between the pixels and the scores, one row per image.

    ``maps`` (B, D, h, w) before the neck, ``refined`` (B, D', h, w) after it, ``embedding`` (B, E) pooled,
    ``logits`` (B, C). ``refined`` is None where nothing reads it and the neck can be pooled without it.
    ``interaction`` is what an ``InteractingNeck`` works out of ``maps``; None where nothing reads it, and for rows
    gathered from several processes.
    """

    maps: Tensor
    refined: Tensor | None
    embedding: Tensor
    logits: Tensor
    interaction: Interaction | None = None


@runtime_checkable
class PooledNeck(Protocol):
    """A neck with a shortcut to the average of its output over the positions."""

    def pooled(self, maps: Tensor) -> Tensor:
        """(B, D, h, w) to (B, D'), equal to the average of ``forward`` up to rounding."""
        ...


@runtime_checkable
class InteractingNeck(Protocol):
    """A neck whose intermediate results a term can read."""

    def interact(self, maps: Tensor) -> Interaction:
        """All that it works out of maps (B, D, h, w)."""
        ...


@runtime_checkable
class IdentityNeck(Protocol):
    """A neck that can begin as the identity."""

    def become_identity(self) -> None:
        """Makes ``forward`` return its maps, and still learn."""
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
    """The default head: (B, E) to (B, C), starting from zero, so that the first probabilities are equal."""

    def __init__(self, width: Count, classes: Count) -> None:
        refuse_misfits(Linear, width, classes)
        super().__init__(width, classes)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


@runtime_checkable
class ScoringHead(Protocol):
    """A head that ends in a linear layer with an output for each class."""

    @property
    def scorer(self) -> nn.Linear:
        """That layer."""
        ...


@runtime_checkable
class MarginHead(Protocol):
    """A head that makes the right class's score harder to reach in training than in inference."""

    def with_margin(self, logits: Tensor, embedding: Tensor, labels: Tensor) -> Tensor:
        """What it gave (B, C), of what (B, E), and labels (B,) long to the scores (B, C) for the criterion."""
        ...


def scorer_of(head: nn.Module) -> nn.Linear:
    """The linear layer of a head that has an output for each class: the head itself, or its last layer.

    Raises:
        UserError: the head names none.
    """
    if isinstance(head, nn.Linear):
        return head
    if isinstance(head, ScoringHead):
        return head.scorer
    raise UserError(
        f"{type(head).__name__} as head names no linear layer that scores the classes, to which one could be added:\n"
        "a head of your own gives it as its property scorer; without, train anew with all classes"
    )


@torch.no_grad()
def adopt(head: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Gives a linear head the weight (C, E) and bias (C,).

    Raises:
        UserError: it is no linear head of that size.
    """
    if not isinstance(head, nn.Linear) or head.weight.shape != weight.shape or head.bias is None:
        raise UserError(f"{type(head).__name__} cannot begin as a probe, as --start probe needs; use zero")
    head.weight.copy_(weight)
    head.bias.copy_(bias)


class Classifier(nn.Module):
    """A backbone with all that makes it a classifier.

    Args:
        backbone: normalised images (B, 3, H, W) to maps (B, D, h, w).
        neck: on the maps, (B, D, h, w) to (B, D', h, w).
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
        """Whether ``features`` must give the refined maps; False in a ``Learner`` whose parts do not read them."""
        self.keeps_interaction = False
        """Whether ``features`` gives the neck's interaction while gradients are recorded: for terms that read it."""

    def features(self, images: Tensor) -> Features:
        """All stages, for training and inspection."""
        maps = self.backbone(images)
        kept = self.keeps_interaction and torch.is_grad_enabled()
        return self.features_of(maps, refined=self.keeps_refined, interaction=self.interact(maps) if kept else None)

    def features_of(self, maps: Tensor, *, refined: bool = True, interaction: Interaction | None = None) -> Features:
        """The stages after the backbone.

        Args:
            maps: (B, D, h, w).
            refined: give the refined maps; otherwise the neck's shortcut is taken, if it has one.
            interaction: what the neck worked out of these maps, if it is known.
        """
        finer, embedding = self.embedded(maps, refined=refined, interaction=interaction)
        return Features(maps, finer, embedding, self.head(embedding), interaction)

    def embedded(
        self, maps: Tensor, *, refined: bool = False, interaction: Interaction | None = None
    ) -> tuple[Tensor | None, Tensor]:
        """The stages between backbone and head: the refined maps, None where the shortcut is taken, and the embedding.

        Args:
            maps: (B, D, h, w).
            refined: as in ``features_of``.
            interaction: the same.
        """
        if not refined and isinstance(self.pool, Average) and isinstance(self.neck, PooledNeck):
            return None, interaction.pooled if interaction else self.neck.pooled(maps)
        finer = self.neck(maps)
        return finer, self.pool(finer)

    def trained_logits(self, features: Features, labels: Tensor) -> Tensor:
        """The scores (B, C) that the criterion is given: the logits, or those with a margin from a ``MarginHead``."""
        head = self.head
        if not isinstance(head, MarginHead):
            return features.logits
        return head.with_margin(features.logits, features.embedding, labels)

    def pooled(self, images: Tensor) -> Tensor:
        """The pooled maps (B, E) of normalised images, without the neck: what a probe sees."""
        return self.pool(self.backbone(images))

    def adopt(self, weight: Tensor, bias: Tensor) -> None:
        """Begins as a linear classifier on ``pooled``: weight (C, E), bias (C,).

        Raises:
            UserError: a neck or head that cannot begin so.
        """
        if isinstance(self.neck, IdentityNeck):
            self.neck.become_identity()
        elif not isinstance(self.neck, nn.Identity):
            raise UserError(
                f"{type(self.neck).__name__} cannot begin as the identity, as --start probe needs; use zero"
            )
        adopt(self.head, weight, bias)

    def scorer(self) -> nn.Linear:
        """The head's layer that scores the classes; raises ``UserError`` where it names none."""
        return scorer_of(self.head)

    def interact(self, maps: Tensor) -> Interaction:
        """What the neck works out of maps (B, D, h, w)."""
        assert isinstance(self.neck, InteractingNeck), "terms that read it refuse any other neck"
        return self.neck.interact(maps)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C) of normalised images (B, 3, H, W)."""
        return self.features_of(self.backbone(images), refined=False).logits
