"""What a user may say: numbers out of range are refused by their option's name."""

import dataclasses

import pytest

from fieldmark.errors import UserError
from fieldmark.training.settings import Choices, refuse_numbers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("epochs", -1), ("batch", 0), ("size", 0), ("accumulate", 0), ("seed", -1), ("workers", -1),
        ("clip", -0.1), ("clip", float("nan")), ("smoothing", 1.0), ("smoothing", -0.1), ("ema", 1.0), ("ema", 2.0),
        ("hold-out", 1.0), ("hold-out", -0.1),
        ("lr", 0.0), ("lr", -1.0), ("lr", float("nan")), ("lr", float("inf")),
    ],
)  # fmt: skip
def test_numbers_out_of_range(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^--{name} "):
        refuse_numbers(dataclasses.replace(Choices(), **{name.replace("-", "_"): value}))


def test_the_defaults_and_the_ends_of_the_ranges_pass() -> None:
    refuse_numbers(Choices())
    refuse_numbers(Choices(epochs=1, batch=1, size=1, smoothing=0.0, ema=0.0, clip=0.0, workers=0, lr=1e-9))


def test_every_setting_is_described() -> None:
    for field in dataclasses.fields(Choices):
        assert f"        {field.name}: " in str(Choices.__doc__)
