"""CosFace: Large Margin Cosine Loss for Deep Face Recognition (LMCL).

Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu. CVPR 2018. arXiv:1801.09414.

Equations
    Eq. 4   LargeMarginCosine.with_margin  the right class's cosine less m, all times s: cross-entropy of it is the loss

Paper and released code
    Embedding and weights are taken at length one, so scores are s times cosines, without a bias; the margin is of
    training alone. The defaults s = 64 and m = 0.35 are those for faces.
"""

from typing import Annotated

from torch import Tensor, nn

from fieldmark.core.cosine import cosines, directions, of_right_class, with_right_class
from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.plain import Count, NotNegative, Positive


class LargeMarginCosine(nn.Module):
    """A head whose scores are cosines, with a margin in training; (B, E) to (B, C).

    Args:
        width: E.
        classes: C.
        scale: s, what cosines are multiplied with.
        margin: m, taken off the right class's cosine.
    """

    def __init__(self, width: Count, classes: Count, scale: Positive = 64.0, margin: NotNegative = 0.35) -> None:
        super().__init__()
        refuse_misfits(LargeMarginCosine, width, classes, scale, margin)
        self.scale, self.margin, self.width = scale, margin, width
        self.weight = directions(classes, width)

    def forward(self, embedding: Annotated[Tensor, "B E"]) -> Tensor:
        """s cos(theta), (B, C)."""
        refuse_misfits(LargeMarginCosine.forward, embedding, sizes={"E": self.width})
        return self.scale * cosines(embedding, self.weight)

    def with_margin(self, logits: Tensor, embedding: Tensor, labels: Tensor) -> Tensor:
        """s (cos(theta) - m) for the right class, s cos(theta) for the others: (B, C), of ``forward``'s (B, C)."""
        refuse_inputs("LargeMarginCosine", "logits", logits, labels, size=len(self.weight))
        return with_right_class(logits, labels, of_right_class(logits, labels) - self.scale * self.margin)  # Eq. 4
