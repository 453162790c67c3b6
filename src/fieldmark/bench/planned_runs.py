"""The runs that a plan asks for, in the order in which they are worked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fieldmark.bench.plan import PROBE, Entry, Plan
from fieldmark.bench.results import Asked
from fieldmark.errors import UserError
from fieldmark.plain import to_plain

Phase = Literal["all", "tune", "final"]


@dataclass(frozen=True)
class PlannedRun:
    """An entry on a data set with a seed; ``trial`` is the trial's place in the entry, None in a final run."""

    entry: Entry
    data: str
    seed: int
    trial: int | None = None

    @property
    def key(self) -> str:
        """The name of its files."""
        trial = "" if self.trial is None else f"-trial{self.trial}"
        return f"{self.data}-{self.entry.name}{trial}-seed{self.seed}"

    @property
    def phase(self) -> Literal["tune", "final"]:
        """ "tune" for a trial, "final" for what is reported."""
        return "final" if self.trial is None else "tune"

    @property
    def options(self) -> tuple[Mapping[str, Any], ...]:
        """The changes of its trial, or in a final run those of all trials, of which it follows one."""
        return self.entry.trials if self.trial is None else (self.entry.trials[self.trial],)

    def asked(self, plan: Plan) -> Asked:
        """All that the plan says of it and that its result depends on."""
        entry, source = self.entry, plan.source(self.data)
        return Asked(
            kind=entry.kind,
            recipe=entry.recipe,
            settings=entry.settings,
            changes=entry.changes,
            train_on=tuple(entry.train_on or source.train_on or ()),
            annotation=source.annotation,
            trials=self.options,
            tuning=to_plain(plan.tuning) if entry.trials else {},
        )


def trials_of(plan: Plan, run: PlannedRun) -> list[PlannedRun]:
    """The tuning runs that a run waits for: none, or those of a final run's entry on its data."""
    return [] if run.trial is not None else _trials(plan, run.entry, run.data)


def _trials(plan: Plan, entry: Entry, data: str) -> list[PlannedRun]:
    """The tuning runs of an entry on a data set: for each trial, those of all tuning seeds."""
    return [PlannedRun(entry, data, seed, trial) for trial in range(len(entry.trials)) for seed in plan.tuning.seeds]


def runs_of(plan: Plan, *, only: tuple[str, ...] = (), phase: Phase = "all") -> list[PlannedRun]:
    """The runs of a plan, tuning first; on each data set, then, probes and all entries with their first seeds, second
    ones, ..., so that methods keep step with each other.

    Args:
        plan: what is to be compared.
        only: names of entries; none stands for all.
        phase: both, or one of them.

    Raises:
        UserError: no such entry, or two runs of one name.
    """
    names = [entry.name for entry in plan.entries]
    if unknown := [name for name in only if name not in names]:
        raise UserError(f"--only {unknown[0]}: the plan has {', '.join(names)}")
    entries = [entry for entry in plan.entries if not only or entry.name in only]
    runs: list[PlannedRun] = []
    datasets = list(dict.fromkeys(data for entry in entries for data in entry.data))
    for data in datasets if phase != "final" else ():
        here = (entry for entry in entries if data in entry.data and entry.phase != "final")
        runs += (run for entry in here for run in _trials(plan, entry, data))
    for data in datasets if phase != "tune" else ():
        here = (entry for entry in entries if data in entry.data and entry.phase != "tune")
        finals = (PlannedRun(entry, data, seed) for entry in here for seed in entry.seeds)
        runs += sorted(finals, key=lambda run: (run.entry.kind != PROBE, run.entry.seeds.index(run.seed)))
    key, count = Counter(run.key for run in runs).most_common(1)[0] if runs else ("", 0)
    if count > 1:
        raise UserError(f"two runs of the plan would both be called {key}; name entries or data otherwise")
    return runs
