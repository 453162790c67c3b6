"""The plain classifier: cross-entropy and nothing else."""

import pytest
import torch

from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.recipes.plain import COMPOSITION
from golden_step import CLASSES, LABELS, ROWS, check_golden, numbers_of_a_step, tiny_images, tiny_learner


def test_the_loss_is_smoothed_cross_entropy_of_every_image(monkeypatch: pytest.MonkeyPatch):
    learner = tiny_learner(COMPOSITION, monkeypatch)
    output = learner(tiny_images(), LABELS, Draws(0, 0, ROWS))
    losses = []
    for row, label in zip(output.logits, LABELS.tolist(), strict=True):
        logs = row - torch.log(sum(torch.exp(value) for value in row))
        losses.append(-sum((0.9 * (index == label) + 0.1 / CLASSES) * value for index, value in enumerate(logs)))
    assert list(output.losses) == ["cross_entropy"]
    expected = sum(losses) / len(losses)
    torch.testing.assert_close(output.losses["cross_entropy"], expected, rtol=0, atol=1e-10)


def test_inference_is_the_classifier(monkeypatch: pytest.MonkeyPatch):
    method = tiny_learner(COMPOSITION, monkeypatch).method.eval()
    images = tiny_images()
    logits = method(images)
    assert torch.equal(logits, method.classifier(images))
    assert torch.equal(logits, method.encode(images, EVALUATION).logits)
    assert torch.equal(method.evidence(images).logits, logits)
    assert logits.dtype == torch.float64


def test_groups_are_backbone_and_head(monkeypatch: pytest.MonkeyPatch):
    learner = tiny_learner(COMPOSITION, monkeypatch)
    groups = learner.parameter_groups()
    assert {name: len(group) for name, group in groups.items()} == {"backbone": 4, "head": 2}
    assert not learner.batch_wide


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    check_golden("plain", numbers_of_a_step(tiny_learner(COMPOSITION, monkeypatch)))
