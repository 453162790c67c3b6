"""SphereFace: Deep Hypersphere Embedding for Face Recognition (A-softmax).

Liu, Wen, Yu, Li, Raj, Song. CVPR 2017. arXiv:1704.08063.

Equations
    Eq. 5   AngularSoftmax.forward      scores |x| cos(theta), with weights of length one and no bias
    Eq. 7   psi                         (-1)^k cos(m theta) - 2k, which falls all the way from theta = 0 to pi
    Eq. 6   AngularSoftmax.with_margin  the right class has |x| psi(theta) in training

Paper and released code
    m is 4. The released code does not begin with the whole margin: the right class has
    |x| (lambda cos(theta) + psi(theta)) / (1 + lambda), with lambda = max(5, 1000 / (1 + 0.12 n)) after n steps, which
    the module counts; so it is here (``least=0.0`` with ``first=0.0`` is the margin alone). cos(m theta) is computed
    as a polynomial of cos(theta), whose gradient is finite everywhere.
"""

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from fieldmark.core.cosine import cosines, directions, of_right_class, with_right_class
from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.ops.precision import raised
from fieldmark.plain import Count, NotNegative

DECAY = 0.12
"""By which lambda falls with the number of steps."""


def psi(cosine: Annotated[Tensor, "..."], m: Count) -> Tensor:
    """What replaces cos(theta), elementwise: cos(m theta) up to pi / m, and on from there in falling pieces.

    Args:
        cosine: cos(theta), in [-1, 1].
        m: how many times as fast it falls; 1 leaves it as it is.
    """
    refuse_misfits(psi, cosine, m)
    before, multiple = torch.ones_like(cosine), cosine
    for _ in range(m - 1):  # Chebyshev's: cos(n theta) = 2 cos(theta) cos((n - 1) theta) - cos((n - 2) theta)
        before, multiple = multiple, 2 * cosine * multiple - before
    with torch.no_grad():
        piece = (cosine.clamp(-1, 1).acos() * m / math.pi).floor().clamp(0, m - 1)
        sign = 1 - 2 * (piece % 2)
    return sign * multiple - 2 * piece  # Eq. 7


class AngularSoftmax(nn.Module):
    """A head that asks for an angle m times smaller in training; (B, E) to (B, C).

    Args:
        width: E.
        classes: C.
        m: of ``psi``.
        first: lambda before the first step.
        least: lambda at last.
    """

    steps: Tensor

    def __init__(
        self, width: Count, classes: Count, m: Count = 4, first: NotNegative = 1000.0, least: NotNegative = 5.0
    ) -> None:
        super().__init__()
        refuse_misfits(AngularSoftmax, width, classes, m, first, least)
        self.m, self.first, self.least, self.width = m, first, least, width
        self.weight = directions(classes, width)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, embedding: Annotated[Tensor, "B E"]) -> Tensor:
        """|x| cos(theta), (B, C)."""
        refuse_misfits(AngularSoftmax.forward, embedding, sizes={"E": self.width})
        return _norms(embedding) * cosines(embedding, self.weight)  # Eq. 5

    def with_margin(self, logits: Tensor, embedding: Tensor, labels: Tensor) -> Tensor:
        """The scores of training (B, C), of ``forward``'s logits (B, C) for embeddings (B, E); counts a step."""
        refuse_inputs("AngularSoftmax", "logits", logits, labels, size=len(self.weight))
        norms, own = _norms(embedding)[:, 0], of_right_class(logits, labels)
        cosine = own / norms.clamp_min(torch.finfo(norms.dtype).tiny)
        share = (self.first / (1 + DECAY * self.steps)).clamp_min(self.least)
        if self.training:
            self.steps += 1
        eased = (share * own + norms * psi(cosine, self.m)) / (1 + share)
        return with_right_class(logits, labels, eased)  # Eq. 6


def _norms(embedding: Tensor) -> Tensor:
    """(B, 1), in float32 or better."""
    return raised(embedding).norm(dim=1, keepdim=True)
