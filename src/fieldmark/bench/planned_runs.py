"""The runs that a plan asks for, in the order in which they are worked, and their list beside the results."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fieldmark.bench.plan import PROBE, Entry, Plan
from fieldmark.bench.results import Asked
from fieldmark.errors import UserError, printable
from fieldmark.files import replace_file
from fieldmark.plain import from_plain, json_text

PLANNED = "plan.json"
FORMAT_VERSION = 1
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


@dataclass(frozen=True)
class ListedRun:
    """A planned run in the list: the name of its files, and what it is; ``order`` is its entry's place in the plan."""

    key: str
    data: str
    entry: str
    order: int
    phase: Literal["tune", "final"]
    seed: int
    trial: int | None


@dataclass(frozen=True)
class RunList:
    """What a comparison's folder knows of its plan: the runs, its title and notes, and the default baseline."""

    title: str
    baseline: str
    runs: tuple[ListedRun, ...]
    notes: tuple[str, ...] = ()

    def missing(self, recorded: Collection[str]) -> tuple[ListedRun, ...]:
        """The runs of which ``recorded`` does not hold the key."""
        return tuple(run for run in self.runs if run.key not in recorded)


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


def write_run_list(folder: Path, plan: Plan) -> None:
    """Writes a plan's runs into the folder of a comparison, all or nothing; a file that says the same is left alone."""
    listed = (
        ListedRun(run.key, run.data, run.entry.name, run.entry.order, run.phase, run.seed, run.trial)
        for run in runs_of(plan)
    )
    text = json_text(RunList(plan.title, plan.baseline, tuple(listed), plan.notes), format_version=FORMAT_VERSION)
    path, content = folder / PLANNED, text.encode("utf-8", "backslashreplace")
    if not path.is_file() or path.read_bytes() != content:
        replace_file(path, lambda draft: draft.write_bytes(content))


def read_run_list(folder: Path) -> RunList | None:
    """The runs that the plan asks for; None in a folder of a Fieldmark that did not write them down.

    Raises:
        UserError: a file that is none of ours.
    """
    path = folder / PLANNED
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text("utf-8"))
        if not isinstance(data, dict) or data.pop("format_version", None) != FORMAT_VERSION:
            raise UserError("another format")
        return from_plain(data, RunList)
    except (OSError, ValueError) as error:
        way_out = "delete it, and fieldmark bench run writes it anew"
        raise UserError(f"{printable(str(path))}: no list of planned runs that can be read; {way_out}") from error


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
