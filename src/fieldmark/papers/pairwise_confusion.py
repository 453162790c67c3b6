"""Pairwise Confusion for Fine-Grained Visual Classification.

Dubey, Gupta, Guo, Raskar, Farrell, Naik. ECCV 2018. arXiv:1705.08016.

Equations
    Eq. 2   jeffreys_divergence  the symmetric divergence that the paper rejects: it grows without bound
    Eq. 3   jeffreys_bound       its least value for two images that are told apart with errors delta1, delta2
    Eq. 5   euclidean_confusion  squared distance of two probability vectors
    Eq. 6   confusion_between    its mean over all pairs of two sets of vectors
    Eq. 7   confusion_between    the same where both sets have n vectors
    Eq. 8   energy_distance      squared energy distance of two sets, by norms as printed or by their squares
    Eq. 9   PairwiseConfusion    the sum over all pairs of images of two classes: the plan ExhaustivePairs (batches.py)
    Eq. 10  PairwiseConfusion    the training objective's added part, over the pairs of a batch

Paper and released code
    The default is the paper: squared norm, only pairs of different labels. The released PyTorch code takes the norm
    itself and every pair (``squared=False, label_aware=False``); the released Caffe code squares and takes every pair
    (``label_aware=False``). Both halve the batch in the sampler's order (``shuffle=False``).
    With cross-entropy averaged over B images, the paper's sum over B/2 pairs becomes lambda * (1/B) * sum.
    The paper gives lambda between 10 and 20 or 0.05 to 0.15 times the number of classes, 10 and 0.05 here
    (``weight=None``). On 20 classes each weight that was tried cost accuracy (docs/pairwise_confusion.md).
    Under gradient accumulation pairs are those of each piece, as in the released Caffe code. In a shuffled batch they
    are as random as those of the whole: the pieces' loss has the same distribution.
    The halves of a shuffled batch are pairs as in Algorithm 1, except that with its two orders of the whole set an
    image may meet itself, and comes twice per epoch. To the letter, that is the plan ``ShuffledPairs`` (batches.py).
    Both plans go with ``shuffle=False``. Eq. 9 weights a pair by lambda / n^2, n images per class, where Eq. 10 has
    lambda.
    Misprints: Sec. 3.2 has D_TV^2 = 1/2 |P - Q|_1 for D_TV = 1/2 |P - Q|_1. Lemma 3 fails with the norms of Eq. 8:
    {(1, 0)} and {(1/2, 1/2)} have D_EN^2 / 2 = 0.707, above D_EC = 0.5. It holds with squared norms. Corollary 1 holds,
    but with equality wherever the two means agree, not only for equal sets.
"""

from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from fieldmark.core.contract import Term
from fieldmark.core.draws import Draws, drawn
from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.core.pairs import halves
from fieldmark.errors import UserError
from fieldmark.ops.precision import raised
from fieldmark.plain import NotNegative

Vectors = Annotated[Tensor, "P C"]
First = Annotated[Tensor, "m C"]
Second = Annotated[Tensor, "n C"]
PER_CLASS = 0.05
"""The least of the paper's weights per class."""


def jeffreys_divergence(p: Vectors, q: Vectors) -> Tensor:
    """Symmetric Kullback-Leibler divergence of two (P, C) probability batches, (P,), in nats.

    Infinite if one has mass where the other has none, which is why the paper does not train with it. In float32 or
    better, and never below 0, as p - q and the difference of the logarithms have one sign.
    """
    refuse_misfits(jeffreys_divergence, p, q)
    p, q = raised(p), raised(q)
    neither = (p == 0) & (q == 0)  # no difference there, but a logarithm with a gradient of NaN
    p, q = p.masked_fill(neither, 1), q.masked_fill(neither, 1)
    return (torch.xlogy(p - q, p) - torch.xlogy(p - q, q)).sum(1)  # Eq. 2


def jeffreys_bound(delta1: Annotated[Tensor, "..."], delta2: Annotated[Tensor, "..."]) -> Tensor:
    """The least Jeffreys divergence between two images of different classes, in nats, elementwise.

    Args:
        delta1: what the classifier leaves to the wrong class for the first image, in (0, 1/2).
        delta2: the same for the second image, of the other class.
    """
    refuse_misfits(jeffreys_bound, delta1, delta2)
    gap = 1 - delta1 - delta2
    return gap * (2 * gap.log() - delta1.log() - delta2.log())  # Eq. 3


def euclidean_confusion(p: Vectors, q: Vectors) -> Tensor:
    """Squared Euclidean distance of two (P, C) probability batches, (P,), between 0 and 2; in float32 or better."""
    refuse_misfits(euclidean_confusion, p, q)
    return (raised(p) - raised(q)).square().sum(1)  # Eq. 5


def confusion_between(first: First, second: Second) -> Tensor:
    """The mean Euclidean confusion of all pairs of two sets of probability vectors, (m, C) and (n, C), a scalar.

    Without forming the pairs: the distance of the two means and the spread about each. 0 if a set is empty. In float32
    or better.
    """
    refuse_misfits(confusion_between, first, second)
    first, second = raised(first), raised(second)
    if not (len(first) and len(second)):
        return 0 * (first.sum() + second.sum())
    means = first.mean(0), second.mean(0)
    spread = (first - means[0]).square().sum(1).mean() + (second - means[1]).square().sum(1).mean()
    # with n vectors in both sets it is also Eq. 7
    return (means[0] - means[1]).square().sum() + spread  # Eq. 6


def confusion_within(points: First) -> Tensor:
    """The same within one set, (n, C), each vector with itself included: what Corollary 1 compares with."""
    return confusion_between(points, points)


def energy_distance(first: First, second: Second, *, squared: bool = False) -> Tensor:
    """D_EN squared of two sets of vectors, (m, C) and (n, C), drawn from uniformly; a scalar, 0 if a set is empty.

    In float32 or better, and never below 0.

    Args:
        first: one set.
        second: the other.
        squared: squared norms, with which the paper's Lemma 3 holds; then it is twice the squared distance of the
            means. False takes the norms as printed.
    """
    refuse_misfits(energy_distance, first, second, squared)
    first, second = raised(first), raised(second)
    if not (len(first) and len(second)):
        return 0 * (first.sum() + second.sum())
    if squared:
        return 2 * (first.mean(0) - second.mean(0)).square().sum()
    distance = 2 * _mean_norm(first, second) - _mean_norm(first, first) - _mean_norm(second, second)  # Eq. 8
    return distance.clamp_min(0)  # near sets leave the rounding of what cancels


def _mean_norm(first: Tensor, second: Tensor) -> Tensor:
    """The mean Euclidean distance of all pairs of (m, C) and (n, C)."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist").mean()


class PairwiseConfusion(Term):
    """Makes the predictions of two different images, of different classes, more alike.

        loss = F.cross_entropy(logits, labels) + PairwiseConfusion()(logits, labels)

    Args:
        weight: lambda; None takes ``per_class`` for each class.
        label_aware: only pairs whose labels differ count (gamma of Eq. 10).
        squared: the squared norm of Eq. 5; False takes the norm itself, with gradient 0 for equal predictions.
        on: "probabilities", or "logits", as some users of the released code do.
        shuffle: draw the pairs anew inside the batch; False keeps the pairs that a sampler made (image i with image
            i + B/2), such as ``ShuffledPairs`` and ``ExhaustivePairs``. A batch sorted by class needs True,
            or both images of each pair have one class.
        per_class: lambda over the number of classes C, if ``weight`` is None; the paper's range is 0.05 to 0.15.

    Raises:
        UserError: an unknown word for ``on``, a weight that is negative or not finite, or a ``per_class`` beside a
            weight.
    """

    reads = ("logits",)
    batch_wide: ClassVar[bool] = True
    in_pieces: ClassVar[bool] = True

    def __init__(
        self,
        weight: NotNegative | None = 10.0,
        label_aware: bool = True,
        squared: bool = True,
        on: Literal["probabilities", "logits"] = "probabilities",
        shuffle: bool = True,
        per_class: NotNegative = PER_CLASS,
    ) -> None:
        super().__init__()
        refuse_misfits(PairwiseConfusion, weight, label_aware, squared, on, shuffle, per_class)
        if weight is not None and per_class != PER_CLASS:
            call = f"PairwiseConfusion(weight={weight}, per_class={per_class})"
            raise UserError(f"{call}: per_class takes weight=None (none on the command line)")
        self.weight, self.label_aware, self.squared, self.on, self.shuffle = weight, label_aware, squared, on, shuffle
        self.per_class = per_class

    def forward(self, logits: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """The weighted sum over the pairs of the batch, divided by B; 0 for a batch of one or none.

        In evaluation image i is paired with image i + B/2.

        Args:
            logits: (B, C).
            labels: (B,) long.
            draws: those of a run's step; None outside a run.
        """
        refuse_inputs("PairwiseConfusion", "logits", logits, labels)
        weight = self.per_class * logits.shape[1] if self.weight is None else self.weight
        draws, logits = drawn(draws, training=self.training), raised(logits)
        values = logits.softmax(1) if self.on == "probabilities" else logits
        count = len(values)
        order = draws.permutation("pairwise_confusion", count, like=values) if self.shuffle else None
        first, second = halves(count, order=order, like=values)
        distance = euclidean_confusion(values[first], values[second])
        if not self.squared:
            safe = distance.clamp_min(torch.finfo(distance.dtype).tiny)
            distance = torch.where(distance > 0, safe.sqrt(), distance)
        if self.label_aware:
            distance = distance * (labels[first] != labels[second])
        # over all batches of the plan ExhaustivePairs (batches.py), and with a weight of its own, it is also Eq. 9
        return weight * distance.sum() / max(count, 1)  # Eq. 10
