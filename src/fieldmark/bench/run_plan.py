"""Works the runs of a plan one after another, until all are recorded, the time is up or the user stops it."""

import _thread
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from fieldmark.bench import RunOptions, command_of, named
from fieldmark.bench.datasets import open_data, read_data
from fieldmark.bench.execution import Executor, Machine, RunFolder
from fieldmark.bench.plan import PLAN, PROBE, Plan, PlannedRun, advice_on, runs_of, trials_of
from fieldmark.bench.provenance import OURS, session_here, source_digest
from fieldmark.bench.results import DONE, FAILED, Result, json_path, write_result
from fieldmark.building import classes_named, refuse_parts
from fieldmark.console import tell
from fieldmark.core.device import device_of
from fieldmark.data.dataset import labels_of
from fieldmark.data.opening import refuse_missing_splits, refuse_without_boxes
from fieldmark.errors import Interrupted, UserError, printable
from fieldmark.files import write_bytes
from fieldmark.locks import holding
from fieldmark.recipe import Recipe
from fieldmark.training.parameter_groups import refuse_unknown_groups

PATIENCE = 0.2
"""Seconds in which a lock is tried: another process that only looks whether it is held holds it for an instant."""
PAUSE = 10.0
"""Seconds between two looks at what is worked elsewhere, where other runs wait for it."""


@dataclass(frozen=True)
class Tally:
    """What a call did: runs ``done`` and ``failed`` in it, ``left`` to do, and of these ``elsewhere`` being worked.

    ``time_is_up`` says that ``--until`` ended it; ``failed_before`` are the runs asked for that are recorded as failed,
    by another call than this.
    """

    done: int
    failed: int
    left: int
    elsewhere: int
    time_is_up: bool
    failed_before: int = 0


def run_plan(plan: Plan, folder: Path, options: RunOptions, *, external: Sequence[str], console: Console) -> Tally:
    """Works what is not yet recorded; ``fieldmark.bench.run`` says the rest."""
    classes, device = classes_named(external), device_of(options.device)
    machine = Machine(
        device=device,
        workers=options.workers,
        weights=named(options.weights, option="--weights"),
        external=classes,
        session=session_here(device, classes),  # before all that takes long
        command=command_of(plan.path, folder, options, external),
    )
    runs = runs_of(plan, only=options.only, phase=options.phase)
    paths, lists = named(options.data, option="--data"), named(options.corrections, option="--corrections")
    datasets = read_data(plan, (run.data for run in runs), paths, corrections=lists, folder=folder)
    executor = Executor(plan, folder, datasets=datasets, machine=machine, console=console)
    refuse_misfits(executor, runs)
    recipes = list(possible_recipes(executor, runs))
    used = {name for _, recipe in recipes for name in (recipe.model.weights, recipe.model.backbone)}
    if not options.only and (unused := sorted(set(machine.weights) - used)):
        raise UserError(f"--weights {unused[0]}: no entry's weights or backbone are called that")
    refuse_without_locks(folder)
    for name, data in datasets.items():  # photos that are too large for one of the recipes are left out for all
        largest = min(recipe.pixels.megapixels for run, recipe in recipes if run.data == name)
        datasets[name] = open_data(data, folder, megapixels=largest, console=console)
    refuse_misfits(executor, runs)
    refuse_other_records(executor, runs)
    for line in advice_on(plan):
        console.print(f"[bold]{escape(printable(line))}[/]; the report will say so", highlight=False, soft_wrap=True)
    write_bytes(folder / PLAN, plan.path.read_bytes())
    return _Call(executor, runs, options).work()


def possible_recipes(executor: Executor, runs: Sequence[PlannedRun]) -> Iterator[tuple[PlannedRun, Recipe]]:
    """The recipes that runs may come to follow, one seed of each."""
    for run in {(run.entry.name, run.data, run.trial): run for run in runs}.values():
        yield from ((run, recipe) for recipe in executor.possible(run))


def refuse_misfits(executor: Executor, runs: Sequence[PlannedRun]) -> None:
    """Raises ``UserError`` for a recipe that would end a run as soon as its turn comes.

    Such is one with mistyped parts or parameter groups; or that does not fit its photos, by their names or, once they
    are cut, by the cut: no photos in a split to train on, or none that make batches as it says.
    """
    fitting: set[tuple[object, ...]] = set()
    for run, recipe in possible_recipes(executor, runs):
        where, data = f"{run.entry.name} on {run.data}", executor.datasets[run.data]
        if "test" in recipe.train_on:
            raise UserError(f"{where}: train_on names the test split, on which the final runs are measured")
        refuse_missing_splits(data.dataset, recipe.train_on, source=f"{where}: train_on")
        if run.entry.kind == PROBE:
            continue
        asked = (run.data, recipe.train_on, recipe.batches)
        try:
            if not data.digest:  # looked at once, as no photo changes them
                refuse_parts(recipe, executor.machine.external)
                refuse_unknown_groups(recipe, external=executor.machine.external)
            if asked not in fitting:  # batches can take seconds to make
                recipe.batches.epoch(labels_of(data.of(recipe.train_on)), seed=run.seed, epoch=0)
            if recipe.pixels.fit == "box":
                refuse_without_boxes(data.dataset.photos)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
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


def locked(folder: Path, key: str, *, patience: float = PATIENCE) -> AbstractContextManager[bool]:
    """Holds the lock of a run in a comparison's folder; gives whether it does, or another process has it.

    Raises:
        UserError: the file system refuses to lock a file.
    """
    return holding(folder / "locks" / f"{key}.lock", patience=patience)


def is_locked(folder: Path, key: str) -> bool:
    """Whether a process works a run now."""
    if not (folder / "locks" / f"{key}.lock").exists():
        return False
    with locked(folder, key, patience=0) as free:
        return not free


def refuse_without_locks(folder: Path) -> None:
    """Raises ``UserError`` where the file system of a comparison's folder has no locks, or grants one twice."""
    with locked(folder, "trial", patience=0) as first, locked(folder, "trial", patience=0) as second:
        if first and second:
            raise UserError(
                f"--out {printable(str(folder))}: its file system gives one lock to two, so two processes could work\n"
                "the same run; take an --out on a file system with locks"
            )


@contextmanager
def _clock(seconds: float | None) -> Iterator[threading.Event]:
    """Gives an event that comes after ``seconds``, and then interrupts the main thread as Ctrl-C does.

    A background command of a shell, which ignores Ctrl-C, heeds it meanwhile. Nobody can interrupt another thread than
    the main one: there, the run under way is the last.
    """
    time_is_up, is_main = threading.Event(), threading.current_thread() is threading.main_thread()

    def end() -> None:
        time_is_up.set()
        if is_main:
            _thread.interrupt_main()

    timer = threading.Timer(seconds or 0.0, end)
    timer.daemon = True
    ignored = is_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if seconds is not None:
        timer.start()
    try:
        yield time_is_up
    finally:
        timer.cancel()
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Call:
    """One call's way through the runs: ``worked`` are its results so far by key."""

    def __init__(self, executor: Executor, runs: list[PlannedRun], options: RunOptions) -> None:
        self.executor, self.runs, self.options = executor, runs, options
        self.folder, self.console = executor.folder, executor.console
        self.worked: dict[str, Result] = {}
        self.looks_again = False

    def work(self) -> Tally:
        """Works until nothing is left that can be worked."""
        with _clock(self.options.until) as time_is_up:
            try:
                while not time_is_up.is_set() and len(self.worked) != self.options.limit:
                    if not any(map(self._works, self.runs)) and not self._waits(time_is_up):
                        break
            except (Interrupted, KeyboardInterrupt):
                if not time_is_up.is_set():
                    raise
        left = [run for run in self.runs if self._is_open(run)]
        keys = {run.key for run in self.runs}
        waiting = [run for run in left if any(trial.key not in keys for trial in self._still_to_come(run))]
        if waiting:
            advice = 'run without --phase, and with phase = "both" in the plan'
            names = ", ".join(dict.fromkeys(run.entry.name for run in waiting))
            tell(self.console, f"{len(waiting)} final runs ({names}) wait for their trials: {advice}")
        done = sum(result.status == DONE for result in self.worked.values())
        elsewhere = sum(is_locked(self.folder, run.key) for run in left)
        before = sum(self._has_failed(run) for run in self.runs if run.key not in self.worked)
        return Tally(done, len(self.worked) - done, len(left), elsewhere, time_is_up.is_set(), before)

    def _waits(self, time_is_up: threading.Event) -> bool:
        """Waits a little if runs of this call wait for trials that are worked elsewhere; whether it did.

        Looks once more where none is worked any more: between two runs their process holds no lock for a moment.
        """
        awaited = {trial.key for run in self.runs if self._is_open(run) for trial in self._still_to_come(run)}
        running = sum(is_locked(self.folder, key) for key in awaited)
        if not running and not (awaited and self.looks_again):
            return False
        if running and not self.looks_again:
            tell(self.console, f"waiting for {running} trials that run elsewhere; Ctrl-C ends the wait")
        self.looks_again = bool(running)
        time_is_up.wait(PAUSE)
        return True

    def _has_failed(self, run: PlannedRun) -> bool:
        result = self.executor.recorded(run)
        return result is not None and result.status == FAILED

    def _is_open(self, run: PlannedRun) -> bool:
        """Whether a run is not recorded, or failed before this call and is to be worked again."""
        if run.key in self.worked:
            return False
        return self.executor.recorded(run) is None or (self.options.retry and self._has_failed(run))

    def _still_to_come(self, run: PlannedRun) -> list[PlannedRun]:
        """The trials that are not yet recorded, of which this run follows the best."""
        return [trial for trial in trials_of(self.executor.plan, run) if self.executor.recorded(trial) is None]

    def _works(self, run: PlannedRun) -> bool:
        """Works a run, if it can be worked now, and records what came of it; whether it did."""
        if not self._is_open(run) or self._still_to_come(run):
            return False
        with locked(self.folder, run.key) as mine:
            if not mine or not self._is_open(run):  # another process has it, or has just recorded it
                return False
            if source_digest(OURS) != self.executor.machine.session.digest:
                raise UserError(
                    "Fieldmark's own files were changed since this command began: start it again;\n"
                    "run from a copy (git worktree) to avoid this"
                )
            self.executor.datasets[run.data].refuse_changes()
            seed = f"seed {run.seed}" if run.trial is None else f"trial {run.trial}, seed {run.seed}"
            number = f"{self.runs.index(run) + 1} of {len(self.runs)}"
            tell(self.console, f"— {number}: {run.entry.name} on {run.data}, {seed}")
            result, answers = self.executor.execute(run)
            write_result(self.folder, result, answers)
            place = RunFolder(self.folder, run.key)
            half_done = result.status == FAILED and place.path.exists()
            if not half_done and not self.options.keep:
                place.delete()
        self.worked[run.key] = result
        tell(self.console, _in_words(result))
        if half_done:
            advice = "--retry resumes it; delete that folder to start afresh"
            tell(self.console, f"unfinished run in {place.path}: {advice}")
        return True


def _in_words(result: Result) -> str:
    if result.status == FAILED:
        return f"{result.key} failed: {result.reason}"
    where = "test photos" if result.measured_on == "test" else "held-out photos"
    unread = f"; {len(result.damaged):,} photos of the data could not be read" if result.damaged else ""
    return f"{result.key}: top-1 {100 * result.metrics['top1']:.1f} % of {result.photos['measured']} {where}{unread}"
