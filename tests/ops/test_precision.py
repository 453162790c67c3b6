"""Which types are raised, and what automatic mixed precision may lower."""

import pytest
import torch

from fieldmark.ops.precision import convolution, full_precision, has_onednn_bf16, lower_type, raised, suited


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_types_are_raised_and_no_other_is_changed(given: torch.dtype, expected: torch.dtype):
    values = torch.tensor([0.5, 3.0], dtype=given)
    assert raised(values).dtype == expected
    assert raised(values).tolist() == [0.5, 3.0]


def test_a_layer_in_half_precision_gets_its_type_and_any_other_the_values_unchanged():
    values = torch.tensor([0.5, 3.0])
    for half in (torch.bfloat16, torch.float16):
        assert suited(values, torch.nn.Linear(2, 1).to(half)).dtype == half
    for layer in (torch.nn.Linear(2, 1), torch.nn.Linear(2, 1).double(), torch.nn.Identity()):
        assert suited(values, layer) is values


def test_products_stay_as_they_are_inside():
    values = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (values @ values).dtype == torch.bfloat16
        with full_precision(values):
            assert (values @ values).dtype == torch.float32
    with full_precision(values):
        assert (values @ values).dtype == torch.float32


def test_the_lower_type_is_the_values_own_or_that_of_automatic_mixed_precision():
    single, double = torch.ones(1), torch.ones(1, dtype=torch.float64)
    assert lower_type(single) is lower_type(double) is None
    assert lower_type(single.half()) == torch.float16
    with torch.autocast("cpu", torch.bfloat16):
        assert lower_type(single) == torch.bfloat16
        assert lower_type(single.half()) == torch.float16
        assert lower_type(double) is None
        with full_precision(single):
            assert lower_type(single) is None


@pytest.mark.skipif(not has_onednn_bf16(), reason="this processor has no bfloat16")
def test_a_bias_is_not_rounded_with_the_maps():
    torch.manual_seed(0)
    layer, images = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.randn(2, 3, 64, 64).bfloat16()
    weight, bias = layer.weight.detach().bfloat16(), torch.full((4,), 1 + 2**-8, requires_grad=True)
    exact = torch.nn.functional.conv2d(images.float(), weight.float(), bias, 2, 1)
    errors = {kind: convolution(images, weight, bias.to(kind), layer) - exact for kind in (bias.dtype, torch.bfloat16)}
    assert errors[bias.dtype].mean().abs() < 2e-4
    assert errors[torch.bfloat16].mean().abs() > 2e-3
    convolution(images, weight, bias, layer).sum().backward()
    assert bias.grad is not None
    torch.testing.assert_close(bias.grad, torch.full((4,), 2.0 * 32 * 32))


def test_a_bias_is_rounded_without_onednn(without_onednn: None):
    layer, images = torch.nn.Conv2d(3, 4, 3).bfloat16(), torch.randn(1, 3, 8, 8).bfloat16()
    assert layer.bias is not None
    assert not has_onednn_bf16()
    torch.testing.assert_close(convolution(images, layer.weight, layer.bias.float(), layer), layer(images))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_a_bias_is_rounded_where_it_must_be(dtype: torch.dtype):
    layer, images = torch.nn.Conv2d(4, 4, 3, groups=2, padding=2, dilation=2).to(dtype), torch.randn(1, 4, 8, 8)
    assert layer.bias is not None
    actual = convolution(images.to(dtype), layer.weight, layer.bias.double(), layer)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual, layer(images.to(dtype)))
