"""Recipes as JSON: what comes back is what was written, and nothing else is accepted."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.batches import Balanced, Batches, ExhaustivePairs, Shuffled, ShuffledPairs
from fieldmark.core.classifier import Maximum
from fieldmark.errors import UserError
from fieldmark.recipe import (
    AdamW,
    Cosine,
    Model,
    OneCycle,
    Part,
    Pixels,
    Recipe,
    Sgd,
    Stage,
    StepDecay,
    external_name,
    recipe_from_json,
    recipe_to_json,
)
from fieldmark.recipes import COMPOSITIONS
from fieldmark.recipes.composition import Composition

MODEL = Model(Part("Plain"), Part("Average"), Part("Linear"))


class Outside(Maximum):
    """A pool from the user's own module."""


def round_trip(recipe: Recipe, external: tuple[type, ...] = ()) -> Recipe:
    return recipe_from_json(recipe_to_json(recipe))


def changed(path: str, value: Any) -> str:
    """The default recipe's text with one value replaced, removed (...) or added."""
    data = json.loads(recipe_to_json(Recipe(MODEL)))
    *way, last = path.split(".")
    place = data
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(data)


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_every_composition_comes_back(composition: Composition):
    model = Model(
        composition.method, composition.pool, composition.head, neck=composition.neck, terms=composition.terms
    )
    recipe = Recipe(model, batches=composition.batches or Shuffled())
    assert round_trip(recipe) == recipe


@pytest.mark.parametrize(
    "batches", [Shuffled(7, True), Balanced(3, 2), ShuffledPairs(8), ExhaustivePairs(8, 3), ExhaustivePairs(8, None)]
)
def test_every_plan_of_batches_comes_back(batches: Batches):
    assert round_trip(Recipe(MODEL, batches=batches)).batches == batches


def test_a_recipe_with_everything_changed_comes_back():
    term = Part("PairwiseConfusion", {"weight": 3.5, "on": "logits", "shuffle": False})
    stages = (
        Stage(2, Sgd(1.0, weight_decay=1e-8, scales={"backbone": 0.1}), StepDecay((1, 2), 0.3), ("backbone",), 1),
        Stage(3, AdamW(2e-4, scales={"head": 10.0}), Cosine(0.5, 0.01)),
        Stage(1, schedule=OneCycle(0.2, 10.0, 100.0)),
    )
    neck = Part("Average", {"a": (1, (2, 3))})
    recipe = Recipe(
        Model(Part("Plain"), Part("Maximum"), Part("Linear"), "vgg16", "none", neck, (term, term)),
        Pixels(448, 512, 1.0, "box", 0.5, 0.75, 1.5, False),
        Balanced(3, 7),
        stages,
        0.0,
        "logit-adjust",
        5.0,
        0.99,
        "bf16",
        4,
        7,
        ("train", "val"),
    )
    assert round_trip(recipe) == recipe
    assert recipe.epochs == 6


def test_defaults_may_be_left_out_of_a_file():
    text = json.dumps({"format_version": 1, "model": json.loads(recipe_to_json(Recipe(MODEL)))["model"]})
    assert recipe_from_json(text) == Recipe(MODEL)


def test_whole_numbers_serve_as_numbers_and_no_code_stands_in_the_file():
    recipe = recipe_from_json(changed("smoothing", 0))
    assert isinstance(recipe.smoothing, float)
    assert "fieldmark." not in recipe_to_json(Recipe(MODEL))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("colour", 1, "recipe has no setting 'colour'"),
        ("pixels.colour", 1, "recipe.pixels has no setting 'colour'"),
        ("stages.0.optimiser.betas", 1, "optimiser has no setting 'betas'"),
        ("seed", "0", "recipe.seed is '0'"),
        ("seed", 1.5, "recipe.seed is 1.5"),
        ("seed", True, "recipe.seed is True"),
        ("smoothing", "much", "recipe.smoothing is 'much'"),
        ("smoothing", None, "recipe.smoothing is None"),
        ("pixels", [224], "recipe.pixels"),
        ("pixels.flip", 1, "recipe.pixels.flip is 1"),
        ("pixels.fit", "squash", "recipe.pixels.fit is 'squash'.*expected crop, pad, stretch, box"),
        ("stages", {}, "recipe.stages"),
        ("stages.0.frozen", "backbone", "frozen is 'backbone'"),
        ("stages.0.optimiser.type", "Lion", "has type 'Lion'; choose Sgd, AdamW"),
        ("stages.0.optimiser", "Sgd", "choose Sgd, AdamW"),
        ("stages.0.optimiser.scales", {"backbone": "slow"}, "scales.backbone is 'slow'"),
        ("batches.type", [], "choose Shuffled, Balanced"),
        ("model", ..., "'model'"),
        ("model.method", ..., "'method'"),
        ("model.method.type", "Bilinear", "recipe.model.method has the unknown type 'Bilinear'"),
        ("model.method", None, "recipe.model.method is None"),
        ("model.method.type", [], "recipe.model.method"),
        ("model.terms", [{}], r"recipe.model.terms\[0\]"),
        ("format_version", 2, "has format 2, and this Fieldmark reads 1"),
        ("format_version", ..., "not a recipe"),
        ("format_version", "1", "has format"),
    ],
)
def test_everything_else_is_refused_in_one_line(path: str, value: Any, message: str):
    with pytest.raises(UserError, match=message) as caught:
        recipe_from_json(changed(path, value))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"text"', "{}", "[1, 2]", "\x00"])
def test_other_files_are_no_recipes(text: str):
    with pytest.raises(UserError, match="not a recipe"):
        recipe_from_json(text)


def test_a_class_from_elsewhere_has_to_be_named_again():
    recipe = Recipe(dataclasses.replace(MODEL, pool=Part(Outside)))
    text = recipe_to_json(recipe)
    assert external_name(Outside) == f"{__name__}:Outside"
    assert f'"type": "{__name__}:Outside"' in text
    with pytest.raises(UserError, match=f"--external {__name__}:Outside"):
        recipe_from_json(text)
    assert round_trip(recipe, external=(Outside,)) == recipe


numbers = st.floats(allow_nan=False)


texts = st.lists(st.text(max_size=9), max_size=3)
shares = st.dictionaries(st.text(max_size=9), numbers, max_size=3)


@given(numbers, numbers, st.integers(), st.integers(), st.text(max_size=9), texts, shares)
@settings(max_examples=40, deadline=None)
def test_numbers_and_texts_come_back_exactly(
    lr: float, clip: float, seed: int, epochs: int, name: str, splits: list[str], scales: dict[str, float]
):
    stage = Stage(epochs, AdamW(lr, scales=scales), Cosine(clip, lr))
    model = dataclasses.replace(MODEL, backbone=name, terms=(Part("PairwiseConfusion", {"weight": lr, "on": name}),))
    recipe = Recipe(model, stages=(stage,), clip=clip, seed=seed, train_on=tuple(splits))
    assert round_trip(recipe) == recipe


@given(st.floats(0, 30), st.floats(0.5, 30))
@settings(max_examples=60, deadline=None)
def test_schedules_stay_between_0_and_1(epoch: float, total: float):
    schedules = (StepDecay((3, 9), warmup=2.0), Cosine(2.0, 0.01), Cosine(), OneCycle(), OneCycle(0.0), OneCycle(1.0))
    for schedule in schedules:
        assert 0 <= schedule.at(epoch, total) <= 1


def test_schedules_at_known_points():
    steps = StepDecay((3, 9), 0.1, warmup=2.0)
    assert [round(steps.at(epoch, 10), 3) for epoch in (0, 1, 2, 3, 8.9, 9)] == [0.001, 0.5, 1.0, 0.1, 0.1, 0.01]
    cosine = Cosine(warmup=0.0, floor=0.2)
    assert [cosine.at(epoch, 10) for epoch in (0, 5, 10)] == pytest.approx([1, 0.6, 0.2])
    cycle = OneCycle(0.25, 20.0, 1000.0)
    assert [cycle.at(epoch, 8) for epoch in (0, 2, 8)] == pytest.approx([0.05, 1, 0.001])
    assert cycle.at(1, 8) == pytest.approx((0.05 + 1) / 2)
    assert math.isclose(cycle.at(5, 8), (1 + 0.001) / 2)
