"""Numbers out of their range are refused before a run, in one line that says where they stand."""

import json
import math
from dataclasses import replace

import pytest

from fieldmark.batches import Shuffled
from fieldmark.core.classifier import Average, Linear
from fieldmark.errors import UserError
from fieldmark.papers.plain import Plain
from fieldmark.recipe import AdamW, Cosine, Model, OneCycle, Part, Pixels, Recipe, Sgd, Stage, StepDecay
from fieldmark.recipes import ROWS
from fieldmark.training.overrides import followed, with_fields
from fieldmark.training.ranges import refuse_numbers_of
from fieldmark.training.settings import Choices

MODEL = Model(Part(Plain), Part(Average), Part(Linear), "test_resnet", "none")
STEPS = Stage(100, Sgd(0.01, scales={"backbone": 0.1}), StepDecay((20, 40), 0.5, 2.0), ("backbone",), 8)
STAGES = (STEPS, replace(STEPS, schedule=Cosine(1.0, 0.1)), Stage(10, AdamW(), OneCycle()))
RECIPE = Recipe(MODEL, Pixels(448, 512), Shuffled(8), STAGES)


def refused(change: str) -> str:
    with pytest.raises(UserError, match=r"the recipe's .* is .*; it has to be ") as error:
        followed(Choices(set=(change,)), RECIPE)
    (line,) = str(error.value).splitlines()
    return line


@pytest.mark.parametrize(
    "change",
    [
        "seed=-1", "accumulate=0", "clip=-1", "clip=1e999", "smoothing=1", "smoothing=-0.1", "ema=1", "pixels.size=0",
        "pixels.eval_size=-1", "pixels.eval_crop=0", "pixels.eval_crop=1.1", "pixels.min_scale=0",
        "pixels.max_scale=0.2", "pixels.max_scale=1.5", "pixels.ratio=0.9", "stages=[]",
        "stages.0.epochs=0", "stages.0.optimiser.lr=-1", "stages.0.optimiser.momentum=-1", "train_on=[]",
        "stages.0.optimiser.weight_decay=-1",
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(change: str) -> None:
    refused(change)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("stages.0.optimiser.momentum", 1.0, "from 0 to below 1"),
        ("stages.0.optimiser.momentum", 1.5, "from 0 to below 1"),
        ("stages.0.optimiser.scales.backbone", -1.0, "at least 0"),
        ("stages.2.optimiser.scales.head", -0.5, "at least 0"),
        ("stages.0.frozen_epochs", -3, "at least 0"),
        ("stages.0.schedule.warmup", -1.0, "at least 0"),
        ("stages.0.schedule.factor", -0.1, "at least 0"),
        ("stages.1.schedule.warmup", -1.0, "at least 0"),
        ("stages.1.schedule.floor", 1.5, "from 0 to 1"),
        ("stages.1.schedule.floor", -0.5, "from 0 to 1"),
        ("stages.2.schedule.end", 0.0, "above 0"),
        ("stages.2.schedule.start", 0.0, "above 0"),
        ("stages.2.schedule.start", -25.0, "above 0"),
        ("stages.2.schedule.rise", 1.1, "from 0 to 1"),
        ("stages.2.schedule.rise", -0.1, "from 0 to 1"),
    ],
)
def test_numbers_of_optimisers_and_schedules(place: str, value: float, words: str) -> None:
    assert refused(f"{place}={json.dumps(value)}") == f"the recipe's {place} is {value}; it has to be {words}"


def test_milestones_and_numbers_without_end() -> None:
    said = refused("stages.0.schedule.epochs=[3, -2]")
    assert said == "the recipe's stages.0.schedule.epochs.1 is -2; it has to be at least 0"
    for place in ("optimiser.scales.backbone", "schedule.warmup"):
        assert f"{place} is inf" in refused(f"stages.0.{place}=1e999")


@pytest.mark.parametrize(
    "change",
    [
        *("clip=0", "smoothing=0", "ema=0", "pixels.eval_crop=1", "pixels.min_scale=1", "pixels.max_scale=1"),
        *("pixels.ratio=1", "stages.0.optimiser.momentum=0", "stages.0.optimiser.scales.backbone=0"),
        *("stages.0.frozen_epochs=0", "stages.0.schedule.warmup=0", "stages.0.schedule.factor=0"),
        *("stages.1.schedule.floor=0", "stages.1.schedule.floor=1", "stages.2.schedule.rise=0"),
        *("stages.2.schedule.rise=1", "stages.2.schedule.start=0.5", "stages.2.schedule.end=1"),
    ],
)
def test_the_ends_of_the_ranges_pass_and_give_rates(change: str) -> None:
    recipe = with_fields(RECIPE, (change,))
    refuse_numbers_of(recipe)
    for stage in recipe.stages:
        shares = [stage.schedule.at(epoch, stage.epochs) for epoch in (0, 0.5, stage.epochs / 2, stage.epochs)]
        assert all(math.isfinite(share) and share >= 0 for share in shares)


def test_all_rows_of_papers_pass() -> None:
    for row in ROWS.values():
        refuse_numbers_of(row.recipe)
