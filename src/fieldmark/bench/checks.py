"""What is seen in seconds and would end a run after hours: mistakes of the plan, its data and earlier results."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fieldmark.bench.datasets import BenchData, read_data
from fieldmark.bench.execution import Executor
from fieldmark.bench.options import RunOptions, named
from fieldmark.bench.plan import PROBE, DataSource, Plan
from fieldmark.bench.planned_runs import PlannedRun, runs_of, trials_of
from fieldmark.bench.results import json_path
from fieldmark.building import Classes, refuse_parts
from fieldmark.data.dataset import labels_of
from fieldmark.data.opening import refuse_missing_splits, refuse_without_boxes
from fieldmark.data.outputs import refuse_folder
from fieldmark.errors import UserError, printable
from fieldmark.recipe import Recipe
from fieldmark.training.parameter_groups import refuse_unknown_groups


def datasets_of(plan: Plan, runs: Sequence[PlannedRun], options: RunOptions, folder: Path) -> dict[str, BenchData]:
    """The data sets of runs, from where the user or the plan says, by their names alone.

    Raises:
        UserError: nothing to read, no name of the plan's, or photos around the comparison's folder.
    """
    paths = named(options.data, option="--data")
    known = {name for entry in plan.entries for name in entry.data}
    if unknown := sorted(set(paths) - known):
        raise UserError(f"--data {unknown[0]}: the plan's data are called {', '.join(sorted(known))}")
    datasets: dict[str, BenchData] = {}
    for name in dict.fromkeys(run.data for run in runs):
        source = plan.sets.get(name, DataSource())
        path = paths.get(name) or source.path
        if path is None:
            raise UserError(f"where do the photos of {name} lie? say --data {name}=FOLDER")
        refuse_folder(folder, option="--out", photos=path)
        datasets[name] = read_data(name, path, source)
    return datasets


def refuse_mistakes(executor: Executor, runs: Sequence[PlannedRun], options: RunOptions) -> None:
    """Before a photo is opened: recipes can be made, fit the data by their names, and use the weights that were named.

    Raises:
        UserError: one of them is not so.
    """
    refuse_misfits(executor, runs)
    used: set[str] = set()
    for run, recipe in possible_recipes(executor, runs):
        used |= {recipe.model.weights, recipe.model.backbone}
        if run.entry.kind != PROBE:
            _refuse_mistyped(recipe, run, executor.machine.external)
    unused = sorted(set(executor.machine.weights) - used)
    if unused and not options.only:
        raise UserError(f"--weights {unused[0]}: no entry's weights or backbone are called that")


def possible_recipes(executor: Executor, runs: Sequence[PlannedRun]) -> Iterator[tuple[PlannedRun, Recipe]]:
    """The recipes that runs may come to follow, one seed of each."""
    for run in {(run.entry.name, run.data, run.trial): run for run in runs}.values():
        yield from ((run, recipe) for recipe in executor.possible(run))


def refuse_misfits(executor: Executor, runs: Sequence[PlannedRun]) -> None:
    """Raises ``UserError`` where a recipe does not fit its photos, by their names or, once they are cut, by the cut."""
    fitting: set[tuple[object, ...]] = set()
    for run, recipe in possible_recipes(executor, runs):
        asked = (run.data, run.entry.kind, recipe.train_on, recipe.batches, recipe.pixels.fit)
        if asked not in fitting:  # batches can take seconds to make
            _refuse_misfit(recipe, run, executor.datasets[run.data])
        fitting.add(asked)


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


def _refuse_mistyped(recipe: Recipe, run: PlannedRun, external: Classes) -> None:
    """Raises ``UserError`` for options and numbers that would end a run as soon as its turn comes."""
    try:
        refuse_parts(recipe, external)
        refuse_unknown_groups(recipe, external=external)
    except UserError as error:
        raise UserError(f"{run.entry.name} on {run.data}: {error}") from error


def _refuse_misfit(recipe: Recipe, run: PlannedRun, data: BenchData) -> None:
    """Raises ``UserError`` where a set has no photos in a split to train on, or makes no batches as the recipe says."""
    where = f"{run.entry.name} on {run.data}"
    if "test" in recipe.train_on:
        raise UserError(f"{where}: train_on names the test split, on which the final runs are measured")
    refuse_missing_splits(data.dataset, recipe.train_on, source=f"{where}: train_on")
    if run.entry.kind == PROBE:
        return
    try:
        recipe.batches.epoch(labels_of(data.of(recipe.train_on)), seed=run.seed, epoch=0)
        if recipe.pixels.fit == "box":
            refuse_without_boxes(data.dataset.photos)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
