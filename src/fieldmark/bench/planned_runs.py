"""The runs that a plan asks for, in the order in which they are worked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fieldmark.bench.plan import PROBE, Entry, Plan
from fieldmark.bench.results import Asked
from fieldmark.errors import UserError

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

    def asked(self, plan: Plan) -> Asked:
        """All that the plan says of it and that its result depends on."""
        entry, place, tuning = self.entry, plan.sets.get(self.data), plan.tuning
        tuned = {"seeds": list(tuning.seeds), "hold_out": tuning.hold_out, "epochs": tuning.epochs}
        return Asked(
            kind=entry.kind,
            recipe=entry.recipe,
            settings=entry.settings,
            changes=entry.changes,
            train_on=tuple(entry.train_on or (place.train_on if place else None) or ()),
            annotation=place.annotation if place else "variant",
            trials=entry.trials if self.trial is None else (entry.trials[self.trial],),
            tuning=tuned if entry.trials else {},
        )


def trials_of(plan: Plan, run: PlannedRun) -> list[PlannedRun]:
    """The tuning runs that a run waits for: none, or those of a final run's entry on its data."""
    return [] if run.trial is not None else list(_trials(plan, run.entry, run.data))


def runs_of(plan: Plan, *, only: tuple[str, ...] = (), phase: Phase = "all") -> list[PlannedRun]:
    """The runs of a plan: tuning first, then the final ones, seed by seed, so that methods keep step with each other.

    Args:
        plan: what is to be compared.
        only: names of entries; none stands for all.
        phase: both, or one of them.

    Raises:
        UserError: no such entry.
    """
    names = [entry.name for entry in plan.entries]
    if unknown := [name for name in only if name not in names]:
        raise UserError(f"--only {unknown[0]}: the plan has {', '.join(names)}")
    entries = [entry for entry in plan.entries if not only or entry.name in only]
    runs: list[PlannedRun] = []
    for data in _data_of(entries) if phase != "final" else ():
        here = (entry for entry in entries if data in entry.data and entry.phase != "final")
        runs += (run for entry in here for run in _trials(plan, entry, data))
    for data in _data_of(entries) if phase != "tune" else ():
        runs += _finals([entry for entry in entries if data in entry.data and entry.phase != "tune"], data)
    keys = [run.key for run in runs]
    if len(set(keys)) < len(keys):
        twice = min(key for key in keys if keys.count(key) > 1)
        raise UserError(f"two runs of the plan would both be called {twice}; name entries or data otherwise")
    return runs


def _trials(plan: Plan, entry: Entry, data: str) -> Iterator[PlannedRun]:
    """The tuning runs of an entry on a data set: for each trial, those of all tuning seeds."""
    return (PlannedRun(entry, data, seed, trial) for trial in range(len(entry.trials)) for seed in plan.tuning.seeds)


def _finals(entries: list[Entry], data: str) -> Iterator[PlannedRun]:
    """The final runs on a data set: probes, then all entries with their first seeds, with their second ones, ..."""
    yield from (PlannedRun(entry, data, entry.seeds[0]) for entry in entries if entry.kind == PROBE)
    trained = [entry for entry in entries if entry.kind != PROBE]
    for turn in range(max((len(entry.seeds) for entry in trained), default=0)):
        yield from (PlannedRun(entry, data, entry.seeds[turn]) for entry in trained if turn < len(entry.seeds))


def _data_of(entries: list[Entry]) -> list[str]:
    return list(dict.fromkeys(data for entry in entries for data in entry.data))
