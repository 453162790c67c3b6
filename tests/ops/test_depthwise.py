"""The fast depthwise gradients are PyTorch's own."""

import copy
from itertools import product

import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.std_conv import ScaledStdConv2d
from torch import Tensor, nn

from fieldmark.ops.depthwise import DepthwiseConv2d, with_fast_depthwise


def depthwise(
    size: int, stride: int, padding: int, *, same: bool = False, dtype: torch.dtype = torch.float64
) -> nn.Conv2d:
    torch.manual_seed(0)
    kind = Conv2dSame if same else nn.Conv2d
    return kind(3, 3, size, stride=stride, padding=0 if same else padding, groups=3, bias=False).to(dtype)


def replaced(original: nn.Conv2d) -> DepthwiseConv2d:
    (fast,) = with_fast_depthwise(nn.Sequential(copy.deepcopy(original)))
    assert isinstance(fast, DepthwiseConv2d)
    return fast


def gradients(layer: nn.Conv2d, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = layer(x)
    torch.manual_seed(1)
    for_x, for_weight = torch.autograd.grad((y * torch.randn_like(y)).sum(), (x, layer.weight))
    return y, for_x, for_weight


def assert_same(original: nn.Conv2d, x: Tensor) -> None:
    own, fast = gradients(original, x), gradients(replaced(original), x)
    for expected, actual in zip(own, fast, strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "stride"), list(product([3, 5], [1, 2, 3, 4])))
def test_gradients_are_pytorchs_for_every_padding_and_size(size: int, stride: int):
    """Sides from 5 to 12 leave 0 to stride - 1 rows and columns that no output uses."""
    for padding, height in product(range(size), range(5, 13)):
        x = torch.randn(2, 3, height, 17 - height, dtype=torch.float64)
        assert_same(depthwise(size, stride, padding), x)


def test_rows_that_no_output_uses_get_a_zero_gradient():
    _, for_x, _ = gradients(replaced(depthwise(3, 2, 0)), torch.randn(1, 3, 8, 10, dtype=torch.float64))
    assert for_x.shape == (1, 3, 8, 10)
    assert (for_x[:, :, 7] == 0).all()
    assert (for_x[..., 9] == 0).all()
    assert (for_x[:, :, :7, :9] != 0).all()


@pytest.mark.parametrize(("size", "stride"), list(product([3, 5], [1, 2, 3])))
def test_same_padding_of_tensorflow(size: int, stride: int):
    for height, width in ((7, 8), (8, 8), (9, 5), (1, 2)):
        assert_same(depthwise(size, stride, 0, same=True), torch.randn(2, 3, height, width, dtype=torch.float64))


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (5, 2, 2), (5, 1, 0), (5, 3, 4)])
def test_gradcheck(size: int, stride: int, padding: int):
    layer = replaced(depthwise(size, stride, padding))
    x = torch.randn(1, 3, 6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


def test_gradcheck_of_weight_and_bias_that_are_computed():
    layer = replaced(depthwise(5, 2, 2))
    x, bias = torch.randn(1, 3, 6, 7, dtype=torch.float64), torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda weight, bias: layer._conv_forward(x, 2 * weight, bias), (layer.weight, bias))


@pytest.mark.parametrize("channels_last", [False, True])
def test_memory_formats_agree(channels_last: bool):
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    assert_same(depthwise(5, 2, 2), x)


@pytest.mark.parametrize(("size", "stride"), list(product([3, 5], [1, 2])))
def test_autocast_to_bfloat16(size: int, stride: int):
    original = depthwise(size, stride, size // 2, dtype=torch.float32)
    x = torch.randn(2, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        fast = gradients(replaced(original), x)
    assert fast[0].dtype == torch.bfloat16
    assert fast[1].dtype == fast[2].dtype == torch.float32
    for expected, actual in zip(gradients(original, x), fast, strict=True):
        torch.testing.assert_close(actual.float(), expected, rtol=0, atol=0.03 * expected.abs().max().item())


def test_autocast_leaves_double_precision_alone():
    with torch.autocast("cpu", torch.bfloat16):
        assert replaced(depthwise(3, 1, 1))(torch.randn(1, 3, 5, 5, dtype=torch.float64)).dtype == torch.float64


def test_a_frozen_weight_or_input_gets_no_gradient():
    layer = replaced(depthwise(5, 2, 2))
    layer.weight.requires_grad_(False)
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None
    layer.weight.requires_grad_(True)
    layer(x.detach()).sum().backward()
    assert layer.weight.grad is not None


def test_names_and_parameters_stay():
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    keys, weights = list(network.state_dict()), {id(parameter) for parameter in network.parameters()}
    with_fast_depthwise(network)
    assert list(network.state_dict()) == keys
    assert {id(parameter) for parameter in network.parameters()} == weights
    assert sum(isinstance(module, DepthwiseConv2d) for module in network.modules()) == 16


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 8, 3, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, groups=4, bias=True),
        nn.Conv2d(4, 4, 7, groups=4, bias=False),
        nn.Conv2d(4, 4, (3, 5), groups=4, bias=False),
        nn.Conv2d(4, 4, 3, groups=4, bias=False, dilation=2),
        nn.Conv2d(4, 4, 3, groups=4, bias=False, padding="same"),
        nn.Conv2d(4, 4, 3, groups=4, bias=False, padding=(1, 0)),
        nn.Conv2d(4, 4, 3, groups=4, bias=False, padding=1, padding_mode="reflect"),
        ScaledStdConv2d(4, 4, 3, groups=4, bias=False),
    ],
    ids=lambda module: str(module)[:70],
)
def test_what_it_cannot_stand_for_stays(other: nn.Conv2d):
    assert with_fast_depthwise(nn.Sequential(other))[0] is other  # pyright: ignore[reportIndexIssue]


def test_without_a_gradient_it_is_pytorchs_own():
    original = depthwise(5, 2, 2)
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(replaced(original)(x), original(x))


def test_a_second_derivative_is_refused_rather_than_wrong():
    x = torch.randn(1, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(replaced(depthwise(3, 1, 1))(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_a_whole_efficientnet_has_the_same_gradients():
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=3).double().eval()
    fast = with_fast_depthwise(copy.deepcopy(network))
    x = torch.randn(2, 3, 65, 47, dtype=torch.float64)
    losses = [model(x).square().sum() for model in (network, fast)]
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-12, atol=0)
    for loss in losses:
        loss.backward()
    for (name, own), (_, actual) in zip(network.named_parameters(), fast.named_parameters(), strict=True):
        assert own.grad is not None, name
        assert actual.grad is not None, name
        assert (own.grad - actual.grad).abs().max() <= 1e-11 * own.grad.abs().max(), name
