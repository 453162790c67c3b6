"""Learning Attentive Pairwise Interaction for Fine-Grained Classification: the mutual vector of a pair.

Zhuang, Wang, Qiao. AAAI 2020. arXiv:2002.10191. The rest of the paper is in ``method.py``.

Equations
    Eq. 1   Mlp                what a pair has in common: FC(2D -> 512) and FC(512 -> D) on both embeddings
    Eq. 1   CompactBilinear    a sketch of the outer product of the two (Gao et al., CVPR 2016)
    Eq. 1   WeightAttention    a weighted sum, the two weights from two layers and a softmax
    Eq. 1   SubtractSquare     the squared difference
    Eq. 1   Sum                the sum
    Eq. 1   Product            the product, channel by channel

Paper and released code
    Section 4.1 and Table 2 name the operations. The default, ``Mlp``, has no activation between its layers but dropout
    0.5, as released: the paper mentions neither. ``WeightAttention`` and ``Individual`` take the same two layers; there
    is no released code for them, nor for ``CompactBilinear``, whose output has D numbers here so that it can gate;
    neither its square root is taken nor is it normalised. ``Individual`` has no mutual vector: it is the comparison
    without Eq. 1.
"""

from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from fieldmark.core.draws import Draws
from fieldmark.core.inputs import refuse_misfits
from fieldmark.core.sketch import TensorSketch
from fieldmark.ops.precision import suited
from fieldmark.plain import BelowOne, Count

HIDDEN = 512
"""Width between the two layers."""

Rows = Annotated[Tensor, "P D"]
Operation = Literal[
    "mlp", "individual", "compact_bilinear", "subtract_square", "sum", "product", "weight_attention"
]  # fmt: skip


def dropped(values: Annotated[Tensor, "..."], purpose: str, *, dropout: BelowOne, draws: Draws) -> Tensor:
    """``values``, each number set to zero with probability ``dropout``, the rest scaled up so that the mean stays.

    The draws of evaluation leave the values as they are.
    """
    refuse_misfits(dropped, values, purpose, dropout)
    if not dropout or not draws.random:
        return values
    keep = draws.keep(purpose, tuple(values.shape), probability=1 - dropout, like=values)
    return values * keep.to(values.dtype).mul_(1 / (1 - dropout))


class TwoLayers(nn.Module):
    """FC(inputs -> 512), dropout, FC(512 -> outputs)."""

    def __init__(self, inputs: Count, outputs: Count, *, dropout: BelowOne) -> None:
        super().__init__()
        refuse_misfits(TwoLayers, inputs, outputs, dropout)
        self.first, self.second = nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, outputs)
        self.dropout = dropout

    def forward(self, rows: Rows, draws: Draws) -> Tensor:
        """(P, inputs) to (P, outputs)."""
        refuse_misfits(TwoLayers.forward, rows, sizes={"D": self.first.in_features})
        hidden = dropped(self.first(suited(rows, self)), "api_net hidden", dropout=self.dropout, draws=draws)
        return self.second(hidden)


class Mlp(nn.Module):
    """f_m([x1, x2]) with two layers, FC(2D -> 512) and FC(512 -> D): the paper's choice."""

    def __init__(self, width: Count, *, dropout: BelowOne) -> None:
        super().__init__()
        refuse_misfits(Mlp, width, dropout)
        self.layers = TwoLayers(2 * width, width, dropout=dropout)

    def forward(self, x1: Rows, x2: Rows, draws: Draws) -> Tensor:
        """(P, D) and (P, D) to (P, D)."""
        refuse_misfits(Mlp.forward, x1, x2)
        return self.layers(torch.cat([x1, x2], 1), draws)  # Eq. 1


class Individual(nn.Module):
    """f_m(x_i) of each image alone, FC(D -> 512) and FC(512 -> D): the comparison without a mutual vector."""

    def __init__(self, width: Count, *, dropout: BelowOne) -> None:
        super().__init__()
        refuse_misfits(Individual, width, dropout)
        self.layers = TwoLayers(width, width, dropout=dropout)

    def forward(self, x1: Rows, x2: Rows, draws: Draws) -> tuple[Tensor, Tensor]:
        """(P, D) and (P, D) to a (P, D) for each image, whose sigmoid is its gate."""
        refuse_misfits(Individual.forward, x1, x2)
        first, second = self.layers(torch.cat([x1, x2]), draws).chunk(2)
        return first, second


class WeightAttention(nn.Module):
    """w1 x1 + w2 x2, with (w1, w2) the softmax of FC(2D -> 512) and FC(512 -> 2)."""

    def __init__(self, width: Count, *, dropout: BelowOne) -> None:
        super().__init__()
        refuse_misfits(WeightAttention, width, dropout)
        self.layers = TwoLayers(2 * width, 2, dropout=dropout)

    def forward(self, x1: Rows, x2: Rows, draws: Draws) -> Tensor:
        """(P, D) and (P, D) to (P, D)."""
        refuse_misfits(WeightAttention.forward, x1, x2)
        weights = self.layers(torch.cat([x1, x2], 1), draws).to(x1.dtype).softmax(1)
        return weights[:, :1] * x1 + weights[:, 1:] * x2  # Eq. 1


class CompactBilinear(nn.Module):
    """The outer product of x1 and x2 sketched into D numbers."""

    def __init__(self, width: Count) -> None:
        super().__init__()
        refuse_misfits(CompactBilinear, width)
        self.sketch = TensorSketch(width, width)

    def forward(self, x1: Rows, x2: Rows, draws: Draws) -> Tensor:
        """(P, D) and (P, D), in float32 or better, to (P, D)."""
        return self.sketch(x1, x2)  # Eq. 1


class SubtractSquare(nn.Module):
    """(x1 - x2) squared."""

    def forward(self, x1: Rows, x2: Rows, draws: Draws) -> Tensor:
        """(P, D) and (P, D) to (P, D)."""
        refuse_misfits(SubtractSquare.forward, x1, x2)
        return (x1 - x2).square()  # Eq. 1


class Sum(nn.Module):
    """x1 + x2."""

    def forward(self, x1: Rows, x2: Rows, draws: Draws) -> Tensor:
        """(P, D) and (P, D) to (P, D)."""
        refuse_misfits(Sum.forward, x1, x2)
        return x1 + x2  # Eq. 1


class Product(nn.Module):
    """x1 times x2, channel by channel."""

    def forward(self, x1: Rows, x2: Rows, draws: Draws) -> Tensor:
        """(P, D) and (P, D) to (P, D)."""
        refuse_misfits(Product.forward, x1, x2)
        return x1 * x2  # Eq. 1


def make_mutual(operation: Operation, width: Count, *, dropout: BelowOne) -> nn.Module:
    """The module of an operation: (x1, x2, draws) to the mutual vector (P, D); two of them for "individual".

    Args:
        operation: as in Table 2.
        width: D, numbers per embedding.
        dropout: between the two layers of the operations that have layers.

    Raises:
        UserError: an unknown operation, no width, or a dropout that is no share below 1.
    """
    refuse_misfits(make_mutual, operation, width, dropout)
    match operation:
        case "mlp":
            return Mlp(width, dropout=dropout)
        case "individual":
            return Individual(width, dropout=dropout)
        case "weight_attention":
            return WeightAttention(width, dropout=dropout)
        case "compact_bilinear":
            return CompactBilinear(width)
        case "subtract_square":
            return SubtractSquare()
        case "sum":
            return Sum()
        case "product":
            return Product()
