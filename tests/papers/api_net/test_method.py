"""API-Net against loops written from the paper, its comparisons, and the batches at the edge."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fieldmark.batches import Balanced
from fieldmark.core.classifier import Average, Classifier, Features, Linear
from fieldmark.core.contract import Encoded, TrainOutput
from fieldmark.core.criterion import CrossEntropy
from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.core.learner import Learner, total
from fieldmark.errors import UserError
from fieldmark.papers.api_net.method import ApiNet, gate, interact, mean_of_valid, score_ranking
from fieldmark.papers.api_net.mutual import CompactBilinear, Mlp
from fieldmark.recipe import Part
from fieldmark.recipes.api_net import COMPOSITION
from fieldmark.recipes.composition import Composition
from fieldmark.testing import check_method
from golden_step import CLASSES, LABELS, ROWS, check_golden, numbers_of_a_step, tiny_backbone, tiny_images, tiny_learner
from own_parts import own
from random_values import drawn

WIDTH = 6
DRAWS = Draws(2, 5)
OPTIONS: dict[str, dict[str, Any]] = {
    "as the paper": {},
    "individual": {"mutual": "individual"},
    "compact bilinear": {"mutual": "compact_bilinear"},
    "subtract square": {"mutual": "subtract_square"},
    "sum": {"mutual": "sum"},
    "product": {"mutual": "product"},
    "weight attention": {"mutual": "weight_attention"},
    "single": {"gate": "single"},
    "cross-entropy alone": {"weight": 0.0},
    "random": {"intra": None, "inter": None},
    "others, far": {"intra": None, "inter": "dissimilar", "mates": 2},
    "own class": {"inter": None, "mates": 2},
    "mixed": {"intra": "dissimilar", "mates": 3},
    "no dropout": {"dropout": 0.0},
}


def api_net(
    options: Mapping[str, Any], head: nn.Module | None = None, smoothing: float = 0.1, classes: int = 4
) -> ApiNet:
    """In float64, with a head that is not zero, on given embeddings: the backbone is never called."""
    torch.manual_seed(3)
    head = nn.Linear(WIDTH, classes) if head is None else head
    classifier = Classifier(tiny_backbone(), neck=nn.Identity(), pool=Average(), head=head, classes=classes)
    return ApiNet(classifier, CrossEntropy(smoothing=smoothing), WIDTH, **options).double()


def encoded_of(method: ApiNet, x: Tensor) -> Encoded:
    logits = method.classifier.head(x)
    empty = x.new_zeros(len(x), 0)
    return Encoded(Features(empty, empty, x, logits), logits, {})


def step(method: ApiNet, x: Tensor, labels: Tensor, draws: Draws = EVALUATION) -> TrainOutput:
    return method.objective(encoded_of(method, x), labels, draws)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def eq_2(mutual: list[float], x: list[float]) -> list[float]:
    """g_i = sigmoid(x_m * x_i), channel by channel."""
    return [sigmoid(mutual[d] * x[d]) for d in range(len(x))]


def eq_3_to_6(x: list[float], g: list[float]) -> list[float]:
    """x + x * g, channel by channel."""
    return [x[d] + x[d] * g[d] for d in range(len(x))]


def eq_7(logits: list[float]) -> list[float]:
    total_ = sum(math.exp(value) for value in logits)
    return [math.exp(value) / total_ for value in logits]


def smoothed(p: list[float], label: int, smoothing: float) -> float:
    """y log p, the label smoothed over all classes."""
    return -sum((smoothing / len(p) + (1 - smoothing) * (c == label)) * math.log(p[c]) for c in range(len(p)))


def eq_10(own: list[float], other: list[float], label: int, margin: float) -> float:
    return max(0.0, other[label] - own[label] + margin)


def naive_losses(method: ApiNet, x: Tensor, labels: Tensor, smoothing: float) -> dict[str, float]:
    """Eq. 1 to 10, pair by pair, as means over the rows of valid pairs; Eq. 1 itself is the module's."""
    entropies, rankings = [], []
    pairs = method.interaction.pairs(x, labels, EVALUATION)
    for k in range(len(pairs.anchor)):
        if not pairs.valid[k]:
            continue
        indices = [int(pairs.anchor[k]), int(pairs.mate[k])]
        rows = [x[i].tolist() for i in indices]
        mutual = method.interaction.mutual(x[indices[0]][None], x[indices[1]][None], EVALUATION)
        if isinstance(mutual, tuple):
            gates = [[sigmoid(v) for v in row[0].tolist()] for row in mutual]
        elif method.interaction.single:
            gates = 2 * [[sigmoid(v) for v in mutual[0].tolist()]]
        else:
            gates = [eq_2(mutual[0].tolist(), row) for row in rows]
        for i in range(2):
            label = int(labels[indices[i]])
            features = [eq_3_to_6(rows[i], gates[i]), eq_3_to_6(rows[i], gates[1 - i])]
            scores = [
                eq_7(method.classifier.head(torch.tensor([f], dtype=torch.float64))[0].tolist()) for f in features
            ]
            entropies.append(smoothed(scores[0], label, smoothing))
            if not method.interaction.single:
                entropies.append(smoothed(scores[1], label, smoothing))
                rankings.append(eq_10(scores[0], scores[1], label, method.interaction.margin))
    losses = {"cross_entropy": sum(entropies) / max(len(entropies), 1)}
    if method.interaction.weight and not method.interaction.single:
        losses["ranking"] = method.interaction.weight * sum(rankings) / max(len(rankings), 1)
    return losses


def test_gates_are_eq_2_and_interactions_eq_3_to_6():
    mutual, x1, x2 = drawn(3, 5, WIDTH)
    g1, g2 = gate(mutual, x1), gate(mutual, x2)
    selves = interact(x1, x2, g1, g2)
    for k in range(5):
        naive = [eq_2(mutual[k].tolist(), x[k].tolist()) for x in (x1, x2)]
        expected = torch.tensor(naive, dtype=torch.float64)
        torch.testing.assert_close(torch.stack([g1[k], g2[k]]), expected, rtol=0, atol=1e-12)
        for actual, (x, g) in zip(selves, ((x1, g1), (x2, g2), (x1, g2), (x2, g1)), strict=True):
            expected = torch.tensor(eq_3_to_6(x[k].tolist(), g[k].tolist()), dtype=torch.float64)
            torch.testing.assert_close(actual[k], expected, rtol=0, atol=1e-12)


def test_ranking_is_eq_10():
    own, other = torch.tensor([0.9, 0.5, 0.5, 0.2]), torch.tensor([0.1, 0.5, 0.44, 0.6])
    torch.testing.assert_close(score_ranking(own, other), torch.tensor([0.0, 0.05, 0.0, 0.45]))
    torch.testing.assert_close(score_ranking(own, other, margin=0.1), torch.tensor([0.0, 0.1, 0.04, 0.5]))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(
    "labels", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 2, 3, 3], [0, 1, 2]], ids=["pairs", "lonely classes", "all lonely"]
)
def test_an_objective_is_eq_1_to_10(options: dict[str, Any], labels: list[int]):
    method, x, truth = (
        api_net({"margin": 0.07, "weight": 1.5, **options}),
        drawn(len(labels), WIDTH),
        torch.tensor(labels),
    )
    output = step(method, x, truth)
    expected = naive_losses(method, x, truth, smoothing=0.1)
    assert list(output.losses) == list(expected)
    for name, value in expected.items():
        assert output.losses[name].item() == pytest.approx(value, rel=0, abs=1e-10), name
    if options.get("inter", "similar"):
        assert output.losses["cross_entropy"].item() > 0.1


def test_the_papers_sum_is_that_many_times_the_means_with_half_the_ranking():
    """Eq. 8, 9 and 10 are sums over pairs, four rows of cross-entropy and two of ranking each."""
    x, labels = drawn(6, WIDTH), torch.arange(6) // 2
    means = total(step(api_net({"weight": 0.5}, smoothing=0.0), x, labels))
    output = step(api_net({}, smoothing=0.0), x, labels)
    summed = 0.0
    logits = output.views["pair_logits"]
    for k, (anchor, mate) in enumerate(
        zip(output.views["anchor"].tolist(), output.views["mate"].tolist(), strict=True)
    ):
        for i, label in enumerate((labels[anchor].item(), labels[mate].item())):
            own, other = (eq_7(logits[2 * j + i, k].tolist()) for j in range(2))
            summed += -math.log(own[int(label)]) - math.log(other[int(label)]) + eq_10(own, other, int(label), 0.05)
    assert summed == pytest.approx(4 * len(output.views["anchor"]) * means.item(), rel=1e-12)


def test_what_a_step_gives_out():
    method, x, labels = api_net({}), drawn(6, WIDTH), torch.arange(6) // 2
    output = step(method, x, labels, DRAWS)
    assert torch.equal(output.logits, method.classifier.head(x))
    assert torch.equal(output.labels, labels)
    assert output.views["pair_logits"].shape == (4, 12, 4)
    assert [tuple(output.views[name].shape) for name in ("anchor", "mate", "same", "valid")] == 4 * [(12,)]
    assert output.views["same"].tolist() == 6 * [True] + 6 * [False]
    single = step(api_net({"gate": "single"}), x, labels)
    assert single.views["pair_logits"].shape == (2, 12, 4)
    assert list(single.losses) == ["cross_entropy"]


@pytest.mark.parametrize(
    ("intra", "inter", "mates", "same"),
    [
        (None, "dissimilar", 2, 0),
        (None, "similar", 2, 0),
        ("dissimilar", None, 2, 240),
        ("similar", None, 2, 240),
        ("dissimilar", "dissimilar", 1, 120),
        ("similar", "dissimilar", 1, 120),
        ("dissimilar", "similar", 1, 120),
        ("similar", "similar", 1, 120),
    ],
)
def test_class_image_constructions_of_table_4_have_240_pairs(intra: Any, inter: Any, mates: int, same: int):
    x, labels = drawn(120, WIDTH), torch.arange(120) // 4
    pairs = api_net({"intra": intra, "inter": inter, "mates": mates}).interaction.pairs(x, labels, DRAWS)
    assert pairs.valid.sum().item() == len({*zip(pairs.anchor.tolist(), pairs.mate.tolist(), strict=True)}) == 240
    assert pairs.same.sum().item() == same
    distances = (x[pairs.anchor] - x[pairs.mate]).norm(dim=1)
    average = torch.pdist(x).mean()
    for kind, rule in ((True, intra), (False, inter)):
        if rule == "similar":
            assert distances[pairs.same == kind].mean() < average
        elif rule == "dissimilar":
            assert distances[pairs.same == kind].mean() > average


def test_the_random_construction_of_table_4_has_240_pairs_of_any_classes():
    x, labels = drawn(120, WIDTH), torch.arange(120) // 4
    method = api_net({"intra": None, "inter": None})
    drawings = [method.interaction.pairs(x, labels, Draws(0, number)) for number in range(20)]
    assert {pairs.valid.sum().item() for pairs in drawings} == {240}
    share = torch.cat([pairs.same for pairs in drawings]).double().mean().item()
    assert share == pytest.approx(3 / 119, abs=0.01)
    assert not torch.equal(drawings[0].anchor, drawings[1].anchor)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gradients(options: dict[str, Any]):
    """Gradients of the losses for given pairs: the choice of pairs has no gradient."""
    method, labels = api_net(options), torch.tensor([0, 0, 1, 1, 2])
    x = drawn(5, WIDTH).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: total(step(method, x, labels, DRAWS)), x)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_batch_without_pairs_is_zero_with_a_graph(options: dict[str, Any]):
    method = api_net(options)
    batches = [torch.zeros(1)]
    batches += [torch.zeros(3)] if options.get("intra", "similar") is None and options.get("inter", "similar") else []
    batches += [torch.arange(4)] if options.get("inter", "similar") is None and options.get("intra", "similar") else []
    for labels in batches:
        x = drawn(len(labels), WIDTH).requires_grad_()
        method.zero_grad()
        output = step(method, x, labels.long(), DRAWS)
        assert total(output).item() == 0
        total(output).backward()
        assert x.grad is not None
        assert (x.grad == 0).all()
        assert all(p.grad is None or (p.grad == 0).all() for p in method.parameters())


def test_two_copies_of_a_photo_are_no_pair_and_hide_no_mate():
    """Balanced batches repeat the photos of a class with fewer than they take."""
    position = np.repeat(np.arange(4), [1, 2, 9, 9])
    for number, batch in enumerate(Balanced(4, 4).epoch(position, seed=0, epoch=0)):
        rows, labels = torch.from_numpy(batch), torch.from_numpy(position[batch])
        embeddings = drawn(21, WIDTH)[rows]
        mined = api_net({}).interaction.pairs(embeddings, labels, Draws(0, number, rows))
        random = api_net({"intra": None, "inter": None, "mates": 8}).interaction.pairs(
            embeddings, labels, Draws(0, number, rows)
        )
        for pairs in (mined, random):
            assert not (pairs.valid & (rows[pairs.anchor] == rows[pairs.mate])).any()
        assert random.valid.sum() < len(random.valid)  # all 240 pairs of the batch come
        intra = mined.valid[:16].view(4, 4)[torch.argsort(labels.view(4, 4)[:, 0])]
        assert intra.sum(1).tolist() == [0, 4, 4, 4]


def test_pairs_that_are_not_valid_change_nothing():
    rows, valid = torch.tensor([1.0, 9.0, 3.0, 5.0, 9.0, 7.0]), torch.tensor([True, False, True])
    assert mean_of_valid(rows, valid).item() == 4.0
    assert mean_of_valid(rows, ~valid).item() == 9.0
    assert mean_of_valid(rows, torch.zeros(3, dtype=torch.bool)).item() == 0.0


def test_images_of_one_class_and_constant_embeddings_stay_finite():
    for x in (torch.zeros(6, WIDTH).double(), 1e4 * torch.ones(6, WIDTH).double(), 1e6 * drawn(6, WIDTH)):
        for labels in (torch.zeros(6, dtype=torch.long), torch.arange(6) // 2 % 4):
            for options in OPTIONS.values():
                method, rows = api_net(options), x.clone().requires_grad_()
                total(step(method, rows, labels, DRAWS)).backward()
                assert rows.grad is not None
                assert rows.grad.isfinite().all(), options


def test_dropout_comes_from_draws_and_evaluation_has_none():
    x, labels = drawn(6, WIDTH), torch.arange(6) // 2
    without, method = api_net({"dropout": 0.0}), api_net({})
    without.load_state_dict(method.state_dict())
    for draws in (EVALUATION, DRAWS):
        torch.manual_seed(int(draws.step))
        loss = step(method, x, labels, draws).losses["cross_entropy"]
        assert torch.equal(loss, step(method, x, labels, draws).losses["cross_entropy"])
        whole = step(without, x, labels, draws).losses["cross_entropy"]
        assert torch.equal(loss, whole) == (draws is EVALUATION)
    zeros = (api_net({"mutual": "sum"}, head=nn.Identity(), classes=WIDTH), torch.ones(40, WIDTH).double())
    logits = step(zeros[0], zeros[1], torch.arange(40) // 10 % 4, DRAWS).views["pair_logits"]
    assert (logits == 0).double().mean().item() == pytest.approx(0.5, abs=0.06)


def test_half_precision_embeddings_are_raised(monkeypatch: pytest.MonkeyPatch):
    learner = tiny_learner(COMPOSITION, monkeypatch).float()
    with torch.autocast("cpu", torch.bfloat16):
        output = learner(tiny_images().float(), LABELS, Draws(1, 0, ROWS))
    assert output.features.embedding.dtype == torch.bfloat16
    assert {loss.dtype for loss in output.losses.values()} == {torch.float32}
    for operation in ("individual", "compact_bilinear", "weight_attention"):
        composition = Composition("x", method=Part("ApiNet", {"mutual": operation}))
        learner = tiny_learner(composition, monkeypatch).float()
        with torch.autocast("cpu", torch.bfloat16):
            loss = total(learner(tiny_images().float(), LABELS, Draws(1, 0, ROWS)))
        loss.backward()
        assert loss.isfinite()


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_learner_held_in_bfloat16_takes_a_step(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    """Without automatic mixed precision: all weights are half."""
    learner = tiny_learner(Composition("x", method=Part("ApiNet", options)), monkeypatch).bfloat16()
    images = tiny_images().bfloat16()
    output = learner(images, LABELS, Draws(1, 0, ROWS))
    assert {loss.dtype for loss in output.losses.values()} == {torch.float32}
    total(output).backward()
    for name, parameter in learner.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.bfloat16
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    evidence = learner.method.eval().evidence(images)
    assert {gate.dtype for gate in evidence.gates.values()} == {torch.float32}
    assert ((evidence.gates["own"] > 0) & (evidence.gates["own"] < 1)).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mutual": "bilinear"}, "mutual of ApiInteraction is 'bilinear'; did you mean compact_bilinear"),
        ({"mutual": None}, "mutual of ApiInteraction is None; it must be one of mlp, individual"),
        ({"gate": "both"}, "gate of ApiInteraction is 'both'; choose pair, single"),
        ({"intra": "near"}, "intra of ApiInteraction is 'near'; choose similar, dissimilar"),
        ({"inter": "random"}, "inter of ApiInteraction is 'random'; choose similar, dissimilar"),
        ({"mutual": "individual", "gate": "single"}, "no mutual vector"),
        ({"weight": -1.0}, "weight of ApiInteraction is -1.0; it must be at least 0"),
        ({"dropout": 1.0}, "dropout of ApiInteraction is 1.0; it must be at least 0 and below 1"),
        ({"mates": 0}, "mates of ApiInteraction is 0; it must be at least 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_mean_nothing_are_refused_in_one_line(options: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message) as caught:
        api_net(options)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["as the paper", "individual", "compact bilinear", "weight attention", "single", "random"]
)
def test_the_contract_is_kept(name: str):
    check_method(ApiNet, options=OPTIONS[name], classes=4, size=32)


class Doubling(nn.Module):
    """A neck that doubles the channels, with a norm that must not learn from a trial."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.BatchNorm2d(2 * channels))

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps)


class MeanAndMaximum(nn.Module):
    """A pool that doubles the width."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)

    def width(self, channels: int) -> int:
        return 2 * channels


class Deep(nn.Sequential):
    """A head that is not linear."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(nn.Linear(width, 9), nn.ELU(), nn.Linear(9, classes))


def test_any_neck_pool_and_head(monkeypatch: pytest.MonkeyPatch):
    composition = Composition("x", Part("ApiNet"), neck=own(Doubling), pool=own(MeanAndMaximum), head=own(Deep))
    learner = tiny_learner(composition, monkeypatch, Doubling, MeanAndMaximum, Deep)
    assert isinstance(mutual := learner.method.get_submodule("interaction.mutual"), Mlp)
    assert mutual.layers.first.in_features == 2 * 48
    output = learner(tiny_images(), LABELS, Draws(1, 0, ROWS))
    total(output).backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in learner.parameters() if p.ndim > 1)
    head = nn.Sequential(nn.Linear(WIDTH, 3), nn.Tanh(), nn.Linear(3, 4))
    method, x, labels = api_net({}, head=head), drawn(6, WIDTH), torch.arange(6) // 2
    expected = naive_losses(method, x, labels, smoothing=0.1)
    assert step(method, x, labels).losses["cross_entropy"].item() == pytest.approx(expected["cross_entropy"], abs=1e-10)


def test_groups_let_the_backbone_rest_alone(monkeypatch: pytest.MonkeyPatch):
    learner = tiny_learner(COMPOSITION, monkeypatch)
    groups = {name: {id(p) for p in group} for name, group in learner.parameter_groups().items()}
    assert list(groups) == ["backbone", "head"]
    assert groups["backbone"] == {id(p) for p in learner.method.classifier.backbone.parameters()}
    mutual = learner.method.get_submodule("interaction.mutual")
    assert groups["head"] >= {id(p) for p in (*mutual.parameters(), *learner.method.classifier.head.parameters())}
    assert learner.batch_wide


def test_inference_is_the_classifier_and_evidence_the_nearest_other(monkeypatch: pytest.MonkeyPatch):
    method = tiny_learner(COMPOSITION, monkeypatch).method.eval()
    assert isinstance(method, ApiNet)
    images = tiny_images()
    assert torch.equal(method(images), method.classifier(images))
    evidence = method.evidence(images)
    x = method.classifier.features(images).embedding
    distances = torch.cdist(x, x).fill_diagonal_(math.inf)
    assert torch.equal(evidence.mates["nearest"], distances.argmin(1))
    assert torch.equal(evidence.logits, method(images))
    for row, other in enumerate(evidence.mates["nearest"].tolist()):
        mutual = method.interaction.mutual(x[row : row + 1], x[other : other + 1], EVALUATION)[0].tolist()
        for name, image in (("own", row), ("mate", other)):
            expected = torch.tensor(eq_2(mutual, x[image].tolist()), dtype=torch.float64)
            torch.testing.assert_close(evidence.gates[name][row], expected, rtol=0, atol=1e-10)
    alone = method.evidence(images[:1])
    assert alone.mates["nearest"].tolist() == [0]
    assert [len(gate) for gate in alone.gates.values()] == [1, 1]


def test_it_trains_in_a_loop_of_ones_own():
    """Two classes told apart by one channel of the picture; without Fieldmark's loop."""
    torch.manual_seed(0)
    classifier = Classifier(tiny_backbone(), neck=nn.Identity(), pool=Average(), head=Linear(12, 2), classes=2)
    method = ApiNet(classifier, CrossEntropy(0), 12)
    labels = torch.arange(8) // 4
    images = 0.3 * torch.randn(8, 3, 12, 12)
    images[:, 0] += 2.0 * labels[:, None, None]
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1, momentum=0.9)
    history = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = method.loss(images, labels)
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[0] == pytest.approx(math.log(2) + 0.05)  # all gates serve alike, short of the margin
    assert history[-1] < 0.2
    assert method(images).argmax(1).tolist() == labels.tolist()


def test_a_saved_state_brings_everything_back(monkeypatch: pytest.MonkeyPatch):
    composition = Composition("x", method=Part("ApiNet", {"mutual": "compact_bilinear"}))
    learners: list[Learner] = [tiny_learner(composition, monkeypatch) for _ in range(2)]
    assert isinstance(learners[0].method.get_submodule("interaction.mutual"), CompactBilinear)
    assert "method.interaction.mutual.buckets" not in learners[0].state_dict()
    with torch.no_grad():
        next(learners[0].parameters()).mul_(2)
    learners[1].load_state_dict(learners[0].state_dict())
    losses = [total(learner(tiny_images(), LABELS, Draws(1, 0, ROWS))) for learner in learners]
    assert torch.equal(losses[0], losses[1])


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    numbers = numbers_of_a_step(tiny_learner(COMPOSITION, monkeypatch))
    assert len(numbers["logits after the step"]) == len(LABELS) * CLASSES  # pyright: ignore[reportArgumentType]
    check_golden("api-net", numbers)
