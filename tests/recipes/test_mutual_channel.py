"""The rows of MC-Loss's tables: complete, buildable, and what the paper says of each."""

from dataclasses import replace

import pytest
import torch

from fieldmark.batches import Shuffled
from fieldmark.building import build_learner
from fieldmark.core.draws import Draws
from fieldmark.recipe import Part, Pixels, Sgd, recipe_from_json, recipe_to_json
from fieldmark.recipes.composition import UNSMOOTHED, Row
from fieldmark.recipes.mutual_channel import ROWS, SETS

BY_NAME = {row.name: row for row in ROWS}


def test_the_tables_rows_are_there_once():
    assert len(BY_NAME) == len(ROWS) == 8 + 3 + 13 * 4
    tables = [row.table for row in ROWS]
    assert {table: tables.count(table) for table in tables} == {
        "Table III": 2,
        "Table IV": 6,
        "Table V": 20,
        "Table VI": 16,
        "Table VII": 16,
        "Table VIII": 3,
    }


@pytest.mark.parametrize(
    ("name", "paper"),
    [
        ("cub-resnet50", 87.3),
        ("aircraft-vgg16", 91.0),
        ("flowers-resnet50", 96.8),
        ("cars-resnet50-soft", 94.1),
        ("cub-vgg16-scratch", 65.98),
        ("flowers-vgg16-scratch-minus-dis", 38.53),
        ("cub-vgg16-scratch-512", 62.27),
        ("aircraft-resnet18-scratch", 85.57),
        ("cub-resnet18-scratch-ce", 45.70),
    ],
)
def test_figures(name: str, paper: float):
    assert BY_NAME[name].paper == paper
    assert BY_NAME[name].ours == "not yet run"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_plain_data(row: Row):
    assert recipe_from_json(recipe_to_json(row.recipe)) == row.recipe
    assert row.name.split("-")[0] in SETS
    assert row.recipe.epochs == 300
    assert row.recipe.model.criterion == UNSMOOTHED
    both = row.data in ("FGVC-Aircraft", "Flowers-102")
    assert row.recipe.train_on == (("train", "val") if both else ("train",))


def rate_of(row: Row, group: str, epoch: int) -> float:
    """The learning rate of a group at an epoch of the run."""
    first = 0
    for stage in row.recipe.stages:
        if epoch < first + stage.epochs:
            factor = stage.schedule.at(epoch - first, stage.epochs)
            return stage.optimiser.lr * stage.optimiser.scales.get(group, 1.0) * factor
        first += stage.epochs
    raise AssertionError(epoch)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_settings_are_the_papers_and_the_released_codes(row: Row):
    scratch = "-scratch" in row.name
    size, batch = (224, 32) if scratch else (448, 64)
    rates = ((0.1, 0.1),) if scratch else ((1e-2, 1e-4), (1e-3, 1e-4), (1e-4, 1e-4))
    assert [stage.optimiser for stage in row.recipe.stages] == [
        Sgd(new, nesterov=False, weight_decay=5e-4, decayed="all", scales={"backbone": old / new}) for new, old in rates
    ]
    assert row.recipe.batches == Shuffled(batch)
    # all of the photo, whatever its shape
    assert row.recipe.pixels == Pixels(size, size, eval_crop=1.0, fit="stretch", min_scale=1.0, max_scale=1.0)


@pytest.mark.parametrize(("epoch", "new", "old"), [(0, 1e-2, 1e-4), (150, 1e-3, 1e-4), (225, 1e-4, 1e-4)])
def test_fine_tuning_keeps_the_backbones_rate(epoch: int, new: float, old: float):
    row = BY_NAME["cub-resnet50"]
    assert rate_of(row, "head", epoch) == pytest.approx(new)
    assert rate_of(row, "backbone", epoch) == pytest.approx(old)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.1), (150, 0.01), (225, 0.001), (299, 0.001)])
def test_from_scratch_all_rates_fall_together(epoch: int, rate: float):
    row = BY_NAME["cub-vgg16-scratch"]
    assert rate_of(row, "head", epoch) == pytest.approx(rate)
    assert rate_of(row, "backbone", epoch) == pytest.approx(rate)
    assert row.recipe.model.weights == "none"


def test_what_the_rows_switch():
    models = {name: BY_NAME[f"cub-{name}"].recipe.model for name in ("resnet50", "resnet50-soft")}
    assert models["resnet50"].terms == (Part("MutualChannelLoss"),)
    assert models["resnet50-soft"].terms == (Part("SoftChannelLabels"),)
    scratch = {
        row.name.removeprefix("cub-vgg16-scratch"): row.recipe.model for row in ROWS if row.name[:9] == "cub-vgg16"
    }
    assert scratch[""].neck == scratch["-v2"].neck == Part("ChannelExpansion", {"xi": 3})
    assert [scratch[f"-xi{xi}"].neck for xi in (1, 5)] == [Part("ChannelExpansion", {"xi": xi}) for xi in (1, 5)]
    assert scratch["-512"].neck is None
    assert scratch["-ce"].terms == ()
    options = {name: dict(model.terms[0].options) for name, model in scratch.items() if model.terms}
    assert options["-v2"] == {"weight": 1.5, "of": "label"}
    assert options["-minus-cwa"] == {"weight": 1.5, "drop": 0.0}
    assert options["-minus-div"] == {"weight": 1.5, "diversity": 0.0}
    assert options["-minus-dis"] == {"weight": 1.5, "discriminality": 0.0}


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.name.startswith("cub-")])
def test_rows_build_on_a_small_network(name: str):
    recipe = BY_NAME[name].recipe
    model = replace(recipe.model, backbone="test_resnet", weights="none")
    learner = build_learner(replace(recipe, model=model, pixels=Pixels(32, 32)), classes=7)
    losses = learner(torch.randn(4, 3, 32, 32), torch.arange(4), Draws(0, 0, torch.arange(4))).losses
    assert "cross_entropy" in losses
    assert len(losses) == 1 + len(model.terms)
