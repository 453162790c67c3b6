"""Center loss against loops over images and classes, and its centers."""

import pytest
import torch
from torch import Tensor

from fieldmark.errors import UserError
from fieldmark.papers.center_loss import CenterLoss, center_steps
from fieldmark.recipes.center_loss import COMPOSITION
from golden_step import tiny_learner

CLASSES, WIDTH = 4, 3
LABELS = torch.tensor([0, 2, 2, 0, 2, 3])


def embeddings(seed: int = 0) -> Tensor:
    return torch.randn(len(LABELS), WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def made(**options: float) -> CenterLoss:
    term = CenterLoss(CLASSES, WIDTH, **options).double()
    term.centers += torch.randn(CLASSES, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    return term


def naive_steps(values: list[list[float]], labels: list[int], centers: list[list[float]]) -> list[list[float]]:
    """For each class the sum of (c - x) over its images, over one more than their number."""
    steps = []
    for label, center in enumerate(centers):
        own = [value for value, other in zip(values, labels, strict=True) if other == label]
        steps.append([sum(center[k] - value[k] for value in own) / (1 + len(own)) for k in range(WIDTH)])
    return steps


def test_the_loss_is_half_the_squared_distance_to_the_center():
    term, values = made(weight=0.3).eval(), embeddings()
    total = 0.0
    for value, label in zip(values.tolist(), LABELS.tolist(), strict=True):
        total += sum((x - c) ** 2 for x, c in zip(value, term.centers[label].tolist(), strict=True)) / 2
    torch.testing.assert_close(term(values, LABELS).item(), 0.3 * total / len(LABELS))
    assert torch.autograd.gradcheck(lambda x: term(x, LABELS), values.requires_grad_())


def test_centers_follow_in_training_alone_and_after_the_loss():
    term, values = made(rate=0.25), embeddings()
    before = term.centers.clone()
    torch.testing.assert_close(
        center_steps(values, LABELS, before),
        torch.tensor(naive_steps(values.tolist(), LABELS.tolist(), before.tolist()), dtype=torch.float64),
    )
    still = term.eval()(values, LABELS)
    assert torch.equal(term.centers, before)
    assert torch.equal(term.train()(values, LABELS), still)
    torch.testing.assert_close(term.centers, before - 0.25 * center_steps(values, LABELS, before))
    assert torch.equal(term.centers[1], before[1])  # a class that the batch lacks


def test_centers_reach_the_means_of_their_classes():
    term, values = CenterLoss(CLASSES, WIDTH).double(), embeddings()
    for _ in range(60):
        term(values, LABELS)
    for label in LABELS.unique():
        torch.testing.assert_close(term.centers[label], values[label == LABELS].mean(0))


def test_an_embedding_that_is_not_finite_moves_no_center():
    term, values = made(), embeddings()
    values[0, 1] = torch.inf
    before = term.centers.clone()
    assert not term(values, LABELS).isfinite()
    assert torch.equal(term.centers[0, 1], before[0, 1])
    assert term.centers.isfinite().all()


def test_an_empty_batch_costs_nothing_and_moves_nothing():
    term = made()
    before = term.centers.clone()
    loss = term(embeddings()[:0].requires_grad_(), LABELS[:0])
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(term.centers, before)


def test_it_is_made_for_the_embedding(monkeypatch: pytest.MonkeyPatch):
    learner = tiny_learner(COMPOSITION, monkeypatch)
    (term,) = learner.terms
    assert isinstance(term, CenterLoss)
    assert term.centers.shape[1] == learner.method.classifier.head.weight.shape[1]
    with pytest.raises(UserError, match=r"made for 3 numbers per embedding, not 5"):
        made()(torch.zeros(2, 5), LABELS[:2])
