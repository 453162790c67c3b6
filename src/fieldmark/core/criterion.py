"""Cross-entropy as the recipe wants it: label smoothing and logit adjustment for uneven classes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.ops.precision import raised


class Criterion(nn.Module):
    """Cross-entropy on logits, in float32 or better.

    Args:
        smoothing: mass spread evenly over all classes (Szegedy et al. 2016), in [0, 1).
        counts: photos a class in training; given, log-priors are added to the logits in training only ("logit
            adjustment", Menon et al., ICLR 2021, Eq. 10 with tau = 1), so that inference is balanced.
    """

    adjustment: Tensor | None

    def __init__(self, *, smoothing: float = 0.0, counts: Tensor | None = None) -> None:
        super().__init__()
        self.smoothing = smoothing
        prior = None if counts is None else torch.log(counts.double() / counts.double().sum()).float()
        self.register_buffer("adjustment", prior, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, *, smoothing: float | None = None) -> Tensor:
        """The mean over the batch: (B, C) and (B,) to a scalar; ``smoothing`` in the place of the criterion's own."""
        return self.rows(logits, labels, smoothing=smoothing).mean()

    def rows(self, logits: Tensor, labels: Tensor, *, smoothing: float | None = None) -> Tensor:
        """One loss a row: (B, C) and (B,) to (B,)."""
        logits = raised(logits)
        if self.adjustment is not None:
            logits = logits + self.adjustment.to(logits.dtype)
        smoothing = self.smoothing if smoothing is None else smoothing
        return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
