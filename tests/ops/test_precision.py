"""Which types are raised, and what automatic mixed precision may lower."""

import pytest
import torch

from fieldmark.ops.precision import full_precision, lower_type, raised, suited


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
