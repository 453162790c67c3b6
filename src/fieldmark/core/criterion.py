"""The criterion, the loss of every branch of a method, and cross-entropy, the default."""

from abc import ABC, abstractmethod
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.errors import UserError
from fieldmark.ops.precision import raised
from fieldmark.plain import BelowOne

Counts = Annotated[Tensor, "C"]


class Criterion(nn.Module, ABC):
    """A loss of logits and labels."""

    @abstractmethod
    def rows(self, logits: Tensor, labels: Tensor, *, smoothing: float | None = None) -> Tensor:
        """One loss per row: (B, C) and (B,) long to (B,); ``smoothing`` replaces the criterion's own."""

    def forward(self, logits: Tensor, labels: Tensor, *, smoothing: float | None = None) -> Tensor:
        """The mean over the batch: (B, C) and (B,) to a scalar; 0 without images."""
        rows = self.rows(logits, labels, smoothing=smoothing)
        return rows.mean() if len(rows) else rows.sum()


class CrossEntropy(Criterion):
    """Cross-entropy in float32 or better, with label smoothing and logit adjustment for uneven classes.

    Args:
        smoothing: mass spread evenly over all classes (Szegedy et al. 2016), in [0, 1).
        adjust: add the classes' log-priors to the logits in training ("logit adjustment", Menon et al., ICLR 2021,
            Eq. 10 with tau = 1), so that inference is balanced.
        counts: (C,) photos per class in training, which ``adjust`` needs; each at least 1.
    """

    adjustment: Tensor | None

    def __init__(self, smoothing: BelowOne = 0.0, *, adjust: bool = False, counts: Counts | None = None) -> None:
        super().__init__()
        refuse_misfits(CrossEntropy, smoothing, adjust, counts)
        if adjust and counts is None:
            raise UserError("CrossEntropy(adjust=True) needs counts, the photos per class in training")
        self.smoothing = smoothing
        prior = torch.log(counts.double() / counts.double().sum()).float() if adjust and counts is not None else None
        self.register_buffer("adjustment", prior, persistent=False)

    def rows(self, logits: Tensor, labels: Tensor, *, smoothing: BelowOne | None = None) -> Tensor:
        """One loss per row: (B, C) and (B,) long to (B,); ``smoothing`` replaces the criterion's own."""
        classes = None if self.adjustment is None else len(self.adjustment)
        refuse_inputs("CrossEntropy", "logits", logits, labels, size=classes)
        refuse_misfits(CrossEntropy.rows, logits, labels, smoothing)
        logits = raised(logits)
        if self.adjustment is not None:
            logits = logits + self.adjustment.to(logits.dtype)
        smoothing = self.smoothing if smoothing is None else smoothing
        return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
