"""The plain classifier: cross-entropy on the logits, nothing else. The baseline of every table, and its parts."""

from torch import Tensor

from fieldmark.core.classifier import Average, Linear, Maximum
from fieldmark.core.contract import Encoded, Method, TrainOutput
from fieldmark.core.criterion import CrossEntropy
from fieldmark.core.draws import Draws

__all__ = ["Average", "CrossEntropy", "Linear", "Maximum", "Plain"]


class Plain(Method):
    """Cross-entropy on the classifier's logits, with a margin where the head has one; inference is the classifier."""

    takes_margins = True

    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        """One loss, "cross_entropy"."""
        logits = self.classifier.trained_logits(encoded.features, labels)
        losses = {"cross_entropy": self.criterion(logits, labels)}
        return TrainOutput(losses, encoded.logits, labels, encoded.features, encoded.views)
