"""Maps and draws for the terms that read channels of maps, and contrasted weights in loops."""

import torch
from torch import Tensor

from fieldmark.core.draws import Draws
from fieldmark.papers.channel_interaction.contrastive import Operation

DRAWS = Draws(5, 2)
OPERATIONS: list[Operation] = ["subtract", "add", "multiply", "concatenate", "none"]


def random_maps(images: int, channels: int, height: int = 3, width: int = 2, seed: int = 0) -> Tensor:
    """No two numbers are equal, and some are negative."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, channels, height, width, dtype=torch.float64, generator=generator)


def weighted(values: Tensor, weights: Tensor) -> Tensor:
    """The maximum over j of w_ij * F_jk, one number at a time."""
    images, channels, positions = values.shape
    numbers, shares = values.tolist(), weights.tolist()
    rows = [
        [
            [max(shares[i][j] * numbers[b][j][k] for j in range(channels)) for k in range(positions)]
            for i in range(len(shares))
        ]
        for b in range(images)
    ]
    return torch.tensor(rows, dtype=values.dtype)


def eq_5(w_a: Tensor, w_b: Tensor, eta: float, operation: str) -> list[list[float]]:
    """|W_A - eta W_B|, element by element, and what the paper tried in its place."""
    size = range(len(w_a))
    first, other = w_a.tolist(), (eta * w_b).tolist()
    if operation == "concatenate":
        return [first[i] + other[i] for i in size]
    rules = {
        "subtract": lambda a, b: abs(a - b),
        "add": lambda a, b: a + b,
        "multiply": lambda a, b: a * b,
        "none": lambda a, b: a,
    }
    return [[rules[operation](first[i][k], other[i][k]) for k in size] for i in size]
