"""Multi-Attention Multi-Class Constraint for Fine-grained Image Recognition (OSME and MAMC).

Sun, Yuan, Zhou, Ding. ECCV 2018. arXiv:1806.05372.

Formulas
    MultiExcitation           one squeeze, P excitations: the image's channels under P sets of gates, a feature of each
    n_pair                    log(1 + sum over negatives of exp(f f- - f f+)), summed over the positives of an anchor
    MultiAttentionMultiClass  lambda times the sum over three kinds of positives, over all anchors of a batch

Paper and released code
    The authors released no code. An anchor is one attention's feature of an image. Its positives and negatives are, as
    in the paper: the same attention and class against all else; the same attention and another class against another
    attention and another class; another attention and the same class against another attention and another class.
    The paper's batch has N pairs of images, each of a class of its own, and its sum is divided by N. Here classes may
    have any number of images, and N is half of the images. Two copies of a photo are not a pair of the first kind.
    The paper's features are fully connected layers on whole maps (H W D numbers to 1,024), 411 million weights for each
    attention at 448 pixels. Here they are on maps averaged over positions, which fit any size: a reading, like that
    features have no length of their own (they are not normalised). The reduction in the gates is 16, as in
    Squeeze-and-Excitation. lambda is 0.5, P is 2.
"""

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Term
from fieldmark.core.device import moved
from fieldmark.core.draws import Draws
from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision, raised
from fieldmark.papers.squeeze_excitation import SqueezeExcitation, squeezed
from fieldmark.plain import Count, NotNegative

Rows = Annotated[Tensor, "B", int]


class MultiExcitation(nn.Module):
    """The pool OSME: maps (B, D, h, w) to the features of P attentions, one after the other, (B, P * width).

    Args:
        channels: D.
        attentions: P.
        width: numbers per feature.
        reduction: how many times fewer numbers there are between the layers that make gates.
    """

    def __init__(self, channels: Count, attentions: Count = 2, width: Count = 1024, reduction: Count = 16) -> None:
        super().__init__()
        refuse_misfits(MultiExcitation, channels, attentions, width, reduction)
        self.channels, self.attentions = channels, attentions
        self.excitations = nn.ModuleList(SqueezeExcitation(channels, reduction) for _ in range(attentions))
        self.features = nn.ModuleList(nn.Linear(channels, width) for _ in range(attentions))

    def forward(self, maps: Annotated[Tensor, "B D h w"]) -> Tensor:
        """The embedding. Gates are one number a channel, so the average of gated maps is the gated average."""
        refuse_misfits(MultiExcitation.forward, maps, sizes={"D": self.channels})
        means = squeezed(maps)
        pairs = zip(self.excitations, self.features, strict=True)
        return torch.cat([feature(means * excitation.layers(means)) for excitation, feature in pairs], 1)  # pyright: ignore[reportCallIssue]


def n_pair(features: Annotated[Tensor, "B P E"], labels: Rows, *, photos: Rows | None = None) -> Tensor:
    """The loss of each anchor, over all its positives of the three kinds: (B, P).

    Args:
        features: (B, P, E), of P attentions.
        labels: (B,) long.
        photos: (B,) long, which photo each image is, if a batch may hold a photo twice.
    """
    refuse_misfits(n_pair, features, labels, photos)
    count, attentions, _ = features.shape
    rows = raised(features).flatten(0, 1)
    with full_precision(rows):
        products = rows @ rows.mT
    # anchors are rows of these tables, all features columns
    photos = torch.arange(count, device=labels.device) if photos is None else moved(photos, labels.device)
    one_class, one_photo = (
        (each[:, None] == each).repeat_interleave(attentions, 0).repeat_interleave(attentions, 1)
        for each in (labels, photos)
    )
    number = torch.arange(len(rows), device=rows.device) % attentions
    one_attention = number[:, None] == number
    kinds = (
        (one_attention & one_class & ~one_photo, ~(one_attention & one_class)),
        (one_attention & ~one_class, ~one_attention & ~one_class),
        (~one_attention & one_class, ~one_attention & ~one_class),
    )
    losses = [_of_kind(products, positives, negatives) for positives, negatives in kinds]
    return torch.stack(losses).sum(0).view(count, attentions)


def _of_kind(products: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """(n,): the negatives of an anchor are the same for all its positives, so their sum is taken once."""
    # finite where there are none: then the loss is 0, and so is its gradient
    away = products.masked_fill(~negatives, torch.finfo(products.dtype).min).logsumexp(1, keepdim=True)
    return (torch.logaddexp(away - products, torch.zeros_like(products)) * positives).sum(1)


class MultiAttentionMultiClass(Term):
    """Draws features of one attention and class together, away from those of other attentions and classes.

        loss = F.cross_entropy(logits, labels) + MultiAttentionMultiClass()(embedding, labels)

    Args:
        attentions: P, as the pool has it.
        weight: lambda.
    """

    reads = ("embedding",)
    batch_wide: ClassVar[bool] = True

    def __init__(self, attentions: Count = 2, weight: NotNegative = 0.5) -> None:
        super().__init__()
        refuse_misfits(MultiAttentionMultiClass, attentions, weight)
        self.attentions, self.weight = attentions, weight

    def check(self, classifier: Classifier) -> None:
        """Refuses another pool than OSME, or one of another number of attentions."""
        pool = classifier.pool
        if not isinstance(pool, MultiExcitation):
            raise UserError(
                "MultiAttentionMultiClass reads several features of an image: take the pool MultiExcitation"
            )
        if pool.attentions != self.attentions:
            raise UserError(
                f"MultiAttentionMultiClass(attentions={self.attentions}): the pool has {pool.attentions} attentions"
            )

    def forward(self, embedding: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """(B, P * width), the features of P attentions one after the other, and (B,) to a scalar."""
        refuse_inputs("MultiAttentionMultiClass", "embeddings", embedding, labels)
        if embedding.shape[1] % self.attentions:
            numbers = f"embeddings of {embedding.shape[1]} numbers are not the features of {self.attentions} attentions"
            raise UserError(f"MultiAttentionMultiClass: {numbers}")
        features = embedding.unflatten(1, (self.attentions, embedding.shape[1] // self.attentions))
        losses = n_pair(features, labels, photos=None if draws is None else draws.rows)
        return self.weight * losses.sum() / max(1.0, len(labels) / 2)
