"""A run's network as it is exported: logits, calibrated probabilities, the embedding and, if exact, class maps."""

import torch
from torch import Tensor, nn

from fieldmark.core.class_maps import class_response_maps
from fieldmark.core.classifier import Average
from fieldmark.core.contract import Method
from fieldmark.core.draws import EVALUATION


class Shipped(nn.Module):
    """Normalised images (N, 3, S, S) to ``names``, in that order.

    Args:
        method: in eval mode.
        temperature: what logits are divided by for probabilities.
    """

    def __init__(self, method: Method, *, temperature: float) -> None:
        super().__init__()
        self.method, self.temperature = method, temperature
        self.no_maps = why_no_maps(method)
        self.names = ("logits", "probabilities", "embedding", *(() if self.no_maps else ("maps",)))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Logits and probabilities (N, C), the embedding (N, E), class-response maps (N, C, h, w)."""
        encoded = self.method.encode(images, EVALUATION)
        probabilities = (encoded.logits / self.temperature).softmax(1)
        found = (encoded.logits, probabilities, encoded.features.embedding)
        if self.no_maps:
            return found
        head, refined = self.method.classifier.head, encoded.features.refined
        assert isinstance(head, nn.Linear), "as why_no_maps found"
        assert refined is not None, "asked for"
        return (*found, class_response_maps(refined, head.weight))


def why_no_maps(method: Method) -> str:
    """Why logits are no sum over positions of class-response maps; "" where they are."""
    if type(method).forward is not Method.forward:
        return f"the logits of {type(method).__name__} are not those of one map"
    if not isinstance(method.classifier.pool, Average):
        return f"the pool {type(method.classifier.pool).__name__} is no average"
    if not isinstance(method.classifier.head, nn.Linear):
        return f"the head {type(method.classifier.head).__name__} is not linear"
    return ""


def example(method: Method, *, size: int, count: int = 2) -> Tensor:
    """Images to trace with: more than one, as exporters take a batch of one for a constant."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, size, size, generator=generator)
