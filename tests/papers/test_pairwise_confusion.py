"""Pairwise Confusion against loops written from the paper, its lemmas, and the batches at the edge."""

import math
from dataclasses import replace
from itertools import permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.errors import UserError
from fieldmark.papers.pairwise_confusion import PairwiseConfusion, euclidean_confusion, jeffreys_divergence
from fieldmark.recipe import Part
from fieldmark.recipes.pairwise_confusion import COMPOSITION
from golden_step import check_golden, numbers_of_a_step, tiny_learner
from random_values import probabilities

DRAWS = Draws(5, 2)


def random_logits(count: int, classes: int, seed: int = 0) -> Tensor:
    return torch.randn(count, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def confusion(term: PairwiseConfusion, logits: Tensor, labels: Tensor, draws: Draws = DRAWS) -> Tensor:
    return term(logits, labels, draws=draws)


def softmax_of(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def eq_2(p: list[float], q: list[float]) -> float:
    """Sum over classes of (p - q) log(p / q)."""
    return sum((p[i] - q[i]) * math.log(p[i] / q[i]) for i in range(len(p)))


def eq_5(p: list[float], q: list[float]) -> float:
    """Sum over classes of (p - q) squared."""
    return sum((p[i] - q[i]) ** 2 for i in range(len(p)))


def eq_10(term: PairwiseConfusion, logits: list[list[float]], labels: list[int], order: list[int]) -> float:
    """Lambda / B times the sum over pairs of gamma times the distance."""
    total, pairs = 0.0, len(logits) // 2
    for k in range(pairs):
        a, b = order[k], order[k + pairs]
        first, second = logits[a], logits[b]
        if term.on == "probabilities":
            first, second = softmax_of(first), softmax_of(second)
        distance = eq_5(first, second)
        if not term.squared:
            distance = math.sqrt(distance)
        gamma = 1 if labels[a] != labels[b] or not term.label_aware else 0
        total += gamma * distance
    return term.weight * total / len(logits)


def test_divergence_and_confusion_are_eq_2_and_eq_5():
    p, q = random_logits(6, 4).softmax(1), random_logits(6, 4, seed=1).softmax(1)
    for function, naive in ((jeffreys_divergence, eq_2), (euclidean_confusion, eq_5)):
        expected = torch.tensor([naive(p[i].tolist(), q[i].tolist()) for i in range(6)], dtype=torch.float64)
        torch.testing.assert_close(function(p, q), expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(function(p, q), function(q, p), rtol=0, atol=1e-12)
        torch.testing.assert_close(function(p, p), torch.zeros_like(expected), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("label_aware", "squared", "on", "shuffle"),
    list(product([True, False], [True, False], ["probabilities", "logits"], [True, False])),
)
@pytest.mark.parametrize("count", [2, 7, 8])
def test_the_term_is_eq_10(label_aware: bool, squared: bool, on: str, shuffle: bool, count: int):
    term = PairwiseConfusion(3.0, label_aware, squared, on, shuffle)  # pyright: ignore[reportArgumentType]
    logits, labels = random_logits(count, 5), torch.tensor([0, 0, 1, 2, 1, 0, 4, 4])[:count]
    order = list(range(count))
    if shuffle:
        order = DRAWS.permutation("pairwise_confusion", count, like=logits).tolist()
    expected = eq_10(term, logits.tolist(), labels.tolist(), order)
    assert confusion(term, logits, labels).item() == pytest.approx(expected, rel=0, abs=1e-10)


def test_divergence_grows_without_bound_where_confusion_does_not():
    certain, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert jeffreys_divergence(certain, other).item() == math.inf
    assert euclidean_confusion(certain, other).item() == 2


@pytest.mark.parametrize("mass", [0.0, 1e-30, 0.25, 1.0])
def test_equal_predictions_have_no_divergence_and_no_gradient(mass: float):
    p, q = (torch.tensor([[mass, 1 - mass, 0.0]], requires_grad=True) for _ in range(2))
    divergence = jeffreys_divergence(p, q)
    assert divergence.item() == 0
    divergence.sum().backward()
    for batch in (p, q):
        assert batch.grad is not None
        assert (batch.grad == 0).all()


def test_classes_without_mass_in_either_change_nothing():
    """Softmax in single precision gives many zeros."""
    logits = torch.tensor([[2.0, 0.0, -300.0], [0.0, 1.0, -400.0]], requires_grad=True)
    p, q = logits.softmax(1).chunk(2)
    assert p[0, 2] == q[0, 2] == 0
    divergence = jeffreys_divergence(p, q)
    assert divergence.item() == pytest.approx(eq_2(p[0, :2].tolist(), q[0, :2].tolist()), rel=1e-6)
    divergence.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad[:, :2] != 0).all()
    assert (logits.grad[:, 2] == 0).all()


@pytest.mark.parametrize("classes", [5, 200])
@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4])
def test_the_divergence_of_near_predictions_keeps_its_digits_in_single_precision(classes: int, distance: float):
    logits = 3 * random_logits(500, classes)
    p, q = (values.softmax(1).float() for values in (logits, logits + distance * random_logits(500, classes, seed=1)))
    actual, expected = jeffreys_divergence(p, q), jeffreys_divergence(p.double(), q.double())
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual.double(), expected, rtol=0.1, atol=0)
    assert (actual >= euclidean_confusion(p, q)).all()  # Lemma 1
    assert (actual >= 0).all()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_types_are_raised(half: torch.dtype):
    p, q = random_logits(6, 40).softmax(1).to(half), random_logits(6, 40, seed=1).softmax(1).to(half)
    for function in (jeffreys_divergence, euclidean_confusion):
        actual = function(p, q)
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual.double(), function(p.double(), q.double()), rtol=1e-5, atol=0)


def test_shuffling_changes_the_pairs_from_step_to_step_but_not_in_evaluation():
    logits, labels = random_logits(8, 5), torch.arange(8) % 5
    steps = {confusion(PairwiseConfusion(), logits, labels, Draws(0, step)).item() for step in range(8)}
    assert len(steps) > 4
    kept = confusion(PairwiseConfusion(shuffle=False), logits, labels)
    assert torch.equal(confusion(PairwiseConfusion(), logits, labels, EVALUATION), kept)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("on", ["probabilities", "logits"])
def test_gradients(squared: bool, on: str):
    term = PairwiseConfusion(squared=squared, on=on)  # pyright: ignore[reportArgumentType]
    labels = torch.tensor([0, 1, 2, 0, 1])
    logits = random_logits(5, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: confusion(term, values, labels), logits)


def test_gradients_of_divergence_and_confusion():
    pair = (random_logits(3, 4).softmax(1).requires_grad_(), random_logits(3, 4, seed=1).softmax(1).requires_grad_())
    assert torch.autograd.gradcheck(euclidean_confusion, pair)
    assert torch.autograd.gradcheck(jeffreys_divergence, pair)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (torch.randn(1, 3, dtype=torch.float64), [0]),
        (torch.randn(4, 3, dtype=torch.float64), [1, 1, 1, 1]),
        (torch.ones(4, 3, dtype=torch.float64), [0, 1, 2, 0]),
        (torch.full((4, 3), 1e4), [0, 1, 2, 0]),
    ],
    ids=["one image", "one class", "equal predictions", "equal predictions in single precision"],
)
def test_nothing_to_confuse_is_zero_with_a_graph(logits: Tensor, labels: list[int], squared: bool):
    logits = logits.clone().requires_grad_()
    loss = confusion(PairwiseConfusion(squared=squared), logits, torch.tensor(labels))
    assert loss.item() == 0
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("distance", [1e-10, 1e-18, 1e-22, 1e-30, 1e-44])
def test_the_unsquared_norm_of_nearly_equal_predictions_has_a_bounded_gradient(distance: float):
    logits = torch.tensor([[0.0, 0.0], [distance, 0.0]], requires_grad=True)
    term = PairwiseConfusion(weight=2.0, squared=False, on="logits")
    confusion(term, logits, torch.tensor([0, 1])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() <= 1.001


def test_half_precision_logits_are_raised_and_certain_ones_stay_finite():
    logits = torch.tensor([[3e4, -3e4, 0.0], [-3e4, 3e4, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    loss = confusion(PairwiseConfusion(weight=1.0), logits, torch.tensor([0, 1]))
    assert loss.dtype == torch.float32
    assert loss.item() == 1.0
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "maps"}, "on of PairwiseConfusion is 'maps'; choose probab"),
        ({"weight": -1.0}, "at least 0"),
        ({"weight": None, "per_class": -0.1}, "at least 0"),
        ({"per_class": 0.1}, "weight=10.0, per_class=0.1.: per_class takes weight=None"),
    ],
)
def test_settings_that_mean_nothing_are_refused_when_it_is_made(options: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        PairwiseConfusion(**options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("classes", [2, 20, 200])
def test_a_weight_per_class_is_one_of_that_many_classes(classes: int):
    logits, labels = random_logits(6, classes), torch.arange(6) % 2
    for share in (0.05, 0.15):
        whole = confusion(PairwiseConfusion(share * classes), logits, labels)
        each = confusion(PairwiseConfusion(None, per_class=share), logits, labels)
        torch.testing.assert_close(each, whole, rtol=1e-12, atol=0)
    (part,) = COMPOSITION.terms
    composed = confusion(PairwiseConfusion(**part.options), logits, labels)
    torch.testing.assert_close(
        composed, confusion(PairwiseConfusion(0.05 * classes), logits, labels), rtol=1e-12, atol=0
    )
    assert confusion(PairwiseConfusion(**{**part.options, "weight": 2.0}), logits, labels) == confusion(
        PairwiseConfusion(2.0), logits, labels
    )


def test_pieces_of_a_shuffled_batch_are_worth_the_whole():
    """Over all orders of four images, the mean of the pieces' losses is the whole batch's: pairs are as random."""
    logits, labels, term = random_logits(4, 5), torch.tensor([0, 1, 1, 2]), PairwiseConfusion(shuffle=False)
    orders = torch.tensor(list(permutations(range(4))))
    means = [
        torch.stack(
            [confusion(term, logits[rows], labels[rows]) for order in orders for rows in order.split(size)]
        ).mean()
        for size in (4, 2)
    ]
    torch.testing.assert_close(means[1], means[0], rtol=1e-12, atol=0)


pairs = st.integers(2, 6).flatmap(lambda count: st.tuples(probabilities(count), probabilities(count)))


@given(pairs)
@settings(max_examples=80, deadline=None)
def test_lemmas_1_and_2_bound_the_confusion(pair: tuple[list[float], list[float]]):
    p, q = (torch.tensor([values], dtype=torch.float64) for values in pair)
    confused = euclidean_confusion(p, q).item()
    variation = 0.5 * (p - q).abs().sum().item()
    assert 0 <= confused <= 2 + 1e-12
    assert confused <= jeffreys_divergence(p, q).item() + 1e-12
    assert confused <= 4 * variation**2 + 1e-12


@given(st.integers(1, 9), st.integers(2, 6), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_term_is_bounded_and_blind_to_the_names_of_classes(count: int, classes: int, seed: int):
    logits = 5 * random_logits(count, classes, seed)
    labels = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))
    loss = confusion(PairwiseConfusion(weight=1.0), logits, labels).item()
    assert 0 <= loss <= 1
    renamed = confusion(PairwiseConfusion(weight=1.0), logits.flip(1), classes - 1 - labels).item()
    assert renamed == pytest.approx(loss, abs=1e-12)


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    composition = replace(COMPOSITION, terms=(Part("PairwiseConfusion"),))
    check_golden("pc", numbers_of_a_step(tiny_learner(composition, monkeypatch)))
