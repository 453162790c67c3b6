"""The rows of the Channel Interaction Network's tables: all there, as the paper sets them, and readable from a file."""

import pytest

from fieldmark.data.batches import Balanced
from fieldmark.papers.channel_interaction import ContrastiveChannelInteraction, SelfChannelInteraction
from fieldmark.recipe import Part, StepDecay, recipe_from_json, recipe_to_json
from fieldmark.recipes import KNOWN, channel_interaction
from fieldmark.recipes.composition import Row

BY_NAME = {row.name: row for row in channel_interaction.ROWS}


def test_every_table_has_its_rows():
    tables = [row.table for row in channel_interaction.ROWS]
    assert [tables.count(table) for table in ("Table 1", "Table 2", "text")] == [6, 6, 1]
    assert len(BY_NAME) == 13
    assert {row.data for row in channel_interaction.ROWS} == {"CUB-200-2011", "FGVC-Aircraft", "Stanford Cars"}


@pytest.mark.parametrize("row", channel_interaction.ROWS, ids=BY_NAME)
def test_a_row_survives_a_file_and_stands_in_the_report(row: Row):
    assert recipe_from_json(recipe_to_json(row.recipe, KNOWN), KNOWN) == row.recipe
    assert row.ours == "not yet run"
    docstring = channel_interaction.__doc__ or ""
    assert f"{row.paper}" in docstring
    assert row.name.split("-")[0] in docstring
    assert row.recipe.model.backbone == f"{row.name.split('-')[1]}.tv_in1k"


def test_the_settings_are_the_papers():
    recipe = BY_NAME["cub-resnet50"].recipe
    (stage,) = recipe.stages
    assert (recipe.pixels.size, recipe.pixels.eval_size, recipe.batches) == (448, 448, Balanced(4, 5))
    assert (stage.epochs, stage.optimiser.lr, stage.optimiser.weight_decay) == (100, 0.001, 2e-4)
    assert isinstance(stage.schedule, StepDecay)
    assert [stage.schedule.at(epoch, 100) for epoch in (0, 19.9, 20, 99)] == [1, 1, 0.5, 0.5**4]
    term = ContrastiveChannelInteraction(4)
    assert (term.weight, term.margin, term.h.out_features) == (2.0, 0.5, 512)


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
    model = BY_NAME[name].recipe.model
    neck = None if model.neck is None else model.neck.build({"channels": 4})
    assert (neck.scale if isinstance(neck, SelfChannelInteraction) else None) == scale
    assert [term.build({"channels": 4}).operation for term in model.terms] == operations


def test_the_composition_is_the_row_but_for_the_length_of_h():
    model = BY_NAME["cub-resnet50"].recipe.model
    composition = channel_interaction.COMPOSITION
    assert (composition.neck, composition.batches) == (model.neck, Balanced(4, 5))
    assert composition.neck == Part(SelfChannelInteraction)
    assert model.terms == (Part(ContrastiveChannelInteraction),)
    assert composition.terms == (Part(ContrastiveChannelInteraction, {"normalise": True}),)
