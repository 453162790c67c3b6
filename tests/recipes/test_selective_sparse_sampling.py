"""The rows of S3N's tables: complete, readable, buildable, and one setting apart."""

from dataclasses import replace

import pytest

from fieldmark.building import build_learner
from fieldmark.recipe import Part, recipe_from_json, recipe_to_json
from fieldmark.recipes import selective_sparse_sampling
from fieldmark.recipes.composition import Row
from fieldmark.recipes.selective_sparse_sampling import COMPOSITION, ROWS
from fieldmark.training.optim import make_optimiser

BY_NAME = {row.name: row for row in ROWS}
FULL = BY_NAME["cub-resnet50"]
WITHOUT_A_FIGURE = ("delta01", "delta03", "all-peaks", "released")
RELEASED = BY_NAME["cub-resnet50-released"]


def test_the_tables_rows_are_there_once():
    assert len(BY_NAME) == len(ROWS) == 17
    tables = [row.table for row in ROWS if row.paper is not None]
    assert {table: tables.count(table) for table in tables} == {"Table 5": 5, "Table 2": 4, "Table 3": 2, "Table 4": 2}
    assert COMPOSITION.method == Part("S3N")
    report = selective_sparse_sampling.__doc__ or ""
    assert all(f"{row.paper:.1f}" in report for row in ROWS if row.paper is not None)
    assert [row.name for row in ROWS if row.paper is None] == [f"{FULL.name}-{name}" for name in WITHOUT_A_FIGURE]
    assert all(f"ow {name} " in report for name in WITHOUT_A_FIGURE)


@pytest.mark.parametrize("row", [row for row in ROWS if row != RELEASED], ids=lambda row: row.name)
def test_a_row_is_the_papers_setting_but_for_what_it_varies(row: Row):
    assert recipe_from_json(recipe_to_json(row.recipe)) == row.recipe
    method = row.recipe.model.method
    assert len(method.options) == (0 if row.name.endswith("-resnet50") else 1)
    whole = replace(row.recipe, model=replace(row.recipe.model, method=Part("S3N")), train_on=("train",))
    assert whole == FULL.recipe
    assert row.recipe.train_on == (("train", "val") if row.data == "FGVC-Aircraft" else ("train",))


@pytest.mark.parametrize("row", ROWS, ids=BY_NAME)
def test_a_row_builds_and_learns_at_the_papers_rates(row: Row):
    small = replace(row.recipe, model=replace(row.recipe.model, backbone="test_resnet", weights="none"))
    learner = build_learner(small, classes=5)
    (stage,) = row.recipe.stages
    optimiser = make_optimiser(learner.parameter_groups(), stage.optimiser)
    rates = {group["name"]: group["lr"] * group["scale"] for group in optimiser.param_groups}
    assert {"backbone", "head"} <= set(rates)
    assert rates.pop("backbone") == pytest.approx(0.001)
    if row == RELEASED:
        own = {"radii": 1e-7, "kernel": 1e-7, "convolutions": 0.001}
        assert {name: rates.pop(name) for name in own} == pytest.approx(own)
    assert set(rates.values()) == {0.01}
    assert (stage.epochs, row.recipe.batches.epoch([0] * 64, seed=0, epoch=0)[0].shape) == (60, (16,))
