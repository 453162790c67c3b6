"""Micro-batches against the whole batch: the same losses and gradients for every method with every term, and memory.

pytest -m slow tests/training/test_micro_batches.py    every method with every term, and with all of them
"""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fieldmark.building import build_learner
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.recipes import COMPOSITIONS, PAPERS
from fieldmark.recipes.composition import Composition
from fieldmark.training.micro_batches import backward_in_micro_batches, buffers_put_back
from small_runs import small, train_small
from typed import refused

COUNT, SIZE = 8, 64
ROWS = torch.arange(COUNT) * 7 + 3
LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
OWN = [paper.COMPOSITION for paper in PAPERS]
TERMS = ("PairwiseConfusion", "MutualChannelLoss", "SoftChannelLabels", "CenterLoss")
SUITED = {"SoftChannelLabels": {"reduction": 1}}


def built(composition: Composition, *terms: str) -> Learner:
    """In float64 and in training, but for norms, which keep their statistics."""
    added = tuple(Part(name, SUITED.get(name, {})) for name in terms)
    model = Model(
        composition.method, composition.pool, composition.head, "test_resnet", "none", composition.neck,
        (*composition.terms, *added),
    )  # fmt: skip
    model = dataclasses.replace(model, criterion=composition.criterion or model.criterion)
    learner = build_learner(Recipe(model, Pixels(SIZE, SIZE)), classes=3).double().train()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    for module in learner.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return learner


def images() -> Tensor:
    return torch.randn(COUNT, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def stepped(learner: Learner, size: int) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Losses, gradients and buffers after a step; ``size`` 0 takes the whole batch at once."""
    torch.manual_seed(5)
    draws = Draws(2, 1, ROWS)
    if size:
        output = backward_in_micro_batches(learner, images(), LABELS, draws, size=size)
    else:
        output = learner(images(), LABELS, draws)
        total(output).backward()
    gradients = {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}
    learner.zero_grad()
    return output.losses, gradients, {name: value.clone() for name, value in learner.named_buffers()}


def compared(composition: Composition, *terms: str, size: int = 3) -> None:
    whole, parts = (stepped(built(composition, *terms), pieces) for pieces in (0, size))
    for expected, found in zip(whole, parts, strict=True):
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            difference = (value - found[name]).abs().max() if value.numel() else torch.zeros(())
            scale = value.abs().max().clamp_min(1e-6) if value.numel() else torch.ones(())
            assert difference <= 1e-5 * scale, name
    assert any(gradient.abs().max() > 1e-6 for gradient in whole[1].values())


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_every_method_steps_as_with_the_whole_batch(composition: Composition):
    compared(composition)


@pytest.mark.slow
@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_every_term_too(composition: Composition, term: str):
    if term not in {part.name for part in composition.terms}:
        compared(composition, term)


@pytest.mark.parametrize("name", ["api-net", "cin"])
def test_all_terms_together_and_any_size(name: str):
    (composition,) = (each for each in OWN if each.name == name)
    for size in (1, 5, 8):
        compared(composition, *TERMS, size=size)


class Noisy(nn.Module):
    """A layer that draws from torch's own generator, as dropout inside a backbone does."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps * torch.rand_like(maps)


def test_what_is_drawn_from_torchs_generator_is_drawn_again():
    learner = built(COMPOSITIONS[0])
    learner.method.classifier.neck = Noisy()
    torch.manual_seed(5)
    output = backward_in_micro_batches(learner, images(), LABELS, Draws(2, 1, ROWS), size=4)
    found = {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}
    learner.zero_grad()
    torch.manual_seed(5)
    pieces = [
        learner.method.encode(part, Draws(2, 1, rows))
        for part, rows in zip(images().split(4), ROWS.split(4), strict=True)
    ]
    logits = torch.cat([piece.logits for piece in pieces])
    torch.testing.assert_close(output.logits.detach(), logits.detach(), rtol=0, atol=0)
    learner.method.criterion(logits, LABELS).backward()
    for name, parameter in learner.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-9, atol=1e-12)


def test_buffers_are_put_back_after_an_error_too():
    norm = nn.BatchNorm1d(3).train()
    before = norm.state_dict()["running_mean"].clone()
    with pytest.raises(RuntimeError), buffers_put_back(norm):
        norm(torch.randn(8, 3))
        raise RuntimeError
    assert torch.equal(norm.running_mean, before)  # pyright: ignore[reportArgumentType]


def test_norms_that_train_see_each_micro_batch_once():
    learner = built(COMPOSITIONS[0]).train()
    norm = next(m for m in learner.modules() if isinstance(m, nn.BatchNorm2d))
    backward_in_micro_batches(learner, images(), LABELS, Draws(2, 1, ROWS), size=4)
    assert norm.num_batches_tracked == 2


def test_a_run_in_micro_batches_is_one_like_any_other(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    said = train_small(photos, tmp_path / "run", small(epochs=1, method="api-net", batch=8, micro_batch=3))
    assert any(line.startswith("epoch 1/1") for line in said)
    both = refused(capsys, "train", photos, "--out", tmp_path / "b", "--micro-batch", 2, "--accumulate", 2)
    assert "micro_batch and accumulate both divide a batch" in both


MEMORY = """
import resource, sys, torch
from fieldmark.building import build_learner
from fieldmark.core.draws import Draws
from fieldmark.core.learner import total
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.training.micro_batches import backward_in_micro_batches
count, size = int(sys.argv[1]), int(sys.argv[2])
recipe = Recipe(Model(Part("ApiNet"), backbone="resnet18", weights="none"), Pixels(224, 224))
learner = build_learner(recipe, classes=count // 4).train()
images, labels = torch.randn(count, 3, 224, 224), torch.arange(count) // 4
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
draws = Draws(0, 0, torch.arange(count))
if size:
    backward_in_micro_batches(learner, images, labels, draws, size=size)
else:
    total(learner(images, labels, draws)).backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_the_activations_of_few_images_are_held():
    def peak(count: int, size: int) -> int:
        words = [sys.executable, "-c", MEMORY, str(count), str(size)]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    assert peak(120, 8) < peak(120, 0) / 4
