"""Recipes in words: two that differ in what a table shows must not read alike."""

import json
from dataclasses import replace
from typing import Any

import pytest

from fieldmark.batches import Balanced, ExhaustivePairs, Shuffled, ShuffledPairs
from fieldmark.bench.wording import (
    batches_of,
    epochs_of,
    further_settings,
    method_of,
    place_in_words,
    rate_of,
    value_at,
    value_in_words,
)
from fieldmark.recipe import AdamW, Model, Part, Recipe, Sgd, Stage, recipe_to_json

SGD = Sgd(lr=0.1, scales={"backbone": 0.03})
TERM = Part("ContrastiveChannelInteraction", {"weight": 2.0})
MODEL = Model(Part("Plain"), Part("Average"), Part("Linear"), neck=Part("SelfChannelInteraction"), terms=(TERM,))
RECIPE = Recipe(MODEL, batches=Balanced(4, 5), stages=(Stage(20, SGD),))


def recorded(recipe: Recipe = RECIPE) -> dict[str, Any]:
    """As a result holds it."""
    return json.loads(recipe_to_json(recipe))


def test_a_model_in_words() -> None:
    said = "Plain + SelfChannelInteraction + ContrastiveChannelInteraction (weight 2)"
    assert method_of(recorded()) == said
    assert method_of(recorded(replace(RECIPE, model=replace(MODEL, pool=Part("Maximum"))))) == f"{said} + Maximum"
    assert method_of({}) == "unknown"


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        (Shuffled(16), "shuffled, 16"),
        (Shuffled(16, even=True), "shuffled, 16, classes drawn evenly"),
        (Balanced(4, 5), "4 classes × 5 photos"),
        (ShuffledPairs(8), "shuffled pairs, 8 photos"),
        (ExhaustivePairs(8), "pairs of two classes, 8 photos, 1 a photo and epoch"),
        (ExhaustivePairs(8, partners=None), "pairs of two classes, 8 photos, all a photo and epoch"),
    ],
)
def test_batches_in_words(batches: Any, said: str) -> None:
    assert batches_of(recorded(replace(RECIPE, batches=batches))) == said


def test_batches_of_a_later_kind() -> None:
    assert batches_of({"batches": {"type": "Sorted", "size": 3, "up": True}}) == "Sorted (size 3, up true)"
    assert batches_of({}) == "unknown"


def test_epochs_and_rates_of_stages() -> None:
    assert epochs_of(recorded()) == "20"
    assert rate_of(recorded()) == "Sgd 0.1, backbone × 0.03"
    first, second = Stage(8, AdamW(lr=1e-3), frozen=("backbone",)), Stage(12, SGD, frozen=("head",), frozen_epochs=2)
    stages = recorded(replace(RECIPE, stages=(first, second)))
    assert epochs_of(stages) == "20 (8 + 12)"
    assert rate_of(stages) == "AdamW 0.001, backbone resting; Sgd 0.1, backbone × 0.03, head resting for 2"
    assert (epochs_of({}), rate_of({})) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("place", "said", "value"),
    [
        ("stages.0.optimiser.scales.backbone", "backbone's share of the learning rate", 0.03),
        ("stages.0.optimiser.lr", "learning rate", 0.1),
        ("stages.0.epochs", "epochs", 20),
        ("smoothing", "label smoothing", 0.1),
        ("model.terms.0.weight", "weight of ContrastiveChannelInteraction", 2.0),
        ("model.terms.1.weight", "`model.terms.1.weight`", "by default"),
        ("model.method.weight", "weight of Plain", "by default"),
        ("model.neck", "`model.neck`", {"type": "SelfChannelInteraction"}),
        ("batches.classes", "`batches.classes`", 4),
        ("stages.0.schedule.rise", "`stages.0.schedule.rise`", 0.3),
        ("train_on.first", "`train_on.first`", "by default"),
    ],
)
def test_places_and_values(place: str, said: str, value: Any) -> None:
    assert place_in_words(place, recorded()) == said
    assert value_at(place, recorded()) == value


def test_places_of_one_stage_of_several() -> None:
    two = recorded(replace(RECIPE, stages=(Stage(8, SGD), Stage(12, SGD))))
    assert place_in_words("stages.1.optimiser.lr", two) == "learning rate (stage 2)"
    assert place_in_words("smoothing", two) == "label smoothing"
    assert place_in_words("model.terms.0.weight", {}) == "`model.terms.0.weight`"


def test_values_in_words() -> None:
    values = (10.0, 0.05, 3, True, None, "crop", [1, 2], {"a": 1})
    assert [value_in_words(value) for value in values] == [
        *("10", "0.05", "3", "true", "null", "crop", "[1, 2]", '{"a": 1}')
    ]


def test_nothing_of_a_recipe_is_said_nowhere() -> None:
    """Each field is in the words above or among the further settings; a new one in the latter, without any change."""
    found = further_settings(recorded())
    assert found["stages.0.schedule.type"] == "OneCycle"
    assert found["smoothing"] == "0.1"
    assert found["train_on"] == '["train"]'
    assert {place.split(".")[0] for place in found} == set(recorded()) - {"format_version", "seed", "batches"}
    assert not [place for place in found if place.startswith(("model.terms", "model.neck", "pixels.size"))]
    assert further_settings({**recorded(), "later": {"on": [{"a": 1}]}})["later.on.0.a"] == "1"
