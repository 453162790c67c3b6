"""Deep metric learning using Triplet network (TripletNet).

Hoffer, Ailon. SIMBAD 2015. arXiv:1412.6622.

Formulas
    distance_ratio  d+ = exp(near) / (exp(near) + exp(far)) of both distances, and its loss |(d+, d- - 1)|^2 = 2 d+^2
    Triplet         weight times the mean over the triplets of a batch

Paper and released code
    API-Net compares with "a classical approach optimized by extra triplet loss", and says no more: which triplets,
    which loss and which weight are our readings. The loss is the one of the paper that it cites, on distances of
    embeddings, added to cross-entropy with weight 1. ``form="margin"`` is the other usual one (Schroff et al., CVPR
    2015), a hinge on squared distances, the same function as CIN's.
    The paper draws triplets at random. Here each image has one, mined in its batch: the farthest image of its class and
    the nearest of another (Hermans et al., arXiv:1703.07737, which API-Net cites, too). An image without both has none.
"""

from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from fieldmark.core.contract import Term
from fieldmark.core.draws import Draws
from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.core.pairs import Mate, mine_pairs, root
from fieldmark.ops.precision import raised
from fieldmark.papers.channel_interaction.contrastive import triplet
from fieldmark.plain import NotNegative

Form = Literal["ratio", "margin"]
Distances = Annotated[Tensor, "B"]


def distance_ratio(near: Distances, far: Distances) -> Tensor:
    """The loss (B,) of triplets, from 0 to 2: distances to an image of the same class and to one of another."""
    refuse_misfits(distance_ratio, near, far)
    share = torch.sigmoid(near - far)
    return 2 * share.square()


class Triplet(Term):
    """Draws an image's embedding nearer to one of its class than to one of another.

        loss = F.cross_entropy(logits, labels) + Triplet()(embedding, labels)

    Args:
        weight: of the mean over the triplets.
        form: "ratio" of distances, or a "margin" between squared ones.
        margin: of the latter.
        intra: which image of the same class, "similar" or "dissimilar".
        inter: which image of another class.
    """

    reads = ("embedding",)
    batch_wide: ClassVar[bool] = True

    def __init__(
        self,
        weight: NotNegative = 1.0,
        *,
        form: Form = "ratio",
        margin: NotNegative = 0.5,
        intra: Mate = "dissimilar",
        inter: Mate = "similar",
    ) -> None:
        super().__init__()
        refuse_misfits(Triplet, weight, form, margin, intra, inter)
        self.weight, self.margin = weight, margin
        self.form: Form = form
        self.intra: Mate = intra
        self.inter: Mate = inter

    def forward(self, embedding: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """(B, E) and (B,) to a scalar; 0 for a batch without a triplet."""
        refuse_inputs("Triplet", "embeddings", embedding, labels)
        values = raised(embedding)
        pairs = mine_pairs(values, labels, self.intra, self.inter, rows=None if draws is None else draws.rows)
        anchors, mates = values.index_select(0, pairs.anchor), values.index_select(0, pairs.mate)
        if self.form == "margin":
            losses = triplet(anchors, mates, self.margin)
        else:
            losses = distance_ratio(*root((anchors - mates).square().sum(1)).chunk(2))
        counted = torch.stack(pairs.valid.chunk(2)).all(0)
        return self.weight * (losses * counted).sum() / counted.sum().clamp_min(1)
