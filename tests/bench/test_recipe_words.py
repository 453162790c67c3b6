"""Recipes in words: two that differ in what a table shows must not read alike."""

from typing import Any

import pytest

from fieldmark.bench.recipe_words import in_words, place_in_words, value_at, value_in_words
from fieldmark.errors import UserError

SGD = {"type": "Sgd", "lr": 0.1, "weight_decay": 1e-4, "scales": {"backbone": 0.03}}
MODEL = {
    "method": {"type": "Plain"},
    "pool": {"type": "Average"},
    "head": {"type": "Linear"},
    "backbone": "b",
    "weights": "w",
    "neck": {"type": "SelfChannelInteraction"},
    "terms": [{"type": "ContrastiveChannelInteraction", "weight": 2.0}],
}
STAGE = {"epochs": 20, "optimiser": SGD, "schedule": {"type": "OneCycle", "rise": 0.3}, "frozen": []}
RECIPE: dict[str, Any] = {
    "format_version": 1,
    "model": MODEL,
    "pixels": {"size": 32, "eval_size": 32, "fit": "crop"},
    "batches": {"type": "Balanced", "classes": 4, "images": 5},
    "stages": [STAGE],
    "smoothing": 0.1,
    "seed": 1,
    "train_on": ["train", "val"],
}


def words(**changes: Any):
    return in_words(RECIPE | changes, key="run")


def test_a_model_in_words() -> None:
    said = "Plain + SelfChannelInteraction + ContrastiveChannelInteraction (weight 2)"
    assert words().parts == said
    assert words(model=MODEL | {"pool": {"type": "Maximum"}}).parts == f"{said} + Maximum"
    assert (words().input, words().weights, words().train_on) == ("b, 32", "w", "train+val")
    assert words(pixels={"size": 32, "eval_size": 48}).input == "b, 32 (48 at test time)"
    probe = in_words({"backbone": "b", "weights": "w", "size": 32, "penalty": 0.1}, key="probe")
    assert (probe.input, probe.parts, probe.rate) == ("b, 32", "unknown", "unknown")
    assert probe.comparable["epochs"] == "unknown"


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ({"type": "Shuffled", "size": 16, "even": False}, "shuffled, 16"),
        ({"type": "Shuffled", "size": 16, "even": True}, "shuffled, 16, classes drawn evenly"),
        ({"type": "Balanced", "classes": 4, "images": 5}, "4 classes × 5 photos"),
        ({"type": "ShuffledPairs", "size": 8}, "shuffled pairs, 8 photos"),
        (
            {"type": "ExhaustivePairs", "size": 8, "partners": 1},
            "pairs of two classes, 8 photos, 1 per photo and epoch",
        ),
        ({"type": "ExhaustivePairs", "size": 8, "partners": None}, "pairs of two classes, 8 photos, all per photo and"),
        ({"type": "Sorted", "size": 3, "up": True}, "Sorted (size 3, up true)"),  # of a later Fieldmark
        ({}, "unknown"),
    ],
)
def test_batches_in_words(batches: dict[str, Any], said: str) -> None:
    assert words(batches=batches).comparable["batches"].startswith(said)


def test_epochs_and_rates_of_stages() -> None:
    assert (words().comparable["epochs"], words().rate) == ("20", "Sgd 0.1, backbone × 0.03")
    first = {"epochs": 8, "optimiser": {"type": "AdamW", "lr": 1e-3}, "frozen": ["backbone"], "frozen_epochs": None}
    two = words(stages=[first, STAGE | {"epochs": 12, "frozen": ["head"], "frozen_epochs": 2}])
    assert two.comparable["epochs"] == "20 (8 + 12)"
    assert two.rate == "AdamW 0.001, backbone frozen; Sgd 0.1, backbone × 0.03, head frozen for 2"


@pytest.mark.parametrize(
    ("changes", "unlike"),
    [
        ({}, {}),
        ({"smoothing": 0.3, "seed": 2}, {}),
        ({"stages": [STAGE | {"epochs": 60}]}, {"epochs": ("20", "60")}),
        ({"stages": [STAGE, STAGE]}, {"epochs": ("20", "40 (20 + 20)")}),
        ({"batches": {"type": "Shuffled", "size": 16}}, {"batches": ("4 classes × 5 photos", "shuffled, 16")}),
        ({"model": MODEL | {"backbone": "c", "weights": "v"}}, {"backbone": ("b", "c"), "weights": ("w", "v")}),
        ({"pixels": {"size": 64}}, {"pixels (size)": ("32", "64")}),  # of the others nothing is known
    ],
)
def test_what_rows_should_have_in_common(changes: dict[str, Any], unlike: dict[str, Any]) -> None:
    assert words().unlike(words(**changes)) == unlike


@pytest.mark.parametrize(
    ("place", "said", "value"),
    [
        ("stages.0.optimiser.scales.backbone", "learning-rate factor of backbone", 0.03),
        ("stages.0.optimiser.lr", "learning rate", 0.1),
        ("smoothing", "label smoothing", 0.1),
        ("model.terms.0.weight", "weight of ContrastiveChannelInteraction", 2.0),
        ("model.terms.1.weight", "`model.terms.1.weight`", "by default"),
        ("model.method.weight", "weight of Plain", "by default"),
        ("model.neck", "`model.neck`", {"type": "SelfChannelInteraction"}),
        ("batches.classes", "`batches.classes`", 4),
        ("train_on.first", "`train_on.first`", "by default"),
    ],
)
def test_places_and_values(place: str, said: str, value: Any) -> None:
    assert place_in_words(place, RECIPE) == said
    assert value_at(place, RECIPE) == value


def test_places_of_one_stage_of_several() -> None:
    two = RECIPE | {"stages": [STAGE, STAGE]}
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
    further = words(later={"on": [{"a": 1}]}).further
    assert further == {
        "model.pool.type": "Average",
        "model.head.type": "Linear",
        "pixels.eval_size": "32",
        "pixels.fit": "crop",
        "stages.0.optimiser.weight_decay": "0.0001",
        "stages.0.schedule.type": "OneCycle",
        "stages.0.schedule.rise": "0.3",
        "smoothing": "0.1",
        "train_on": '["train", "val"]',
        "later.on.0.a": "1",
    }


@pytest.mark.parametrize("changes", [{"model": "pc"}, {"stages": ["one"]}, {"stages": [{}]}, {"train_on": 3}])
def test_what_is_no_recipe(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^run\.json: its recipe is none that can be read"):
        words(**changes)
