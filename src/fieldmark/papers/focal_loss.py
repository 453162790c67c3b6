"""Focal Loss for Dense Object Detection.

Lin, Goyal, Girshick, He, Dollár. ICCV 2017. arXiv:1708.02002.

Equations
    Eq. 4   focal_loss  cross-entropy, less of it the surer the network is of the right class

Paper and released code
    The paper has two classes, with a sigmoid; here p_t is the softmax probability of the image's class, as images have
    one of many classes where Mutual-Channel Loss compares with it (Table VI). The default of gamma, 2, is the paper's;
    its weight alpha, against the many background boxes of a detector, is left out. With label smoothing each class's
    term has its share.
"""

from typing import Annotated

import torch
from torch import Tensor

from fieldmark.core.criterion import Criterion
from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.ops.precision import raised
from fieldmark.plain import BelowOne, NotNegative

GAMMA = 2.0


def focal_loss(log_probabilities: Annotated[Tensor, "P C"], gamma: NotNegative = GAMMA) -> Tensor:
    """-(1 - p)^gamma log p, elementwise: what each class would cost as the right one; (P, C)."""
    refuse_misfits(focal_loss, log_probabilities, gamma)
    wrong = -torch.expm1(log_probabilities)  # 1 - p
    # at p = 1 the power's gradient would be infinite for gamma below 1, though that of the product is 0
    unsure = wrong > 0
    focus = torch.where(unsure, torch.where(unsure, wrong, 1) ** gamma, 0.0 if gamma else 1.0)
    return -focus * log_probabilities  # Eq. 4


class FocalLoss(Criterion):
    """The focal loss as criterion: images that are recognised well count less.

    Args:
        smoothing: mass spread evenly over all classes, in [0, 1).
        gamma: 0 is cross-entropy.
    """

    def __init__(self, smoothing: BelowOne = 0.0, gamma: NotNegative = GAMMA) -> None:
        super().__init__()
        refuse_misfits(FocalLoss, smoothing, gamma)
        self.smoothing, self.gamma = smoothing, gamma

    def rows(self, logits: Tensor, labels: Tensor, *, smoothing: BelowOne | None = None) -> Tensor:
        """One loss per row: (B, C) and (B,) long to (B,); ``smoothing`` replaces the criterion's own."""
        refuse_inputs("FocalLoss", "logits", logits, labels)
        refuse_misfits(FocalLoss.rows, logits, labels, smoothing)
        costs = focal_loss(raised(logits).log_softmax(1), self.gamma)
        share = self.smoothing if smoothing is None else smoothing
        right = costs.gather(1, labels[:, None])[:, 0]
        return (1 - share) * right + share * costs.mean(1)
