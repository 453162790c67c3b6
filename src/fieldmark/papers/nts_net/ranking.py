"""The navigator of NTS-Net, which scores anchors, and the loss by which it learns to rank them.

Yang, Luo, Wang, Hu, Gao, Wang, "Learning to Navigate for Fine-grained Classification", ECCV 2018, Sec. 3.3 and 3.5,
arXiv:1809.00287.

Formulas
    Navigator     three levels of maps, each half as fine as the one before, and a score for each shape at each position
    ranking_loss  the hinge by which the better of two proposals fails to score higher by a margin

Paper and released code
    Layers are those of the code: 128 channels, ReLU, one 1x1 convolution per level. They read the backbone's maps, and
    their loss does not reach the backbone, as in the code; the paper does not say whether it does.
    The paper compares proposals by their probability of the right class, the code by their cross-entropy, which is the
    same order; here it is the method's criterion. The sum over pairs of proposals is divided by the number of images.
"""

from typing import Annotated

import torch
from torch import Tensor, nn

from fieldmark.core.inputs import refuse_misfits
from fieldmark.ops.precision import raised
from fieldmark.papers.nts_net.anchors import SHAPES, levels_of
from fieldmark.plain import Count, NotNegative

HIDDEN = 128
"""Channels of the navigator's maps."""


class Navigator(nn.Module):
    """Maps (B, D, h, w) to a score for each of ``anchor_boxes``, (B, N), in their order.

    Args:
        channels: D.
    """

    def __init__(self, channels: Count) -> None:
        super().__init__()
        refuse_misfits(Navigator, channels)
        self.channels = channels
        layers = [nn.Conv2d(channels, HIDDEN, 3, padding=1)]
        layers += [nn.Conv2d(HIDDEN, HIDDEN, 3, stride=2, padding=1) for _ in SHAPES[1:]]
        self.levels = nn.ModuleList(layers)
        self.scores = nn.ModuleList(nn.Conv2d(HIDDEN, shapes, 1) for shapes in SHAPES)

    def forward(self, maps: Annotated[Tensor, "B D h w"]) -> Tensor:
        """The scores, in float32 or better."""
        refuse_misfits(Navigator.forward, maps, sizes={"D": self.channels})
        scores = []
        for level, score in zip(self.levels, self.scores, strict=True):
            maps = level(maps).relu()
            scores.append(raised(score(maps)).flatten(1))
        return torch.cat(scores, 1)


def score_map(scores: Annotated[Tensor, "B N"], height: Count, width: Count) -> Tensor:
    """The highest score of an anchor at each position of the finest level: (B, N) to (B, height, width).

    A position of a coarser level counts for all those of the finest that it stands for.
    """
    refuse_misfits(score_map, scores, height, width)
    sizes = levels_of(height, width)
    parts = scores.split([shapes * rows * columns for shapes, (rows, columns) in zip(SHAPES, sizes, strict=True)], 1)
    highest = []
    for level, (part, (rows, columns)) in enumerate(zip(parts, sizes, strict=True)):
        own = part.unflatten(1, (-1, rows, columns)).amax(1)
        for dim in (1, 2):
            own = own.repeat_interleave(2**level, dim)
        highest.append(own[:, :height, :width])
    return torch.stack(highest).amax(0)


def ranking_loss(
    scores: Annotated[Tensor, "B M"], losses: Annotated[Tensor, "B M"], margin: NotNegative = 1.0
) -> Tensor:
    """Of each image, for all pairs of its M proposals: by how much the better does not score higher by ``margin``.

    Args:
        scores: of the navigator, (B, M).
        losses: what the proposals' own classification loses, (B, M); it has no gradient.
        margin: of the hinge.

    Returns:
        (B,); 0 where all losses are equal.
    """
    refuse_misfits(ranking_loss, scores, losses, margin)
    losses = losses.detach()
    better = losses[:, :, None] < losses[:, None, :]
    return ((margin - scores[:, :, None] + scores[:, None, :]).relu() * better).sum((1, 2))
