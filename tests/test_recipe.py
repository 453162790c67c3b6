"""Recipes as JSON: what comes back is what was written, and nothing else is accepted."""

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.batches import Balanced, Batches, ExhaustivePairs, Shuffled, ShuffledPairs
from fieldmark.errors import UserError
from fieldmark.plain import changed
from fieldmark.recipe import (
    FORMAT_VERSION,
    AdamW,
    Cosine,
    Model,
    OneCycle,
    Part,
    Pixels,
    Poly,
    Recipe,
    Sgd,
    Stage,
    StepDecay,
    recipe_from_json,
    recipe_from_plain,
    recipe_to_json,
)
from fieldmark.recipes import COMPOSITIONS
from fieldmark.recipes.composition import Composition

OLD_RUNS = Path(__file__).parent / "old_runs"


def round_trip(recipe: Recipe) -> Recipe:
    return recipe_from_json(recipe_to_json(recipe))


def with_value(path: str, value: Any) -> str:
    """The default recipe's text with one value replaced or added; ... takes a key away."""
    data = changed(json.loads(recipe_to_json(Recipe())), {path: value})
    return json.dumps({key: item for key, item in data.items() if item is not ...})


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
    assert round_trip(Recipe(batches=batches)).batches == batches


def test_a_recipe_with_everything_changed_comes_back():
    term = Part("PairwiseConfusion", {"weight": 3.5, "on": "logits", "shuffle": False})
    stages = (
        Stage(2, Sgd(1.0, weight_decay=1e-8, scales={"backbone": 0.1}), StepDecay((1, 2), 0.3), ("backbone",), 1),
        Stage(3, AdamW(2e-4, scales={"head": 10.0}), Cosine(0.5, 0.01)),
        Stage(1, schedule=OneCycle(0.2, 10.0, 100.0)),
        Stage(4, schedule=Poly(0.5)),
    )
    neck, criterion = Part("mine:Neck", {"a": (1, (2, 3))}), Part("CrossEntropy", {"smoothing": 0.0, "adjust": True})
    recipe = Recipe(
        Model(Part("Plain"), Part("Maximum"), Part("Linear"), "vgg16", "none", neck, (term, term), criterion),
        Pixels(448, 512, 1.0, "box", 0.5, 0.75, 1.5, False),
        Balanced(3, 7),
        stages,
        5.0,
        0.99,
        "bf16",
        4,
        0,
        7,
        ("train", "val"),
        "probe",
        False,
        2,
        True,
    )
    assert round_trip(recipe) == recipe
    shorter = dataclasses.replace(recipe, stages=stages[:1], length_by_start=True)
    assert round_trip(shorter) == shorter
    pieces = dataclasses.replace(recipe, accumulate=1, micro_batch=3)
    assert round_trip(pieces) == pieces
    averaged = dataclasses.replace(recipe, ema=0.0, average_degree=1.5)
    assert round_trip(averaged) == averaged
    assert recipe.epochs == 10
    assert round_trip(dataclasses.replace(recipe, stages=())) == dataclasses.replace(recipe, stages=()), "a start alone"


def test_defaults_may_be_left_out_of_a_file():
    assert recipe_from_json('{"format_version": 2}') == Recipe()
    assert recipe_from_json('{"format_version": 2, "model": {"head": {"type": "Linear"}}}') == Recipe()


def test_the_line_from_the_start_was_part_of_the_third_format_for_a_while() -> None:
    assert recipe_from_json('{"format_version": 3, "blend": 0.75, "clip": 1}') == Recipe(clip=1.0)


def test_there_is_one_average() -> None:
    with pytest.raises(UserError, match=r"^ema and average_degree are two averages.*set one of them to 0$"):
        Recipe(ema=0.9, average_degree=2.0)


def test_whole_numbers_serve_as_numbers_and_no_code_stands_in_the_file():
    assert isinstance(recipe_from_json(with_value("clip", 0)).clip, float)
    assert "fieldmark." not in recipe_to_json(Recipe())


def test_recipes_are_read_changed_and_written_without_torch():
    code = """
import sys
sys.modules["torch"] = None
from fieldmark.recipe import Part, recipe_from_json, recipe_to_json
from fieldmark.recipes.naming import part_of
from fieldmark.training.overrides import read_recipe, with_fields
text = recipe_to_json(with_fields(read_recipe("s3n/cub-resnet50"), ["model.pool.type=mine:Pool", "seed=3"]))
assert recipe_from_json(text).model.pool == Part("mine:Pool") == part_of("mine:Pool", option="--pool")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("colour", 1, "^there is no setting 'colour'; choose model, pixels, "),
        ("pixels.sise", 1, r"^pixels has no setting 'sise'; did you mean size\?"),
        ("stages.0.optimiser.betas", 1, "^stages.0.optimiser has no setting 'betas'"),
        ("seed", "0", "^seed is '0'; it must be a whole number"),
        ("seed", 1.5, "^seed is 1.5; it must be a whole number"),
        ("seed", True, "^seed is True; it must be a whole number"),
        ("seed", -1, "^seed is -1; it must be at least 0"),
        ("clip", "much", "^clip is 'much'; it must be a number"),
        ("clip", None, "^clip is None; it must be a number"),
        ("clip", math.nan, "^clip is nan; it must be at least 0"),
        ("ema", 1, "^ema is 1.0; it must be at least 0 and below 1"),
        ("accumulate", 0, "^accumulate is 0; it must be at least 1"),
        ("pixels", [224], r"^pixels is \[224\]; it must be a table of settings"),
        ("pixels.flip", 1, "^pixels.flip is 1; it must be true or false"),
        ("pixels.fit", "squash", "^pixels.fit is 'squash'; choose crop, pad, stretch, box"),
        ("pixels.min_scale", 0, "^pixels.min_scale is 0.0; it must be above 0 and at most 1"),
        ("pixels.max_scale", 0.1, "^pixels: min_scale is 0.25; it must be at most max_scale, 0.1"),
        ("stages", {}, "^stages is {}; it must be a list"),
        ("stages", [], "^stages is empty; it must have at least one entry"),
        ("train_on", [], "^train_on is empty"),
        ("stages.0.epochs", 0, "^stages.0.epochs is 0; it must be at least 1"),
        ("stages.0.frozen", "backbone", "^stages.0.frozen is 'backbone'; it must be a list"),
        ("stages.0.optimiser.type", "Lion", "^stages.0.optimiser.type is 'Lion'; choose Sgd, AdamW"),
        ("stages.0.optimiser.type", "Adam", "^stages.0.optimiser.type is 'Adam'; did you mean AdamW"),
        ("stages.0.optimiser", "Sgd", "^stages.0.optimiser is 'Sgd'; it must be a table with a 'type': Sgd, AdamW"),
        ("stages.0.optimiser.scales", {"a\nb": "slow"}, r"^stages.0.optimiser.scales.a\\nb is 'slow'"),
        ("batches.type", [], r"^batches.type is \[\]; choose Shuffled, Balanced"),
        ("model", None, "^model is None; it must be a table of settings"),
        ("model.method", None, '^model.method is None; it must be a table such as {"type": "Plain"}'),
        ("model.method.type", [], "^model.method is "),
        ("model.terms", [{}], "^model.terms.0 is "),
        ("format_version", 4, "it has format 4, and 3 is the newest"),
        ("format_version", ..., "it has no format_version"),
        ("format_version", "1\n", r"it has format '1\\n'"),
    ],
)
def test_everything_else_is_refused_in_one_line(path: str, value: Any, message: str):
    with pytest.raises(UserError, match=message) as caught:
        recipe_from_json(with_value(path, value))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '"text"', "{}", "[1, 2]", "\x00", pytest.param("[" * 99_999, id="deep")]
)
def test_other_files_are_no_recipes(text: str):
    with pytest.raises(UserError, match="not a recipe") as caught:
        recipe_from_json(text)
    assert len(str(caught.value).splitlines()) == 1


def test_parts_of_any_name_come_back_and_are_looked_up_where_they_are_built():
    pool = Part("nowhere.at.all:Pool", {"weight": "much"})
    assert round_trip(Recipe(dataclasses.replace(Model(), pool=pool, method=Part("Nothing")))).model.pool == pool


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("plain", Model(criterion=Part("CrossEntropy", {"smoothing": 0.05, "adjust": True}))),
        ("s3n", Model(Part("S3N", {"peaks": "all"}))),
        (
            "pc-cin",
            Model(
                neck=Part("SelfChannelInteraction"),
                terms=(
                    Part("ContrastiveChannelInteraction", {"normalise": True}),
                    Part("PairwiseConfusion", {"weight": 5}),
                ),
            ),
        ),
    ],
)
def test_recipes_of_the_first_format_are_read_and_written_in_todays(name: str, model: Model):
    recipe = recipe_from_json((OLD_RUNS / name / "recipe.json").read_text())
    assert recipe.model == dataclasses.replace(model, backbone="test_resnet", weights="none")
    assert (recipe.pixels, recipe.stages[0].epochs, recipe.train_on) == (Pixels(64, 64), 1, ("train",))
    assert round_trip(recipe) == recipe
    assert json.loads(recipe_to_json(recipe))["format_version"] == FORMAT_VERSION == 3


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {"smoothing": 0.1}),
        ({"smoothing": 0.1, "balance": "none"}, {"smoothing": 0.1}),
        ({"smoothing": 0}, {"smoothing": 0}),
        ({"balance": "logit-adjust"}, {"smoothing": 0.1, "adjust": True}),
    ],
)
def test_what_the_first_format_had_of_the_loss_is_the_criterions(settings: dict[str, Any], options: dict[str, Any]):
    recipe = recipe_from_json(json.dumps({"format_version": 1, "model": {}} | settings))
    assert recipe == Recipe(Model(criterion=Part("CrossEntropy", options)))
    with pytest.raises(UserError, match=r"^model is None; it must be a table of settings"):
        recipe_from_json(json.dumps({"format_version": 1, "model": None} | settings))


@pytest.mark.parametrize("version", [1, 2])
def test_s3n_took_all_peaks_until_the_second_format(version: int):
    def read(version: int, **method: str) -> Mapping[str, Any]:
        return recipe_from_plain({"format_version": version, "model": {"method": method}}).model.method.options

    assert read(version, type="S3N") == {"peaks": "all"}
    assert read(version, type="S3N", peaks="above_mean", branches="OD") == {"peaks": "above_mean", "branches": "OD"}
    assert read(version, type="Plain") == read(FORMAT_VERSION, type="S3N") == {}


positive = st.floats(0, allow_infinity=False)
texts = st.lists(st.text(max_size=9), min_size=1, max_size=3)
shares = st.dictionaries(st.text(max_size=9), positive, max_size=3)


@given(positive, positive, st.integers(0), st.integers(1), st.text(max_size=9), texts, shares)
@settings(max_examples=40, deadline=None)
def test_numbers_and_texts_come_back_exactly(
    lr: float, clip: float, seed: int, epochs: int, name: str, splits: list[str], scales: dict[str, float]
):
    stage = Stage(epochs, AdamW(lr, scales=scales), StepDecay((seed,), lr, clip))
    model = Model(backbone=name, terms=(Part("PairwiseConfusion", {"weight": lr, "on": name}),))
    recipe = Recipe(model, stages=(stage,), clip=clip, seed=seed, train_on=tuple(splits))
    assert round_trip(recipe) == recipe


PLACES = ("model", "model.method", "model.terms", "model.neck", "pixels", "pixels.fit", "batches", "stages", "stages.0")
PLACES += ("stages.0.optimiser", "stages.0.optimiser.lr", "stages.0.schedule", "smoothing", "clip", "seed", "train_on")
words = st.sampled_from(["type", "Sgd", "Plain", "epochs", "optimiser", "a\nb"]) | st.text(max_size=5)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | words
anything = st.recursive(leaves, lambda part: st.lists(part) | st.dictionaries(words, part), max_leaves=9)


@given(st.sampled_from(PLACES), anything, st.sampled_from([1, 2, 3]))
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_a_file_is_a_recipe_or_refused_in_one_line(place: str, value: Any, version: int):
    data = json.loads(with_value(place, value)) | {"format_version": version}
    told = ""
    try:
        recipe = recipe_from_json(json.dumps(data))
        assert round_trip(recipe) == recipe or "NaN" in recipe_to_json(recipe)
    except UserError as refusal:
        told = str(refusal)
    assert told.isprintable()


@given(st.floats(0, 30), st.floats(0.5, 30))
@settings(max_examples=60, deadline=None)
def test_schedules_stay_between_0_and_1(epoch: float, total: float):
    schedules = (StepDecay((3, 9), warmup=2.0), Cosine(2.0, 0.01), Cosine(), OneCycle(), OneCycle(0.0), OneCycle(1.0))
    schedules += (Poly(), Poly(0.5), Poly(4.0))
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
    assert [Poly().at(epoch, 10) for epoch in (0, 2.5, 10, 11)] == pytest.approx([1, 0.75, 0, 0])
    assert [Poly(0.5).at(epoch, 8) for epoch in (0, 6, 8)] == pytest.approx([1, 0.5, 0])
