"""``fieldmark train``: from a folder of photographs to a trained run on disk."""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from rich.console import Console

from fieldmark.batches import Shuffled
from fieldmark.building import Classes, build_learner, classes_named
from fieldmark.console import QUIET, tell, timed
from fieldmark.core import processes
from fieldmark.core.device import device_of, precision_of
from fieldmark.core.learner import Learner
from fieldmark.data.dataset import IMBALANCE, Photo
from fieldmark.data.opening import OpenedData
from fieldmark.evaluation.inference import infer
from fieldmark.evaluation.metrics import measure
from fieldmark.input.loading import Photographs
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.recipe import Recipe
from fieldmark.runs.checkpoint import MODEL, load_state, save_model
from fieldmark.runs.folder import RECIPE
from fieldmark.training.automatic import draft_of
from fieldmark.training.checks import refuse_unknown_groups
from fieldmark.training.estimate import Ahead, expected_seconds
from fieldmark.training.loop import Loop, Validate
from fieldmark.training.optim import refuse_groups
from fieldmark.training.place import clear, goes_on, own_place, pinned_splits, refuse_deletion
from fieldmark.training.preparing import Prepared, prepare_again, prepare_new
from fieldmark.training.runlog import CURVES, RunLog, clock, draw_curves
from fieldmark.training.settings import Destination, MachineSettings, Settings
from fieldmark.training.telling import told_of_cut

LOG = logging.getLogger(__name__)
ENOUGH_TO_CHOOSE = 1000
"""From so many validation photos on, the best epoch of a user's own data is kept instead of the last."""


def train(
    data: str | Path,
    destination: Destination,
    settings: Settings,
    *,
    console: Console,
    external: Sequence[str | type] = (),
    recipe: Recipe | None = None,
    opened: OpenedData | None = None,
) -> Path:
    """Trains a classifier and returns the run's folder.

    Args:
        data: a folder of class folders, a CSV or a benchmark's folder.
        destination: where the run goes.
        settings: what the user says; on ``--resume`` the run's own recipe counts.
        console: is told what happens.
        external: classes from elsewhere that a recipe's file names, or their names; those said as parts are known.
        recipe: what to follow, in place of ``settings.recipe.recipe`` or a choice for this machine; what the settings
            say comes in the place of its own.
        opened: the photographs of ``data``, where they were looked through before.

    Raises:
        UserError: what the user can mend.
        Interrupted: stopped, state saved.
    """
    source, run = Path(data), destination.folder(Path(data))
    settings = settings.checked()
    device = device_of(settings.machine.device)
    known = classes_named((*external, *settings.recipe.classes_said))
    processes.join(device)
    if not processes.is_first():
        console = QUIET

    held = ExitStack()

    def prepare() -> tuple[bool, Prepared]:
        held.enter_context(own_place(source, run, destination))
        if goes_on(run, destination):
            return True, prepare_again(source, run, console=console, external=known, opened=opened)
        pinned = pinned_splits(run, settings.data.splits)
        draft = draft_of(settings.recipe, device=device, external=known, recipe=recipe)
        refuse_unknown_groups(draft.recipe, external=known)
        prepared = prepare_new(source, run, settings, draft=draft, pinned=pinned, console=console, opened=opened)
        refuse_deletion(run, settings, prepared.dataset)
        return False, prepared

    with held:
        going_on, prepared = processes.from_first(prepare)
        overwrite = destination.overwrite
        _train(prepared, run, settings, going_on=going_on, overwrite=overwrite, external=known, console=console)
    return run


def _train(
    prepared: Prepared,
    run: Path,
    settings: Settings,
    *,
    going_on: bool,
    overwrite: bool,
    external: Classes,
    console: Console,
) -> None:
    """Trains what was prepared, in a folder that is this run's alone."""
    if going_on and _is_finished(run, prepared.recipe):
        tell(console, f"{run} is trained to the end of its {prepared.recipe.epochs} epochs; nothing is left to do")
        return
    if going_on and settings != Settings(machine=settings.machine):
        tell(console, f"going on with the settings of {run / RECIPE}; those of this command are left aside")
    fabric = _fabric(prepared.recipe, device_of(settings.machine.device))
    with timed("building the network"):
        learner = build_learner(
            prepared.recipe,
            classes=len(prepared.dataset.classes),
            counts=torch.tensor(prepared.counts),
            weights="none" if going_on else None,
            external=external,
        )
    refuse_groups(learner.parameter_groups(), prepared.recipe.stages)
    learner.to(device=fabric.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if not going_on and processes.is_first():
        # only now: a mistake in the command destroys no earlier run and leaves no half one
        if overwrite:
            clear(run)
        prepared.write(run)
    processes.wait_for_all()
    _run(prepared, learner, run, fabric=fabric, machine=settings.machine, console=console)


def _fabric(recipe: Recipe, device: str) -> Fabric:
    """Device, precision and, among several processes, the averaging of gradients."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces what the session says in plain words
    precision = precision_of(recipe.precision, device)
    if processes.world()[1] == 1:
        return Fabric(accelerator=device, devices=1, precision=precision)  # pyright: ignore[reportArgumentType]
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    strategy = DDPStrategy(find_unused_parameters=any(stage.frozen for stage in recipe.stages))
    fabric = Fabric(
        accelerator=device,
        devices=here,
        num_nodes=processes.world()[1] // here,
        strategy=strategy,
        precision=precision,  # pyright: ignore[reportArgumentType]
    )
    fabric.launch()
    return fabric


def _is_finished(run: Path, recipe: Recipe) -> bool:
    """Whether all epochs are done and the last file is written."""
    if not ((run / MODEL).is_file() and (run / CURVES).is_file()):
        return False
    state = load_state(run)
    return state is not None and len(state["position"]["rows"]) >= recipe.epochs


def _run(
    prepared: Prepared, learner: Learner, run: Path, *, fabric: Fabric, machine: MachineSettings, console: Console
) -> None:
    """Trains to the end and writes the model."""
    keep_freed_memory()
    recipe, dataset = prepared.recipe, prepared.dataset
    photos = Photographs(dataset.of(recipe.train_on), recipe.pixels, seed=recipe.seed, packed=dataset.pixels)
    with RunLog(run, console=console) as log:
        loop = Loop(learner, recipe, fabric=fabric, photos=photos, run=run, log=log)
        state = load_state(run)
        if state is not None:
            loop.restore(state)
        workers, precision = _workers(machine, fabric), precision_of(recipe.precision, fabric.device.type)
        LOG.info("device %s, precision %s, %d processes read photos", fabric.device, precision, workers)
        _announce(prepared, loop, console, workers=workers)
        if prepared.newly_cut:
            tell(console, told_of_cut(run))
        per_epoch = loop.plan.per_epoch
        log.begin(steps=recipe.epochs * per_epoch, per_epoch=per_epoch, done=loop.position.step)
        validate = _validator(prepared, loop, run, workers, machine.start)
        loop.train(workers=workers, start=machine.start, validate=validate)
    if loop.average:
        loop.average.swap()
    if processes.is_first():
        if loop.position.best < 0 or not (run / MODEL).is_file():
            save_model(run, learner)
        draw_curves(run / CURVES, loop.position.rows)
    processes.wait_for_all()
    tell(console, f"trained in {clock(loop.position.seconds)}; the run lies in {run}")


def _workers(machine: MachineSettings, fabric: Fabric) -> int:
    """One process reads ahead of a processor that computes; several feed a GPU."""
    if machine.workers is not None:
        return machine.workers
    cores = torch.multiprocessing.cpu_count()
    return 1 if fabric.device.type == "cpu" else max(1, min(cores - 1, 12))


def _announce(prepared: Prepared, loop: Loop, console: Console, *, workers: int) -> None:
    """What is about to happen and how long it will take."""
    recipe, dataset = prepared.recipe, prepared.dataset
    per_batch = len(recipe.batches.epoch(loop.labels, seed=recipe.seed, epoch=0)[0])
    steps, count = recipe.epochs * loop.plan.per_epoch - loop.position.step, loop.plan.share[1]
    ahead = Ahead(
        steps=steps,
        per_batch=-(-per_batch // count),
        epochs=-(-steps // loop.plan.per_epoch),
        measured=-(-len(_validated(prepared)) // count),
        workers=workers,
    )
    seconds = expected_seconds(loop.learner, recipe, fabric=loop.fabric, photos=loop.photos, ahead=ahead)
    splits, model = " + ".join(recipe.train_on), recipe.model
    tell(console, f"{len(loop.labels):,} photos of {len(dataset.classes)} classes ({dataset.layout}, {splits})")
    tell(
        console,
        f"{model.backbone} from {model.weights}, {recipe.pixels.size} px, epochs: {recipe.epochs}, "
        f"batches of {per_batch}, seed {recipe.seed}, {loop.fabric.device.type}",
    )
    tell(console, f"expected time: about {clock(seconds)}" + (" (going on)" if loop.position.step else ""))
    if prepared.about.headline != "top1" and not _balances(recipe):
        uneven = f"the largest class has {IMBALANCE} times the photos of the smallest, or more"
        tell(console, f"{uneven}: mean per-class accuracy counts; consider --balance logit-adjust")


def _balances(recipe: Recipe) -> bool:
    """Whether something is done about uneven classes, as ``--balance`` asks for."""
    even = isinstance(recipe.batches, Shuffled) and recipe.batches.even
    return even or recipe.model.criterion.options.get("adjust") is True


def _validated(prepared: Prepared) -> tuple[Photo, ...]:
    """The photos measured after each epoch: the validation split, unless it is trained on."""
    return () if "val" in prepared.recipe.train_on else prepared.dataset.of(["val"])


def _validator(prepared: Prepared, loop: Loop, run: Path, workers: int, start: str | None) -> Validate | None:
    """Measures the validation split after an epoch, if there is one that is not trained on."""
    recipe, dataset = prepared.recipe, prepared.dataset
    chosen = _validated(prepared)
    if not chosen:
        return None
    photos = Photographs(chosen, recipe.pixels, packed=dataset.pixels)
    labels = np.array([photo.label for photo in chosen])
    keeps_best = prepared.data.was_cut and len(chosen) >= ENOUGH_TO_CHOOSE
    method = loop.learner.method

    def validate() -> Mapping[str, float]:
        metrics = measure(infer(method, photos, method=method, workers=workers, start=start).values, labels)
        figure = metrics.top1 if prepared.about.headline == "top1" else metrics.mean_per_class
        if keeps_best and figure > loop.position.best:
            loop.position.best = figure
            if processes.is_first():
                save_model(run, loop.learner)
        return {"val_top1": metrics.top1, "val_per_class": metrics.mean_per_class}

    return validate
