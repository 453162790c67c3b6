"""From each number to its recipe, its seeds, its trials and its commit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from canned import SESSION, answers_of, failed, result_of

from fieldmark.batches import Balanced, Shuffled
from fieldmark.bench.comparing import Table, tables_of
from fieldmark.bench.making import commands_of, tuning_table, what_was_run
from fieldmark.bench.records import Result, read_results, write_result
from fieldmark.recipe import Model, Part, Pixels, Recipe, Sgd, Stage, recipe_to_json

RIGHT = np.random.default_rng(0).random(20) < 0.6
MODEL = Model(Part("Plain"), Part("Average"), Part("Linear"), "test_resnet", "w.safetensors")
RECIPE = Recipe(MODEL, Pixels(32, 48), Shuffled(16), (Stage(20, Sgd(lr=0.1, scales={"backbone": 0.1})),))
WITH_TERM = replace(MODEL, terms=(Part("PairwiseConfusion", {"weight": 10.0}),))
PLACE = "model.terms.0.weight"


def recorded(recipe: Recipe) -> dict[str, Any]:
    return json.loads(recipe_to_json(recipe))


def put(folder: Path, result: Result, recipe: Recipe) -> None:
    answers = None if result.trial is not None else answers_of(RIGHT)
    write_result(folder, replace(result, recipe=recorded(recipe)), answers)


def trial(number: int, changes: dict[str, Any], top1: float) -> Result:
    return replace(result_of("pc", 0, trial=number, top1=top1), asked={"trials": [changes]})


def compared(folder: Path, pc: Recipe) -> Table:
    """plain and pc with three seeds each, pc with three trials."""
    for seed in (10, 11, 12):
        put(folder, result_of("plain", seed), RECIPE)
        put(folder, replace(result_of("pc", seed), sessions=(SESSION | {"dirty": True},)), pc)
    for number, changes, top1 in ((0, {}, 0.5), (1, {PLACE: 2.0}, 0.75), (2, {"smoothing": 0.0}, 0.25)):
        short = replace(pc, stages=(replace(pc.stages[0], epochs=6),))
        put(folder, trial(number, changes, top1), replace(short, smoothing=changes.get("smoothing", 0.1)))
    (table,) = tables_of(folder)
    return table


def cells(text: str, entry: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {entry} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_tells_its_recipe_its_seeds_and_its_commit(tmp_path: Path) -> None:
    pc = replace(RECIPE, model=WITH_TERM, batches=Balanced(4, 5), stages=(Stage(60, RECIPE.stages[0].optimiser),))
    grid, *rest = what_was_run(compared(tmp_path, pc))
    assert cells(grid, "plain") == [
        *("plain", "Plain", "test_resnet, 32 (48 in test)", "20", "shuffled, 16", "Sgd 0.1, backbone × 0.1"),
        *("not tuned", "10, 11, 12", "2 min", "aaaaaaaaaa (dddddddd)"),
    ]
    assert cells(grid, "pc") == [
        *("pc", "Plain + PairwiseConfusion (weight 10)", "test_resnet, 32 (48 in test)", "60", "4 classes × 5 photos"),
        *("Sgd 0.1, backbone × 0.1", "weight of PairwiseConfusion 2, of 3 tried", "10, 11, 12", "2 min"),
        "aaaaaaaaaa+ (dddddddd)",
    ]
    alike = rest[0]
    assert alike.startswith("Further settings, the same in all trained rows: ")
    assert "`smoothing` 0.1" in alike
    assert rest[1] == "Photos, labels, splits: eeeeeeeeeeee; machine: a processor, 2 threads; programs: torch 2.0."


def test_settings_beyond_the_table_that_differ_are_told(tmp_path: Path) -> None:
    _, unlike, alike, *_ = what_was_run(compared(tmp_path, replace(RECIPE, model=WITH_TERM, ema=0.9)))
    assert unlike == "**Further settings in which rows differ:** `ema` 0 (plain), 0.9 (pc)."
    assert "`ema`" not in alike


def test_all_trials_are_told(tmp_path: Path) -> None:
    text = tuning_table(compared(tmp_path, replace(RECIPE, model=WITH_TERM)).results)
    assert text.splitlines()[2:] == [
        "| pc | as set (weight of PairwiseConfusion 10, label smoothing 0.1) | 50.0 | 20 | 6 | 0 |",
        "| pc | weight of PairwiseConfusion 2 | **75.0** | 20 | 6 | 0 |",
        "| pc | label smoothing 0 | 25.0 | 20 | 6 | 0 |",
    ]


def test_trials_of_several_seeds_failures_and_no_trials(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_result(tmp_path, replace(trial(0, {}, 0.5), key=f"pc{seed}", seed=seed))
    write_result(tmp_path, failed(trial(1, {PLACE: 2.0}, 0.0), "no memory"))
    write_result(tmp_path, replace(trial(0, {}, 0.25), key="plain", entry="plain", order=0))
    assert tuning_table(read_results(tmp_path)).splitlines()[2:] == [
        "| plain | as set (nothing varied) | **25.0** | 20 | unknown | 0 |",
        "| pc | as set (`model.terms.0.weight` by default) | **50.0** | 20 | unknown | 0, 1 |",
        "| pc | `model.terms.0.weight` 2 | failed |  |  | 0 |",
    ]
    assert tuning_table([]) == ""


def test_a_probe(tmp_path: Path) -> None:
    recipe = {"backbone": "test_resnet", "weights": "w.safetensors", "size": 32, "penalty": 0.01, "train_on": ["train"]}
    result = replace(result_of("probe", 0), recipe=recipe, weights_digest="1234")
    write_result(tmp_path, result, answers_of(RIGHT))
    (table,) = tables_of(tmp_path)
    grid, facts, _ = what_was_run(table)
    row = cells(grid, "probe")
    assert row[1:3] == ["logistic regression on frozen features, penalty 0.01", "test_resnet, 32"]
    assert row[6:8] == ["the penalty, by cross-validation inside the training photos", "none needed"]
    assert "weights: w.safetensors (1234)" in facts


def test_each_command_once(tmp_path: Path) -> None:
    for seed in (10, 11, 12):
        put(tmp_path, result_of("plain", seed), RECIPE)
    put(tmp_path, replace(result_of("plain", 13), command="fieldmark bench run other.toml"), RECIPE)
    (table,) = tables_of(tmp_path)
    assert commands_of(table) == ["fieldmark bench run birds.toml --out birds", "fieldmark bench run other.toml"]
