"""The large-margin Gaussian mixture loss against loops and against torch's own densities."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from fieldmark.building import build_learner
from fieldmark.errors import UserError
from fieldmark.papers.gaussian_mixture import GaussianLikelihood, GaussianMixture, squared_distances
from fieldmark.recipe import Model, Part, Pixels, Recipe

WIDTH, CLASSES = 3, 4
EMBEDDING = torch.randn(6, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 3, 1, 1, 2, 0])
CONSTANT = WIDTH / 2 * math.log(2 * math.pi)


def made(margin: float = 0.3) -> GaussianMixture:
    head, generator = GaussianMixture(WIDTH, CLASSES, margin).double(), torch.Generator().manual_seed(1)
    head.log_variances.data += torch.randn(CLASSES, WIDTH, dtype=torch.float64, generator=generator)
    return head


def log_densities(head: GaussianMixture) -> Tensor:
    """(B, C), by torch."""
    spread = (head.log_variances / 2).exp()
    return torch.stack(
        [Independent(Normal(m, s), 1).log_prob(EMBEDDING) for m, s in zip(head.means, spread, strict=True)], 1
    )


def test_distances_are_the_formula():
    head = made()
    found = squared_distances(EMBEDDING, head.means, head.log_variances)
    for x, row in zip(EMBEDDING.tolist(), found.tolist(), strict=True):
        for mean, logs, distance in zip(head.means.tolist(), head.log_variances.tolist(), row, strict=True):
            naive = sum((a - b) ** 2 / math.exp(v) for a, b, v in zip(x, mean, logs, strict=True)) / 2
            assert distance == pytest.approx(naive, abs=1e-10)


def test_scores_are_log_densities_but_for_a_constant():
    head = made()
    torch.testing.assert_close(head(EMBEDDING) - CONSTANT, log_densities(head), rtol=0, atol=1e-10)
    posterior = log_densities(head).softmax(1)
    torch.testing.assert_close(head(EMBEDDING).softmax(1), posterior, rtol=0, atol=1e-12)


def test_in_training_the_right_class_is_further_away():
    head = made(margin=0.3)
    logits, distances = head(EMBEDDING), squared_distances(EMBEDDING, head.means, head.log_variances)
    trained = head.with_margin(logits, EMBEDDING, LABELS)
    for row, label in enumerate(LABELS.tolist()):
        for index in range(CLASSES):
            factor = 1.3 if index == label else 1.0
            expected = -factor * distances[row, index] - head.log_variances[index].sum() / 2
            torch.testing.assert_close(trained[row, index], expected, rtol=0, atol=1e-10)
    assert torch.autograd.gradcheck(lambda x: head.with_margin(head(x), x, LABELS), EMBEDDING.clone().requires_grad_())


def test_the_likelihood_is_that_of_the_own_class():
    head, term = made(), GaussianLikelihood(0.5)
    own = log_densities(head)[torch.arange(6), LABELS] + CONSTANT
    torch.testing.assert_close(term(head(EMBEDDING), LABELS), 0.5 * -own.mean())
    empty = torch.zeros(0, CLASSES, requires_grad=True)
    assert term(empty, LABELS[:0]).item() == 0


def test_any_other_head_is_refused():
    model = Model(terms=(Part("GaussianLikelihood"),), backbone="test_resnet", weights="none")
    with pytest.raises(UserError, match="GaussianLikelihood needs GaussianMixture as head"):
        build_learner(Recipe(model, pixels=Pixels(64, 64)), classes=4)
