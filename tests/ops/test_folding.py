"""Norms at fixed statistics, computed by the convolutions before them: the same values, gradients, names and files."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from timm.layers.std_conv import StdConv2d
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from fieldmark.core.backbone import Backbone
from fieldmark.core.networks import make_backbone
from fieldmark.ops import folding
from fieldmark.ops.depthwise import with_fast_depthwise
from fieldmark.ops.folding import fold, foldable, unfold

NETWORKS = [
    *(name for name in timm.list_models("test_*") if name != "test_mambaout"),  # which cannot be cut before its pooling
    *("tf_efficientnet_lite0", "mobilenetv3_small_050", "regnety_002", "googlenet"),
]


@pytest.fixture(autouse=True)
def fold_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it pays or not: maps are tiny here."""
    monkeypatch.setattr(folding, "_PAYING", 1e9)


def trained_before(module: nn.Module) -> None:
    """Statistics and parameters of norms as after training, none of them neutral."""
    for norm in (module for module in module.modules() if isinstance(module, nn.BatchNorm2d)):
        for values, low, high in (
            *((norm.running_mean, -0.5, 0.5), (norm.running_var, 0.5, 2.0)),
            *((norm.weight, 0.5, 1.5), (norm.bias, -0.5, 0.5)),
        ):
            if values is not None:
                values.data.uniform_(low, high)


def network(name: str = "test_efficientnet", *, size: int = 64, stages: int = 0) -> Backbone:
    """In float64 and training mode, with all its norms frozen."""
    torch.manual_seed(0)
    backbone = make_backbone(name, weights="none", size=size)
    trained_before(backbone)
    backbone.double().freeze(stages=stages, norms=True)
    return backbone


def unfolded(backbone: Backbone) -> Backbone:
    """A copy with frozen norms and ordinary convolutions."""
    ordinary = copy.deepcopy(backbone)
    for pair in ordinary._folded:
        unfold(*pair)
    assert not any("forward" in vars(module) for module in ordinary.modules())
    return ordinary


def answers(module: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Output and gradients by name."""
    module.zero_grad()
    torch.manual_seed(1)  # dropout, and the weights of the sum
    output = module(images)
    (output * torch.rand_like(output)).sum().backward()
    return {"output": output.detach()} | {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


def assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-9) -> None:
    assert list(actual) == list(expected)
    largest = max(value.abs().max().item() for key, value in expected.items() if key != "output")
    for key, value in expected.items():
        atol = tolerance * (value.abs().max().item() if key == "output" else largest)
        torch.testing.assert_close(actual[key], value, rtol=1e-6, atol=atol, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("name", NETWORKS)
def test_values_and_gradients_are_those_of_the_norms(name: str):
    backbone = network(name, stages=0 if name == "googlenet" else 2)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    assert_same(answers(backbone, images), answers(unfolded(backbone), images))
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(backbone._folded) >= len(norms) / 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["densenet121", "vgg11_bn", "resnet50", "mixnet_s", "mobileone_s0", "repvit_m0_9", "hrnet_w18_small"]
)
def test_values_and_gradients_of_more_families(name: str):
    backbone = network(name)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    assert_same(answers(backbone, images), answers(unfolded(backbone), images))
    assert backbone._folded


class Branching(nn.Module):
    """A convolution and a norm whose forward pass is said by a test."""

    def __init__(self, forward: Callable[["Branching", Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.said = forward

    def forward(self, images: Tensor) -> Tensor:
        return self.said(self, images)


WAYS: dict[str, tuple[Callable[[Branching, Tensor], Tensor], bool]] = {
    "in a row": (lambda m, x: m.last(m.norm(m.conv(m.first(x)))), True),
    "the norm's output has two readers": (lambda m, x: m.last(maps := m.norm(m.conv(m.first(x)))) + maps, True),
    "another reader": (lambda m, x: m.norm(maps := m.conv(m.first(x))) + maps, False),
    "a view has another reader": (lambda m, x: m.norm(maps := m.conv(m.first(x))) + maps.flatten(1).sum(), False),
    "something between": (lambda m, x: m.norm(m.conv(m.first(x)).relu()), False),
    "something between, in place": (lambda m, x: m.norm(m.conv(m.first(x)).relu_()), False),
    "the norm comes first": (lambda m, x: m.conv(m.norm(m.first(x))) + m.first(x), False),
    "the convolution runs twice": (lambda m, x: m.norm(m.conv(m.first(x))) + m.conv(m.first(2 * x)), False),
    "the norm runs twice": (lambda m, x: m.norm(m.conv(m.first(x))) + m.norm(m.first(2 * x)), False),
    "the weight has another reader": (lambda m, x: m.norm(m.conv(m.first(x))) + m.conv.weight.mean(), False),
    "the norm is not used": (lambda m, x: m.conv(m.first(x)), False),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_pair_is_a_convolution_that_the_norm_alone_reads(way: str):
    forward, is_pair = WAYS[way]
    torch.manual_seed(0)
    module = Branching(forward).double().eval()
    trained_before(module)
    images = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    expected = answers(module, images)
    pairs = foldable(module, images, resting=module.modules())
    assert pairs == ([(module.conv, module.norm)] if is_pair else [])
    for pair in pairs:
        fold(*pair)
    assert_same(answers(module, images), expected)


class Doubling(nn.Conv2d):
    """Computes something of its own."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(2 * input)


class Halving(nn.BatchNorm2d):
    """Computes something of its own."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) / 2


def convolution(**options: Any) -> nn.Conv2d:
    return nn.Conv2d(4, 4, 3, **options)


@pytest.mark.parametrize(
    ("conv", "norm", "is_pair"),
    [
        (convolution(bias=False), nn.BatchNorm2d(4), True),
        (convolution(padding=1, padding_mode="reflect"), nn.BatchNorm2d(4), False),
        (convolution(padding="same", dilation=2), nn.BatchNorm2d(4), False),
        (convolution(padding=2, dilation=2), nn.BatchNorm2d(4), True),
        (convolution(stride=2, groups=2), BatchNormAct2d(4, act_layer=nn.SiLU), True),
        (Conv2dSame(4, 4, 3, stride=2), BatchNormAct2d(4, act_layer=nn.ReLU6), True),
        (with_fast_depthwise(nn.Sequential(convolution(groups=4, bias=False)))[0], nn.BatchNorm2d(4), True),  # pyright: ignore[reportIndexIssue]
        (Doubling(4, 4, 3), nn.BatchNorm2d(4), False),
        (StdConv2d(4, 4, 3), nn.BatchNorm2d(4), False),
        (weight_norm(convolution()), nn.BatchNorm2d(4), False),
        (nn.ConvTranspose2d(4, 4, 3), nn.BatchNorm2d(4), False),
        (convolution(), Halving(4), False),
        (convolution(), nn.BatchNorm2d(4, affine=False), False),
        (convolution(), nn.BatchNorm2d(4, track_running_stats=False), False),
        (convolution(), nn.InstanceNorm2d(4, affine=True, track_running_stats=True), False),
    ],
)
def test_classes_of_convolutions_and_norms(conv: nn.Module, norm: nn.Module, is_pair: bool):
    torch.manual_seed(0)
    layers = nn.Sequential(conv, norm).double().eval()
    trained_before(layers)
    images = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    expected = answers(layers, images)
    pairs = foldable(layers, images, resting=layers)
    assert len(pairs) == is_pair
    for pair in pairs:
        fold(*pair)
    assert_same(answers(layers, images), expected)


def test_a_norm_that_is_not_at_rest_is_left_alone():
    backbone = network()
    backbone.freeze(stages=2)
    frozen = {
        module
        for name, module in backbone.named_modules()
        if name.startswith(("network.model.bn1", "network.model.blocks.0", "network.model.blocks.1"))
    }
    assert {norm for _, norm in backbone._folded} == {m for m in frozen if isinstance(m, nn.BatchNorm2d)}
    assert all(not norm.training for _, norm in backbone._folded)
    backbone.freeze()
    assert not backbone._folded
    assert not any("forward" in vars(module) for module in backbone.modules())


def test_large_weights_over_small_maps_do_not_pay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    layers = nn.Sequential(nn.Conv2d(64, 4, 3, padding=1), nn.BatchNorm2d(4)).eval()
    for side, count in ((8, 0), (9, 1)):  # 576 numbers per channel
        assert len(foldable(layers, torch.zeros(1, 64, side, side), resting=layers)) == count


def test_in_eval_mode_the_network_is_the_ordinary_one():
    ordinary = make_backbone("test_efficientnet", weights="none", size=64)
    trained_before(ordinary)
    frozen = copy.deepcopy(ordinary)
    frozen.freeze(stages=1, norms=True)
    assert list(frozen.state_dict()) == list(ordinary.state_dict())
    assert [name for name, _ in frozen.named_parameters()] == [name for name, _ in ordinary.named_parameters()]
    assert [name for name, _ in frozen.named_modules()] == [name for name, _ in ordinary.named_modules()]
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        trained = frozen(images)
        assert torch.equal(frozen.eval()(images), ordinary.eval()(images))
        assert not torch.equal(frozen.train()(images), frozen.eval()(images)), "computed otherwise in training"
    torch.testing.assert_close(trained, frozen(images), rtol=1e-3, atol=1e-4)


def test_loaded_weights_are_folded_from_the_next_step_on():
    backbone, other = network(), network()
    torch.manual_seed(2)
    trained_before(other)
    backbone.load_state_dict(other.state_dict())
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    assert_same(answers(backbone, images), answers(unfolded(other), images))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_is_a_network_of_its_own(copied: Callable[[Backbone], Backbone]):
    backbone = network()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    before = answers(backbone, images)
    other = copied(backbone)
    assert_same(answers(other, images), before, tolerance=1e-12)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    assert_same(answers(backbone, images), before, tolerance=1e-12)
    assert_same(answers(other, images), answers(unfolded(other), images))


def test_a_compiled_step_is_the_same():
    torch.manual_seed(0)
    depthwise = nn.Conv2d(4, 4, 3, groups=4, bias=False)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), BatchNormAct2d(4), depthwise, nn.BatchNorm2d(4), nn.ReLU())
    trained_before(layers)
    backbone = Backbone(with_fast_depthwise(layers), example=torch.zeros(1, 3, 16, 16)).double()
    backbone.freeze(norms=True)
    assert len(backbone._folded) == 2
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    expected = answers(unfolded(backbone), images)
    backbone.compile(backend="eager", fullgraph=True)
    assert_same(answers(backbone, images), expected)


def test_elsewhere_than_on_a_processor_nothing_is_folded():
    backbone = network()
    assert any("forward" in vars(module) for module in backbone.modules())
    backbone.to("meta").train()
    assert not any("forward" in vars(module) for module in backbone.modules())


def kept(backbone: Backbone, images: Tensor) -> int:
    """Bytes that the graph of a forward pass keeps for the gradients, each piece of memory counted once."""
    storages: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        output = backbone(images)
    del output
    return sum(storages.values())


def test_frozen_stages_have_no_graph_and_folding_keeps_less():
    backbone, images = network("test_resnet", stages=2), torch.randn(4, 3, 96, 96, dtype=torch.float64)
    graphs: dict[nn.Module, bool] = {}
    for module in backbone.modules():
        module.register_forward_hook(lambda self, _, output: graphs.update({self: output.grad_fn is not None}))
    backbone(images)
    layers = [module for module in graphs if [*module.parameters(recurse=False)]]
    assert {graphs[module] for module in layers} == {False, True}
    assert all(graphs[module] == any(p.requires_grad for p in module.parameters(recurse=False)) for module in layers)
    larger = images.repeat(8, 1, 1, 1)  # so that maps, not weights, are most of it
    assert kept(backbone, larger) < 0.7 * kept(unfolded(backbone), larger)


def test_memory_format_and_half_types():
    """In bfloat16, gradients are as near to those in float32 as without folding."""
    backbone = network("test_efficientnet").float().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    images = torch.randn(8, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    ordinary = unfolded(backbone)
    exact = answers(ordinary, images)
    with torch.autocast("cpu", torch.bfloat16):
        halves = answers(backbone, images), answers(ordinary, images)
    assert halves[0]["output"].dtype == torch.bfloat16
    assert backbone(images).is_contiguous(memory_format=torch.channels_last)

    def error(half: dict[str, Tensor]) -> float:
        return max(((half[key].float() - value).norm() / value.norm()).item() for key, value in exact.items())

    assert error(halves[0]) < 2 * error(halves[1])  # chance, as some weights are rounded up and others down
