"""The runs that a plan asks for, in the order in which they are worked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fieldmark.bench.plan import PROBE, Entry, Plan
from fieldmark.errors import UserError

Phase = Literal["all", "tune", "final"]


@dataclass(frozen=True)
class Job:
    """One run: an entry on a data set with a seed; ``trial`` is the trial's place in the entry, None in a final run."""

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
    def phase(self) -> str:
        """ "tune" or "final"."""
        return "final" if self.trial is None else "tune"

    def asked(self, plan: Plan) -> dict[str, Any]:
        """All that the plan says of it and that its result depends on: another answer makes another result."""
        entry, place, tuning = self.entry, plan.sets.get(self.data), plan.tuning
        tuned = {"seeds": list(tuning.seeds), "hold_out": tuning.hold_out, "epochs": tuning.epochs}
        return {
            "kind": entry.kind,
            "recipe": entry.recipe,
            "settings": dict(entry.settings),
            "changes": dict(entry.changes),
            "train_on": list(entry.train_on or (place.train_on if place else None) or ()),
            "annotation": place.annotation if place else "variant",
            "trials": [dict(trial) for trial in (entry.trials if self.trial is None else [entry.trials[self.trial]])],
            "tuning": tuned if entry.trials else {},
        }


def trials_of(plan: Plan, entry: Entry, data: str) -> list[list[Job]]:
    """The tuning runs of an entry on a data set: for each trial, those of all tuning seeds."""
    return [[Job(entry, data, seed, trial) for seed in plan.tuning.seeds] for trial in range(len(entry.trials))]


def awaited(plan: Plan, job: Job) -> list[Job]:
    """The tuning runs that a run waits for: none, or those of a final run's entry."""
    return [] if job.trial is not None else [one for runs in trials_of(plan, job.entry, job.data) for one in runs]


def jobs_of(plan: Plan, *, only: tuple[str, ...] = (), phase: Phase = "all") -> list[Job]:
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
    found: list[Job] = []
    if phase != "final":
        found += _tuning(plan, [entry for entry in entries if entry.phase != "final"])
    if phase != "tune":
        found += _finals([entry for entry in entries if entry.phase != "tune"])
    twice = {job.key for job in found if sum(other.key == job.key for other in found) > 1}
    if twice:
        raise UserError(f"two runs of the plan would both be called {min(twice)}; name entries or data otherwise")
    return found


def _tuning(plan: Plan, entries: list[Entry]) -> Iterator[Job]:
    for data in _in_order(entries):
        for entry in entries:
            if data in entry.data:
                yield from (job for trial in trials_of(plan, entry, data) for job in trial)


def _finals(entries: list[Entry]) -> Iterator[Job]:
    for data in _in_order(entries):
        here = [entry for entry in entries if data in entry.data]
        yield from (Job(entry, data, entry.seeds[0]) for entry in here if entry.kind == PROBE)
        trained = [entry for entry in here if entry.kind != PROBE]
        for turn in range(max((len(entry.seeds) for entry in trained), default=0)):
            yield from (Job(entry, data, entry.seeds[turn]) for entry in trained if turn < len(entry.seeds))


def _in_order(entries: list[Entry]) -> list[str]:
    return list(dict.fromkeys(data for entry in entries for data in entry.data))
