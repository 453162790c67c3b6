"""Times of networks: a median for each, taken in turns."""

import pytest

from fieldmark.bench import timing
from fieldmark.bench.timing import ROUNDS, WARM_UP, times_of
from fieldmark.recipe import Model, Part, Pixels, Recipe


def test_networks_take_turns_and_the_warm_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def seconds(method: object, image: object) -> float:
        calls.append(type(method).__name__)
        return 0.005 if len(calls) > 2 * WARM_UP else 100.0

    monkeypatch.setattr(timing, "_seconds", seconds)
    recipes = {name: Recipe(Model(Part(name), backbone="test_resnet"), Pixels(64, 64)) for name in ("Plain", "S3N")}
    named: list[str] = []
    assert times_of(recipes, device="cpu", progress=named.append) == {"Plain": 5.0, "S3N": 5.0}
    assert calls == ["Plain", "S3N"] * (WARM_UP + ROUNDS)
    assert named == ["Plain", "S3N"]


def test_real_times_are_positive():
    recipe = Recipe(Model(backbone="test_resnet"), Pixels(64, 64))
    assert times_of({"one": recipe}, device="cpu", rounds=1)["one"] > 0
