"""MC-Loss against loops written from the paper, its groups against Table II, its switches, and the maps at the edge."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from channel_terms import DRAWS, random_maps
from fieldmark.core.backbone import Backbone
from fieldmark.core.classifier import Average, Classifier, Linear, Maximum
from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.errors import UserError
from fieldmark.papers.mutual_channel.loss import (
    ChannelExpansion,
    MutualChannelLoss,
    TwoLayerHead,
    average_logits,
    channel_attention,
    channel_groups,
    discriminality,
    discriminality_logits,
    diversity,
)
from fieldmark.recipe import Part
from fieldmark.recipes.mutual_channel import COMPOSITION
from fieldmark.testing import check_term, no_reading_back
from golden_step import check_golden, numbers_of_a_step, tiny_backbone, tiny_learner

SHAPES = [(6, 3), (7, 3), (8, 3), (5, 5), (4, 1), (11, 4)]
"""Channels and classes: even, one or two channels left over, one channel per class, one class."""


def members(groups: tuple[int, ...], i: int) -> range:
    """Eq. 1: the channels F_i of class i."""
    return range(sum(groups[:i]), sum(groups[: i + 1]))


def eq_5(maps: Tensor, groups: tuple[int, ...], keep: list[bool]) -> list[list[float]]:
    """g of each image and class: mean over k of the maximum over j of M_i F_ijk."""
    flat = maps.flatten(2).tolist()
    return [
        [
            sum(max(image[j][k] * keep[j] for j in members(groups, i)) for k in range(len(image[0]))) / len(image[0])
            for i in range(len(groups))
        ]
        for image in flat
    ]


def eq_7(maps: Tensor, groups: tuple[int, ...]) -> list[list[float]]:
    """h of each image and class: sum over k of the maximum over j of exp(F_ijk) / sum over k' of exp(F_ijk')."""
    flat = maps.flatten(2).tolist()
    rows = []
    for image in flat:
        sums = [sum(math.exp(value) for value in channel) for channel in image]
        rows.append(
            [
                sum(max(math.exp(image[j][k]) / sums[j] for j in members(groups, i)) for k in range(len(image[0])))
                for i in range(len(groups))
            ]
        )
    return rows


def eq_4(logits: list[list[float]], labels: list[int]) -> float:
    """Mean over images of -log of the softmax of the label's response."""
    losses = [
        -math.log(math.exp(row[y]) / sum(math.exp(other) for other in row))
        for row, y in zip(logits, labels, strict=True)
    ]
    return sum(losses) / len(losses)


def table(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("channels", "classes", "expected"),
    [
        (512, 200, {2: 88, 3: 112}),
        (2048, 200, {10: 152, 11: 48}),
        (512, 196, {2: 76, 3: 120}),
        (2048, 196, {10: 108, 11: 88}),
        (512, 100, {5: 88, 6: 12}),
        (2048, 100, {20: 52, 21: 48}),
        (512, 102, {5: 100, 6: 2}),
        (2048, 102, {20: 94, 21: 8}),
        (600, 200, {3: 200}),
    ],
)
def test_groups_are_those_of_table_ii(channels: int, classes: int, expected: dict[int, int]):
    groups = channel_groups(channels, classes)
    assert {size: groups.count(size) for size in groups} == expected
    assert list(groups) == sorted(groups)


@given(st.integers(1, 40), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_groups_share_out_all_channels_as_evenly_as_can_be(classes: int, more: int):
    groups = channel_groups(classes + more, classes)
    assert (len(groups), sum(groups)) == (classes, classes + more)
    assert max(groups) - min(groups) <= 1


def test_fewer_channels_than_classes_are_refused_with_a_neck_that_fits():
    with pytest.raises(
        UserError, match=r"32 channels .* 100 classes; the neck ChannelExpansion .* makes 300"
    ) as caught:
        channel_groups(32, 100)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("channels", "classes"), SHAPES)
@pytest.mark.parametrize("masked", [False, True])
def test_responses_are_eq_5(channels: int, classes: int, masked: bool):
    maps, groups = random_maps(3, channels), channel_groups(channels, classes)
    keep = torch.arange(channels) % 3 != 1 if masked else None
    expected = eq_5(maps, groups, [True] * channels if keep is None else keep.tolist())
    actual = discriminality_logits(maps, groups, keep)
    torch.testing.assert_close(actual, table(expected), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("channels", "classes"), SHAPES)
def test_diversity_is_eq_7(channels: int, classes: int):
    maps, groups = 4 * random_maps(3, channels), channel_groups(channels, classes)
    torch.testing.assert_close(diversity(maps, groups), table(eq_7(maps, groups)), rtol=0, atol=1e-10)


def test_groups_of_any_sizes_do():
    maps, groups = random_maps(2, 9), (2, 1, 1, 4, 1)
    torch.testing.assert_close(discriminality_logits(maps, groups), table(eq_5(maps, groups, [True] * 9)))
    torch.testing.assert_close(diversity(maps, groups), table(eq_7(maps, groups)))
    with pytest.raises(UserError, match="5 groups with 9 channels in all do not fit maps of 8 channels"):
        diversity(maps[:, :8], groups)


def test_averages_over_channels_are_those_of_the_masked_maps():
    maps, groups, keep = random_maps(2, 7), (2, 2, 3), torch.tensor([1, 0, 1, 1, 0, 1, 1], dtype=torch.bool)
    flat = maps.flatten(2)
    expected = [
        [(flat[b, list(members(groups, i))] * keep[list(members(groups, i)), None]).mean().item() for i in range(3)]
        for b in range(2)
    ]
    torch.testing.assert_close(average_logits(maps, groups, keep), table(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("last", [False, True])
def test_the_order_of_maps_in_memory_changes_nothing(last: bool):
    maps, groups = random_maps(2, 8, 4, 5), channel_groups(8, 3)
    plain = maps.clone().requires_grad_()
    ordered = maps.to(memory_format=torch.channels_last if last else torch.contiguous_format).requires_grad_()
    for leaf in (plain, ordered):
        (discriminality_logits(leaf, groups).square().sum() + diversity(leaf, groups).square().sum()).backward()
    assert plain.grad is not None
    assert ordered.grad is not None
    torch.testing.assert_close(plain.grad, ordered.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("across", "of", "form", "drop"),
    list(product(["max", "average"], ["all", "label"], ["paper", "released"], [0.0, 0.5])),
)
@pytest.mark.parametrize(("channels", "classes"), [(6, 3), (8, 3), (3, 3)])
def test_the_term_is_eq_2_and_3(across: str, of: str, form: str, drop: float, channels: int, classes: int):
    options = {"weight": 0.7, "diversity": 3.0, "drop": drop, "across": across, "of": of, "form": form}
    term = MutualChannelLoss(classes, **options)  # pyright: ignore[reportArgumentType]
    maps, labels = random_maps(5, channels).abs(), [0, 2, 1, 2, 2]
    groups = channel_groups(channels, classes)
    keep = channel_attention(groups, drop=drop, draws=DRAWS, like=maps)
    kept = [True] * channels if keep is None else keep.tolist()
    responses = eq_5(maps, groups, kept)
    if across == "average":
        responses = average_logits(maps, groups, keep).tolist()
    h = eq_7(maps, groups)
    chosen = [(b, i) for b in range(5) for i in range(classes) if of == "all" or i == labels[b]]
    if form == "paper":
        loss = eq_4(responses, labels) - 3.0 * sum(h[b][i] for b, i in chosen) / len(chosen)
    else:
        sizes = sorted(set(groups)) if of == "all" else [None]
        loss = eq_4(responses, labels)
        for size in sizes:
            ones = [1 - h[b][i] / groups[i] for b, i in chosen if size in (None, groups[i])]
            loss += 3.0 * sum(ones) / len(ones)
    assert term(maps, torch.tensor(labels), draws=DRAWS).item() == pytest.approx(0.7 * loss, rel=0, abs=1e-10)


def test_switches_of_table_vii_leave_the_other_part():
    maps, labels, groups = random_maps(4, 7).abs(), torch.tensor([0, 1, 2, 1]), channel_groups(7, 3)
    separation = discriminality(discriminality_logits(maps, groups), labels)
    spread = diversity(maps, groups).mean()
    minus_diversity = MutualChannelLoss(3, 2.0, 0.0, 0.0)(maps, labels, draws=DRAWS)
    minus_discriminality = MutualChannelLoss(3, 2.0, 10.0, discriminality=0.0)(maps, labels, draws=DRAWS)
    assert minus_diversity.item() == pytest.approx(2 * separation.item())
    assert minus_discriminality.item() == pytest.approx(-20 * spread.item())
    assert MutualChannelLoss(3, 2.0, 10.0, 0.0)(maps, labels, draws=DRAWS).item() == pytest.approx(
        minus_diversity.item() + minus_discriminality.item()
    )


@given(st.integers(1, 12), st.integers(0, 60), st.floats(0, 0.99), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_channel_attention_drops_its_share_of_each_class(classes: int, more: int, drop: float, step: int):
    groups = channel_groups(classes + more, classes)
    keep = channel_attention(groups, drop=drop, draws=Draws(0, step), like=torch.zeros(1))
    for i, size in enumerate(groups):
        dropped = 0 if keep is None else int((~keep[list(members(groups, i))]).sum())
        assert dropped == math.floor(drop * size + 1e-9)


def test_the_released_share_drops_four_of_ten_and_of_eleven():
    groups = (10, 11)
    keep = channel_attention(groups, drop=0.4, draws=DRAWS, like=torch.zeros(1))
    assert keep is not None
    assert [int((~part).sum()) for part in keep.split(groups)] == [4, 4]


def test_channel_attention_differs_by_step_and_class_and_keeps_all_in_evaluation():
    groups = channel_groups(40, 10)
    masks = [channel_attention(groups, drop=0.5, draws=Draws(0, step), like=torch.zeros(1)) for step in range(6)]
    assert len({tuple(mask.tolist()) for mask in masks if mask is not None}) == 6
    assert masks[0] is not None
    assert len({tuple(part.tolist()) for part in masks[0].split(groups)}) > 2
    assert channel_attention(groups, drop=0.5, draws=EVALUATION, like=torch.zeros(1)) is None
    each = torch.stack([m.double() for m in masks if m is not None]).mean()
    assert each.item() == 0.5


def test_every_channel_is_dropped_as_often_as_any_other():
    groups = channel_groups(12, 4)
    masks = [channel_attention(groups, drop=0.5, draws=Draws(1, step), like=torch.zeros(1)) for step in range(600)]
    share = torch.stack([mask.double() for mask in masks if mask is not None]).mean(0)
    assert ((share - 2 / 3).abs() < 0.08).all()


@pytest.mark.parametrize(("channels", "classes"), SHAPES)
def test_gradients_of_the_functions(channels: int, classes: int):
    maps, groups = random_maps(2, channels).requires_grad_(), channel_groups(channels, classes)
    keep = torch.arange(channels) % 2 == 0
    assert torch.autograd.gradcheck(lambda m: discriminality_logits(m, groups, keep), maps)
    assert torch.autograd.gradcheck(lambda m: diversity(m, groups), maps)
    assert torch.autograd.gradgradcheck(lambda m: diversity(m, groups), maps)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("form", ["paper", "released"])
def test_gradients_of_the_term(form: str, last: bool):
    term = MutualChannelLoss(3, 1.0, form=form)  # pyright: ignore[reportArgumentType]
    order = torch.channels_last if last else torch.contiguous_format
    maps = random_maps(3, 7).to(memory_format=order).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: term(m, torch.tensor([0, 2, 1]), draws=DRAWS), maps)


def test_maps_that_are_nowhere_negative_are_taken_as_they_are():
    maps = random_maps(4, 7).relu().requires_grad_()
    labels, groups = torch.tensor([0, 1, 2, 1]), channel_groups(7, 3)
    plain = discriminality(discriminality_logits(maps, groups), labels) - 10 * diversity(maps, groups).mean()
    (expected,) = torch.autograd.grad(plain, maps)
    term = MutualChannelLoss(3, 1.0, drop=0.0)(maps, labels, draws=DRAWS)
    (actual,) = torch.autograd.grad(term, maps)
    assert term.item() == plain.item()
    assert (maps == 0).any()
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-15)


def test_negative_responses_count_as_zero_and_get_no_gradient():
    maps, labels = random_maps(4, 7).requires_grad_(), torch.tensor([0, 1, 2, 1])
    loss = MutualChannelLoss(3)(maps, labels, draws=DRAWS)
    assert loss.item() == pytest.approx(
        MutualChannelLoss(3)(maps.detach().relu(), labels, draws=DRAWS).item(), abs=1e-15
    )
    loss.backward()
    assert maps.grad is not None
    assert (maps.grad[maps.detach() < 0] == 0).all()
    assert (maps.grad[maps.detach() > 0] != 0).any()


def test_bounds_of_figure_4():
    one_hot = torch.eye(6, dtype=torch.float64).reshape(1, 6, 2, 3) * 1e3
    assert diversity(one_hot[:, :3], (3,)).item() == pytest.approx(3)
    assert diversity(one_hot[:, :1].expand(1, 3, 2, 3), (3,)).item() == pytest.approx(1)


@given(st.integers(1, 5), st.integers(0, 12), st.floats(0.1, 30), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_diversity_lies_between_one_and_xi(classes: int, more: int, scale: float, seed: int):
    groups = channel_groups(classes + more, classes)
    actual = diversity(scale * random_maps(2, classes + more, seed=seed), groups)
    assert (actual >= 1 - 1e-12).all()
    assert (actual <= torch.tensor(groups, dtype=torch.float64) + 1e-12).all()


@pytest.mark.parametrize(
    ("maps", "labels"),
    [
        (torch.zeros(4, 7, 3, 3), [0, 1, 2, 0]),
        (torch.full((4, 7, 3, 3), 2.0), [0, 1, 2, 0]),
        (torch.full((1, 7, 1, 1), -1.0), [1]),
        (torch.full((3, 7, 3, 3), 3e4), [1, 1, 1]),
        (torch.full((3, 7, 3, 3), 3e4, dtype=torch.bfloat16), [1, 1, 1]),
    ],
    ids=["zero", "constant", "one image, one position", "one class, large", "bfloat16"],
)
@pytest.mark.parametrize("form", ["paper", "released"])
def test_flat_maps_give_finite_losses_and_gradients(maps: Tensor, labels: list[int], form: str):
    maps = maps.clone().requires_grad_()
    loss = MutualChannelLoss(3, form=form)(maps, torch.tensor(labels), draws=DRAWS)  # pyright: ignore[reportArgumentType]
    loss.backward()
    flat = math.log(3) - 10 if form == "paper" else math.log(3) + 10 * (1 - 1 / 2 + 1 - 1 / 3)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.005 * flat, rel=1e-5, abs=2e-5)  # 3e4 is rounded by 2e-3
    assert maps.grad is not None
    assert maps.grad.dtype == maps.dtype
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "at least 0"),
        ({"drop": 1.0}, "drop of MutualChannelLoss is 1.0; it must be at least 0 and below 1"),
        ({"diversity": 0.0, "discriminality": 0.0}, "nothing is left"),
        ({"across": "sum"}, "across of .* is 'sum'; choose max, average"),
        ({"of": "none"}, "of of .* is 'none'; choose all, label"),
        ({"form": "code"}, "form of .* is 'code'; choose paper, released"),
    ],
)
def test_settings_that_mean_nothing_are_refused_when_it_is_made(options: dict[str, object], message: str):
    with pytest.raises(UserError, match=message) as caught:
        MutualChannelLoss(5, **options)  # pyright: ignore[reportArgumentType]
    assert len(str(caught.value).splitlines()) == 1


def test_other_classes_are_refused(monkeypatch: pytest.MonkeyPatch):
    classifier: Classifier = tiny_learner(COMPOSITION, monkeypatch).method.classifier
    with pytest.raises(UserError, match="the classifier has 5"):
        MutualChannelLoss(4).check(classifier)


@pytest.mark.parametrize(("of", "xi"), [("all", 2), ("all", 3), ("label", 3)])
def test_at_equal_weights_the_released_form_pushes_xi_times_less(of: str, xi: int):
    labels, gradients = torch.tensor([0, 2, 1]), {}
    for form in ("paper", "released"):
        maps = random_maps(3, 3 * xi).relu().requires_grad_()
        term = MutualChannelLoss(3, discriminality=0.0, of=of, form=form)  # pyright: ignore[reportArgumentType]
        (gradients[form],) = torch.autograd.grad(term(maps, labels, draws=DRAWS), maps)
    assert gradients["paper"].norm() > 0
    torch.testing.assert_close(xi * gradients["released"], gradients["paper"], rtol=1e-12, atol=1e-15)


def test_too_few_channels_are_refused_unless_a_neck_makes_more():
    parts = {"pool": Average(), "head": nn.Identity(), "classes": 13}
    bare = Classifier(tiny_backbone(), neck=nn.Identity(), **parts)
    with pytest.raises(UserError, match=r"12 channels are too few .* 13 classes; the neck ChannelExpansion"):
        MutualChannelLoss(13).check(bare)
    neck = ChannelExpansion(12, 13).train()
    MutualChannelLoss(13).check(Classifier(tiny_backbone(), neck=neck, **parts))
    assert neck.training
    assert neck.norm.num_batches_tracked is not None
    assert neck.norm.num_batches_tracked.item() == 0


@pytest.mark.parametrize("options", [{"xi": 2}, {"xi": 6}, {"total": 512}])
def test_the_neck_makes_so_many_channels_none_negative(options: dict[str, int]):
    neck = ChannelExpansion(8, 10, **options)
    made = neck(torch.randn(3, 8, 4, 5))
    assert made.shape == (3, options.get("total", 10 * options.get("xi", 0)), 4, 5)
    assert made.amin() >= 0
    with pytest.raises(UserError, match="xi of ChannelExpansion is 0; it must be at least 1"):
        ChannelExpansion(8, 10, xi=0)


def test_the_head_is_the_released_codes():
    head = TwoLayerHead(12, 5, hidden=7)
    assert [type(layer) for layer in head.layers] == [nn.BatchNorm1d, nn.Linear, nn.BatchNorm1d, nn.ELU, Linear]
    assert head(torch.randn(3, 12)).shape == (3, 5)
    assert head.eval()(torch.randn(1, 12)).shape == (1, 5)


@pytest.mark.parametrize("neck", [None, Part("ChannelExpansion", {"xi": 2})], ids=["own channels", "expanded"])
def test_the_term_keeps_the_contract(neck: Part | None):
    check_term(MutualChannelLoss, options={"weight": 1.5, "form": "released"}, neck=neck)


def test_a_step_reads_nothing_back():
    maps = random_maps(4, 7).float().requires_grad_()
    with no_reading_back():
        for of, form in product(["all", "label"], ["paper", "released"]):
            term = MutualChannelLoss(3, of=of, form=form)  # pyright: ignore[reportArgumentType]
            term(maps, torch.tensor([0, 1, 2, 1]), draws=DRAWS).backward()


def test_a_plain_loop_trains_a_classs_channels():
    """Nothing of Fieldmark but the loss: each class's channels come to answer to its images alone."""
    torch.manual_seed(0)
    labels = torch.arange(24) % 3
    images = 0.3 * torch.randn(24, 3, 8, 8)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[label, 1:4, 1:4] += 2
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    groups, mutual = channel_groups(8, 3), MutualChannelLoss(3, weight=1.0, diversity=0.1)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.5, momentum=0.9)

    def responses() -> Tensor:
        return discriminality_logits(network(images), groups)

    before = F.cross_entropy(responses(), labels).item()
    spread = diversity(network(images), groups).mean().item()
    for _ in range(60):
        loss = mutual(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert F.cross_entropy(responses(), labels).item() < before / 2
    assert (responses().argmax(1) == labels).float().mean().item() > 0.9
    assert diversity(network(images), groups).mean().item() > spread


def test_the_pieces_make_a_classifier_by_hand():
    neck, head = ChannelExpansion(12, 4, xi=2), TwoLayerHead(8, 4)
    backbone: Backbone = tiny_backbone()
    classifier = Classifier(backbone, neck=neck, pool=Maximum(), head=head, classes=4)
    features = classifier.features(torch.randn(6, 3, 12, 12))
    labels = torch.arange(6) % 4
    assert features.refined is not None
    (F.cross_entropy(features.logits, labels) + MutualChannelLoss(4)(features.refined, labels)).backward()
    assert neck.convolution.weight.grad is not None
    assert neck.convolution.weight.grad.abs().sum() > 0


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    check_golden("mc-loss", numbers_of_a_step(tiny_learner(COMPOSITION, monkeypatch)))


@pytest.mark.parametrize(("form", "of"), [("paper", "all"), ("paper", "label"), ("released", "all")])
def test_the_parts_of_the_loss_are_its_figures(form: str, of: str):
    term = MutualChannelLoss(3, 0.7, 3.0, form=form, of=of)  # pyright: ignore[reportArgumentType]
    maps, labels = random_maps(5, 8).abs().requires_grad_(), torch.tensor([0, 2, 1, 2, 2])
    loss = term(maps, labels, draws=DRAWS)
    assert list(term.figures) == ["L_dis", "L_div"]
    assert not any(part.requires_grad for part in term.figures.values())
    expected = 0.7 * (term.figures["L_dis"] - 3.0 * term.figures["L_div"])
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-12, atol=0)
    if form == "paper" and of == "all":
        assert 1 <= term.figures["L_div"].item() <= 3


@pytest.mark.parametrize(("options", "names"), [({"diversity": 0.0}, ["L_dis"]), ({"discriminality": 0.0}, ["L_div"])])
def test_a_part_that_is_left_out_is_no_figure(options: dict[str, float], names: list[str]):
    term = MutualChannelLoss(3, **options)  # pyright: ignore[reportArgumentType]
    term(random_maps(4, 7).abs(), torch.tensor([0, 1, 2, 1]), draws=DRAWS)
    assert list(term.figures) == names
