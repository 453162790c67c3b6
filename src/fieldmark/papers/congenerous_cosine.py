"""Rethinking Feature Discrimination and Polymerization for Large-scale Recognition (COCO loss).

Liu, Li, Wang. NIPS 2017 workshop on deep learning. arXiv:1710.00870.

Formulas
    CongenerousCosine  alpha times the cosines between an embedding and a centroid of each class: cross-entropy of it is
        the loss
    least_scale        the alpha for which the least possible loss is a given one

Paper and released code
    The centroids are parameters, and embedding and centroids have length one. At best the right class's cosine is 1 and
    the others' are -1, so the loss cannot fall below log(1 + (C - 1) exp(-2 alpha)): alpha has to be large enough that
    this is little. Without ``scale`` it is 1e-4.
"""

import math
from typing import Annotated

from torch import Tensor, nn

from fieldmark.core.cosine import cosines, directions
from fieldmark.core.inputs import refuse_misfits
from fieldmark.plain import Count, Positive

LEAST_LOSS = 1e-4


def least_scale(classes: Count, loss: Positive = LEAST_LOSS) -> float:
    """alpha = log((C - 1) / (e^loss - 1)) / 2, with which the loss can fall to ``loss`` nats, no lower; at least 1."""
    refuse_misfits(least_scale, classes, loss)
    return max(1.0, math.log(max(1, classes - 1) / math.expm1(loss)) / 2)


class CongenerousCosine(nn.Module):
    """A head whose scores are cosines to the classes' centroids; (B, E) to (B, C).

    Args:
        width: E.
        classes: C.
        scale: alpha; None takes ``least_scale``.
    """

    def __init__(self, width: Count, classes: Count, scale: Positive | None = None) -> None:
        super().__init__()
        refuse_misfits(CongenerousCosine, width, classes, scale)
        self.scale, self.width = least_scale(classes) if scale is None else scale, width
        self.weight = directions(classes, width)

    def forward(self, embedding: Annotated[Tensor, "B E"]) -> Tensor:
        """alpha cos(theta), (B, C)."""
        refuse_misfits(CongenerousCosine.forward, embedding, sizes={"E": self.width})
        return self.scale * cosines(embedding, self.weight)
