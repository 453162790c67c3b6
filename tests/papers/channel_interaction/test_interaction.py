"""Channel interaction within an image against loops written from the paper, the shorter way against the written-out."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fieldmark.core.backbone import Backbone
from fieldmark.core.classifier import Average, Classifier, Linear, PooledNeck
from fieldmark.core.criterion import CrossEntropy
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.errors import UserError
from fieldmark.papers.channel_interaction import contrastive as cci
from fieldmark.papers.channel_interaction.contrastive import ContrastiveChannelInteraction, pair_contrastive
from fieldmark.papers.channel_interaction.interaction import (
    SelfChannelInteraction,
    channel_weights,
    self_channel_interaction,
    window_averages,
)
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Part
from fieldmark.recipes.channel_interaction import COMPOSITION
from golden_step import CLASSES, LABELS, ROWS, SIZE, check_golden, numbers_of_a_step, tiny_images, tiny_learner
from random_values import drawn

SIZES = [(1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (7, 7)]
FORMATS = [torch.contiguous_format, torch.channels_last]


def layer(channels: int, scale: float = 1.0, seed: int = 0) -> SelfChannelInteraction:
    torch.manual_seed(seed)
    return SelfChannelInteraction(channels, scale).double()


def eq_2(x: list[list[float]], scale: float) -> list[list[float]]:
    """W_ij = exp(-scale XX^T_ij) / sum_k exp(-scale XX^T_ik)."""

    def product(i: int, j: int) -> float:
        return sum(a * b for a, b in zip(x[i], x[j], strict=True))

    rows = [[math.exp(-scale * product(i, j)) for j in range(len(x))] for i in range(len(x))]
    return [[value / sum(row) for value in row] for row in rows]


def eq_1(w: list[list[float]], x: list[list[float]]) -> list[list[float]]:
    """Y_i = W_i1 X_1 + ... + W_ic X_c."""
    return [[sum(row[k] * x[k][p] for k in range(len(x))) for p in range(len(x[0]))] for row in w]


def eq_3(y: Tensor, x: Tensor, phi: nn.Conv2d) -> Tensor:
    """Z = phi(Y) + X for one image (D, h, w), tap by tap, zeros around."""
    channels, height, width = x.shape
    weight = phi.weight.detach()
    z = x.clone()
    for o in range(channels):
        for row in range(height):
            for column in range(width):
                z[o, row, column] += phi.bias.detach()[o]
                for i in range(3):
                    for j in range(3):
                        r, c = row + i - 1, column + j - 1
                        if 0 <= r < height and 0 <= c < width:
                            z[o, row, column] += sum(weight[o, d, i, j] * y[d, r, c] for d in range(channels))
    return z


def written_out(neck: SelfChannelInteraction, maps: Tensor) -> Tensor:
    """Z with W held and phi at every position, in operators that autograd knows."""
    x = maps.flatten(2)
    w = torch.softmax(-neck.scale * x @ x.transpose(1, 2), 2)
    return F.conv2d((w @ x).view(maps.shape), neck.phi.weight, neck.phi.bias, padding=1) + maps


def gradients(value: Tensor, neck: nn.Module, maps: Tensor) -> tuple[Tensor, ...]:
    weighting = drawn(*value.shape, seed=7)
    return torch.autograd.grad((value * weighting).sum(), [maps, *neck.parameters()])


@pytest.mark.parametrize("scale", [1.0, 0.25, -1.0])
def test_weights_and_mixtures_are_eq_2_and_eq_1(scale: float):
    x = drawn(2, 5, 3)
    w, y = channel_weights(x, scale), self_channel_interaction(x, scale)
    assert (w.shape, y.shape) == ((2, 5, 5), (2, 5, 3))
    for image in range(2):
        expected = eq_2(x[image].tolist(), scale)
        torch.testing.assert_close(w[image], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-10)
        mixed = torch.tensor(eq_1(expected, x[image].tolist()), dtype=torch.float64)
        torch.testing.assert_close(y[image], mixed, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", SIZES[:5])
def test_the_layer_is_eq_3(size: tuple[int, int]):
    neck, maps = layer(3), drawn(2, 3, *size)
    y = self_channel_interaction(maps.flatten(2)).view(maps.shape)
    for image in range(2):
        expected = eq_3(y[image], maps[image], neck.phi)
        torch.testing.assert_close(neck(maps)[image].detach(), expected, rtol=0, atol=1e-10)
        averaged = expected.mean((1, 2))
        torch.testing.assert_close(neck.pooled(maps)[image].detach(), averaged, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", FORMATS)
def test_pooling_the_shorter_way_is_the_average_with_all_gradients(size: tuple[int, int], layout: torch.memory_format):
    neck, maps = layer(6), drawn(5, 6, *size).contiguous(memory_format=layout).requires_grad_()
    assert isinstance(neck, PooledNeck)
    expected = written_out(neck, maps)
    wanted = gradients(expected.mean((2, 3)), neck, maps)
    for value in (neck.pooled(maps), neck(maps).mean((2, 3))):
        torch.testing.assert_close(value, expected.mean((2, 3)), rtol=0, atol=1e-10)
        for actual, known in zip(gradients(value, neck, maps), wanted, strict=True):
            torch.testing.assert_close(actual, known, rtol=0, atol=1e-10)


def test_gradients():
    x = drawn(2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(channel_weights, (x, 0.7))
    assert torch.autograd.gradcheck(self_channel_interaction, (x, 0.7))
    neck, maps = layer(3, -0.5), drawn(2, 3, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(neck, maps)
    assert torch.autograd.gradcheck(neck.pooled, maps)


def test_second_derivatives_are_right_or_an_error():
    neck, maps = layer(3, -0.5), drawn(2, 3, 2, 3).requires_grad_()
    assert torch.autograd.gradgradcheck(neck.pooled, maps)
    assert torch.autograd.gradgradcheck(lambda maps: neck.interact(maps).z, maps)
    (first,) = torch.autograd.grad(neck(maps).sum(), maps, create_graph=True)
    with pytest.raises(RuntimeError, match=r"derivative for .* is not implemented"):
        torch.autograd.grad(first.square().sum(), maps)


def test_all_that_the_layer_works_out_comes_from_one_call():
    neck, maps = layer(6, 0.4), drawn(3, 6, 4, 5)
    actual, x = neck.interact(maps), maps.flatten(2)
    assert actual.layer is neck
    assert actual.maps is maps
    torch.testing.assert_close(actual.weights, channel_weights(x, 0.4), rtol=0, atol=1e-12)
    torch.testing.assert_close(actual.windows[:, 4], maps.mean((2, 3)), rtol=0, atol=1e-12)
    torch.testing.assert_close(actual.mixed[:, 4], actual.y.mean((2, 3)), rtol=0, atol=1e-12)
    torch.testing.assert_close(actual.y.flatten(2), self_channel_interaction(x, 0.4), rtol=0, atol=1e-12)
    torch.testing.assert_close(actual.z, neck(maps), rtol=0, atol=1e-12)
    torch.testing.assert_close(actual.pooled, actual.z.mean((2, 3)), rtol=0, atol=1e-12)


def test_phi_is_a_convolution_like_any_other():
    neck, maps, calls = layer(6), drawn(2, 6, 3, 4), []
    like = nn.Conv2d(6, 6, 3, padding=1).double()
    neck.phi.load_state_dict(like.state_dict())
    torch.testing.assert_close(neck.pooled(maps), written_out(neck, maps).mean((2, 3)), rtol=0, atol=1e-12)
    hook = neck.phi.register_forward_hook(lambda _, inputs, output: calls.append((inputs[0], output)))
    z = neck(maps)
    hook.remove()
    ((y, phi_of_y),) = calls
    torch.testing.assert_close(y, neck.interact(maps).y, rtol=0, atol=1e-12)
    torch.testing.assert_close(phi_of_y + maps, z, rtol=0, atol=1e-12)
    weight = neck.phi.weight
    torch.nn.utils.parametrize.register_parametrization(neck.phi, "weight", Halved())
    torch.testing.assert_close(neck.phi.weight, weight / 2)
    torch.testing.assert_close(neck.pooled(maps), neck(maps).mean((2, 3)), rtol=0, atol=1e-12)


class Halved(nn.Module):
    """Stands for what a quantiser does to a weight."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


@pytest.mark.parametrize("memory", FORMATS)
def test_phi_may_lie_in_memory_as_it_likes(memory: torch.memory_format):
    neck, maps = layer(6), drawn(3, 6, 3, 4).requires_grad_()
    neck.to(memory_format=memory)  # pyright: ignore[reportCallIssue]
    expected = written_out(neck, maps).mean((2, 3))
    for actual, known in zip(*(gradients(value, neck, maps) for value in (neck.pooled(maps), expected)), strict=True):
        torch.testing.assert_close(actual, known, rtol=0, atol=1e-10)


def test_the_weight_that_was_a_matrix_once_is_the_convolution(monkeypatch: pytest.MonkeyPatch):
    """The layout in the files of versions that held phi as a linear layer on (3, 3, D)."""
    neck, maps, old = layer(5), drawn(2, 5, 3, 3), drawn(5, 45, seed=3)
    neck.phi.weight.data.copy_(old.view(5, 3, 3, 5).permute(0, 3, 1, 2))
    actual = neck.interact(maps)
    expected = actual.windows[:, 4] + F.linear(actual.mixed.flatten(1), old, neck.phi.bias)
    torch.testing.assert_close(actual.pooled, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_raised(dtype: torch.dtype):
    x = drawn(2, 6, 4).to(dtype)
    assert channel_weights(x).dtype == self_channel_interaction(x).dtype == torch.float32
    torch.testing.assert_close(channel_weights(x), channel_weights(x.float()))
    torch.testing.assert_close(self_channel_interaction(x), self_channel_interaction(x.float()))


def test_under_automatic_mixed_precision_the_softmax_is_single_and_gradients_are_close():
    neck, maps = layer(48).float(), drawn(4, 48, 5, 5, dtype=torch.float32).relu().to(torch.bfloat16)
    exact = maps.float().requires_grad_()
    value = written_out(neck, exact).mean((2, 3))
    wanted = gradients(value.double(), neck, exact)
    mixed = maps.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        assert channel_weights(maps.flatten(2)).dtype == torch.float32
        shorter = neck.pooled(mixed)
        assert neck(mixed).dtype == torch.bfloat16
    assert shorter.dtype == torch.float32
    torch.testing.assert_close(shorter, value, rtol=2e-2, atol=2e-3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(neck.pooled(mixed), value, rtol=1e-5, atol=1e-5)
    for actual, known in zip(gradients(shorter.double(), neck, mixed), wanted, strict=True):
        assert F.cosine_similarity(actual.float().flatten(), known.flatten(), 0) > 0.999


@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 1e4, 1e15])
def test_any_size_of_features_stays_finite(size: float):
    neck = layer(5).float()
    maps = (size * drawn(3, 5, 2, 2, dtype=torch.float32)).requires_grad_()
    value = neck.pooled(maps)
    value.sum().backward()
    assert value.isfinite().all()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_a_constant_map_and_no_map_are_mixed_evenly():
    x = torch.full((1, 4, 6), 0.5, dtype=torch.float64)
    assert (channel_weights(x) == 0.25).all()
    torch.testing.assert_close(self_channel_interaction(x), x, rtol=0, atol=1e-15)
    assert layer(4).pooled(torch.zeros(0, 4, 2, 2, dtype=torch.float64)).shape == (0, 4)


def test_the_paper_prefers_channels_that_differ_and_the_other_sign_those_that_agree():
    x = torch.tensor([[[2.0, 0.0], [2.0, 0.1], [0.0, 2.0]]])
    assert channel_weights(x)[0, 0].argmax() == 2
    assert channel_weights(x, -1.0)[0, 2].argmax() == 2
    assert channel_weights(x, -1.0)[0, 0].argmin() == 2


@given(st.integers(1, 6), st.integers(1, 5), st.floats(-2, 2), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_rows_sum_to_one_and_order_means_nothing(channels: int, positions: int, scale: float, seed: int):
    x = drawn(2, channels, positions, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    order, places = torch.randperm(channels, generator=generator), torch.randperm(positions, generator=generator)
    w = channel_weights(x, scale)
    assert (w > 0).all()
    torch.testing.assert_close(w.sum(2), torch.ones(2, channels, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(channel_weights(x[:, order][:, :, places], scale), w[:, order][:, :, order])
    y = self_channel_interaction(x, scale)
    torch.testing.assert_close(self_channel_interaction(x[:, order][:, :, places], scale), y[:, order][:, :, places])


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_windows_are_what_a_convolution_of_one_tap_sees(height: int, width: int, seed: int):
    maps = drawn(1, 2, height, width, seed=seed)
    averages = window_averages(maps)
    assert averages.shape == (1, 9, 2)
    for tap in range(9):
        kernel = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
        kernel.view(9)[tap] = 1
        average = F.conv2d(maps.view(2, 1, height, width), kernel, padding=1).mean((1, 2, 3))
        torch.testing.assert_close(averages[0, tap], average, rtol=0, atol=1e-12)


class Both(nn.Module):
    """Z and its average, for export."""

    def __init__(self) -> None:
        super().__init__()
        self.neck = SelfChannelInteraction(6)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        return self.neck(maps), self.neck.pooled(maps)


def test_it_exports_for_batches_of_any_size():
    model, maps = Both().eval(), drawn(3, 6, 4, 5, dtype=torch.float32)
    program = torch.export.export(model, (maps[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for actual, known in zip(program.module()(maps), model(maps), strict=True):
        torch.testing.assert_close(actual, known)


def refused(*_: object) -> Tensor:
    raise AssertionError("phi runs at every position")


def test_no_step_no_answer_and_no_program_of_the_network_runs_phi_at_every_position(monkeypatch: pytest.MonkeyPatch):
    learner = tiny_learner(COMPOSITION, monkeypatch)
    with_refined = replace(COMPOSITION, terms=(*COMPOSITION.terms, Part("MutualChannelLoss")))
    reading = tiny_learner(with_refined, monkeypatch)
    images, known = tiny_images(), learner.method.eval()(tiny_images())
    monkeypatch.setattr(SelfChannelInteraction, "forward", refused)
    total(learner.train()(images, LABELS, Draws(0, 0, ROWS))).backward()
    assert all(parameter.grad is not None for parameter in learner.parameters())
    method = learner.method.eval()
    assert torch.equal(method(images), known)
    with torch.no_grad():
        torch.testing.assert_close(method(images), known)
    program = torch.export.export(method, (images[:3],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(images), known)
    torch.testing.assert_close(reading.method.eval()(images), known)
    with pytest.raises(AssertionError, match="phi runs at every position"):  # the check does notice it
        reading(images, LABELS, Draws(0, 0, ROWS))


class Small(TorchDispatchMode):
    """Fails where an operator gives a tensor of so many elements, but for views of phi's weight."""

    def __init__(self, limit: int, phi: Tensor) -> None:
        super().__init__()
        self.limit, self.phi = limit, phi.untyped_storage().data_ptr()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if not isinstance(tensor, Tensor) or tensor.untyped_storage().data_ptr() == self.phi:
                continue
            if tensor.numel() >= self.limit:
                raise AssertionError(f"{func} gives {tuple(tensor.shape)}")
        return result


def test_w_is_never_held_of_the_whole_batch_where_no_gradient_is_wanted(monkeypatch: pytest.MonkeyPatch):
    batch, channels = 12, 40
    neck, maps = layer(channels), drawn(batch, channels, 3, 3)
    backbone = Backbone(nn.Conv2d(3, channels, 4, stride=4), example=torch.zeros(1, 3, SIZE, SIZE))
    network = Classifier(backbone, neck=neck, pool=Average(), head=Linear(channels, CLASSES), classes=CLASSES).double()
    learner = Learner(Plain(network, CrossEntropy(0)), (ContrastiveChannelInteraction(channels),)).eval()
    images = drawn(batch, 3, SIZE, SIZE)
    with torch.no_grad():
        known = neck.interact(maps).pooled
    few = drawn(3, channels, 3, 3)
    with Small(channels**2, neck.phi.weight), torch.no_grad():  # nor is it held of one image
        for answer in (self_channel_interaction(few.flatten(2)), neck(few)):
            assert len(answer) == 3
    with Small(batch * channels**2, neck.phi.weight):
        with torch.no_grad():
            torch.testing.assert_close(neck.pooled(maps), known, rtol=0, atol=1e-12)
            assert len(network(images)) == batch
            assert learner.method(images).shape == (batch, CLASSES)
            assert learner.method.encode(images, Draws()).features.refined is None
        with torch.inference_mode():
            neck.pooled(maps)
        with pytest.raises(AssertionError, match=r"gives \(12, 40, 40\)"):  # the check does notice it
            channel_weights(maps.flatten(2))


@pytest.mark.parametrize("shape", [(2, 5, 3, 3), (2, 4, 9), (4, 3, 3)])
@pytest.mark.parametrize("call", ["forward", "pooled", "interact"])
def test_maps_of_another_shape_are_refused_in_one_line(shape: tuple[int, ...], call: str):
    message = (
        f"maps of SelfChannelInteraction is a tensor of shape {list(shape)} and type float64; it must be (B, D, h, w)"
    )
    with torch.no_grad(), pytest.raises(UserError, match=re.escape(message)):
        getattr(layer(4), call)(drawn(*shape))


@pytest.mark.parametrize("scale", [0.0, math.nan, math.inf])
def test_a_scale_that_means_nothing_is_refused(scale: float):
    with pytest.raises(UserError, match=r"scale is a number other than 0|scale of .*; it must be finite"):
        SelfChannelInteraction(4, scale)


def test_it_trains_in_a_plain_loop():
    torch.manual_seed(0)
    backbone, neck, head = nn.Conv2d(3, 8, 3, stride=2), SelfChannelInteraction(8), nn.Linear(8, 2)
    images = torch.randn(16, 3, 9, 9)
    labels = (images[:, 0].mean((1, 2)) > images[:, 1].mean((1, 2))).long()
    parameters = [*backbone.parameters(), *neck.parameters(), *head.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=0.2, momentum=0.9)
    before = [parameter.clone() for parameter in neck.parameters()]
    losses = []
    for _ in range(40):
        loss = F.cross_entropy(head(neck.pooled(backbone(images).relu())), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all((a != b).any() for a, b in zip(before, neck.parameters(), strict=True))


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    """As printed, on three pairs: of one class, within the margin, and beyond it."""
    learner = tiny_learner(replace(COMPOSITION, terms=(Part("ContrastiveChannelInteraction"),)), monkeypatch)
    with torch.no_grad():  # phi in the order of (D, 3, 3, D), distances about as long as the margin
        phi = learner.get_parameter("method.classifier.neck.phi.weight")
        phi.copy_(phi.reshape(len(phi), 3, 3, -1).permute(0, 3, 1, 2))
        learner.get_submodule("terms.0.h").get_parameter("weight").mul_(0.005)
    pairs: list[tuple[bool, bool]] = []

    def seen(h_a: Tensor, h_b: Tensor, same: Tensor, margin: float) -> Tensor:
        pairs.extend(zip(same.tolist(), ((h_a - h_b).norm(dim=1) < margin).tolist(), strict=True))
        return pair_contrastive(h_a, h_b, same, margin)

    monkeypatch.setattr(cci, "pair_contrastive", seen)
    numbers = numbers_of_a_step(learner, torch.tensor([0, 0, 1, 2, 1, 4, 1]))
    assert sorted(pairs) == [(False, False), (False, True), (True, False)]
    check_golden("cin", numbers)
