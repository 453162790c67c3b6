"""The network as it is exported: its outputs, and when class-response maps are exact."""

from dataclasses import replace

import pytest
import torch

from export_matrix import PAPERS
from fieldmark.building import build_learner
from fieldmark.exporting.network import Shipped, example, why_no_maps
from fieldmark.recipe import Model, Part, Pixels, Recipe

MODEL = Model(backbone="test_resnet", weights="none")


def shipped(model: Model, *, temperature: float = 2.0) -> Shipped:
    recipe = Recipe(model, pixels=Pixels(size=32, eval_size=32))
    network = Shipped(build_learner(recipe, classes=4).eval().method, temperature=temperature).eval()
    head = network.method.classifier.head
    if isinstance(head, torch.nn.Linear):
        torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(0))
    return network


def test_logits_probabilities_embedding_and_maps():
    network = shipped(MODEL)
    images = example(network.method, size=32, count=3)
    with torch.inference_mode():
        logits, probabilities, embedding, maps = network(images)
        assert torch.equal(logits, network.method(images))
    assert network.names == ("logits", "probabilities", "embedding", "maps")
    torch.testing.assert_close(probabilities, (logits / 2).softmax(1))
    assert embedding.shape == (3, network.method.classifier.backbone.channels)
    torch.testing.assert_close(maps.mean((2, 3)) + network.method.classifier.head.bias, logits)  # pyright: ignore


@pytest.mark.parametrize("paper", ["plain", "pc", "mc-loss", "api-net", "cin"])
def test_methods_whose_maps_are_exact(paper: str):
    parts = PAPERS[paper]
    model = replace(MODEL, method=parts.method, neck=parts.neck, terms=parts.terms)
    assert shipped(model).no_maps == ""


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"pool": Part("Maximum")}, "the pool Maximum is no average"),
        ({"head": Part("TwoLayerHead", {"hidden": 8})}, "the head TwoLayerHead is not linear"),
        ({"method": Part("S3N")}, "the logits of S3N are not those of one map"),
    ],
)
def test_others_say_why_not(parts: dict[str, Part], said: str):
    network = shipped(replace(MODEL, **parts))
    assert why_no_maps(network.method) == network.no_maps == said
    assert network.names == ("logits", "probabilities", "embedding")
    with torch.inference_mode():
        assert len(network(example(network.method, size=32))) == 3


def test_examples_are_several_and_always_the_same():
    network = shipped(MODEL)
    first, again = (example(network.method, size=8) for _ in range(2))
    assert torch.equal(first, again)
    assert len(first) >= 2
