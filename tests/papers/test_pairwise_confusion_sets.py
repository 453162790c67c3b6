"""What Pairwise Confusion proves and how it samples: sets of points, lemmas as printed and mended, plans of pairs."""

import math
from collections import Counter
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from fieldmark.batches import BatchSampler, ExhaustivePairs, ShuffledPairs
from fieldmark.papers.pairwise_confusion import (
    PairwiseConfusion,
    confusion_between,
    confusion_within,
    energy_distance,
    euclidean_confusion,
    jeffreys_bound,
    jeffreys_divergence,
)
from fieldmark.testing import no_reading_back
from random_values import probabilities

LABELS = [0, 0, 1, 2, 1, 0, 2, 2, 1, 0, 0]


def points(count: int, classes: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, classes, dtype=torch.float64, generator=generator).softmax(1)


def distance(p: list[float], q: list[float]) -> float:
    return math.sqrt(sum((p[i] - q[i]) ** 2 for i in range(len(p))))


def mean_over_pairs(first: Tensor, second: Tensor, power: int) -> float:
    """1 / (m_i m_j) times the sum over u and v of the norm to a power."""
    total = 0.0
    for u in range(len(first)):
        for v in range(len(second)):
            total += distance(first[u].tolist(), second[v].tolist()) ** power
    return total / (len(first) * len(second))


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 4), (5, 3), (6, 6)])
def test_confusion_of_sets_is_eq_6_and_eq_7(m: int, n: int):
    first, second = points(m, 4), points(n, 4, seed=1)
    assert confusion_between(first, second).item() == pytest.approx(mean_over_pairs(first, second, 2), abs=1e-10)
    assert confusion_within(first).item() == pytest.approx(mean_over_pairs(first, first, 2), abs=1e-10)
    pair = euclidean_confusion(first[:1], second[:1])
    torch.testing.assert_close(confusion_between(first[:1], second[:1]), pair[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("squared", "power"), [(False, 1), (True, 2)])
def test_energy_distance_is_eq_8(squared: bool, power: int):
    first, second = points(5, 4), points(3, 4, seed=1)
    between = mean_over_pairs(first, second, power)
    expected = 2 * between - mean_over_pairs(first, first, power) - mean_over_pairs(second, second, power)
    actual = energy_distance(first, second, squared=squared)
    assert actual.item() == pytest.approx(expected, abs=1e-10)
    assert actual.item() > 0
    assert energy_distance(first, first, squared=squared).item() == pytest.approx(0, abs=1e-12)


def test_half_types_are_raised():
    first, second = points(5, 40).bfloat16(), points(3, 40, seed=1).bfloat16()
    doubles = first.double(), second.double()
    for squared in (True, False):
        actual = energy_distance(first, second, squared=squared)
        assert actual.dtype == torch.float32
        assert actual.item() == pytest.approx(energy_distance(*doubles, squared=squared).item(), rel=1e-4)
    assert confusion_between(first, second).dtype == torch.float32
    assert confusion_between(first, second).item() == pytest.approx(confusion_between(*doubles).item(), rel=1e-5)


def test_gradients_of_sets():
    first, second = points(3, 4).requires_grad_(), points(2, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(confusion_between, (first, second))
    assert torch.autograd.gradcheck(confusion_within, (first,))
    for squared in (True, False):
        assert torch.autograd.gradcheck(lambda p, q, s=squared: energy_distance(p, q, squared=s), (first, second))


def test_an_empty_set_gives_zero_with_a_graph():
    filled = points(3, 4).requires_grad_()
    none = filled[:0]
    for value in (
        confusion_between(filled, none),
        confusion_between(none, filled),
        confusion_within(none),
        energy_distance(filled, none),
        energy_distance(none, filled, squared=True),
    ):
        assert value.item() == 0
        (gradient,) = torch.autograd.grad(value, filled)
        assert (gradient == 0).all()


def test_nothing_is_read_back():
    first, second = points(3, 4), points(2, 4)
    with no_reading_back():
        confusion_within(first)
        energy_distance(first, second)
        energy_distance(first, second, squared=True)
        jeffreys_bound(first, first)


def two_of(least: int, most: int) -> st.SearchStrategy[tuple[Tensor, Tensor]]:
    """Two sets of probability vectors over the same 2 to 5 classes."""

    def sets(classes: int) -> st.SearchStrategy[tuple[Tensor, Tensor]]:
        points = st.lists(probabilities(classes), min_size=least, max_size=most)
        return st.tuples(points, points).map(lambda both: tuple(torch.tensor(s, dtype=torch.float64) for s in both))  # pyright: ignore[reportReturnType]

    return st.integers(2, 5).flatmap(sets)


@given(two_of(1, 1))
@settings(max_examples=80, deadline=None)
def test_lemma_1_confusion_is_at_most_the_divergence(pair: tuple[Tensor, Tensor]):
    assert euclidean_confusion(*pair).item() <= jeffreys_divergence(*pair).item() + 1e-12


def total_variation(p: Tensor, q: Tensor) -> float:
    """The largest difference of probability over all events."""
    classes = range(p.shape[1])
    events = [event for size in range(len(classes) + 1) for event in combinations(classes, size)]
    return max(abs((p - q)[0, list(event)].sum().item()) for event in events)


@given(two_of(1, 1))
@settings(max_examples=60, deadline=None)
def test_lemma_2_confusion_is_at_most_four_squared_variations(pair: tuple[Tensor, Tensor]):
    variation, distance = total_variation(*pair), (pair[0] - pair[1]).abs().sum().item()
    assert variation == pytest.approx(distance / 2, abs=1e-12)
    assert euclidean_confusion(*pair).item() <= 4 * variation**2 + 1e-12
    # with D_TV as printed the bound is looser, but no less true
    assert euclidean_confusion(*pair).item() <= 4 * (distance / 2) + 1e-12


def test_the_printed_variation_is_a_misprint():
    p, q = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    half = 0.5 * (p - q).abs().sum().item()
    assert total_variation(p, q) == half == 0.5
    assert math.sqrt(half) == pytest.approx(0.7071, abs=1e-4)  # what "D_TV squared = half the norm" would make it


@given(two_of(1, 5))
@settings(max_examples=80, deadline=None)
def test_lemma_3_and_corollary_1_with_squared_norms(sets: tuple[Tensor, Tensor]):
    first, second = sets
    between, energy = confusion_between(first, second).item(), energy_distance(first, second, squared=True).item()
    assert 0.5 * energy <= between + 1e-12
    assert confusion_within(first).item() + confusion_within(second).item() <= 2 * between + 1e-12
    distance = (first.mean(0) - second.mean(0)).square().sum().item()
    assert energy == pytest.approx(2 * distance, abs=1e-12)


@given(two_of(1, 5))
@settings(max_examples=40, deadline=None)
def test_the_energy_distance_as_printed_is_a_distance(sets: tuple[Tensor, Tensor]):
    assert energy_distance(*sets).item() >= -1e-12
    torch.testing.assert_close(energy_distance(*sets), energy_distance(*reversed(sets)), rtol=0, atol=1e-12)


def test_lemma_3_fails_as_printed():
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    half = 0.5 * energy_distance(first, second).item()
    assert half == pytest.approx(math.sqrt(0.5), abs=1e-6)
    assert half > confusion_between(first, second).item() == 0.5


def test_the_equality_of_corollary_1_needs_equal_means_alone():
    first, second = torch.eye(2), torch.full((2, 2), 0.5)
    assert not torch.equal(first, second)
    both = confusion_within(first) + confusion_within(second)
    assert both.item() == 2 * confusion_between(first, second).item() == 1.0
    assert energy_distance(first, second).item() > 0.1  # by norms as printed it does tell them apart


@given(st.floats(1e-6, 0.499), st.floats(1e-6, 0.499))
@settings(max_examples=80, deadline=None)
def test_eq_3_bounds_the_divergence_of_two_images_that_are_told_apart(delta1: float, delta2: float):
    rest = 1 - delta1 - delta2
    naive = rest * (2 * math.log(rest) - math.log(delta1 * delta2))
    deltas = torch.tensor([delta1, delta2], dtype=torch.float64)
    bound = jeffreys_bound(*deltas).item()
    assert bound == pytest.approx(naive, rel=1e-9, abs=1e-10)
    p, q = torch.stack([1 - deltas[0], deltas[0]])[None], torch.stack([deltas[1], 1 - deltas[1]])[None]
    assert jeffreys_divergence(p, q).item() >= bound - 1e-12


def test_the_divergence_grows_as_the_classifier_gets_surer():
    deltas = torch.tensor([10.0**-power for power in range(1, 13)], dtype=torch.float64)
    p, q = torch.stack([1 - deltas, deltas], 1), torch.stack([deltas, 1 - deltas], 1)
    grown = jeffreys_divergence(p, q)
    steps = grown.diff()
    assert (steps > 4).all()  # near 2 log 10 with each further digit, without end
    assert grown[-1] > 50
    assert euclidean_confusion(p, q).max() <= 2


def confusion_of(plan: ShuffledPairs | ExhaustivePairs, logits: Tensor, *, epoch: int = 0) -> float:
    """B / lambda times the term, summed over an epoch's batches."""
    term, labels, total = PairwiseConfusion(weight=1.0, shuffle=False), torch.tensor(LABELS), 0.0
    for batch in plan.epoch(LABELS, seed=0, epoch=epoch):
        rows = logits[batch]
        total += len(batch) * term(rows, labels[batch]).item()
    return total


@pytest.mark.parametrize("size", [2, 12])
def test_all_pairs_of_eq_9_sum_to_the_confusion_of_the_sets(size: int):
    logits = torch.randn(len(LABELS), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    sets = [logits.softmax(1)[torch.tensor(LABELS) == name] for name in range(3)]
    expected = sum(
        len(sets[i]) * len(sets[j]) * confusion_between(sets[i], sets[j]).item()
        for i in range(3)
        for j in range(3)
        if i != j
    )
    pairs = sum(LABELS[a] != LABELS[b] for a in range(11) for b in range(11))
    assert pairs % (size // 2) == 0  # so that no batch is filled up
    assert confusion_of(ExhaustivePairs(size, partners=None), logits) == pytest.approx(expected, abs=1e-10)


def test_two_shuffles_zipped_are_algorithm_1():
    logits = torch.randn(len(LABELS), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    p = logits.softmax(1)
    first, second = [], []
    for batch in ShuffledPairs(2).epoch(LABELS, seed=0, epoch=4):
        first.append(int(batch[0]))
        second.append(int(batch[1]))
    expected = 0.0
    for d1, d2 in zip(first, second, strict=True):
        gamma = 1 if LABELS[d1] != LABELS[d2] else 0
        expected += gamma * distance(p[d1].tolist(), p[d2].tolist()) ** 2
    assert Counter(first) == Counter(second) == Counter(range(11))
    assert confusion_of(ShuffledPairs(2), logits, epoch=4) == pytest.approx(expected, abs=1e-10)


def test_in_a_plain_loop_the_confusion_tempers_the_predictions():
    """PyTorch's own loop, loader and layer: of Fieldmark the plan as a batch sampler and the loss."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(48) % 3
    images = torch.eye(3)[labels].repeat(1, 4) + 0.3 * torch.randn(48, 12, generator=generator)
    data = torch.utils.data.TensorDataset(images, labels)
    surest = {}
    for weight in (0.0, 2.0):
        model, confusion = nn.Linear(12, 3), PairwiseConfusion(weight=weight, shuffle=False)
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
        sampler = BatchSampler(ShuffledPairs(16), labels.tolist(), seed=0)
        for epoch in range(6):
            sampler.set_epoch(epoch)
            for rows, targets in torch.utils.data.DataLoader(data, batch_sampler=sampler):
                logits = model(rows)
                optimiser.zero_grad()
                (F.cross_entropy(logits, targets) + confusion(logits, targets)).backward()
                optimiser.step()
        with torch.no_grad():
            surest[weight] = model(images).softmax(1).amax(1).mean().item()
            assert (model(images).argmax(1) == labels).float().mean() > 0.95
    assert surest[2.0] < surest[0.0] - 0.1
