"""Pairwise Confusion for Fine-Grained Visual Classification.

Dubey, Gupta, Guo, Raskar, Farrell, Naik. ECCV 2018. arXiv:1705.08016.

Equations
    Eq. 2   jeffreys_divergence    the symmetric divergence that the paper rejects: it grows without bound
    Eq. 5   euclidean_confusion    squared distance of two probability vectors
    Eq. 10  PairwiseConfusion      the training objective's added part, over the pairs of a batch

Paper and released code
    The default is the paper: squared norm, only pairs of different labels. The released PyTorch code takes the norm
    itself and every pair (``squared=False, label_aware=False``); the released Caffe code squares and takes every pair
    (``label_aware=False``). Both halve the batch as the sampler made it (``shuffle=False``).
    With cross-entropy averaged over B images, the paper's sum over B/2 pairs becomes lambda * (1/B) * sum.
    The paper gives lambda between 10 and 20 or 0.05 to 0.15 times the number of classes.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from fieldmark.classifier import Classifier
from fieldmark.contract import TrainOutput
from fieldmark.draws import Draws
from fieldmark.errors import UserError
from fieldmark.pairs import halves


def jeffreys_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence of two (P, C) probability batches, (P,), in nats.

    Infinite where one has mass and the other has none: the reason why the paper does not train with it.
    """
    return (torch.xlogy(p, p) - torch.xlogy(p, q) + torch.xlogy(q, q) - torch.xlogy(q, p)).sum(1)  # Eq. 2


def euclidean_confusion(p: Tensor, q: Tensor) -> Tensor:
    """Squared Euclidean distance of two (P, C) probability batches, (P,), between 0 and 2."""
    return (p - q).square().sum(1)  # Eq. 5


@dataclass(frozen=True)
class PairwiseConfusion:
    """Makes the predictions of two different images, of different classes, more alike.

    Args:
        weight: lambda.
        label_aware: only pairs whose labels differ count (gamma of Eq. 10).
        squared: the squared norm of Eq. 5; False takes the norm itself, with gradient 0 for equal predictions.
        on: "probabilities", or "logits" as some users of the released code do.
        shuffle: draw the pairs anew inside the batch; False keeps the pairs that a sampler made (image i with image
            i + B/2). A class-sorted batch needs True, or its pairs all have one class.
    """

    weight: float = 10.0
    label_aware: bool = True
    squared: bool = True
    on: Literal["probabilities", "logits"] = "probabilities"
    shuffle: bool = True
    batch_wide: ClassVar[bool] = True
    reads_refined: ClassVar[bool] = False

    def check(self, classifier: Classifier) -> None:
        """Refuses settings that mean nothing."""
        if self.on not in ("probabilities", "logits"):
            raise UserError(f"PairwiseConfusion(on={self.on!r}): choose 'probabilities' or 'logits'")
        if self.weight < 0:
            raise UserError(f"PairwiseConfusion(weight={self.weight}): the weight is at least 0")

    def __call__(self, output: TrainOutput, classifier: Classifier, draws: Draws) -> Tensor:
        """The weighted sum over the pairs of the batch, divided by B; 0 for a batch of one."""
        logits = output.logits if output.logits.dtype == torch.float64 else output.logits.float()
        values = logits.softmax(1) if self.on == "probabilities" else logits
        count = len(values)
        order = draws.permutation("pairwise_confusion", count, like=values) if self.shuffle else None
        first, second = halves(count, order=order, like=values)
        distance = euclidean_confusion(values[first], values[second])
        if not self.squared:
            safe = distance.clamp_min(torch.finfo(distance.dtype).tiny)
            distance = torch.where(distance > 0, safe.sqrt(), distance)
        if self.label_aware:
            distance = distance * (output.labels[first] != output.labels[second])
        return self.weight * distance.sum() / count  # Eq. 10
