"""Whatever cannot be negative is not by rounding either: the papers' distances, divergences, entropies and losses."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from fieldmark.core.criterion import CrossEntropy
from fieldmark.papers.api_net.method import score_ranking
from fieldmark.papers.channel_interaction.contrastive import pair_contrastive, triplet
from fieldmark.papers.mutual_channel import discriminality
from fieldmark.papers.pairwise_confusion import (
    PairwiseConfusion,
    confusion_between,
    confusion_within,
    energy_distance,
    euclidean_confusion,
    jeffreys_divergence,
)
from fieldmark.papers.selective_sparse_sampling.attention import top_entropy

COUNT, CLASSES = 6, 20
LABELS = torch.arange(COUNT) % 2
OF_PROBABILITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "jeffreys": jeffreys_divergence,
    "euclidean": euclidean_confusion,
    "between": confusion_between,
    "within": lambda p, _: confusion_within(p),
    "energy": energy_distance,
    "energy, squared": partial(energy_distance, squared=True),
    "contrastive": lambda p, q: pair_contrastive(p, q, LABELS == 0),
    "triplet": triplet,
    "ranking": lambda p, q: score_ranking(p[:, 0], q[:, 0], margin=0.0),
}
OF_LOGITS: dict[str, Callable[[Tensor], Tensor]] = {
    "entropy": top_entropy,
    "discriminality": lambda logits: discriminality(logits, LABELS),
    "cross-entropy": lambda logits: CrossEntropy().rows(logits, LABELS),
    "smoothed": lambda logits: CrossEntropy(0.1).rows(logits, LABELS),
    "confusion": lambda logits: PairwiseConfusion()(logits, LABELS),
    "confusion by norms": lambda logits: PairwiseConfusion(squared=False)(logits, LABELS),
}


def near(distance: float, dtype: torch.dtype, seed: int) -> tuple[Tensor, Tensor]:
    """Logits (6, 20), and others about that far from them."""
    generator = torch.Generator().manual_seed(seed)
    logits, step = (torch.randn(COUNT, CLASSES, dtype=dtype, generator=generator) for _ in range(2))
    return 3 * logits, 3 * logits + distance * step


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_between_near_predictions(name: str, dtype: torch.dtype):
    for distance in (0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-4):
        for seed in range(40):
            p, q = (logits.softmax(1) for logits in near(distance, dtype, seed))
            assert (OF_PROBABILITIES[name](p, q) >= 0).all(), (distance, seed)
            assert (OF_PROBABILITIES[name](p, p.roll(1, 0)) >= 0).all(), (distance, seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", OF_LOGITS)
def test_of_sure_and_unsure_predictions(name: str, dtype: torch.dtype):
    for scale in (0.0, 1e-6, 1.0, 30.0, 1e4):
        for seed in range(20):
            logits = scale * near(0.0, dtype, seed)[0]
            assert (OF_LOGITS[name](logits) >= 0).all(), (scale, seed)


def test_near_sets_of_an_energy_distance_pass_back_finite_gradients():
    for distance in (0.0, 1e-8, 1e-4):
        for squared in (False, True):
            first, second = (logits.softmax(1).requires_grad_() for logits in near(distance, torch.float32, 3))
            energy_distance(first, second, squared=squared).backward()
            assert all(points.grad is not None and points.grad.isfinite().all() for points in (first, second))
