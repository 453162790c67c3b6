"""The few contracts that everything else is written against. Read this file first.

Shapes: B images, 3 colours, H and W pixels; D channels of the backbone's maps, h and w their positions; E numbers per
embedding; C classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fieldmark.core.classifier import Classifier, Features, MarginHead
from fieldmark.core.criterion import Criterion
from fieldmark.core.draws import Draws, drawn
from fieldmark.core.evidence import Evidence
from fieldmark.core.inputs import refuse_labels
from fieldmark.errors import UserError

Value = Literal["logits", "maps", "refined", "embedding", "interaction"]
"""What a term can read of a step: "logits" are what ``Method.forward`` returns, the rest are fields of ``Features``."""


class Encoded(NamedTuple):
    """What a method computes image by image, before images are compared: every tensor has one row per image.

    ``logits`` are what ``Method.forward`` would return in this mode; ``views`` are further tensors by name (branches,
    crops), also with one row per image.
    """

    features: Features
    logits: Tensor
    views: dict[str, Tensor]


class TrainOutput(NamedTuple):
    """A training step before its losses are summed.

    ``losses`` are named, weighted scalars; ``logits`` (B, C), ``labels`` (B,) and ``features`` have one row per image
    in the order of the batch, ``logits`` being what ``Method.forward`` returns. Further rows (pairs, branches) live in
    ``views``, which terms ignore unless they ask for a name. ``figures`` are further scalars by name, such as the parts
    of a loss: without a graph, logged and nothing else, and left on the device.
    """

    losses: dict[str, Tensor]
    logits: Tensor
    labels: Tensor
    features: Features
    views: dict[str, Tensor]
    figures: Mapping[str, Tensor] = MappingProxyType({})


class Method(nn.Module, ABC):
    """How a paper trains a classifier and predicts with it. Subclasses are final.

    Args:
        classifier: backbone, neck, pool and head.
        criterion: the loss of every branch.
    """

    batch_wide: ClassVar[bool] = False
    """Whether ``objective`` relates images of a batch to each other (then gradient accumulation is refused)."""
    reads_refined: ClassVar[bool] = False
    """Whether the method reads ``Features.refined``, which a neck need not compute otherwise."""
    takes_margins: ClassVar[bool] = False
    """Whether its losses are of ``Classifier.trained_logits``, so that a head may have a margin."""

    def __init__(self, classifier: Classifier, criterion: Criterion) -> None:
        super().__init__()
        if isinstance(classifier.head, MarginHead) and not self.takes_margins:
            head, own = type(classifier.head).__name__, type(self).__name__
            raise UserError(f"{head} as head has a margin, and {own} scores more than each image's own embedding")
        self.classifier = classifier
        self.criterion = criterion
        self.scored_views: tuple[str, ...] = ()
        """Which views of ``encode`` are a branch's own logits (B, C): evaluation gives the accuracy of each."""

    def forward(self, images: Tensor) -> Tensor:
        """Inference: normalised images (B, 3, H, W) to logits (B, C); deterministic in eval mode, B = 1 works.

        The classifier's own, unless a method overrides it.
        """
        return self.classifier(images)

    def encode(self, images: Tensor, draws: Draws) -> Encoded:
        """Row by row, so that it may run in pieces: normalised images (B, 3, H, W) to ``Encoded``.

        The classifier's features, unless a method overrides it.
        """
        features = self.classifier.features(images)
        return Encoded(features, features.logits, {})

    @abstractmethod
    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        """The whole (global) batch at once: labels (B,) long to the named losses."""

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters, each once, in named groups whose learning rate a recipe can scale and which it can freeze.

        "backbone" without what is frozen for good, "neck" if it has parameters, and "head" for the rest.
        """
        backbone, neck = (list(part.parameters()) for part in (self.classifier.backbone, self.classifier.neck))
        grouped = {id(parameter) for parameter in (*backbone, *neck)}
        head = [p for p in self.parameters() if id(p) not in grouped]
        return {
            "backbone": self.classifier.backbone.trained_parameters(),
            **({"neck": neck} if neck else {}),
            "head": head,
        }

    def adopt(self, weight: Tensor, bias: Tensor) -> None:
        """Begins as a linear classifier on the backbone's pooled maps: ``forward`` gives its logits in eval mode.

        Args:
            weight: (C, E).
            bias: (C,).

        Raises:
            UserError: a neck or head that cannot begin so.
        """
        self.classifier.adopt(weight, bias)

    def scorers(self) -> tuple[tuple[nn.Linear, ...], ...]:
        """Every linear layer with an output for each class, the one that gives ``forward``'s logits last.

        ``add-class`` widens them. In groups: what a layer is given may depend on the outputs of earlier groups, but not
        on those of its own. Each is called once for a batch, with (B, E), or for several parts of an image with
        (B, M, E), the most telling first. The classifier's own, unless a method has more.

        Raises:
            UserError: a head that names no such layer.
        """
        return ((self.classifier.scorer(),),)

    def set_progress(self, fraction: float) -> None:
        """Called before each step with the fraction of training done, in [0, 1]."""

    def loss(self, images: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """The sum of all losses, for a custom training loop: normalised images (B, 3, H, W), labels (B,) to a scalar.

        Without ``draws``, random numbers come from torch's own generator in training; evaluation uses none.
        """
        refuse_labels(type(self).__name__, labels, images=len(images))
        draws = drawn(draws, training=self.training)
        losses = self.objective(self.encode(images, draws), labels, draws).losses
        return torch.stack(list(losses.values())).sum()

    def evidence(self, images: Tensor) -> Evidence:
        """What the method looked at."""
        return Evidence(self(images))


class Term(nn.Module):
    """What a paper adds to the loss, its weight included; the same module is a loss in a custom training loop.

    ``forward(*values, labels, *, draws=None)`` takes the values that ``reads`` names, in that order, and labels (B,)
    long, and returns a differentiable scalar. ``draws`` are those of a run's step; without them the term draws from
    torch's own generator in training and nothing in evaluation (``fieldmark.core.draws.drawn``), as dropout does.
    """

    reads: ClassVar[tuple[Value, ...]]
    """Which values of a step it is called with."""
    batch_wide: ClassVar[bool] = False
    """Whether it relates images of a batch to each other."""
    in_pieces: ClassVar[bool] = False
    """Whether that means the same in pieces of a shuffled batch, of an even number of images each (accumulation)."""
    figures: Mapping[str, Tensor] = MappingProxyType({})
    """Scalars of the last call by name, detached: ``forward`` sets it where there is more to log than the loss."""

    def check(self, classifier: Classifier) -> None:
        """Called when a ``Learner`` is built.

        Raises:
            UserError: in one line, the term does not fit this classifier.
        """


Gather = Callable[[Encoded, Tensor, Draws], tuple[Encoded, Tensor, Draws]]
"""Gathers the rows of all processes (those of the labels and the draws, too), with gradients."""
