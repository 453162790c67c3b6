"""What is seen in seconds and would end a run after hours: mistakes of the plan, its data and earlier results."""

from collections.abc import Sequence
from pathlib import Path

from fieldmark.bench.material import Material, read_material
from fieldmark.bench.options import RunOptions, named
from fieldmark.bench.plan import PROBE, Place, Plan
from fieldmark.bench.planned_runs import PlannedRun, runs_of, trials_of
from fieldmark.bench.results import json_path
from fieldmark.bench.work import Worker
from fieldmark.building import Classes, refuse_parts
from fieldmark.errors import UserError, printable
from fieldmark.recipe import Recipe
from fieldmark.training.checks import refuse_unknown_groups
from fieldmark.training.preparing import refuse_without_boxes


def materials_of(plan: Plan, jobs: Sequence[PlannedRun], options: RunOptions, folder: Path) -> dict[str, Material]:
    """The data sets of runs, from where the user or the plan says.

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
        found[name] = read_material(name, path, place, folder=folder)
    return found


def refuse_mistakes(worker: Worker, jobs: Sequence[PlannedRun], options: RunOptions) -> None:
    """Before hours of work: recipes can be made and fit their data, weights are used, and earlier results fit.

    Raises:
        UserError: one of them is not so.
    """
    used: set[str] = set()
    fitting: list[tuple[str, Recipe]] = []
    for job in {(job.entry.name, job.data, job.trial): job for job in jobs}.values():
        for recipe in worker.possible(job):
            used |= {recipe.model.weights, recipe.model.backbone}
            if not any(name == job.data and _alike(recipe, known) for name, known in fitting):
                _refuse_misfit(recipe, job, worker.materials[job.data])
                fitting.append((job.data, recipe))
            if job.entry.kind != PROBE:
                _refuse_mistyped(recipe, job, worker.machine.external)
    unused = sorted(set(worker.machine.weights) - used)
    if unused and not options.only:
        raise UserError(f"--weights {unused[0]}: no entry's weights or backbone are called that")
    _refuse_other_records(worker, jobs)


def _refuse_other_records(worker: Worker, jobs: Sequence[PlannedRun]) -> None:
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


def _alike(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes ask the same of their data; batches can take seconds to make."""
    return (one.train_on, one.batches, one.pixels.fit) == (other.train_on, other.batches, other.pixels.fit)


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
    there = ", ".join(sorted({photo.split for photo in material.dataset.photos if photo.split}))
    if "test" in recipe.train_on:
        raise UserError(f"{where}: train_on names the test split, on which the final runs are measured")
    for split in recipe.train_on:
        if not material.dataset.of([split]):
            raise UserError(f"{where}: train_on names the split {printable(split)!r}, and the photos have {there}")
    if job.entry.kind == PROBE:
        return
    labels = [-1 if photo.label is None else photo.label for photo in material.dataset.of(recipe.train_on)]
    try:
        recipe.batches.epoch(labels, seed=job.seed, epoch=0)
        refuse_without_boxes(material.dataset, recipe)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
