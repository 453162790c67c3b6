"""The mutual vectors of API-Net against loops over channels written from Section 4.1."""

import math
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.papers.api_net.mutual import (
    HIDDEN,
    CompactBilinear,
    Individual,
    Mlp,
    Operation,
    TwoLayers,
    WeightAttention,
    dropped,
    make_mutual,
)
from fieldmark.testing import no_reading_back

PAIRS, WIDTH = 4, 5
OPERATIONS: tuple[Operation, ...] = get_args(Operation)


def embeddings(seed: int = 0) -> tuple[Tensor, Tensor]:
    drawn = torch.randn(2, PAIRS, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return drawn[0], drawn[1]


def made(operation: Operation, dropout: float = 0.5) -> nn.Module:
    torch.manual_seed(0)
    return make_mutual(operation, WIDTH, dropout=dropout).double()


def naive_linear(layer: nn.Linear, row: list[float]) -> list[float]:
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [sum(w * v for w, v in zip(weight[k], row, strict=True)) + bias[k] for k in range(len(bias))]


def naive_layers(layers: TwoLayers, row: list[float]) -> list[float]:
    """FC - FC, nothing between."""
    return naive_linear(layers.second, naive_linear(layers.first, row))


def naive_mutual(module: nn.Module, operation: str, x1: list[float], x2: list[float]) -> list[float]:
    both = list(zip(x1, x2, strict=True))
    match operation:
        case "mlp":
            assert isinstance(module, Mlp)
            return naive_layers(module.layers, x1 + x2)
        case "weight_attention":
            assert isinstance(module, WeightAttention)
            a, b = naive_layers(module.layers, x1 + x2)
            w1 = math.exp(a) / (math.exp(a) + math.exp(b))
            return [w1 * p + (1 - w1) * q for p, q in both]
        case "compact_bilinear":
            assert isinstance(module, CompactBilinear)
            h, s = module.sketch.buckets.tolist(), module.sketch.signs.tolist()
            out = [0.0] * WIDTH
            for i in range(WIDTH):
                for j in range(WIDTH):
                    out[(h[0][i] + h[1][j]) % WIDTH] += s[0][i] * s[1][j] * x1[i] * x2[j]
            return out
        case "subtract_square":
            return [(p - q) ** 2 for p, q in both]
        case "sum":
            return [p + q for p, q in both]
        case _:
            return [p * q for p, q in both]


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation != "individual"])
def test_mutual_vectors_are_eq_1(operation: Operation):
    module, (x1, x2) = made(operation), embeddings()
    with no_reading_back():
        mutual = module(x1, x2, EVALUATION)
    rows = [naive_mutual(module, operation, a, b) for a, b in zip(x1.tolist(), x2.tolist(), strict=True)]
    torch.testing.assert_close(mutual, torch.tensor(rows, dtype=torch.float64), rtol=0, atol=1e-10)


def test_individual_maps_each_image_alone():
    module, (x1, x2) = made("individual"), embeddings()
    assert isinstance(module, Individual)
    for vectors, x in zip(module(x1, x2, EVALUATION), (x1, x2), strict=True):
        rows = [naive_layers(module.layers, row) for row in x.tolist()]
        torch.testing.assert_close(vectors, torch.tensor(rows, dtype=torch.float64), rtol=0, atol=1e-10)


def test_the_two_layers_have_the_papers_sizes():
    shapes = {
        operation: [tuple(p.shape) for p in make_mutual(operation, 2048, dropout=0.5).parameters() if p.ndim > 1]
        for operation in OPERATIONS
    }
    assert shapes["mlp"] == [(512, 4096), (2048, 512)]
    assert shapes["individual"] == [(512, 2048), (2048, 512)]
    assert shapes["weight_attention"] == [(512, 4096), (2, 512)]
    assert all(not shapes[name] for name in ("compact_bilinear", "subtract_square", "sum", "product"))
    assert HIDDEN == 512


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients(operation: Operation):
    module = made(operation, dropout=0.25)
    pair = tuple(x.requires_grad_() for x in embeddings())
    assert torch.autograd.gradcheck(lambda x1, x2: module(x1, x2, Draws(1)), pair)


@pytest.mark.parametrize("operation", ["mlp", "individual", "weight_attention"])
def test_dropout_lies_between_the_layers_and_comes_from_draws(operation: Operation):
    x1, x2 = embeddings()

    def of(dropout: float, draws: Draws) -> Tensor:
        vectors = made(operation, dropout)(x1, x2, draws)
        return vectors if isinstance(vectors, Tensor) else torch.cat(vectors)

    whole = of(0.5, EVALUATION)
    assert torch.equal(whole, of(0.0, Draws(1)))
    assert torch.equal(of(0.5, Draws(1, 2)), of(0.5, Draws(1, 2)))
    assert not torch.equal(of(0.5, Draws(1, 2)), of(0.5, Draws(1, 3)))
    assert not torch.equal(of(0.5, Draws(1, 2)), whole)
    mean = torch.stack([of(0.5, Draws(1, step)) for step in range(400)]).mean(0)
    torch.testing.assert_close(mean, whole, rtol=0, atol=0.1)


def test_dropped_numbers_are_zero_and_the_others_raised():
    values = torch.ones(50, 40)
    kept = dropped(values, "test", dropout=0.2, draws=Draws(0))
    assert set(kept.flatten().tolist()) == {0.0, 1.25}
    assert (kept == 0).float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert dropped(values, "test", dropout=0.2, draws=EVALUATION) is values
    assert dropped(values, "test", dropout=0.0, draws=Draws(0)) is values
