"""The rows of the Channel Interaction Network's tables: all there, as the paper sets them, and readable from a file."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fieldmark.batches import Balanced
from fieldmark.building import build_learner
from fieldmark.input.views import Frame, random_area
from fieldmark.papers.channel_interaction.contrastive import ContrastiveChannelInteraction, SelfChannelInteraction
from fieldmark.recipe import Part, Pixels, Recipe, recipe_from_json, recipe_to_json
from fieldmark.recipes import channel_interaction
from fieldmark.recipes.composition import Row

BY_NAME = {row.name: row for row in channel_interaction.ROWS}


def told_of(name: str) -> float:
    """The docstring's figure for a row: in the table's cell of its data set and backbone, or after its name."""
    docstring = channel_interaction.__doc__ or ""
    short, backbone, *_ = name.split("-")
    if name == f"{short}-{backbone}" and backbone.startswith("resnet"):
        lines = [[cell.strip() for cell in line.split("|")] for line in docstring.splitlines() if line.count("|") > 2]
        (head,) = (cells for cells in lines if backbone in cells)
        (row,) = (cells for cells in lines if f"{short}-..." in cells)
        return float(row[head.index(backbone)])
    (figure,) = re.findall(rf"(?<=\s){re.escape(name)} (\d\d\.\d)", docstring)
    return float(figure)


@pytest.mark.parametrize("row", channel_interaction.ROWS, ids=BY_NAME)
def test_a_row_survives_a_file_and_stands_in_the_report(row: Row):
    assert recipe_from_json(recipe_to_json(row.recipe)) == row.recipe
    assert row.ours == "not yet run"
    assert row.paper == told_of(row.name)
    assert row.recipe.model.backbone == f"{row.name.split('-')[1]}.tv_in1k"


def test_all_rows_crop_448_of_600_pixels_as_nts_net_does():
    part = (448 / 600) ** 2
    pixels = Pixels(
        size=448,
        eval_size=448,
        eval_crop=448 / 600,
        fit="stretch",
        min_scale=part,
        max_scale=part,
        ratio=1.0,
        flip=True,
        megapixels=64.0,
    )
    assert {row.recipe.pixels for row in channel_interaction.ROWS} == {pixels}
    rng, places = np.random.default_rng(0), set()
    for _ in range(50):
        area = random_area(Frame(0, 0, 1200, 600), pixels, rng)
        assert (area.width, area.height) == (896, 448)
        places.add((area.left, area.top))
    assert len(places) > 40


@pytest.mark.parametrize(
    ("name", "scale", "operations"),
    [
        ("cub-resnet50", 1.0, ["subtract"]),
        ("cub-resnet50-sci", 1.0, []),
        ("cub-resnet50-pos-sci", -1.0, []),
        ("cub-resnet50-sci-cont", 1.0, ["none"]),
        ("cub-resnet50-plain", None, []),
    ],
)
def test_the_ablations_are_what_they_are_called(name: str, scale: float | None, operations: list[str]):
    model = replace(BY_NAME[name].recipe.model, backbone="test_resnet", weights="none")
    learner = build_learner(Recipe(model, Pixels(32, 32)), classes=3)
    neck = learner.method.classifier.neck
    assert (neck.scale if isinstance(neck, SelfChannelInteraction) else None) == scale
    assert [term.operation for term in learner.terms if isinstance(term, ContrastiveChannelInteraction)] == operations


def test_the_composition_is_the_row_but_for_the_length_of_h():
    model = BY_NAME["cub-resnet50"].recipe.model
    composition = channel_interaction.COMPOSITION
    assert (composition.neck, composition.batches) == (model.neck, Balanced(4, 5))
    assert composition.neck == Part("SelfChannelInteraction")
    assert model.terms == (Part("ContrastiveChannelInteraction"),)
    assert composition.terms == (Part("ContrastiveChannelInteraction", {"normalise": True}),)
