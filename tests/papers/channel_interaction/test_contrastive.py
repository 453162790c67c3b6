"""Channel interaction between images against loops written from the paper, its pairs, and the batches at the edge."""

import copy
import math
from itertools import combinations
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from channel_terms import OPERATIONS, eq_5
from fieldmark.batches import Balanced
from fieldmark.core.classifier import Average, Classifier, Linear
from fieldmark.core.contract import Encoded
from fieldmark.core.criterion import CrossEntropy
from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.core.learner import Learner
from fieldmark.core.pairs import Pairs, mine_pairs
from fieldmark.errors import UserError
from fieldmark.papers.channel_interaction import interaction as sci
from fieldmark.papers.channel_interaction.contrastive import (
    ContrastiveChannelInteraction,
    Operation,
    contrast_weights,
    contrasted,
    pair_contrastive,
    triplet,
)
from fieldmark.papers.channel_interaction.interaction import SelfChannelInteraction, channel_weights
from fieldmark.papers.plain import Plain
from golden_step import tiny_backbone
from random_values import drawn

CHANNELS = 5
LABELS = torch.tensor([0, 0, 1, 2, 1, 0, 2])
DRAWS = Draws(5, 2)


def neck_of(channels: int = CHANNELS, scale: float = 1.0) -> SelfChannelInteraction:
    torch.manual_seed(1)
    return SelfChannelInteraction(channels, scale).double()


def classifier_of(neck: nn.Module) -> Classifier:
    parts = {"neck": neck, "pool": Average(), "head": Linear(12, 5)}
    return Classifier(tiny_backbone(), classes=5, **parts)


def term_of(**options: Any) -> ContrastiveChannelInteraction:
    torch.manual_seed(2)
    return ContrastiveChannelInteraction(CHANNELS, **options).double()


def loss_of(
    term: ContrastiveChannelInteraction,
    maps: Tensor,
    labels: Tensor,
    *,
    neck: SelfChannelInteraction | None = None,
    draws: Draws = DRAWS,
) -> Tensor:
    return term((neck or neck_of()).interact(maps), labels, draws=draws)


def pairs_of(term: ContrastiveChannelInteraction, labels: Tensor, draws: Draws) -> Pairs:
    maps = drawn(len(labels), CHANNELS, 1, 1)
    return term._pairs(labels, neck_of().pooled(maps), draws)


def eq_8(a: list[float], b: list[float], same: bool, margin: float) -> float:
    """The squared distance for one class, the squared shortfall of the margin for two."""
    distance = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))
    return distance**2 if same else max(0.0, margin - distance) ** 2


def embedded(term: ContrastiveChannelInteraction, neck: SelfChannelInteraction, maps: Tensor, a: int, b: int) -> Tensor:
    """h(Z'_A), position by position (Eq. 6), from W held whole and phi as a convolution."""
    x = maps.flatten(2)
    w = torch.softmax(-neck.scale * x @ x.mT, 2)
    y = (w @ x).mT.flatten(1) if term.positions else (w @ x).mean(2)
    eta = 0.0 if term.psi is None else term.psi(torch.cat([y[a], y[b]])).item()
    contrast = torch.tensor(eq_5(w[a], w[b], eta, term.operation), dtype=torch.float64)
    channels = torch.cat([x[a], x[b]]) if term.operation == "concatenate" else x[a]
    mixed = (contrast @ channels).view(maps.shape[1:])
    z = F.conv2d(mixed[None], neck.phi.weight, neck.phi.bias, padding=1)[0] + maps[a]
    h = term.h(z.flatten(1).mT.flatten() if term.positions else z.mean((1, 2)))
    return h / h.norm() if term.normalise else h


def eq_7_and_9(
    term: ContrastiveChannelInteraction, neck: SelfChannelInteraction, maps: Tensor, labels: Tensor, chosen: Pairs
) -> float:
    """Alpha times the mean over the pairs."""
    losses = []
    for a, b, valid in zip(chosen.anchor.tolist(), chosen.mate.tolist(), chosen.valid.tolist(), strict=True):
        if valid:
            ends = [embedded(term, neck, maps, *pair).tolist() for pair in ((a, b), (b, a))]
            losses.append(eq_8(ends[0], ends[1], bool(labels[a] == labels[b]), term.margin))
    return term.weight * sum(losses) / len(losses)


@pytest.mark.parametrize("margin", [0.5, 3.0])
def test_the_loss_of_a_pair_is_eq_8(margin: float):
    h_a, h_b = drawn(6, 4), drawn(6, 4) + 0.3 * drawn(6, 4, seed=1)
    same = torch.tensor([True, False, True, False, False, True])
    actual = pair_contrastive(h_a, h_b, same, margin)
    expected = [eq_8(h_a[i].tolist(), h_b[i].tolist(), bool(same[i]), margin) for i in range(6)]
    assert actual.tolist() == pytest.approx(expected, abs=1e-10)
    assert min(expected[i] for i in (1, 3, 4)) == 0 or margin == 3.0


def test_a_triplet_counts_as_far_as_the_other_class_is_not_farther():
    h_a, h_b = drawn(6, 4), drawn(6, 4, seed=1)
    expected = []
    for i in range(3):
        near = sum((x - y) ** 2 for x, y in zip(h_a[i].tolist(), h_b[i].tolist(), strict=True))
        far = sum((x - y) ** 2 for x, y in zip(h_a[3 + i].tolist(), h_b[3 + i].tolist(), strict=True))
        expected.append(max(0.0, near - far + 0.5))
    assert triplet(h_a, h_b, 0.5).tolist() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("pairs", ["random", "all", "hard"])
@pytest.mark.parametrize(("scale", "normalise"), [(1.0, False), (-0.5, True)])
@pytest.mark.parametrize("positions", [0, 6])
def test_the_term_is_eq_6_7_and_9(operation: Operation, pairs: Any, scale: float, normalise: bool, positions: int):
    term = term_of(operation=operation, pairs=pairs, normalise=normalise, weight=3.0, margin=0.7, positions=positions)
    neck, maps = neck_of(scale=scale), drawn(7, CHANNELS, 2, 3)
    chosen = term._pairs(LABELS, neck.pooled(maps), DRAWS)
    expected = eq_7_and_9(term, neck, maps, LABELS, chosen)
    assert loss_of(term, maps, LABELS, neck=neck).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("pairs", ["random", "hard"])
def test_the_triplet_term_takes_each_image_with_one_of_its_class_and_one_of_another(pairs: Any):
    term, neck, maps = term_of(loss="triplet", pairs=pairs), neck_of(), drawn(7, CHANNELS, 2, 2)
    labels = torch.tensor([0, 0, 1, 2, 1, 0, 4])  # images 3 and 6 are alone in their class
    chosen = term._pairs(labels, neck.pooled(maps), DRAWS)
    assert chosen.same[:7].tolist() == [True] * 7
    losses = []
    for image in (0, 1, 2, 4, 5):
        near, far = (int(chosen.mate[image]), int(chosen.mate[7 + image]))
        assert near != image
        assert labels[near] == labels[image] != labels[far]
        squares = [
            (embedded(term, neck, maps, image, mate) - embedded(term, neck, maps, mate, image)).square().sum().item()
            for mate in (near, far)
        ]
        losses.append(max(0.0, squares[0] - squares[1] + term.margin))
    expected = term.weight * sum(losses) / len(losses)
    assert loss_of(term, maps, labels, neck=neck).item() == pytest.approx(expected, abs=1e-10)


def features_of(
    maps: Tensor, term: ContrastiveChannelInteraction, neck: SelfChannelInteraction, labels: Tensor
) -> Tensor:
    """The term in operators that autograd knows, W held whole."""
    x = maps.flatten(2)
    w = torch.softmax(-neck.scale * x @ x.mT, 2)
    chosen = term._pairs(labels, neck.pooled(maps), DRAWS)
    ends = []
    for a, b in ((chosen.anchor, chosen.mate), (chosen.mate, chosen.anchor)):
        y = (w @ x).mT.flatten(1) if term.positions else (w @ x).mean(2)
        eta = term.psi(torch.cat([y[a], y[b]], 1)).squeeze(1) if term.psi else x.new_zeros(len(a))
        channels = torch.cat([x[a], x[b]], 1) if term.operation == "concatenate" else x[a]
        mixed = (contrast_weights(w[a], w[b], eta, term.operation) @ channels).view(len(a), *maps.shape[1:])
        z = F.conv2d(mixed, neck.phi.weight, neck.phi.bias, padding=1) + maps[a]
        ends.append(term.h(z.flatten(2).mT.flatten(1) if term.positions else z.mean((2, 3))))
    losses = pair_contrastive(ends[0], ends[1], chosen.same, term.margin)
    return term.weight * losses.mean()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("pairs", ["random", "all"])
@pytest.mark.parametrize("positions", [0, 6])
def test_all_gradients_are_those_of_the_written_out_term(operation: Operation, pairs: Any, positions: int):
    term, neck = term_of(operation=operation, pairs=pairs, margin=0.9, positions=positions), neck_of(scale=0.7)
    maps = drawn(7, CHANNELS, 2, 3).requires_grad_()
    inputs = [maps, *term.parameters(), *neck.phi.parameters()]
    # with a loss on what SCI itself gives, as in training: the gradients of W meet
    value = loss_of(term, maps, LABELS, neck=neck) + neck.pooled(maps).square().sum()
    expected = features_of(maps, term, neck, LABELS) + neck(maps).mean((2, 3)).square().sum()
    assert value.item() == pytest.approx(expected.item(), abs=1e-10)
    actual = torch.autograd.grad(value, inputs, allow_unused=True)
    for value, other in zip(actual, torch.autograd.grad(expected, inputs, allow_unused=True), strict=True):
        if other is None:  # the bias of phi cancels in the difference
            assert value is None or value.abs().max() < 1e-12
        else:
            assert value is not None
            torch.testing.assert_close(value, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients(operation: Operation):
    term, neck = term_of(operation=operation, margin=2.0), neck_of()
    maps = drawn(4, CHANNELS, 1, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: loss_of(term, values, LABELS[:4], neck=neck), maps)


def test_gradients_of_pairs_and_triplets():
    ends = (drawn(4, 3).requires_grad_(), drawn(4, 3, seed=1).requires_grad_())
    same = torch.tensor([True, False, False, True])
    assert torch.autograd.gradcheck(lambda a, b: pair_contrastive(a, b, same, 3.0), ends)
    assert torch.autograd.gradcheck(lambda a, b: triplet(a, b, 3.0), ends)


@pytest.mark.parametrize("distance", [0.0, 1e-160, 1e-30, 1e-10])
def test_equal_images_have_a_bounded_gradient(distance: float):
    h_a = torch.tensor([[distance, 0.0]] * 2, dtype=torch.float64, requires_grad=True)
    losses = pair_contrastive(h_a, torch.zeros(2, 2, dtype=torch.float64), torch.tensor([True, False]), 0.5)
    assert losses.tolist() == pytest.approx([0, 0.25], abs=1e-9)
    losses.sum().backward()
    assert h_a.grad is not None
    assert h_a.grad.isfinite().all()
    assert h_a.grad.abs().max() <= 1.001
    if not distance:
        assert (h_a.grad == 0).all()


def no_pair_alike(classes: int, images: int) -> float:
    """The chance that a random halving of ``classes`` x ``images`` pairs no two of one class: inclusion, exclusion."""
    # matchings of k pairs within a class of n: n! / (k! (n - 2k)! 2^k), signs alternating
    inside = [
        (-1) ** k * math.factorial(images) / (math.factorial(k) * math.factorial(images - 2 * k) * 2**k)
        for k in range(images // 2 + 1)
    ]
    among = [1.0]
    for _ in range(classes):
        among = [
            sum(among[i] * inside[k - i] for i in range(len(among)) if 0 <= k - i < len(inside))
            for k in range(len(among) + len(inside) - 1)
        ]

    def halvings(count: int) -> float:
        return math.factorial(count) / (math.factorial(count // 2) * 2 ** (count // 2))

    total = classes * images
    return sum(value * halvings(total - 2 * k) for k, value in enumerate(among)) / halvings(total)


def batches_of_labels(epochs: int) -> list[Tensor]:
    """The labels of all batches of some epochs, as ``Balanced`` makes them: four classes of five, sorted by class."""
    labels_of_set = torch.tensor([index % 11 for index in range(11 * 9)])
    plan = (Balanced(4, 5).epoch(labels_of_set.tolist(), seed=0, epoch=epoch) for epoch in range(epochs))
    actual = [labels_of_set[torch.from_numpy(batch)] for batches in plan for batch in batches]
    assert all(labels.unique(return_counts=True)[1].tolist() == [5, 5, 5, 5] for labels in actual)
    return actual


def test_four_classes_of_five_make_ten_random_pairs_of_both_kinds():
    """Halved without shuffling they would hold no pair of one class."""
    alike = []
    for step, labels in enumerate(batches_of_labels(400)):
        assert not (labels[:10] == labels[10:]).any()
        chosen = random_halves(labels, step)
        assert torch.equal(torch.cat([chosen.anchor, chosen.mate]).sort().values, torch.arange(20))
        assert chosen.valid.all()
        assert torch.equal(chosen.same, labels[chosen.anchor] == labels[chosen.mate])
        alike.append(int(chosen.same.sum()))
    assert len(alike) == 1600
    assert torch.tensor(alike).double().mean().item() == pytest.approx(10 * 4 / 19, abs=0.1)
    assert max(alike) < 10
    none = alike.count(0) / len(alike)
    assert no_pair_alike(4, 5) == pytest.approx(0.1023, abs=1e-4)
    assert none == pytest.approx(no_pair_alike(4, 5), abs=0.025)


@pytest.mark.parametrize(("pairs", "alike", "others"), [("all", 40, 150), ("hard", 20, 20)])
def test_all_and_hard_pairs_of_four_classes_of_five_are_of_both_kinds(pairs: Any, alike: int, others: int):
    term, chosen_mates = term_of(pairs=pairs), set()
    for step, labels in enumerate(batches_of_labels(25)):
        embedding = drawn(20, CHANNELS, seed=step)
        chosen = term._pairs(labels, embedding, Draws(3, step))
        assert chosen.valid.all()
        assert torch.equal(chosen.same, labels[chosen.anchor] == labels[chosen.mate])
        assert (int(chosen.same.sum()), int((~chosen.same).sum())) == (alike, others)
        chosen_mates.add(tuple(chosen.mate.tolist()))
    assert len(chosen_mates) == (1 if pairs == "all" else 100), "hard ones are mined anew in each batch"


TERM = ContrastiveChannelInteraction(CHANNELS)


def random_halves(labels: Tensor, step: int) -> Pairs:
    """The pairs of a term, without building anything anew."""
    empty = torch.zeros(len(labels), 1)
    return TERM._pairs(labels, empty, Draws(3, step))


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=8), st.sampled_from(["random", "all", "hard"]), st.integers(0, 99)
)
@settings(max_examples=60, deadline=None)
def test_an_image_is_never_its_own_mate(labels: list[int], pairs: Any, step: int):
    chosen = pairs_of(term_of(pairs=pairs), torch.tensor(labels), Draws(0, step))
    assert (chosen.anchor != chosen.mate)[chosen.valid].all()
    every = list(combinations(range(len(labels)), 2))
    actual = [tuple(sorted(pair)) for pair in zip(chosen.anchor.tolist(), chosen.mate.tolist(), strict=True)]
    if pairs == "all":
        assert actual == every
    if pairs == "random":
        assert len(actual) == len(labels) // 2
        assert len({image for pair in actual for image in pair}) == 2 * len(actual)


def test_hard_pairs_are_mined_on_the_average_of_z():
    neck, maps = neck_of(), drawn(7, CHANNELS, 2, 2)
    average = neck.pooled(maps)
    chosen = term_of(pairs="hard")._pairs(LABELS, average, DRAWS)
    expected = mine_pairs(average, LABELS, intra="dissimilar", inter="similar")
    assert all(torch.equal(value, other) for value, other in zip(chosen, expected, strict=True))


def test_two_copies_of_a_photo_are_no_pair():
    rows = torch.tensor([4, 4, 9, 4, 7, 9])
    labels, maps = torch.tensor([0, 0, 1, 0, 1, 1]), drawn(6, CHANNELS, 2, 2)
    for pairs in ("random", "all", "hard"):
        duplicates = 0
        for step in range(8):
            chosen = pairs_of(term_of(pairs=pairs), labels, Draws(1, step, rows))
            copies = rows[chosen.anchor] == rows[chosen.mate]
            assert not (chosen.valid & copies).any()
            duplicates += int(copies.sum())
        assert duplicates or pairs == "hard"
    mined = pairs_of(term_of(pairs="hard"), labels, Draws(1, 0, torch.tensor([4, 4, 9, 5, 7, 9])))
    assert mined.valid.all()  # a copy hides no mate
    same = loss_of(term_of(), maps, labels, draws=Draws(0, 0, torch.zeros(6, dtype=torch.long)))
    assert same.item() == 0


def test_pairs_change_from_step_to_step_but_not_in_evaluation():
    anchors = {tuple(random_halves(LABELS, step).anchor.tolist()) for step in range(8)}
    assert len(anchors) > 4
    chosen = pairs_of(term_of(), LABELS, EVALUATION)
    assert (chosen.anchor.tolist(), chosen.mate.tolist()) == ([0, 1, 2], [3, 4, 5])


@pytest.mark.parametrize(
    "options", [{}, {"pairs": "all"}, {"pairs": "hard"}, {"loss": "triplet"}, {"operation": "none"}]
)
def test_a_batch_without_pairs_is_zero_with_a_graph(options: dict[str, Any]):
    neck, maps = neck_of(), drawn(1, CHANNELS, 2, 2).requires_grad_()
    loss = loss_of(term_of(**options), maps, LABELS[:1], neck=neck)
    assert loss.item() == 0
    loss.backward()
    assert maps.grad is None or (maps.grad == 0).all()


@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 0], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("options", [{}, {"pairs": "all"}, {"pairs": "hard"}, {"loss": "triplet"}])
@pytest.mark.parametrize("constant", [True, False])
def test_one_class_classes_of_one_image_and_constant_maps_stay_finite(
    labels: list[int], options: dict[str, Any], constant: bool
):
    neck = neck_of()
    maps = (
        torch.full((5, CHANNELS, 2, 2), 0.5, dtype=torch.float64) if constant else drawn(5, CHANNELS, 2, 2)
    ).requires_grad_()
    term = term_of(**options)
    loss = loss_of(term, maps, torch.tensor(labels), neck=neck)
    loss.backward()
    assert maps.grad is not None
    assert all(p.grad is None or p.grad.isfinite().all() for p in (maps, *term.parameters(), *neck.parameters()))
    one_class = len(set(labels)) == 1
    if "loss" in options:
        assert loss.item() == 0  # no triplet without two classes or without two of a class
    elif constant:
        assert loss.item() == pytest.approx(0 if one_class else 2 * 0.25)
    else:
        assert loss.item() > 0 or not one_class


def test_sci_and_a_contrastive_loss_is_the_row_without_contrast():
    neck, maps = neck_of(), drawn(6, CHANNELS, 3, 2)
    term = term_of(operation="none")
    assert set(dict(term.named_parameters())) == {"h.weight"}
    embedding = term.h(neck(maps).mean((2, 3)))
    chosen = pairs_of(term, LABELS[:6], DRAWS)
    losses = pair_contrastive(embedding[chosen.anchor], embedding[chosen.mate], chosen.same)
    assert loss_of(term, maps, LABELS[:6], neck=neck).item() == pytest.approx(2 * losses.mean().item(), abs=1e-10)


def as_autocast_has_it(
    term: ContrastiveChannelInteraction, neck: SelfChannelInteraction, maps: Tensor, chosen: Pairs
) -> Tensor:
    """The term in operators of PyTorch, in the precision that automatic mixed precision gives each."""
    x, ends = maps.flatten(2), []
    w = torch.softmax(-(x @ x.mT), 2, dtype=torch.promote_types(x.dtype, torch.float32))
    y = (w.to(x.dtype) @ x).mean(2)
    assert term.psi is not None
    for a, b in ((chosen.anchor, chosen.mate), (chosen.mate, chosen.anchor)):
        eta = term.psi(torch.cat([y[a], y[b]], 1)).squeeze(1)
        mixed = contrast_weights(w[a], w[b], eta).to(x.dtype) @ x[a]
        ends.append(term.h((neck.phi(mixed.view(len(a), *maps.shape[1:])) + maps[a]).mean((2, 3))))
    kind = torch.promote_types(x.dtype, torch.float32)
    return term.weight * pair_contrastive(ends[0].to(kind), ends[1].to(kind), chosen.same).mean()


@pytest.mark.parametrize("size", [0.5, 2.0])
def test_under_mixed_precision_gradients_are_nearer_to_exact_ones_than_autocast_comes(size: float):
    neck, term, labels = neck_of(64).float(), ContrastiveChannelInteraction(64), torch.arange(8) // 4
    maps = (size * drawn(8, 64, 5, 5)).relu().to(torch.bfloat16)
    chosen = term._pairs(labels, maps.mean((2, 3)), DRAWS)

    def numbers(how: Any, *, exact: bool) -> list[Tensor]:
        layer, loss = (copy.deepcopy(part).double() if exact else part for part in (neck, term))
        leaf = (maps.double() if exact else maps.clone()).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=not exact):
            value = how(loss, layer, leaf)
        assert loss.psi is not None
        wanted = (leaf, layer.phi.weight, loss.psi.weight, loss.h.weight)
        return [value.detach().double(), *(g.double() for g in torch.autograd.grad(value, wanted))]

    def ours(term: ContrastiveChannelInteraction, neck: SelfChannelInteraction, maps: Tensor) -> Tensor:
        return loss_of(term, maps, labels, neck=neck)

    def written_out(term: ContrastiveChannelInteraction, neck: SelfChannelInteraction, maps: Tensor) -> Tensor:
        return as_autocast_has_it(term, neck, maps, chosen)

    exact = numbers(written_out, exact=True)
    for value, other in zip(numbers(ours, exact=True), exact, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-9, atol=1e-12)
    (loss, *actual), (_, *others) = numbers(ours, exact=False), numbers(written_out, exact=False)
    torch.testing.assert_close(loss, exact[0], rtol=1e-3, atol=0)
    for value, other, expected in zip(actual, others, exact[1:], strict=True):
        assert (value - expected).norm() < (other - expected).norm()


def test_modules_in_a_half_type_train_and_answer_in_it():
    neck, term = neck_of(12).bfloat16(), ContrastiveChannelInteraction(12).bfloat16()
    head, maps = nn.Linear(12, 3).bfloat16(), drawn(6, 12, 3, 3).relu().to(torch.bfloat16).requires_grad_()
    interaction = neck.interact(maps)
    embedding = interaction.pooled
    assert embedding.dtype == torch.bfloat16
    loss = F.cross_entropy(head(embedding).float(), LABELS[:6]) + term(interaction, LABELS[:6])
    loss.backward()
    for parameter in (maps, *neck.parameters(), *term.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.bfloat16
        assert parameter.grad.isfinite().all()
    close = torch.promote_types(neck(maps).dtype, torch.float32)
    torch.testing.assert_close(embedding.to(close), neck(maps).to(close).mean((2, 3)), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler's own
def test_a_compiled_step_is_the_same(operation: Operation):
    term, neck, maps = term_of(operation=operation), neck_of(), drawn(7, CHANNELS, 2, 2).requires_grad_()

    def step(maps: Tensor) -> Tensor:
        return loss_of(term, maps, LABELS, neck=neck) + neck.pooled(maps).square().sum()

    expected = step(maps)
    actual = torch.compile(step, backend="eager")(maps)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)
    inputs = [maps, *neck.parameters(), term.h.weight]
    for value, other in zip(*(torch.autograd.grad(value, inputs) for value in (actual, expected)), strict=True):
        torch.testing.assert_close(value, other, rtol=0, atol=1e-10)


def test_maps_of_another_size_than_the_layers_have_are_refused_in_words():
    term, neck = term_of(positions=4), neck_of()
    with pytest.raises(UserError, match=r"was given maps of 2 x 3: positions=6 fits"):
        term(neck.interact(drawn(4, CHANNELS, 2, 3)), LABELS[:4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operation": "divide"}, "operation of .* is 'divide'; choose subtract, add"),
        ({"pairs": "some"}, "pairs of .* is 'some'; choose random, all, hard"),
        ({"loss": "hinge"}, "loss of .* is 'hinge'; choose contrastive, triplet"),
        ({"loss": "triplet", "pairs": "all"}, "triplets take pairs='random' or 'hard'"),
        ({"weight": -1.0}, "weight of .* is -1.0; it must be at least 0"),
        ({"margin": 0.0}, "margin of .* is 0.0; it must be above 0"),
        ({"positions": -1}, "positions of .* is -1; it must be at least 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message) as caught:
        ContrastiveChannelInteraction(12, **options)
    assert len(str(caught.value).splitlines()) == 1


def test_another_neck_is_refused_in_one_line():
    with pytest.raises(UserError, match="it needs the neck SelfChannelInteraction") as caught:
        ContrastiveChannelInteraction(12).check(classifier_of(nn.Identity()))
    assert len(str(caught.value).splitlines()) == 1
    ContrastiveChannelInteraction(12).check(classifier_of(SelfChannelInteraction(12)))


def test_it_trains_in_a_plain_loop():
    """Pulls two classes apart with nothing but the term and its neck."""
    torch.manual_seed(0)
    neck, term = SelfChannelInteraction(8), ContrastiveChannelInteraction(8, pairs="all", margin=1.0)
    labels = torch.arange(8) // 4
    maps = torch.randn(8, 8, 3, 3) + 0.5 * labels[:, None, None, None] * torch.randn(8, 1, 1)
    optimiser = torch.optim.SGD([*neck.parameters(), *term.parameters()], lr=0.003)
    losses = []
    for _ in range(40):
        loss = term(neck.interact(maps), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("options", [{}, {"pairs": "all", "operation": "concatenate"}, {"positions": 4}])
def test_second_derivatives_of_a_whole_step(options: dict[str, Any]):
    term, neck, maps = term_of(margin=2.0, **options), neck_of(scale=0.7), drawn(4, CHANNELS, 2, 2).requires_grad_()

    def step(maps: Tensor, psi: Tensor) -> Tensor:
        actual = neck.interact(maps)
        assert term.psi is not None
        shared = {"psi.weight": psi}
        loss = torch.func.functional_call(term, shared, (actual, LABELS[:4]), {"draws": DRAWS})
        return loss + actual.pooled.square().sum()

    assert term.psi is not None
    assert torch.autograd.gradgradcheck(step, (maps, term.psi.weight.detach().clone().requires_grad_()))


def test_alone_it_draws_from_torch_in_training_and_halves_the_batch_in_evaluation():
    term, interaction = term_of(margin=9.0), neck_of().interact(drawn(7, CHANNELS, 2, 2))

    def losses(seed: int) -> list[float]:
        torch.manual_seed(seed)
        return [term(interaction, LABELS).item() for _ in range(4)]

    assert losses(0) == losses(0) != losses(1)
    assert len(set(losses(0))) > 1
    assert set(term.eval() and losses(0)) == {term(interaction, LABELS, draws=EVALUATION).item()}


@pytest.mark.parametrize("labels", [LABELS[:, None], F.one_hot(LABELS), LABELS[:6], LABELS.float()])
def test_labels_of_another_shape_are_refused_in_one_line(labels: Tensor):
    with pytest.raises(UserError, match="ContrastiveChannelInteraction") as caught:
        loss_of(term_of(), drawn(7, CHANNELS, 2, 2), labels)
    assert "labels" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_maps_in_place_of_an_interaction_and_other_channels_are_refused_in_one_line():
    neck, maps = neck_of(), drawn(7, CHANNELS, 2, 2)
    for wrong in (maps, neck(maps), neck.pooled(maps)):
        with pytest.raises(UserError, match=r"reads layer.interact\(maps\)") as caught:
            term_of()(wrong, LABELS)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UserError, match="ContrastiveChannelInteraction was made for 5 channels, not 4"):
        term_of()(neck_of(4).interact(maps[:, :4]), LABELS)


def learner_of() -> Learner:
    torch.manual_seed(2)
    term = ContrastiveChannelInteraction(12)
    return Learner(Plain(classifier_of(SelfChannelInteraction(12)), CrossEntropy(0)), (term,)).double()


def test_a_step_works_out_w_once_and_a_step_of_gathered_maps_anew(monkeypatch: pytest.MonkeyPatch):
    learner, calls = learner_of(), 0
    original = sci.channel_weights

    def counted(*args: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return original(*args)

    def gathered(encoded: Encoded, labels: Tensor, draws: Draws) -> tuple[Encoded, Tensor, Draws]:
        assert encoded.features.interaction is not None
        features = encoded.features._replace(interaction=None)
        return encoded._replace(features=features), labels, draws

    monkeypatch.setattr(sci, "channel_weights", counted)
    images, labels = drawn(6, 3, 12, 12), LABELS[:6]
    inside = learner(images, labels, DRAWS)
    assert calls == 1
    assert inside.features.interaction is None  # of all that is large
    anew = learner(images, labels, DRAWS, gathered)
    assert calls == 3
    for name, loss in inside.losses.items():
        torch.testing.assert_close(anew.losses[name], loss, rtol=0, atol=1e-14)


def test_weights_of_an_image_alone_do_not_depend_on_its_mates():
    x = drawn(3, 4, 2)
    torch.testing.assert_close(channel_weights(x)[1:2], channel_weights(x[1:2]), rtol=0, atol=1e-15)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_contrasted_weights_are_eq_5(operation: Operation):
    w_a, w_b = drawn(3, 4, 4).softmax(2), drawn(3, 4, 4, seed=1).softmax(2)
    eta = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    actual = contrast_weights(w_a, w_b, eta, operation)
    for pair in range(3):
        expected = torch.tensor(eq_5(w_a[pair], w_b[pair], eta[pair].item(), operation), dtype=torch.float64)
        torch.testing.assert_close(actual[pair], expected, rtol=0, atol=1e-10)
    assert actual.shape == (3, 4, 8 if operation == "concatenate" else 4)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients_of_contrasted_weights(operation: Operation):
    w_a, w_b = drawn(2, 3, 3).softmax(2).requires_grad_(), drawn(2, 3, 3, seed=1).softmax(2).requires_grad_()
    eta = torch.tensor([0.4, -0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *parts: contrast_weights(*parts, operation), (w_a, w_b, eta))


def test_another_operation_is_refused():
    with pytest.raises(UserError, match="operation of contrast_weights is 'divide'; choose subtract, add"):
        contrast_weights(drawn(1, 2, 2), drawn(1, 2, 2), drawn(1), "divide")  # pyright: ignore[reportArgumentType]


def whole(weights: Tensor, columns: Tensor, eta: Tensor, pairs: list[list[int]], operation: Operation) -> Tensor:
    """Y' of all pairs at once, in operators that autograd knows."""
    values = []
    for (a, b), factor in zip((pairs, pairs[::-1]), eta, strict=True):
        v = torch.cat([columns[a], columns[b]], 2) if operation == "concatenate" else columns[a]
        values.append(v @ contrast_weights(weights[a], weights[b], factor, operation).mT)
    return torch.stack(values)


PAIRS = [[[3, 0], [2, 4]], [[3, 0, 0, 1, 4], [2, 1, 2, 3, 0]]]
"""Of five images, of which one is left out or several come twice: two pairs, and five."""


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_pieces_give_what_all_pairs_at_once_give(operation: Operation, pairs: list[list[int]]):
    weights, columns = drawn(5, 6, 6).softmax(2).requires_grad_(), drawn(5, 3, 6, seed=1).requires_grad_()
    eta, images = drawn(2, len(pairs[0]), seed=2).requires_grad_(), torch.tensor(pairs)
    actual = contrasted(weights, columns, eta, images, operation=operation, lower=torch.float64)
    expected = whole(weights, columns, eta, pairs, operation)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
    inputs, gradient = (weights, columns, eta), drawn(*expected.shape, seed=3)
    both = [torch.autograd.grad((value * gradient).sum(), inputs, allow_unused=True) for value in (actual, expected)]
    for value, other in zip(*both, strict=True):
        torch.testing.assert_close(value, torch.zeros_like(value) if other is None else other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_second_derivatives(operation: Operation):
    weights, columns = drawn(3, 3, 3).softmax(2).requires_grad_(), drawn(3, 2, 3, seed=1).requires_grad_()
    eta, images = drawn(2, 3, seed=2).requires_grad_(), torch.tensor([[0, 0, 2], [1, 2, 1]])

    def value(*inputs: Tensor) -> Tensor:
        return contrasted(*inputs, images, operation=operation, lower=torch.float64)

    assert torch.autograd.gradgradcheck(value, (weights, columns, eta))
    with_eta_alone = [part.detach() for part in (weights, columns)]
    assert torch.autograd.gradgradcheck(lambda eta: value(*with_eta_alone, eta), eta)
