"""The rows of MC-Loss's tables: their rates and parts, and what is told of mu."""

from dataclasses import replace

import pytest
import torch

from fieldmark.building import build_learner
from fieldmark.core.draws import Draws
from fieldmark.recipe import Model, Part, Pixels
from fieldmark.recipes.composition import Row
from fieldmark.recipes.mutual_channel import COMPOSITION, ROWS

BY_NAME = {row.name: row for row in ROWS}


def rate_of(row: Row, group: str, epoch: int) -> float:
    """The learning rate of a group at an epoch of the run."""
    first = 0
    for stage in row.recipe.stages:
        if epoch < first + stage.epochs:
            factor = stage.schedule.at(epoch - first, stage.epochs)
            return stage.optimiser.lr * stage.optimiser.scales.get(group, 1.0) * factor
        first += stage.epochs
    raise AssertionError(epoch)


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


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.name.startswith("cub-")])
def test_rows_build_on_a_small_network(name: str):
    recipe = BY_NAME[name].recipe
    model = replace(recipe.model, backbone="test_resnet", weights="none")
    learner = build_learner(replace(recipe, model=model, pixels=Pixels(32, 32)), classes=7)
    losses = learner(torch.randn(4, 3, 32, 32), torch.arange(4), Draws(0, 0, torch.arange(4))).losses
    assert "cross_entropy" in losses
    assert len(losses) == 1 + len(model.terms)


@pytest.mark.parametrize(
    ("term", "weights", "told"),
    [
        (COMPOSITION.from_scratch[0], "none", "is 1.5 as in the paper"),
        (Part("MutualChannelLoss", {"drop": 0.0}), "none", "the paper has 1.5 here (weight=1.5)"),
        (Part("MutualChannelLoss", {"weight": 0.3}), "none", ""),
        (Part("SoftChannelLabels"), "none", ""),
        (COMPOSITION.from_scratch[0], "hub", ""),
        (COMPOSITION.terms[0], "lite0", ""),
    ],
)
def test_the_weight_from_scratch_is_told(term: Part, weights: str, told: str):
    lines = list(COMPOSITION.notices(Model(weights=weights, terms=(term,)), 20))
    assert len(lines) == bool(told)
    assert told in "".join(lines)
    assert "\n" not in "".join(lines)
