"""Which runs a comparison's plan asks for, kept beside its results: what is missing can only be told from this."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldmark.bench.jobs import jobs_of
from fieldmark.bench.plan import Plan
from fieldmark.errors import UserError, printable
from fieldmark.files import replace_file

PLANNED = "plan.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class PlannedRun:
    """A run that is to be made: the name of its files, and what it is; ``trial`` is None in a final run.

    ``order`` is the place of its entry in the plan.
    """

    key: str
    data: str
    entry: str
    order: int
    phase: str
    seed: int
    trial: int | None


@dataclass(frozen=True)
class Planned:
    """A plan's runs in the order in which they are worked, its title and notes, and the baseline of most entries."""

    title: str
    baseline: str
    runs: tuple[PlannedRun, ...]
    notes: tuple[str, ...] = ()

    def missing(self, recorded: Collection[str]) -> tuple[PlannedRun, ...]:
        """The runs of which ``recorded`` does not hold the key."""
        return tuple(run for run in self.runs if run.key not in recorded)


def planned_of(plan: Plan) -> Planned:
    """All runs of a plan; raises ``UserError`` where two would have one name."""
    jobs = ((job, job.entry) for job in jobs_of(plan))
    runs = (PlannedRun(job.key, job.data, of.name, of.order, job.phase, job.seed, job.trial) for job, of in jobs)
    return Planned(plan.title, plan.baseline, tuple(runs), plan.notes)


def write_planned(folder: Path, plan: Plan) -> None:
    """Writes a plan's runs into the folder of a comparison, all or nothing; a file that says the same is left alone."""
    data = {"format_version": FORMAT_VERSION} | asdict(planned_of(plan))
    content = (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    path = folder / PLANNED
    if not path.is_file() or path.read_bytes() != content:
        replace_file(path, lambda draft: draft.write_bytes(content))


def read_planned(folder: Path) -> Planned | None:
    """The runs that the plan asks for; None in a folder of a Fieldmark that did not write them down.

    Raises:
        UserError: a file that is none of ours.
    """
    path = folder / PLANNED
    if not path.exists():
        return None
    try:
        return _planned(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        way_out = "delete it, and fieldmark bench run writes it anew"
        raise UserError(f"{printable(str(path))}: no list of planned runs that can be read; {way_out}") from error


def _planned(data: Any) -> Planned:
    if data["format_version"] != FORMAT_VERSION:
        raise ValueError(data["format_version"])
    notes = tuple(str(note) for note in data.get("notes", ()))
    return Planned(str(data["title"]), str(data["baseline"]), tuple(PlannedRun(**run) for run in data["runs"]), notes)
