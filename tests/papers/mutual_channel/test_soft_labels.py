"""Soft channel labels against loops written from Section IV-E, the running means, and maxima in pieces."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from channel_terms import DRAWS, random_maps, weighted
from fieldmark.building import build_learner
from fieldmark.core.classifier import Average, Classifier
from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.core.learner import total
from fieldmark.errors import UserError
from fieldmark.papers.mutual_channel import ChannelExpansion, SoftChannelLabels
from fieldmark.papers.mutual_channel.soft_labels import (
    ChannelLabels,
    class_maxima,
    inter_class,
    intra_class,
    refined_channels,
    spatial_softmax,
)
from fieldmark.recipe import Model, Part, Recipe
from fieldmark.recipes.composition import Composition
from fieldmark.runs.checkpoint import save_model
from fieldmark.runs.folder import About, open_run, write_run
from fieldmark.testing import check_term, no_reading_back
from golden_step import CLASSES, check_golden, numbers_of_a_step, tiny_backbone, tiny_images, tiny_learner

LABELS = [0, 3, 1, 3, 0, 3]
"""Class 2 has no image."""


def soft_term(channels: int = 6, classes: int = 4, **options: float) -> SoftChannelLabels:
    """In float64, with random weights, and means as after some training."""
    torch.manual_seed(1)
    term = SoftChannelLabels(channels, classes, reduction=2, **options).double()  # pyright: ignore[reportArgumentType]
    term.means.copy_(torch.rand(classes, channels))
    return term


def eq_10(t: list[list[float]], labels: list[int], classes: int) -> float:
    """1/C times the sum over classes and channels of the maximum over the class's images."""
    total = 0.0
    for i in range(classes):
        rows = [row for row, label in zip(t, labels, strict=True) if label == i]
        total += sum(max(row[k] for row in rows) for k in range(len(t[0]))) if rows else 0.0
    return total / classes


def eq_11(t: list[list[float]], labels: list[int], classes: int) -> float:
    """Minus the sum over channels of the maximum over classes of the maximum over their images."""
    total = 0.0
    for k in range(len(t[0])):
        inner = [
            max(row[k] for row, label in zip(t, labels, strict=True) if label == i)
            for i in range(classes)
            if i in labels
        ]
        total -= max(inner)
    return total


def test_labels_are_the_weights_of_an_se_block():
    block = ChannelLabels(6, reduction=3).double()
    maps = random_maps(3, 6)
    with torch.no_grad():
        actual = block(maps)
    for b in range(3):
        z = [sum(maps[b, j].flatten().tolist()) / 6 for j in range(6)]
        down, up = block.squeeze, block.excite
        s = [
            max(0.0, sum(down.weight[u, j].item() * z[j] for j in range(6)) + down.bias[u].item())
            for u in range(len(down.bias))
        ]
        for k in range(6):
            score = sum(up.weight[k, u].item() * s[u] for u in range(len(s))) + up.bias[k].item()
            assert actual[b, k].item() == pytest.approx(1 / (1 + math.exp(-score)), rel=0, abs=1e-10)
    assert ((actual > 0) & (actual < 1)).all()


def test_label_losses_are_eq_10_and_11():
    t, labels = torch.rand(6, 5, dtype=torch.float64), torch.tensor(LABELS)
    maxima = class_maxima(t, labels, 4)
    assert maxima.shape == (4, 5)
    assert (maxima[2] == 0).all()
    assert intra_class(maxima).item() == pytest.approx(eq_10(t.tolist(), LABELS, 4), rel=0, abs=1e-10)
    assert inter_class(maxima).item() == pytest.approx(eq_11(t.tolist(), LABELS, 4), rel=0, abs=1e-10)


def test_label_losses_have_the_right_gradients():
    t, labels = torch.rand(6, 5, dtype=torch.float64).requires_grad_(), torch.tensor(LABELS)
    assert torch.autograd.gradcheck(lambda values: intra_class(class_maxima(values, labels, 4)), t)
    assert torch.autograd.gradcheck(lambda values: inter_class(class_maxima(values, labels, 4)), t)


@pytest.mark.parametrize("draws", [DRAWS, EVALUATION], ids=["training", "evaluation"])
def test_the_term_is_eq_12(draws: Draws):
    term = soft_term(weight=0.7, diversity=3.0, label_weight=0.9).eval()
    maps, labels = random_maps(6, 6), torch.tensor(LABELS)
    positive = maps.relu()
    kept = list(range(6))
    if draws is DRAWS:
        kept = draws.permutation("soft_channel_labels", 6, like=maps)[3:].tolist()
    responses = weighted(positive.flatten(2)[:, kept], term.means[:, kept]).mean(2)
    spread = weighted(spatial_softmax(positive), term.means).sum(2).mean()
    t = term.soft_labels(positive).tolist()
    mutual = F.cross_entropy(responses, labels) - 3.0 * spread
    expected = 0.7 * mutual.item() + 0.9 * (eq_10(t, LABELS, 4) + eq_11(t, LABELS, 4))
    assert term(maps, labels, draws=draws).item() == pytest.approx(expected, rel=0, abs=1e-10)


def test_gradients_of_the_term():
    term = soft_term(into_maps=True).eval()
    maps = random_maps(3, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: term(m, torch.tensor([0, 2, 2]), draws=DRAWS), maps)


def test_label_losses_reach_the_maps_only_when_asked():
    maps, labels = random_maps(6, 6).abs(), torch.tensor(LABELS)
    gradients = {}
    for into_maps in (False, True):
        term = soft_term(weight=0.0, into_maps=into_maps).eval()
        leaf = maps.clone().requires_grad_()
        term(leaf, labels, draws=DRAWS).backward()
        assert leaf.grad is not None
        gradients[into_maps] = leaf.grad.norm().item()
        assert all(p.grad is not None and p.grad.norm() > 0 for p in term.parameters())
    assert gradients[False] == 0
    assert gradients[True] > 0


def test_means_follow_the_classes_of_the_batch_and_carry_no_gradient():
    term = soft_term(momentum=0.25)
    maps, labels = random_maps(6, 6).abs(), torch.tensor(LABELS)
    before = term.means.clone()
    with torch.no_grad():
        t = term.soft_labels(maps)
    term(maps, labels, draws=DRAWS).backward()
    for i in range(4):
        rows = [t[b] for b in range(6) if LABELS[b] == i]
        expected = 0.75 * before[i] + 0.25 * torch.stack(rows).mean(0) if rows else before[i]
        torch.testing.assert_close(term.means[i], expected, rtol=0, atol=1e-12)
    assert not term.means.requires_grad
    after = term.means.clone()
    term.eval()(maps, labels, draws=DRAWS)
    assert torch.equal(term.means, after)
    assert torch.equal(term.state_dict()["means"], after)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_image_that_is_not_finite_moves_no_means(dtype: torch.dtype):
    """Neither those of other classes nor, for good, its own; the other images count as if it were not there."""
    term, reference = soft_term().to(dtype), soft_term().to(dtype)
    maps, labels = random_maps(6, 6).abs().to(dtype), torch.tensor(LABELS)
    others = [0, 2, 3, 4, 5]  # class 3 has two more images
    for value in (float("nan"), float("inf")):
        maps[1] = value
        term(maps, labels, draws=DRAWS)
        reference(maps[others], labels[others], draws=DRAWS)
        torch.testing.assert_close(term.means, reference.means)
    alone, before = torch.full((1, 6, 2, 2), float("nan"), dtype=dtype), term.means.clone()
    assert term(alone, torch.tensor([2]), draws=DRAWS).isnan()
    assert torch.equal(term.means, before)


def test_top_channels_are_those_of_the_largest_means():
    term = SoftChannelLabels(5, 2)
    assert (term.means == 0.5).all()
    term.means.copy_(torch.tensor([[0.1, 0.9, 0.3, 0.2, 0.8], [0.5, 0.4, 0.3, 0.2, 0.1]]))
    assert term.top_channels(3).tolist() == [[1, 4, 2], [0, 1, 2]]


def test_classes_of_some_images_learn_labels_of_their_own():
    """L_intra and L_inter alone: few channels per class, and every channel in a class."""
    torch.manual_seed(0)
    term = SoftChannelLabels(12, 3, reduction=1)
    labels = torch.arange(12) % 3
    maps = F.one_hot(labels, 3).repeat_interleave(4, 1)[..., None, None] + 0.1 * torch.rand(12, 12, 2, 2)
    optimiser = torch.optim.SGD(term.parameters(), lr=0.5)
    for _ in range(150):
        loss = term(maps, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert ((term.means > 0.8).sum(0) >= 1).float().mean().item() > 0.8
    assert (term.means > 0.5).float().mean().item() < 0.6


@pytest.mark.parametrize(
    ("maps", "labels"),
    [
        (torch.zeros(3, 6, 2, 2), [0, 1, 1]),
        (torch.full((1, 6, 1, 1), 3.0), [3]),
        (torch.full((3, 6, 2, 2), 3e4, dtype=torch.bfloat16), [2, 2, 2]),
    ],
    ids=["zero", "one image, one position", "large bfloat16"],
)
def test_flat_maps_give_finite_losses_and_gradients(maps: Tensor, labels: list[int]):
    term = SoftChannelLabels(6, 4, into_maps=True)
    maps = maps.clone().requires_grad_()
    loss = term(maps, torch.tensor(labels), draws=DRAWS)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_mixed_precision_leaves_the_means_in_single_precision():
    term, reference = SoftChannelLabels(6, 4), SoftChannelLabels(6, 4)
    reference.load_state_dict(term.state_dict())
    maps, labels = random_maps(6, 6).float(), torch.tensor(LABELS)
    with torch.autocast("cpu", torch.bfloat16):
        loss = term(maps, labels, draws=DRAWS)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(reference(maps, labels, draws=DRAWS).item(), rel=1e-2)
    assert term.means.dtype == torch.float32
    torch.testing.assert_close(term.means, reference.means, rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight of SoftChannelLabels is -1.0; it must be at least 0"),
        ({"drop": 1.0}, "drop of SoftChannelLabels is 1.0; it must be at least 0 and below 1"),
        ({"label_weight": 0.0}, "label_weight of SoftChannelLabels is 0.0; it must be above 0"),
        ({"momentum": 0.0}, "above 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused_when_it_is_made(options: dict[str, float], message: str):
    with pytest.raises(UserError, match=message) as caught:
        SoftChannelLabels(12, 5, **options)  # pyright: ignore[reportArgumentType]
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"classes": 4}, "the classifier has 5"), ({"channels": 7}, "has 7 channels, the neck makes 12")],
)
def test_a_classifier_that_does_not_fit_is_refused(options: dict[str, int], message: str):
    classifier = Classifier(tiny_backbone(), neck=nn.Identity(), pool=Average(), head=nn.Identity(), classes=5)
    term = SoftChannelLabels(options.get("channels", 12), options.get("classes", 5))
    with pytest.raises(UserError, match=message) as caught:
        term.check(classifier)
    assert len(str(caught.value).splitlines()) == 1


def test_a_neck_that_makes_other_channels_is_refused():
    neck = ChannelExpansion(12, 5, xi=3)
    classifier = Classifier(tiny_backbone(), neck=neck, pool=Average(), head=nn.Identity(), classes=5)
    with pytest.raises(UserError, match="has 12 channels, the neck makes 15: leave the neck out"):
        SoftChannelLabels(12, 5).check(classifier)


def test_the_trial_of_a_neck_leaves_each_of_its_modules_in_its_mode():
    norm = nn.BatchNorm2d(9)
    neck = nn.Sequential(nn.Sequential(nn.Conv2d(12, 9, 1), norm), nn.ReLU()).train()
    norm.eval()  # as for a norm whose statistics are kept
    modes = [module.training for module in neck.modules()]
    classifier = Classifier(tiny_backbone(), neck=neck, pool=Average(), head=nn.Identity(), classes=5)
    assert refined_channels(classifier) == 9
    assert [module.training for module in neck.modules()] == modes == [True, True, True, False, True]


def test_a_learner_held_in_bfloat16_takes_a_step(monkeypatch: pytest.MonkeyPatch):
    """Without automatic mixed precision: all weights, and the running means, are half."""
    composition = Composition("soft", terms=(Part("SoftChannelLabels", {"reduction": 4}),))
    learner = tiny_learner(composition, monkeypatch).bfloat16()
    output = learner(tiny_images().bfloat16(), torch.arange(7) % CLASSES, Draws(1, 0, torch.arange(7)))
    assert output.losses["SoftChannelLabels"].dtype == torch.float32
    total(output).backward()
    for name, parameter in learner.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    (term,) = learner.terms
    assert isinstance(term, SoftChannelLabels)
    assert (term.means != 0.5).any()


def test_the_top_channels_of_a_finished_run_are_at_hand(tmp_path: Path):
    """The way that the docstring tells."""
    terms = (Part("SoftChannelLabels"),)
    recipe = Recipe(Model(Part("Plain"), Part("Average"), Part("Linear"), "test_resnet", "none", terms=terms))
    learner = build_learner(recipe, classes=3)
    (term,) = learner.terms
    assert isinstance(term, SoftChannelLabels)
    term.means.copy_(torch.rand(term.means.shape))
    write_run(tmp_path, recipe, classes=("a", "b", "c"), about=About("", "", "", "top1", cut=True))
    save_model(tmp_path, learner)
    actual = open_run(tmp_path).learner.terms[0]
    assert isinstance(actual, SoftChannelLabels)
    assert torch.equal(actual.top_channels(), term.means.argsort(1, descending=True)[:, :10])
    assert "runs.folder.open_run(Path(RUN)).learner.terms[0]" in (SoftChannelLabels.top_channels.__doc__ or "")


def test_a_step_reads_nothing_back():
    term = SoftChannelLabels(6, 4)
    with no_reading_back():
        term(random_maps(4, 6).float().requires_grad_(), torch.tensor([0, 1, 3, 3]), draws=DRAWS).backward()


def test_the_term_keeps_the_contract():
    check_term(SoftChannelLabels)


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    composition = Composition("soft", terms=(Part("SoftChannelLabels", {"reduction": 4}),))
    check_golden("mc-loss-soft", numbers_of_a_step(tiny_learner(composition, monkeypatch)))


def test_the_parts_of_the_loss_are_its_figures():
    term, maps, labels = soft_term(weight=0.7, diversity=3.0, label_weight=0.9).eval(), random_maps(6, 6), LABELS
    loss = term(maps, torch.tensor(labels), draws=DRAWS)
    parts = term.figures
    assert list(parts) == ["L_dis", "L_div", "L_intra", "L_inter"]
    mutual, soft = parts["L_dis"] - 3.0 * parts["L_div"], parts["L_intra"] + parts["L_inter"]
    torch.testing.assert_close(loss.detach(), 0.7 * mutual + 0.9 * soft, rtol=1e-12, atol=0)
    t = term.soft_labels(maps.relu()).tolist()
    assert parts["L_intra"].item() == pytest.approx(eq_10(t, labels, 4), abs=1e-10)
    assert parts["L_inter"].item() == pytest.approx(eq_11(t, labels, 4), abs=1e-10)
    assert not any(part.requires_grad for part in parts.values())
