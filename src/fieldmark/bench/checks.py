"""What is seen in seconds and would end a run after hours: mistakes of the plan, its data and earlier results."""

from collections.abc import Iterator, Sequence

from fieldmark.bench.execution import Executor
from fieldmark.bench.plan import PROBE
from fieldmark.bench.planned_runs import PlannedRun, runs_of, trials_of
from fieldmark.bench.results import json_path
from fieldmark.building import refuse_parts
from fieldmark.data.dataset import labels_of
from fieldmark.data.opening import refuse_missing_splits, refuse_without_boxes
from fieldmark.errors import UserError, printable
from fieldmark.recipe import Recipe
from fieldmark.training.parameter_groups import refuse_unknown_groups


def possible_recipes(executor: Executor, runs: Sequence[PlannedRun]) -> Iterator[tuple[PlannedRun, Recipe]]:
    """The recipes that runs may come to follow, one seed of each."""
    for run in {(run.entry.name, run.data, run.trial): run for run in runs}.values():
        yield from ((run, recipe) for recipe in executor.possible(run))


def refuse_mistyped(executor: Executor, runs: Sequence[PlannedRun]) -> None:
    """Raises ``UserError`` for options and numbers that would end a run as soon as its turn comes."""
    external = executor.machine.external
    for run, recipe in possible_recipes(executor, runs):
        if run.entry.kind == PROBE:
            continue
        try:
            refuse_parts(recipe.model, external)
            refuse_unknown_groups(recipe, external=external)
        except UserError as error:
            raise UserError(f"{run.entry.name} on {run.data}: {error}") from error


def refuse_misfits(executor: Executor, runs: Sequence[PlannedRun]) -> None:
    """Raises ``UserError`` where a recipe does not fit its photos, by their names or, once they are cut, by the cut.

    So is one with no photos in a split to train on, or that makes no batches of them as it says.
    """
    fitting: set[tuple[object, ...]] = set()
    for run, recipe in possible_recipes(executor, runs):
        where, data = f"{run.entry.name} on {run.data}", executor.datasets[run.data]
        if "test" in recipe.train_on:
            raise UserError(f"{where}: train_on names the test split, on which the final runs are measured")
        refuse_missing_splits(data.dataset, recipe.train_on, source=f"{where}: train_on")
        asked = (run.data, recipe.train_on, recipe.batches, recipe.pixels.fit)
        if run.entry.kind == PROBE or asked in fitting:  # batches can take seconds to make
            continue
        fitting.add(asked)
        try:
            recipe.batches.epoch(labels_of(data.of(recipe.train_on)), seed=run.seed, epoch=0)
            if recipe.pixels.fit == "box":
                refuse_without_boxes(data.dataset.photos)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error


def refuse_other_records(executor: Executor, runs: Sequence[PlannedRun]) -> None:
    """Raises ``UserError`` where the folder holds a run made otherwise than the plan says now.

    All of the plan's runs are looked at, as all stand in one table, also where this call works a few of them alone.
    """
    plan = executor.plan
    every = {run.key: run for final in (*runs, *runs_of(plan)) for run in (final, *trials_of(plan, final))}
    for run in (run for run in every.values() if run.data in executor.datasets):
        result = executor.recorded(run)
        if result is not None and (misfit := executor.misfit(result, run)):
            path = printable(str(json_path(executor.folder, run.key)))
            raise UserError(f"{path}: {misfit};\ntake another --out, or move the file away")
