"""``fieldmark train``: from a folder of photographs to a trained run on disk."""

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
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
from fieldmark.plain import several
from fieldmark.recipe import External, Recipe
from fieldmark.recipes import COMPOSITIONS
from fieldmark.runs.checkpoint import MODEL, load_state, save_model
from fieldmark.runs.folder import RECIPE, write_start
from fieldmark.training.automatic import draft_of
from fieldmark.training.candidates import best_candidate, candidates_of
from fieldmark.training.destination import clear, locked_folder, pinned_splits, refuse_deletion, resumes_run
from fieldmark.training.estimate import Ahead, expected_seconds
from fieldmark.training.loop import Loop, Validate
from fieldmark.training.optim import refuse_groups
from fieldmark.training.parameter_groups import refuse_unknown_groups
from fieldmark.training.preparing import Prepared, prepare_again, prepare_new
from fieldmark.training.runlog import CURVES, RunLog, clock, draw_curves
from fieldmark.training.settings import Destination, MachineSettings, Settings
from fieldmark.training.split_notices import cut_notice
from fieldmark.training.starting import begin_as_probe, start_lines

LOG = logging.getLogger(__name__)
ENOUGH_TO_CHOOSE = 1000
"""With this many validation photos or more, the best epoch on a user's own data is kept instead of the last."""


def train(
    data: str | Path,
    destination: Destination,
    settings: Settings,
    *,
    console: Console,
    external: External = (),
    recipe: Recipe | None = None,
    opened: OpenedData | None = None,
) -> Path:
    """Trains a classifier and returns the run's folder.

    Args:
        data: a folder of class folders, a CSV or a benchmark's folder.
        destination: where the run goes.
        settings: those of the user; ``--resume`` keeps the run's own recipe.
        console: for progress and notices.
        external: classes of the user's own that a recipe's file names, or their names; those in ``settings`` need not
            be given again.
        recipe: what to follow, instead of ``settings.recipe.recipe`` or a choice for this machine; ``settings``
            override its own.
        opened: the photographs of ``data``, if they were scanned before.

    Raises:
        UserError: a mistake that the user can correct.
        Interrupted: the user stopped the run; its state is saved.
    """
    source, run = Path(data), destination.folder(Path(data))
    settings = settings.checked()
    device = device_of(settings.machine.device)
    known = classes_named((*several(external), *settings.recipe.external_names))
    processes.join(device)
    if not processes.is_first():
        console = QUIET

    held = ExitStack()

    def prepare() -> tuple[bool, Prepared]:
        held.enter_context(locked_folder(source, run, destination))
        if resumes_run(run, destination):
            return True, prepare_again(source, run, console=console, external=known, opened=opened)
        pinned = pinned_splits(run, settings.data.splits)
        candidates = candidates_of(settings.recipe)
        drafts = [draft_of(candidate, device=device, external=known, recipe=recipe) for candidate in candidates]
        for draft in drafts:
            refuse_unknown_groups(draft.recipe, external=known)
        choose = partial(best_candidate, device=device, external=known, workers=settings.machine.workers or 0)
        prepared = prepare_new(
            source, run, settings, drafts=drafts, choose=choose, pinned=pinned, console=console, opened=opened
        )
        refuse_deletion(run, settings, prepared.dataset)
        return False, prepared

    with held:
        resumed, prepared = processes.from_first(prepare)
        overwrite = destination.overwrite
        _train(prepared, run, settings, resumed=resumed, overwrite=overwrite, external=known, console=console)
    return run


def _train(
    prepared: Prepared,
    run: Path,
    settings: Settings,
    *,
    resumed: bool,
    overwrite: bool,
    external: Classes,
    console: Console,
) -> None:
    """Trains what was prepared, in a folder that is locked for this run."""
    if resumed and _is_finished(run, prepared.recipe):
        tell(console, f"{run} has finished all of its {prepared.recipe.epochs} epochs; nothing is left to do")
        return
    if resumed and settings != Settings(machine=settings.machine):
        tell(console, f"continuing with the settings of {run / RECIPE}; those of this command are ignored")
    fabric = fabric_of(prepared.recipe, device_of(settings.machine.device))
    with timed("building the network"):
        learner = build_learner(
            prepared.recipe,
            classes=len(prepared.dataset.classes),
            counts=torch.tensor(prepared.counts),
            weights="none" if resumed else None,
            external=external,
        )
    recipe, backbone = prepared.recipe, learner.method.classifier.backbone
    backbone.freeze(stages=recipe.frozen_stages, norms=recipe.frozen_norms)
    refuse_groups(learner.parameter_groups(), recipe.stages)
    learner.to(device=fabric.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if not resumed and processes.is_first():
        # not before, so that a mistake in the command neither destroys an earlier run nor leaves half of one
        if overwrite:
            clear(run)
        prepared.write(run)
    processes.wait_for_all()
    if recipe.start == "probe" and not resumed:
        workers = _workers(settings.machine, fabric)
        start = begin_as_probe(learner.method, prepared.data, recipe, workers=workers, console=console)
        write_start(run, start)
        tell(console, *start_lines(start, prepared.dataset))
    _run(prepared, learner, run, fabric=fabric, machine=settings.machine, console=console)


def fabric_of(recipe: Recipe, device: str) -> Fabric:
    """Device, precision and, among several processes, the averaging of gradients."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the session says it in plain words
    kind, _, number = device.partition(":")
    precision = _precision(precision_of(recipe.precision, device), kind)
    if processes.world()[1] == 1:
        return Fabric(accelerator=kind, devices=[int(number)] if number else 1, plugins=precision)
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    strategy = DDPStrategy(find_unused_parameters=any(stage.frozen for stage in recipe.stages))
    fabric = Fabric(
        accelerator=kind,
        devices=local,
        num_nodes=processes.world()[1] // local,
        strategy=strategy,
        plugins=precision,
    )
    fabric.launch()
    return fabric


def _precision(precision: str, kind: str) -> Precision:
    """For fp16 with a scaler of the loss, on a CPU too, where Fabric itself would take bf16 instead."""
    if precision == "fp32":
        return Precision()
    return MixedPrecision("16-mixed" if precision == "fp16" else "bf16-mixed", device=kind)


def _is_finished(run: Path, recipe: Recipe) -> bool:
    """Whether all epochs are done and the last file is written."""
    if not ((run / MODEL).is_file() and (run / CURVES).is_file()):
        return False
    state = load_state(run)
    return state is not None and len(state["position"]["rows"]) >= recipe.epochs


def _run(
    prepared: Prepared, learner: Learner, run: Path, *, fabric: Fabric, machine: MachineSettings, console: Console
) -> None:
    """Trains to the end and saves the model."""
    keep_freed_memory()
    recipe, dataset = prepared.recipe, prepared.dataset
    photos = Photographs(dataset.of(recipe.train_on), recipe.pixels, seed=recipe.seed, packed=dataset.pixels)
    with RunLog(run, console=console, headline=prepared.about.headline) as log:
        loop = Loop(learner, recipe, fabric=fabric, photos=photos, run=run, log=log)
        state = load_state(run)
        if state is not None:
            loop.restore(state)
        workers, precision = _workers(machine, fabric), precision_of(recipe.precision, str(fabric.device))
        LOG.info("device %s, precision %s, %d processes read photos", fabric.device, precision, workers)
        _announce(prepared, loop, console, workers=workers)
        if prepared.newly_cut:
            tell(console, cut_notice(run))
        per_epoch = loop.plan.per_epoch
        log.begin(steps=recipe.epochs * per_epoch, per_epoch=per_epoch, done=loop.position.step)
        validate = _validator(prepared, loop, run, workers, machine.start_method)
        loop.train(workers=workers, start=machine.start_method, validate=validate)
    if loop.average:
        loop.average.swap()
    if processes.is_first():
        if loop.position.best < 0 or not (run / MODEL).is_file():
            save_model(run, learner)
        draw_curves(run / CURVES, loop.position.rows)
    processes.wait_for_all()
    tell(console, f"trained in {clock(loop.position.seconds)}; the run is in {run}")


def _workers(machine: MachineSettings, fabric: Fabric) -> int:
    """The processes that read ahead: one for training on a CPU, several for a GPU."""
    if machine.workers is not None:
        return machine.workers
    cores = torch.multiprocessing.cpu_count()
    return 1 if fabric.device.type == "cpu" else max(1, min(cores - 1, 12))


def _announce(prepared: Prepared, loop: Loop, console: Console, *, workers: int) -> None:
    """Says what is about to happen and how long it will take."""
    recipe, dataset = prepared.recipe, prepared.dataset
    per_batch = len(recipe.batches.epoch(loop.labels, seed=recipe.seed, epoch=0)[0])
    steps, count = recipe.epochs * loop.plan.per_epoch - loop.position.step, loop.plan.share[1]
    ahead = Ahead(
        steps=steps,
        per_batch=-(-per_batch // count),
        epochs=-(-steps // loop.plan.per_epoch),
        measured=-(-len(_validation_photos(prepared)) // count),
        workers=workers,
    )
    seconds = expected_seconds(loop.learner, recipe, fabric=loop.fabric, photos=loop.photos, ahead=ahead)
    splits, model = " + ".join(recipe.train_on), recipe.model
    tell(console, f"{len(loop.labels):,} photos of {len(dataset.classes)} classes ({dataset.layout}, {splits})")
    tell(
        console,
        f"{model.backbone} from {model.weights}, {recipe.pixels.size} px, epochs: {recipe.epochs}, "
        f"batches of {per_batch}, seed {recipe.seed}, {str(loop.fabric.device).removesuffix(':0')}",
    )
    if note := loop.learner.method.classifier.backbone.note:
        tell(console, note)
    tell(console, f"expected time: about {clock(seconds)}" + (" (resumed)" if loop.position.step else ""))
    tell(console, *(line for paper in COMPOSITIONS for line in paper.notices(model, len(dataset.classes))))
    if prepared.about.headline != "top1" and not _balances(recipe):
        uneven = f"the largest class has {IMBALANCE} times the photos of the smallest, or more"
        tell(console, f"{uneven}: look at mean per-class accuracy, and consider --balance logit-adjust")


def _balances(recipe: Recipe) -> bool:
    """Whether the recipe has a remedy for uneven classes, such as ``--balance`` gives it."""
    even = isinstance(recipe.batches, Shuffled) and recipe.batches.even
    return even or recipe.model.criterion.options.get("adjust") is True


def _validation_photos(prepared: Prepared) -> tuple[Photo, ...]:
    """The photos measured after each epoch: the validation split, unless it is trained on."""
    return () if "val" in prepared.recipe.train_on else prepared.dataset.of(["val"])


def _validator(prepared: Prepared, loop: Loop, run: Path, workers: int, start: str | None) -> Validate | None:
    """What measures the validation split after an epoch; None where there is no such split, or it is trained on."""
    recipe, dataset = prepared.recipe, prepared.dataset
    chosen = _validation_photos(prepared)
    if not chosen:
        return None
    photos = Photographs(chosen, recipe.pixels, packed=dataset.pixels)
    keeps_best = prepared.data.was_cut and len(chosen) >= ENOUGH_TO_CHOOSE
    method, told = loop.learner.method, set[str]()

    def validate() -> Mapping[str, float]:
        read = infer(method, photos, method=method, workers=workers, start=start)
        for line in (photo.line for photo in read.unread if photo.line not in told):
            told.add(line)
            loop.log.note(f"became unreadable, left out of validation: {line}")
        metrics = measure(read.values, read.labels)
        figure = metrics.top1 if prepared.about.headline == "top1" else metrics.mean_per_class
        if keeps_best and figure > loop.position.best:
            loop.position.best = figure
            if processes.is_first():
                save_model(run, loop.learner)
        return {"val_top1": metrics.top1, "val_per_class": metrics.mean_per_class}

    return validate
