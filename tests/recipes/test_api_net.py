"""The rows of API-Net's tables: all there, each one setting away from the paper's own, and readable from a file."""

from dataclasses import replace

import pytest

from fieldmark.batches import Balanced
from fieldmark.recipe import Cosine, Part, Pixels, Recipe, Sgd, recipe_from_json, recipe_to_json
from fieldmark.recipes import api_net
from fieldmark.recipes.composition import UNSMOOTHED, Row

BY_NAME = {row.name: row for row in api_net.ROWS}
MAIN = BY_NAME["cub-resnet101"]


def test_every_table_has_its_rows():
    tables = [row.table for row in api_net.ROWS]
    counts = {f"Table {number}": tables.count(f"Table {number}") for number in range(1, 11)}
    # the best rows of Tables 1 to 5 are cub-resnet101 itself
    assert list(counts.values()) == [1, 6, 2, 8, 6, 3, 3, 3, 3, 3]
    assert len(BY_NAME) == len(api_net.ROWS) == 38
    assert (api_net.COMPOSITION.name, api_net.COMPOSITION.batches) == ("api-net", Balanced(4, 4))


@pytest.mark.parametrize("row", api_net.ROWS, ids=BY_NAME)
def test_a_row_survives_a_file_and_builds_what_it_names(row: Row):
    assert recipe_from_json(recipe_to_json(row.recipe)) == row.recipe
    assert row.ours == "not yet run"
    assert 83 < row.paper < 96
    docstring = api_net.__doc__ or ""
    assert f"{row.paper}" in docstring
    assert row.name.removeprefix("cub-resnet101-").split("-")[0] in docstring


def test_the_settings_are_the_papers():
    recipe: Recipe = MAIN.recipe
    (stage,) = recipe.stages
    assert stage.optimiser == Sgd(lr=0.01, momentum=0.9, nesterov=False, weight_decay=5e-4, decayed="all")
    assert stage.schedule == Cosine()
    assert (stage.epochs, stage.frozen, stage.frozen_epochs) == (100, ("backbone",), 8)
    assert recipe.batches == Balanced(30, 4)
    part = (448 / 512) ** 2  # of the stretched picture's area, and square as it is
    assert recipe.pixels == Pixels(
        448, 448, eval_crop=448 / 512, fit="stretch", min_scale=part, max_scale=part, ratio=1.0, flip=True
    )
    assert all(row.recipe.pixels == recipe.pixels for row in api_net.ROWS)
    assert recipe.model.method == Part("ApiNet")
    assert all(row.recipe.model.criterion == UNSMOOTHED for row in api_net.ROWS)
    (dogs,) = BY_NAME["dogs-densenet161"].recipe.stages
    assert (dogs.epochs, dogs.frozen_epochs, dogs.optimiser.lr) == (50, 12, 0.001)
    assert BY_NAME["aircraft-resnet50"].recipe.train_on == ("train", "val")
    assert BY_NAME["nabirds-resnet50"].recipe.model.backbone.startswith("resnet50.")


def test_an_ablation_differs_in_one_thing():
    for row in api_net.ROWS:
        if not row.name.startswith("cub-resnet101-"):
            continue
        other_batches = replace(row.recipe, batches=MAIN.recipe.batches)
        other_method = replace(row.recipe, model=replace(row.recipe.model, method=MAIN.recipe.model.method))
        assert (other_batches == MAIN.recipe) != (other_method == MAIN.recipe), row.name
    assert BY_NAME["cub-resnet101-baseline"].recipe.model.method == Part("Plain")
    assert BY_NAME["cub-resnet101-24x5"].recipe.batches == Balanced(24, 5)


def test_the_constructions_of_table_4():
    expected = {
        row.name.split("-")[-1]: (options["intra"], options["inter"], options.get("mates", 1), row.paper)
        for row in api_net.ROWS
        if row.table == "Table 4" and (options := row.recipe.model.method.options)
    }
    far, near = "dissimilar", "similar"
    assert expected == {
        "random": (None, None, 1, 86.4),
        "0d": (None, far, 2, 85.4),
        "0s": (None, near, 2, 87.2),
        "d0": (far, None, 2, 87.1),
        "s0": (near, None, 2, 87.6),
        "dd": (far, far, 1, 87.0),
        "sd": (near, far, 1, 87.4),
        "ds": (far, near, 1, 88.3),
    }
