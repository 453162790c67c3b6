"""``fieldmark train``: from a folder of photographs to a trained run on disk."""

import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy
from rich.console import Console

from fieldmark.building import Classes, build_learner, classes_named
from fieldmark.console import QUIET, tell, working
from fieldmark.core import processes
from fieldmark.core.device import device_of, precision_of
from fieldmark.core.learner import Learner
from fieldmark.data.opening import OpenedData
from fieldmark.errors import Interrupted, UserError, printable
from fieldmark.input.loading import Photographs
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.plain import several
from fieldmark.recipe import External, Recipe
from fieldmark.runs.checkpoint import EPOCHS, MODEL, load_state
from fieldmark.runs.folder import METRICS, RECIPE, read_run, write_run, write_start
from fieldmark.training.announcing import announce, announce_length, kept_lines
from fieldmark.training.automatic import draft_of, epochs_after, rate_share
from fieldmark.training.candidates import best_candidate, candidates_of
from fieldmark.training.course import as_recorded
from fieldmark.training.destination import clear, kept_cut, locked_folder, pinned_splits, refuse_deletion, resumes_run
from fieldmark.training.estimate import CLOSING, UNLOADING, Budget
from fieldmark.training.interrupts import stop_notice
from fieldmark.training.loop import Loop
from fieldmark.training.optim import refuse_groups
from fieldmark.training.overrides import with_settings
from fieldmark.training.parameter_groups import refuse_unknown_groups
from fieldmark.training.preparing import Prepared, prepare_again, prepare_new
from fieldmark.training.runlog import CURVES, RunLog, clock, draw_curves, write_metrics
from fieldmark.training.settings import Destination, MachineSettings, RecipeSettings, Settings
from fieldmark.training.split_notices import cut_notice
from fieldmark.training.starting import begin_as_probe, start_lines
from fieldmark.training.validation import Validation, validation_photos

LOG = logging.getLogger(__name__)
ENOUGH_TO_CHOOSE = 1000
"""With this many validation photos or more, the best epoch on a user's own data is kept instead of the last."""


@dataclass(frozen=True)
class _Command:
    """What the user asked for.

    ``begun`` is the moment when, on the clock of ``time.perf_counter``, put back by what is set aside for the end;
    ``files`` are the epochs whose weights get a file of their own.
    """

    run: Path
    settings: Settings
    external: Classes
    console: Console
    begun: float
    budget: Budget | None = None
    files: tuple[int, ...] = ()

    @property
    def length_option(self) -> str | None:
        """The option that says how long the run is to be, besides the recipe."""
        epochs = self.settings.recipe.epochs
        return f"--time {self.budget.words}" if self.budget else f"--epochs {epochs}" if epochs else None


def train(
    data: str | Path,
    destination: Destination,
    settings: Settings,
    *,
    console: Console,
    external: External = (),
    recipe: Recipe | None = None,
    opened: OpenedData | None = None,
    begun: float | None = None,
) -> Path:
    """Trains a classifier and returns the run's folder.

    Args:
        data: a folder of class folders, a CSV or a benchmark's folder.
        destination: where the run goes.
        settings: those of the user; ``--resume`` keeps the run's own recipe, but for the number of epochs.
        console: for progress and notices.
        external: classes of the user's own that a recipe's file names, or their names; those in ``settings`` need not
            be given again.
        recipe: what to follow, instead of ``settings.recipe.recipe`` or a choice for this machine; ``settings``
            override its own.
        opened: the photographs of ``data``, if they were scanned before.
        begun: when the command began, on the clock of ``time.perf_counter``; by default now.

    Raises:
        UserError: a mistake that the user can correct.
        Interrupted: the user stopped the run.
    """
    source = Path(data).expanduser()
    run = destination.folder(source).expanduser()
    now = time.perf_counter()
    begun = now if begun is None else begun
    begun -= CLOSING + UNLOADING * (now - begun)
    settings = settings.checked()
    budget, files = _budget(settings, begun), settings.machine.epochs_kept
    known = classes_named((*several(external), *settings.recipe.external_names))
    processes.join(device_of(settings.machine.device))
    command = _Command(run, settings, known, console if processes.is_first() else QUIET, begun, budget, files)
    held = ExitStack()

    def prepare() -> tuple[bool, Prepared]:
        held.enter_context(locked_folder(source, run, destination))
        if resumes_run(run, destination):
            _refuse_several_stages(read_run(run)[0], command.length_option)
            return True, prepare_again(source, run, console=command.console, external=known, opened=opened)
        return False, _prepared(command, source, recipe, opened)

    with held:
        resumed, prepared = processes.from_first(prepare)
        if resumed:
            _go_on(command, prepared)
        else:
            _begin(command, prepared, overwrite=destination.overwrite)
    return run


def _prepared(command: _Command, source: Path, recipe: Recipe | None, opened: OpenedData | None) -> Prepared:
    """The data of a new run; ``recipe`` and ``opened`` as for ``train``."""
    run, settings, external = command.run, command.settings, command.external
    device = device_of(settings.machine.device)
    pinned = pinned_splits(run, settings.data.splits)
    candidates = candidates_of(settings.recipe)
    drafts = [draft_of(candidate, device=device, external=external, recipe=recipe) for candidate in candidates]
    for draft in drafts:
        refuse_unknown_groups(draft.recipe, external=external)
        if command.budget:
            _refuse_several_stages(draft.recipe, command.length_option)
    choose = partial(best_candidate, device=device, external=external, workers=settings.machine.workers or 0)
    prepared = prepare_new(
        source, run, settings, drafts=drafts, choose=choose, pinned=pinned, console=command.console, opened=opened
    )
    if prepared.data.was_cut:
        tell(command.console, *kept_cut(run, settings.data.splits))
    refuse_deletion(run, settings, prepared.dataset)
    return prepared


def _budget(settings: Settings, begun: float) -> Budget | None:
    """The time that the user gave."""
    seconds = settings.machine.seconds
    if seconds is None:
        return None
    if settings.recipe.quick:
        raise UserError("--quick trains the head alone, without steps: leave --time out")
    if settings.recipe.epochs is not None:
        raise UserError("--time and --epochs exclude each other: leave one of them out")
    return Budget(printable(str(settings.machine.time)), begun + seconds)


def _refuse_several_stages(recipe: Recipe, option: str | None) -> None:
    if option and len(recipe.stages) > 1:
        raise UserError(f"{option}: the recipe has {len(recipe.stages)} stages, each with its own epochs; leave it out")


def _begin(command: _Command, prepared: Prepared, *, overwrite: bool) -> None:
    """Trains what was prepared, from the start, in a folder that is locked for this run."""
    fabric, learner = _built(command, prepared)
    if processes.is_first():
        # not before, so that a mistake in the command neither destroys an earlier run nor leaves half of one
        if overwrite:
            clear(command.run)
        for name in (METRICS, CURVES):  # of a run whose state was deleted
            (command.run / name).unlink(missing_ok=True)
        shutil.rmtree(command.run / EPOCHS, ignore_errors=True)
        prepared.write(command.run)
    processes.wait_for_all()
    _train(command, prepared, learner, fabric, state=None)


def _go_on(command: _Command, prepared: Prepared) -> None:
    """Trains on from the state of the run."""
    run, settings, console = command.run, command.settings, command.console
    if (state := load_state(run)) is None:
        _begin_again(command, prepared)
        return
    recipe = as_recorded(prepared.recipe, state.get("course"))
    finished = _is_finished(run, recipe, state)
    if (finished or not recipe.stages) and settings.recipe.epochs not in (None, recipe.epochs):
        ended = f"its {recipe.epochs} epochs are done, and with them its schedule"
        advice = f"train another run from its weights, with --weights {printable(str(run))} and another --out"
        raise UserError(f"--epochs {settings.recipe.epochs}: {ended};\n{advice}")
    if finished:
        tell(console, f"{run} has finished all of its {recipe.epochs} epochs; nothing is left to do")
        return
    _tell_ignored(command)
    if processes.is_first():  # the recipe comes after the state, like the model
        write_run(run, recipe, classes=prepared.dataset.classes, about=prepared.about)
    prepared = replace(prepared, recipe=recipe)
    fabric, learner = _built(command, prepared, weights="none")
    _train(command, prepared, learner, fabric, state=state)


def _begin_again(command: _Command, prepared: Prepared) -> None:
    """Begins a run that was stopped before its first step was saved, with the settings that it had."""
    _tell_ignored(command)
    if (epochs := command.settings.recipe.epochs) is not None:
        prepared = replace(prepared, recipe=with_settings(prepared.recipe, RecipeSettings(epochs=epochs)))
    _begin(command, prepared, overwrite=False)


def _tell_ignored(command: _Command) -> None:
    """Says so where settings of the command do not count, as those of the run do."""
    settings = command.settings
    if replace(settings, recipe=replace(settings.recipe, epochs=None)) != Settings(machine=settings.machine):
        tell(
            command.console,
            f"continuing with the settings of {command.run / RECIPE}; those of this command are ignored",
        )


def _built(command: _Command, prepared: Prepared, *, weights: str | None = None) -> tuple[Fabric, Learner]:
    """The device, and the network on it."""
    recipe = prepared.recipe
    fabric = fabric_of(recipe, device_of(command.settings.machine.device))
    with working(command.console, "building the network"):
        learner = build_learner(
            recipe,
            classes=len(prepared.dataset.classes),
            counts=torch.tensor(prepared.counts),
            weights=weights,
            external=command.external,
        )
        learner.method.classifier.backbone.freeze(stages=recipe.frozen_stages, norms=recipe.frozen_norms)
        refuse_groups(learner.parameter_groups(), recipe.stages)
        learner.to(device=fabric.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return fabric, learner


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


def _is_finished(run: Path, recipe: Recipe, state: Mapping[str, Any]) -> bool:
    """Whether all epochs are done and the last file is written."""
    done = max((row["epoch"] for row in state["position"]["rows"]), default=0)
    return (run / MODEL).is_file() and (run / CURVES).is_file() and done >= recipe.epochs


def _train(
    command: _Command, prepared: Prepared, learner: Learner, fabric: Fabric, *, state: Mapping[str, Any] | None
) -> None:
    """Trains to the end; a second Ctrl-C, or one before the first step, is told like the first."""
    try:
        _run(command, prepared, learner, fabric, state=state)
    except KeyboardInterrupt:
        saved = load_state(command.run)
        kept = saved["position"].get("kept", -1) if saved else -1
        raise Interrupted(stop_notice(command.run, "at once", kept=kept)) from None


def _run(
    command: _Command, prepared: Prepared, learner: Learner, fabric: Fabric, *, state: Mapping[str, Any] | None
) -> None:
    keep_freed_memory()
    run, console, machine = command.run, command.console, command.settings.machine
    recipe, dataset, workers = prepared.recipe, prepared.dataset, _workers(machine, fabric)
    photos = Photographs(dataset.of(recipe.train_on), recipe.pixels, seed=recipe.seed, packed=dataset.pixels)
    with RunLog(run, console=console, headline=prepared.about.headline) as log:
        best_by = _best_by(prepared)
        loop = Loop(learner, recipe, fabric=fabric, photos=photos, run=run, log=log, best_by=best_by)
        if state is not None:
            loop.restore(state)
            _change_length(loop, command)
        loop.position.files = list(command.files) or loop.position.files
        starts_as_probe = state is None and recipe.start == "probe"
        LOG.info(
            "device %s, precision %s, %d processes read photos",
            fabric.device, precision_of(recipe.precision, str(fabric.device)), workers,
        )  # fmt: skip
        clocked = {"begun": command.begun, "budget": command.budget}
        expected = announce(prepared, loop, workers=workers, features=starts_as_probe, **clocked)
        if prepared.newly_cut:
            tell(console, cut_notice(run))
        measured = bool(validation_photos(prepared))
        validate = Validation(prepared, loop, workers=workers, start=machine.start_method) if measured else None
        if starts_as_probe:
            start, features, share = begin_as_probe(
                learner.method, prepared.data, recipe, workers=workers, console=console
            )
            if processes.is_first():
                write_start(run, start)
            tell(console, *start_lines(start, dataset))
            with working(console, "measuring the start"):
                loop.start(validate)
            if validate and not recipe.stages:
                validate.features = features
            del features  # of many photos
            if recipe.length_by_start:
                loop.resize(epochs_after(share or 0.0, photos=len(loop.labels)))
            if command.budget:
                loop.keep_within(command.budget, least=1)
                _slow_down(loop, command, planned=recipe.epochs)
            if recipe.length_by_start:
                announce_length(loop, share, expected, **clocked)
        else:
            loop.keep_epoch()
        tell(console, *kept_lines(loop))
        log.begin(steps=loop.course.steps, per_epoch=loop.plan.per_epoch, done=loop.position.step)
        loop.train(workers=workers, start=machine.start_method, validate=validate, budget=command.budget)
    if not (run / MODEL).is_file():  # deleted, or of a run by an earlier version
        loop.save_model()
    if validate:
        tell(console, validate.conclude(run).line)
    if processes.is_first():  # the curves last: they are what tells that nothing is left to do
        write_metrics(run / METRICS, loop.position.rows)
        draw_curves(run / CURVES, loop.position.rows)
    processes.wait_for_all()
    tell(console, f"trained in {clock(loop.position.seconds)}; the run is in {run}")


def _slow_down(loop: Loop, command: _Command, *, planned: int) -> None:
    """Gives a run that a budget made shorter than ``planned`` a short one's rate, unless the user said one."""
    settings = command.settings.recipe
    is_said = settings.lr is not None or any(change.startswith("stages") for change in settings.set)
    if loop.recipe.length_by_start and not is_said:
        now, then = (rate_share(epochs * len(loop.labels)) for epochs in (loop.recipe.epochs, planned))
        loop.resize(loop.recipe.epochs, rate=now / then)


def _change_length(loop: Loop, command: _Command) -> None:
    """Gives a run that goes on the number of epochs that the user asks for."""
    epochs, before = command.settings.recipe.epochs, loop.course.epochs
    if epochs in (None, before):
        return
    begun = -(-loop.position.step // loop.plan.per_epoch)
    if epochs < begun:
        raise UserError(
            f"--epochs {epochs}: epoch {begun} of {printable(str(loop.run))} has begun; {begun} is the least"
        )
    loop.recipe = replace(loop.recipe, length_by_start=False)
    loop.resize(epochs)
    rest = "the schedule goes on where it is and ends there, as in no run of one length"
    tell(command.console, f"epochs: {epochs} in place of {before}; {rest}")


def _workers(machine: MachineSettings, fabric: Fabric) -> int:
    """The processes that read ahead: one for training on a CPU, several for a GPU."""
    if machine.workers is not None:
        return machine.workers
    cores = torch.multiprocessing.cpu_count()
    return 1 if fabric.device.type == "cpu" else max(1, min(cores - 1, 12))


def _best_by(prepared: Prepared) -> str:
    """The figure of validation by which the best epoch is kept; "" where the last one is."""
    enough = len(validation_photos(prepared)) >= ENOUGH_TO_CHOOSE
    if not (prepared.data.was_cut and enough):
        return ""
    return "val_top1" if prepared.about.headline == "top1" else "val_per_class"
