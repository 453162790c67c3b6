"""Works the runs of a plan one after another, until all are recorded, the time is up or the user stops it."""

import _thread
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from fieldmark.bench.checks import (
    datasets_of,
    possible_recipes,
    refuse_misfits,
    refuse_mistakes,
    refuse_other_records,
)
from fieldmark.bench.datasets import BenchData, open_data
from fieldmark.bench.execution import Executor, Machine
from fieldmark.bench.options import RunOptions, command_of, named, refuse_call
from fieldmark.bench.plan import advice_on, keep_plan, read_plan
from fieldmark.bench.planned_runs import PlannedRun, runs_of, trials_of
from fieldmark.bench.provenance import OURS, code_digests, source, source_digest
from fieldmark.bench.results import DONE, FAILED, Result, write_result
from fieldmark.bench.run_folder import RunFolder, is_locked, locked, refuse_without_locks
from fieldmark.building import classes_named
from fieldmark.core.device import device_of
from fieldmark.errors import Interrupted, UserError, printable

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


def run_plan(plan: Path, folder: Path, options: RunOptions, *, external: Sequence[str] = (), console: Console) -> Tally:
    """Works what is not yet recorded; several processes may do so in one folder at once.

    Args:
        plan: the TOML file.
        folder: of the comparison: results, half-done runs, locks.
        options: what else the user said.
        external: classes from elsewhere that parts may be, as package.module:Class.
        console: is told what happens.

    Raises:
        UserError: a mistake in the plan or the call, results of another plan or other photos in the folder, or a file
            system without locks.
        Interrupted, KeyboardInterrupt: the user stopped it; the same command goes on.
    """
    refuse_call(folder, options)
    program = source()  # before all that takes long
    read = read_plan(plan)
    runs = runs_of(read, only=options.only, phase=options.phase)
    datasets = datasets_of(read, runs, options, folder)
    classes = classes_named(external)
    machine = Machine(
        device=device_of(options.device),
        workers=options.workers,
        weights=named(options.weights, option="--weights"),
        external=classes,
        source=program,
        command=command_of(plan, folder, options, external),
        code=code_digests(classes),
    )
    executor = Executor(read, folder, datasets=datasets, machine=machine, console=console)
    refuse_mistakes(executor, runs, options)
    refuse_without_locks(folder)
    executor.datasets = _opened(executor, runs)
    refuse_misfits(executor, runs)
    refuse_other_records(executor, runs)
    for line in advice_on(read):
        console.print(f"[bold]{line}[/]; the report will say so", highlight=False, soft_wrap=True)
    keep_plan(read, folder)
    return _Runner(executor, runs, options).run()


def _opened(executor: Executor, runs: Sequence[PlannedRun]) -> dict[str, BenchData]:
    """The data sets, looked through: photos that are too large for one of the recipes are left out for all."""
    recipes = list(possible_recipes(executor, runs))
    return {
        name: open_data(
            data,
            executor.folder,
            megapixels=min(recipe.pixels.megapixels for run, recipe in recipes if run.data == name),
            console=executor.console,
        )
        for name, data in executor.datasets.items()
    }


class _Deadline:
    """After ``seconds``, interrupts the main thread as Ctrl-C does; used as a context manager."""

    def __init__(self, seconds: float | None) -> None:
        self.passed = self._ignored = False
        self._main = threading.current_thread() is threading.main_thread()
        self._timer = None if seconds is None else threading.Timer(seconds, self._end)

    def __enter__(self) -> "_Deadline":
        """Starts the clock; a background command of a shell, which ignores Ctrl-C, heeds it meanwhile."""
        self._ignored = self._main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        if self._ignored:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._timer:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cancels the deadline."""
        if self._timer:
            self._timer.cancel()
        if self._ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _end(self) -> None:
        self.passed = True
        main = threading.main_thread().ident
        if not self._main or main is None:  # no other thread can be interrupted: the run under way is the last
            return
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(main, signal.SIGINT)  # which also ends a wait
        else:
            _thread.interrupt_main()


class _Runner:
    """One call's way through the runs."""

    def __init__(self, executor: Executor, runs: list[PlannedRun], options: RunOptions) -> None:
        self.executor, self.runs, self.options = executor, runs, options
        self.folder, self.console = executor.folder, executor.console
        self.counts: Counter[str] = Counter()
        self.tried: set[str] = set()
        self.looks_again = False

    def run(self) -> Tally:
        """Works until nothing is left that can be worked."""
        with _Deadline(self.options.until) as deadline:
            try:
                while not deadline.passed and self._one_more():
                    pass
            except (Interrupted, KeyboardInterrupt):
                if not deadline.passed:
                    raise
        left = [run for run in self.runs if self._is_open(run)]
        for line in self._waiting(left):
            self._tell(line)
        elsewhere = sum(is_locked(self.folder, run.key) for run in left)
        before = [run for run in self.runs if run.key not in self.tried and self._has_failed(run)]
        return Tally(self.counts[DONE], self.counts[FAILED], len(left), elsewhere, deadline.passed, len(before))

    def _one_more(self) -> bool:
        """Works the next run, or waits for what is worked elsewhere; whether there was anything to work or wait for."""
        if len(self.tried) == self.options.limit:
            return False
        return any(self._work(run) for run in self.runs if self._can_be_worked(run)) or self._has_waited()

    def _has_waited(self) -> bool:
        """Waits a little if runs of this call wait for trials that are worked elsewhere; whether it did.

        Looks once more where none is worked any more: between two runs their process holds no lock for a moment.
        """
        waiting = (run for run in self.runs if run.key not in self.tried and self._is_open(run))
        awaited_here = {trial.key for run in waiting for trial in self._still_to_come(run)}
        running = sum(is_locked(self.folder, key) for key in awaited_here)
        if not running and not (awaited_here and self.looks_again):
            return False
        if running and not self.looks_again:
            self._tell(f"waiting for {running} trials that run elsewhere; Ctrl-C ends the wait")
        self.looks_again = bool(running)
        time.sleep(PAUSE)
        return True

    def _has_failed(self, run: PlannedRun) -> bool:
        result = self.executor.recorded(run)
        return result is not None and result.status == FAILED

    def _is_open(self, run: PlannedRun) -> bool:
        """Whether a run is not recorded, or failed and is to be worked again."""
        result = self.executor.recorded(run)
        if result is None:
            return True
        return self.options.retry and run.key not in self.tried and result.status == FAILED

    def _can_be_worked(self, run: PlannedRun) -> bool:
        return run.key not in self.tried and self._is_open(run) and not self._still_to_come(run)

    def _still_to_come(self, run: PlannedRun) -> list[PlannedRun]:
        """The trials that are not yet recorded, of which this run follows the best."""
        return [trial for trial in trials_of(self.executor.plan, run) if self.executor.recorded(trial) is None]

    def _waiting(self, left: Sequence[PlannedRun]) -> Iterator[str]:
        """A line for final runs whose trials are not among the runs of this call."""
        keys = {run.key for run in self.runs}
        waiting = [run for run in left if any(trial.key not in keys for trial in self._still_to_come(run))]
        for name, count in Counter(run.entry.name for run in waiting if run.entry.phase == "final").items():
            yield f'{count} final runs of {name} wait for their trials, which phase = "final" leaves out; say "both"'
        if count := sum(run.entry.phase != "final" for run in waiting):
            yield f"{count} final runs wait for their trials: run without --phase"

    def _work(self, run: PlannedRun) -> bool:
        """Works a run and records what came of it; False where another process has it, or has just recorded it."""
        with locked(self.folder, run.key) as mine:
            if not mine or not self._is_open(run):
                return False
            self._refuse_changes()
            self.executor.datasets[run.data].refuse_changes()
            seed = f"seed {run.seed}" if run.trial is None else f"trial {run.trial}, seed {run.seed}"
            number = f"{self.runs.index(run) + 1} of {len(self.runs)}"
            self._tell(f"— {number}: {run.entry.name} on {run.data}, {seed}")
            place = RunFolder(self.folder, run.key)
            result, answers = self.executor.execute(run, place)
            write_result(self.folder, result, answers)
            half_done = result.status == FAILED and place.path.exists()
            if not half_done and not self.options.keep:
                place.delete()
        self.tried.add(run.key)
        self.counts[result.status] += 1
        self._tell(_in_words(result))
        if half_done:
            self._tell(f"unfinished run in {place.path}: --retry resumes it; delete that folder to start afresh")
        return True

    def _refuse_changes(self) -> None:
        """Raises ``UserError`` where the program's files are no longer those that run here, and that records name."""
        if source_digest(OURS) != self.executor.machine.source.digest:
            raise UserError(
                "Fieldmark's own files were changed since this command began: start it again;\n"
                "run from a copy (git worktree) to avoid this"
            )

    def _tell(self, line: str) -> None:
        self.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _in_words(result: Result) -> str:
    if result.status == FAILED:
        return f"{result.key} failed: {result.reason}"
    where = "test photos" if result.measured_on == "test" else "held-out photos"
    unread = f"; {len(result.damaged):,} photos of the data could not be read" if result.damaged else ""
    return f"{result.key}: top-1 {100 * result.metrics['top1']:.1f} % of {result.photos['measured']} {where}{unread}"
