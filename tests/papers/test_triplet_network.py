"""The triplet term against a loop over images that looks for each one's triplet."""

import math

import pytest
import torch
from torch import Tensor

from fieldmark.core.draws import Draws
from fieldmark.papers.triplet_network import Form, Triplet, distance_ratio
from fieldmark.recipes.triplet_network import COMPOSITION
from golden_step import check_golden, numbers_of_a_step, tiny_learner

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 2])


def embeddings(*, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(len(LABELS), 3, dtype=torch.float64, generator=generator)


def naive_loss(values: list[list[float]], labels: list[int], photos: list[int], form: str, margin: float) -> float:
    """The mean over images of the loss with the farthest of their class and the nearest of another."""
    losses = []
    for image, value in enumerate(values):
        away = [math.dist(value, other) for other in values]
        own = [away[i] for i, label in enumerate(labels) if label == labels[image] and photos[i] != photos[image]]
        others = [away[i] for i, label in enumerate(labels) if label != labels[image]]
        if own and others:
            near, far = max(own), min(others)
            total = math.exp(near) + math.exp(far)
            shares = (math.exp(near) / total, math.exp(far) / total)
            ratio = shares[0] ** 2 + (shares[1] - 1) ** 2
            losses.append(ratio if form == "ratio" else max(0.0, near**2 - far**2 + margin))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("photos", [None, torch.tensor([4, 5, 4, 6, 7, 8, 6])], ids=["all differ", "copies"])
@pytest.mark.parametrize("form", ["ratio", "margin"])
def test_the_loss_is_that_of_a_loop_over_images(form: Form, photos: Tensor | None):
    values, draws = embeddings(), None if photos is None else Draws(0, 0, photos)
    which = list(range(len(LABELS))) if photos is None else photos.tolist()
    expected = naive_loss(values.tolist(), LABELS.tolist(), which, form, 0.7)
    found = Triplet(0.3, form=form, margin=0.7)(values, LABELS, draws=draws)
    assert found.item() == pytest.approx(0.3 * expected, rel=1e-12)


def test_other_triplets_may_be_asked_for():
    values = embeddings()
    hard, easy = Triplet(), Triplet(intra="similar", inter="dissimilar")
    assert easy(values, LABELS) < hard(values, LABELS)


@pytest.mark.parametrize("form", ["ratio", "margin"])
def test_its_gradient_is_right(form: Form):
    values = embeddings().requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: Triplet(form=form, margin=3.0)(rows, LABELS), values)


def test_distances_that_are_long_or_none_give_finite_losses():
    near, far = torch.tensor([0.0, 2000.0, 0.0]), torch.tensor([2000.0, 0.0, 0.0])
    assert distance_ratio(near, far).tolist() == [0, 2, 0.5]
    equal = torch.zeros(len(LABELS), 3, requires_grad=True)
    loss = Triplet()(equal, LABELS)
    loss.backward()
    assert loss.item() == 0.5
    assert equal.grad is not None
    assert not equal.grad.any()


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [1]], ids=str)
def test_without_a_triplet_it_is_nothing(labels: list[int]):
    values = embeddings()[: len(labels)].requires_grad_()
    loss = Triplet()(values, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    check_golden("triplet", numbers_of_a_step(tiny_learner(COMPOSITION, monkeypatch)))
