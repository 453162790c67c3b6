"""Rethinking Feature Distribution for Loss Functions in Image Classification (large-margin Gaussian mixture loss).

Wan, Zhong, Li, Chen. CVPR 2018. arXiv:1803.02988.

Formulas
    squared_distances        d_k = (x - mu_k)' Lambda_k^-1 (x - mu_k) / 2 of an embedding to each class's Gaussian
    GaussianMixture          scores -d_k - log|Lambda_k| / 2: of equally likely classes, their softmax is p(k | x)
    GaussianMixture.with_margin  the right class has (1 + alpha) d_k in training
    GaussianLikelihood       lambda (d_y + log|Lambda_y| / 2), that the embedding is likely under its class's Gaussian

Paper and released code
    Classes are equally likely, covariances diagonal. The margin alpha and lambda = 0.1 are options; the paper has other
    margins for other data, from 0.01 for many classes to 1 for few. As published, means and variances learn by
    gradients, and there is no bias. The likelihood reads the logits, as these hold all that it needs.
"""

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Term
from fieldmark.core.cosine import of_right_class, with_right_class
from fieldmark.core.draws import Draws
from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision, raised
from fieldmark.plain import Count, NotNegative


def squared_distances(
    embedding: Annotated[Tensor, "B E"], means: Annotated[Tensor, "C E"], log_variances: Annotated[Tensor, "C E"]
) -> Tensor:
    """Half the squared Mahalanobis distances to each class's mean, (B, C), in float32 or better, never below 0."""
    refuse_misfits(squared_distances, embedding, means, log_variances)
    embedding, means, log_variances = raised(embedding), raised(means), raised(log_variances)
    precision = (-log_variances).exp()
    with full_precision(embedding):  # (x - mu)' P (x - mu), without holding (B, C, E)
        crossed = embedding.square() @ precision.T - 2 * embedding @ (means * precision).T
        return ((crossed + (means.square() * precision).sum(1)) / 2).clamp_min(0)


class GaussianMixture(nn.Module):
    """A head with a Gaussian for each class; (B, E) to (B, C).

    Args:
        width: E.
        classes: C.
        margin: alpha, by how much further away the right class is taken to be in training.
    """

    def __init__(self, width: Count, classes: Count, margin: NotNegative = 0.01) -> None:
        super().__init__()
        refuse_misfits(GaussianMixture, width, classes, margin)
        self.margin, self.width = margin, width
        self.means = nn.Parameter(torch.randn(classes, width) / width**0.5)
        self.log_variances = nn.Parameter(torch.zeros(classes, width))

    def forward(self, embedding: Annotated[Tensor, "B E"]) -> Tensor:
        """-d_k - log|Lambda_k| / 2, (B, C)."""
        refuse_misfits(GaussianMixture.forward, embedding, sizes={"E": self.width})
        return -squared_distances(embedding, self.means, self.log_variances) - self._half_log_determinants()

    def with_margin(self, logits: Tensor, embedding: Tensor, labels: Tensor) -> Tensor:
        """The scores of training (B, C), of ``forward``'s logits (B, C)."""
        refuse_inputs("GaussianMixture", "logits", logits, labels, size=len(self.means))
        own = of_right_class(logits, labels)
        distance = -own - self._half_log_determinants()[labels]
        return with_right_class(logits, labels, own - self.margin * distance)

    def _half_log_determinants(self) -> Tensor:
        """log|Lambda_k| / 2, (C,)."""
        return raised(self.log_variances).sum(1) / 2


class GaussianLikelihood(Term):
    """Makes embeddings likely under the Gaussian of their class, where the head is a ``GaussianMixture``.

    Args:
        weight: lambda.
    """

    reads = ("logits",)
    batch_wide: ClassVar[bool] = False

    def __init__(self, weight: NotNegative = 0.1) -> None:
        super().__init__()
        refuse_misfits(GaussianLikelihood, weight)
        self.weight = weight

    def check(self, classifier: Classifier) -> None:
        """Refuses any other head."""
        if not isinstance(classifier.head, GaussianMixture):
            raise UserError("GaussianLikelihood needs GaussianMixture as head, whose logits are log-likelihoods")

    def forward(self, logits: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """(B, C) and (B,) to a scalar: the mean of d_y + log|Lambda_y| / 2."""
        refuse_inputs("GaussianLikelihood", "logits", logits, labels)
        own = of_right_class(raised(logits), labels)
        return self.weight * -own.sum() / max(1, len(labels))
