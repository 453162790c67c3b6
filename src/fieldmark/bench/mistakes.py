"""What is seen in seconds and would end a run after hours: mistakes of the plan, its data and earlier results."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fieldmark.bench.material import Material, read_material
from fieldmark.bench.options import RunOptions, named
from fieldmark.bench.plan import PROBE, Place, Plan
from fieldmark.bench.planned_runs import PlannedRun, runs_of, trials_of
from fieldmark.bench.results import json_path
from fieldmark.bench.work import Worker
from fieldmark.building import Classes, refuse_parts
from fieldmark.data.dataset import labels_of
from fieldmark.data.opening import refuse_missing_splits, refuse_without_boxes
from fieldmark.errors import UserError, printable
from fieldmark.recipe import Recipe
from fieldmark.training.parameter_groups import refuse_unknown_groups


def materials_of(plan: Plan, jobs: Sequence[PlannedRun], options: RunOptions, folder: Path) -> dict[str, Material]:
    """The data sets of runs, from where the user or the plan says, by their names alone.

    Raises:
        UserError: nothing to read, no name of the plan's, or photos around the comparison's folder.
    """
    paths = named(options.data, option="--data")
    known = {name for entry in plan.entries for name in entry.data}
    if unknown := sorted(set(paths) - known):
        raise UserError(f"--data {unknown[0]}: the plan's data are called {', '.join(sorted(known))}")
    found: dict[str, Material] = {}
    for name in dict.fromkeys(job.data for job in jobs):
        place = plan.sets.get(name, Place())
        path = paths.get(name) or place.path
        if path is None:
            raise UserError(f"where do the photos of {name} lie? say --data {name}=FOLDER")
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise UserError(f"--out {printable(str(folder))}: choose a folder outside of the photos of {name}")
        found[name] = read_material(name, path, place)
    return found


def refuse_mistakes(worker: Worker, jobs: Sequence[PlannedRun], options: RunOptions) -> None:
    """Before a photo is opened: recipes can be made, fit the data by their names, and use the weights that were named.

    Raises:
        UserError: one of them is not so.
    """
    refuse_misfits(worker, jobs)
    used: set[str] = set()
    for job, recipe in possible_recipes(worker, jobs):
        used |= {recipe.model.weights, recipe.model.backbone}
        if job.entry.kind != PROBE:
            _refuse_mistyped(recipe, job, worker.machine.external)
    unused = sorted(set(worker.machine.weights) - used)
    if unused and not options.only:
        raise UserError(f"--weights {unused[0]}: no entry's weights or backbone are called that")


def possible_recipes(worker: Worker, jobs: Sequence[PlannedRun]) -> Iterator[tuple[PlannedRun, Recipe]]:
    """The recipes that runs may come to follow, one seed of each."""
    for job in {(job.entry.name, job.data, job.trial): job for job in jobs}.values():
        yield from ((job, recipe) for recipe in worker.possible(job))


def refuse_misfits(worker: Worker, jobs: Sequence[PlannedRun]) -> None:
    """Raises ``UserError`` where a recipe does not fit its photos, by their names or, once they are cut, by the cut."""
    fitting: set[tuple[object, ...]] = set()
    for job, recipe in possible_recipes(worker, jobs):
        asked = (job.data, job.entry.kind, recipe.train_on, recipe.batches, recipe.pixels.fit)
        if asked not in fitting:  # batches can take seconds to make
            _refuse_misfit(recipe, job, worker.materials[job.data])
        fitting.add(asked)


def refuse_other_records(worker: Worker, jobs: Sequence[PlannedRun]) -> None:
    """Raises ``UserError`` where the folder holds a run made otherwise than the plan says now.

    All of the plan's runs are looked at, as all stand in one table, also where this call works a few of them alone.
    """
    plan = worker.plan
    every = {one.key: one for final in (*jobs, *runs_of(plan)) for one in (final, *trials_of(plan, final))}
    for job in (job for job in every.values() if job.data in worker.materials):
        result = worker.recorded(job)
        if result is not None and (misfit := worker.misfit(result, job)):
            path = printable(str(json_path(worker.folder, job.key)))
            raise UserError(f"{path}: {misfit};\ntake another --out, or move the file away")


def _refuse_mistyped(recipe: Recipe, job: PlannedRun, external: Classes) -> None:
    """Raises ``UserError`` for options and numbers that would end a run as soon as its turn comes."""
    try:
        refuse_parts(recipe.model, external)
        refuse_unknown_groups(recipe, external=external)
    except UserError as error:
        raise UserError(f"{job.entry.name} on {job.data}: {error}") from error


def _refuse_misfit(recipe: Recipe, job: PlannedRun, material: Material) -> None:
    """Raises ``UserError`` where a set has no photos in a split to train on, or makes no batches as the recipe says."""
    where = f"{job.entry.name} on {job.data}"
    if "test" in recipe.train_on:
        raise UserError(f"{where}: train_on names the test split, on which the final runs are measured")
    refuse_missing_splits(material.dataset, recipe.train_on, said=f"{where}: train_on")
    if job.entry.kind == PROBE:
        return
    try:
        recipe.batches.epoch(labels_of(material.of(recipe.train_on)), seed=job.seed, epoch=0)
        if recipe.pixels.fit == "box":
            refuse_without_boxes(material.dataset.photos)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
