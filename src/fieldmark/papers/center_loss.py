"""A Discriminative Feature Learning Approach for Deep Face Recognition (center loss).

Wen, Zhang, Li, Qiao. ECCV 2016. It is not on arXiv; Table VI of arXiv:2002.04264 compares with it.

Equations
    Eq. 2   CenterLoss   half the squared distance of each embedding to the center of its class
    Eq. 4   center_steps  how far a batch moves the centers, before the rate

Paper and released code
    The paper sums cross-entropy and center loss over the batch; both are means over it here, with the same ratio
    lambda, 0.003. Centers start at zero and are no parameters: in each training step they move by Eq. 4, at the rate
    alpha, 0.5. Under several processes each sees the embeddings of the whole batch.
"""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Term
from fieldmark.core.draws import Draws
from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.ops.precision import raised
from fieldmark.plain import Count, Fraction, NotNegative


def center_steps(
    embeddings: Annotated[Tensor, "B E"], labels: Annotated[Tensor, "B", int], centers: Annotated[Tensor, "C E"]
) -> Tensor:
    """What a batch takes off the centers: (C, E); zero for classes that the batch lacks."""
    refuse_misfits(center_steps, embeddings, labels, centers)
    counts = torch.zeros(len(centers), dtype=centers.dtype, device=centers.device)
    counts.index_add_(0, labels, torch.ones(len(labels), dtype=centers.dtype, device=centers.device))
    sums = torch.zeros_like(centers).index_add_(0, labels, embeddings.to(centers.dtype))
    return (counts[:, None] * centers - sums) / (1 + counts[:, None])  # Eq. 4


class CenterLoss(Term):
    """Draws the embeddings of a class to their center.

        loss = F.cross_entropy(logits, labels) + CenterLoss(classes, width)(embedding, labels)

    Args:
        classes: C.
        width: E.
        weight: lambda.
        rate: alpha, how fast the centers follow, in (0, 1].
    """

    reads = ("embedding",)
    batch_wide: ClassVar[bool] = True  # pieces of a batch would move the centers one after the other

    centers: Tensor

    def __init__(self, classes: Count, width: Count, weight: NotNegative = 0.003, rate: Fraction = 0.5) -> None:
        super().__init__()
        refuse_misfits(CenterLoss, classes, width, weight, rate)
        self.weight, self.rate = weight, rate
        self.register_buffer("centers", torch.zeros(classes, width))

    def check(self, classifier: Classifier) -> None:
        """Any classifier fits: it was made for the width of its embedding."""

    def forward(self, embedding: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """(B, E) and (B,) to a scalar; in training the centers move, after the loss is computed."""
        refuse_inputs("CenterLoss", "embeddings", embedding, labels, size=self.centers.shape[1])
        values = raised(embedding)
        # a copy of the rows, as the centers are written to before backward runs
        distances = (values - self.centers[labels].to(values.dtype)).square().sum(1) / 2  # Eq. 2
        if self.training:
            self._follow(values.detach(), labels)
        return self.weight * distances.sum() / max(1, len(labels))

    @torch.no_grad()
    def _follow(self, values: Tensor, labels: Tensor) -> None:
        """Moves the centers; an embedding that is not finite moves none."""
        steps = center_steps(values, labels, self.centers)
        self.centers -= self.rate * torch.where(steps.isfinite(), steps, 0)
