"""Bilinear CNN Models for Fine-grained Visual Recognition, and Compact Bilinear Pooling.

Lin, RoyChowdhury, Maji. ICCV 2015. arXiv:1504.07889. Gao, Beijbom, Zhang, Darrell. CVPR 2016. arXiv:1511.06062.

Formulas
    outer_products  the mean over positions of x x', or of the first channels with the others
    signed_root     x / sqrt(|x| + epsilon), of which the embedding is the direction: length one
    Bilinear        outer products, signed root, length one
    CompactBilinearPool  the same of a sketch of the outer products (Algorithm 2 of the second paper)

Paper and released code
    The paper has sign(x) sqrt(|x|), whose gradient is infinite at 0, where maps mostly are after a ReLU; hence epsilon,
    1e-5. The common sign(x) sqrt(|x| + epsilon) jumps at 0, so that rounding alone may change a number by 0.003.
    The sum over positions is a mean here, as in common implementations, which the length of one undoes but for epsilon.
    Two networks whose maps are multiplied with each other are one backbone with the channels of both, such as
    ``--backbone vgg16+resnet18``: ``first`` of them are those of the first. One network is multiplied with itself.
    A sketch is linear in the outer products, so it is computed of their mean (D^2 numbers an image) and not at each
    position; the numbers are those of the paper's algorithm. 8,192 are its size.
"""

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fieldmark.core.inputs import refuse_misfits
from fieldmark.core.sketch import TensorSketch
from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision, raised
from fieldmark.plain import Count, Natural

EPSILON, SHORTEST = 1e-5, 1e-12
Maps = Annotated[Tensor, "B D h w"]


def outer_products(maps: Maps, first: Natural = 0) -> Tensor:
    """The mean over positions of products of channels, in float32 or better.

    Args:
        maps: (B, D, h, w).
        first: channels of one network, which are multiplied with those of another; 0: all with all.

    Returns:
        (B, D, D), or (B, first, D - first).
    """
    refuse_misfits(outer_products, maps, first)
    rows = raised(maps).flatten(2)
    left, right = (rows[:, :first], rows[:, first:]) if first else (rows, rows)
    with full_precision(rows):
        return left @ right.mT / rows.shape[2]


def signed_root(values: Annotated[Tensor, "..."]) -> Tensor:
    """x / sqrt(|x| + 1e-5), elementwise: sign(x) sqrt(|x|), but for values near 0, where it is smooth."""
    refuse_misfits(signed_root, values)
    return values * (values.abs() + EPSILON).rsqrt()


class Bilinear(nn.Module):
    """The pool of a B-CNN: (B, D, h, w) to (B, D^2), or to (B, first (D - first)).

    Args:
        channels: D.
        first: as for ``outer_products``.
    """

    def __init__(self, channels: Count, first: Natural = 0) -> None:
        super().__init__()
        refuse_misfits(Bilinear, channels, first)
        if first >= channels:
            raise UserError(f"Bilinear(first={first}): the network has {channels} channels, and some must be left")
        self.first, self.channels = first, channels

    def forward(self, maps: Maps) -> Tensor:
        """The embedding, of length one."""
        refuse_misfits(Bilinear.forward, maps, sizes={"D": self.channels})
        roots = signed_root(outer_products(maps, self.first))
        # row by row, as some runtimes add up 262,144 squares one after the other, which costs three digits of float32
        length = torch.linalg.vector_norm(torch.linalg.vector_norm(roots, dim=2), dim=1)
        return roots.flatten(1) / length.clamp_min(SHORTEST)[:, None]


class CompactBilinearPool(nn.Module):
    """Compact bilinear pooling: (B, D, h, w) to (B, width).

    Args:
        channels: D.
        width: of the sketch.
    """

    def __init__(self, channels: Count, width: Count = 8192) -> None:
        super().__init__()
        refuse_misfits(CompactBilinearPool, channels, width)
        self.sketch, self.channels = TensorSketch(channels, width), channels

    def forward(self, maps: Maps) -> Tensor:
        """The embedding, of length one."""
        refuse_misfits(CompactBilinearPool.forward, maps, sizes={"D": self.channels})
        return F.normalize(signed_root(self.sketch.of_products(outer_products(maps))), dim=1)
