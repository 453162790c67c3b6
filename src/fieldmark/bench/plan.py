"""What is to be compared, as one reads and writes it: a TOML file of entries.

format_version = 1
title = "20 classes of CUB-200-2011"
data = ["cub20"]                     # of all entries that name none; where they lie: --data cub20=FOLDER
seeds = [10, 11, 12, 13, 14, 15]     # of the final runs; six or more tell methods apart
baseline = "plain"                   # what entries are compared with unless they name another
notes = ["..."]                      # may be left out: what readers of the report have to know, such as earlier trials

[sets.cub20]                         # may be left out; path is relative to this file
train_on = "train"

[settings]                           # of all entries without a recipe: those of ``fieldmark train``
backbone = "tf_efficientnet_lite0"
weights = "lite0"                    # another file: --weights lite0=FILE

[tuning]                             # trials are compared on photos inside the training split
seeds = [0]
hold_out = 0.3                       # of the training photos, where the data have no validation split
epochs = 0.5                         # share of the final runs' epochs

[[entry]]
name = "pc"
method = "pc"                        # settings of its own, or recipe = "pc/cub-resnet50" or a file
set = { "batches.size" = 16 }        # changes of the recipe that results, by place
trials = [{ "model.terms.0.weight" = 10.0 }, { "model.terms.0.weight" = 2.0 }]

[[entry]]
name = "probe"
kind = "probe"                       # frozen features and logistic regression
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from fieldmark.bench.results import Asked
from fieldmark.errors import UserError, printable
from fieldmark.plain import Natural, Range, from_plain, to_plain

FORMAT_VERSION = 1
PLAN = "plan.toml"
"""A comparison's plan as its folder keeps it, by which the report says what is missing."""
TRAIN: Literal["train"] = "train"
PROBE: Literal["probe"] = "probe"
ENOUGH_SEEDS = 6
"""Flipping the signs of n paired differences gives no two-sided p below 2 / 2ⁿ: 0.25 for three seeds, 0.03 for six."""
PROBE_SETTINGS = ("backbone", "weights", "size")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class DataSource:
    """A data set of a plan: where it lies, if the plan says so, and which of its labels and splits count."""

    path: Path | None = None
    annotation: str = "variant"
    train_on: str | None = None


@dataclass(frozen=True)
class Tuning:
    """How trials are run: seeds, share of the training photos held out, share of the epochs."""

    seeds: tuple[Natural, ...] = (0,)
    hold_out: Annotated[float, Range(above=0, below=1)] = 0.3
    epochs: Annotated[float, Range(above=0, most=1)] = 1.0

    def __post_init__(self) -> None:
        """Raises ``UserError`` for no seeds, or one twice."""
        _refuse_seeds(self.seeds)


@dataclass(frozen=True)
class Entry:
    """A row of the table: what is trained (or probed), on which data, with which seeds.

    ``settings`` are those of ``fieldmark train``; ``recipe`` stands in their place ("": none); ``changes`` are of the
    recipe that results, by place; ``trials`` further changes, of which tuning chooses one; ``order`` as in the plan.
    """

    name: str
    order: int
    data: tuple[str, ...]
    seeds: tuple[Natural, ...]
    baseline: str
    kind: Literal["train", "probe"] = TRAIN
    phase: Literal["both", "tune", "final"] = "both"
    train_on: str | None = None
    recipe: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    trials: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Raises ``UserError`` for settings that do not go together."""
        _refuse_seeds(self.seeds)
        for name in (self.name, *self.data):
            if not _NAME.fullmatch(name):
                raise UserError(f"{printable(name)!r} is no name for files; use letters, digits and -_.+")
        if not self.data:
            raise UserError("it names no data; say data = [...] there or for all entries")
        if twice := _twice(self.data):
            raise UserError(f"data names {twice[0]} twice")
        for changes in (self.changes, *self.trials):
            _refuse_unquoted(changes)
        if self.recipe and (self.settings or self.kind == PROBE):
            raise UserError("recipe excludes all other settings; change it with set = {...}")
        if self.kind == PROBE and (self.trials or self.changes):
            raise UserError("a probe has neither trials nor changes; it chooses its penalty itself")
        if self.kind == PROBE and (wrong := [key for key in self.settings if key not in PROBE_SETTINGS]):
            raise UserError(f"a probe has no setting {wrong[0]}; it has {', '.join(PROBE_SETTINGS)}")


@dataclass(frozen=True)
class Common:
    """What the entries of a plan have in common, and what they fall back on; ``notes`` are lines for the report."""

    format_version: int
    title: str = ""
    data: tuple[str, ...] = ()
    seeds: tuple[Natural, ...] = (0,)
    baseline: str = "plain"
    notes: tuple[str, ...] = ()
    sets: Mapping[str, DataSource] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    tuning: Tuning = field(default_factory=Tuning)


@dataclass(frozen=True)
class Plan(Common):
    """A plan's file: the ``entry`` tables of its ``path``, each with all that holds for it."""

    path: Path = Path()
    entries: tuple[Entry, ...] = ()

    def source(self, name: str) -> DataSource:
        """What the plan says of a data set."""
        return self.sets.get(name, DataSource())


def read_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        UserError: no TOML, an unknown key, a value of another kind, or entries that do not fit together.
    """
    shown = printable(str(path))
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = f"no plan that can be read ({printable(str(error))})"
        raise UserError(f"{shown}: {reason}; see benchmarks/cub20.toml for one") from error
    try:
        return _plan(tables, path)
    except UserError as error:
        raise UserError(f"{shown}: {error}") from error


def _plan(tables: dict[str, Any], path: Path) -> Plan:
    if (version := tables.get("format_version", FORMAT_VERSION)) != FORMAT_VERSION:
        raise UserError(f"format_version is {version}, and this Fieldmark reads {FORMAT_VERSION}")
    if isinstance(written := tables.pop("entry", ()), Mapping):
        raise UserError("[entry] is one table; write [[entry]] above each entry")
    common = from_plain(tables, Common)
    written = from_plain(written, tuple[Mapping[str, Any], ...], where="entry")
    entries = tuple(_entry(table, common, order) for order, table in enumerate(written))
    names = [entry.name for entry in entries]
    if not names:
        raise UserError("no entries; write [[entry]] and a name for each row of the table")
    if twice := _twice(names):
        raise UserError(f"two entries are called {twice[0]}")
    for entry in entries:
        if entry.baseline not in names:
            raise UserError(f"{entry.name} is to be compared with {entry.baseline}, which is no entry")
        if entry.trials and (twice := set(entry.seeds) & set(common.tuning.seeds)):
            raise UserError(f"{entry.name} is tuned and measured with seed {min(twice)}; take fresh seeds")
    sets = {name: replace(place, path=place.path and path.parent / place.path) for name, place in common.sets.items()}
    known = vars(common) | {"title": common.title or path.stem, "sets": sets}
    return Plan(**known, path=path, entries=entries)


def _entry(table: Mapping[str, Any], common: Common, order: int) -> Entry:
    """An entry: its own keys, and all others as settings, before those that all entries have in common."""
    own = {key: value for key, value in table.items() if key in _OWN}
    settings = {} if "recipe" in table else dict(common.settings)
    defaults = {"data": common.data, "seeds": common.seeds, "baseline": common.baseline}
    if table.get("kind") == PROBE:
        settings = {key: value for key, value in settings.items() if key in PROBE_SETTINGS}
        own["seeds"] = (0,)  # none changes its answers
    settings |= {key: value for key, value in table.items() if key not in _OWN}
    own |= {"changes": own.pop("set", {}), "settings": settings, "order": order}
    name = printable(str(table.get("name", order + 1)))
    return from_plain(defaults | own, Entry, where=f"[[entry]] {name}")


_OWN = {"set", *(part.name for part in fields(Entry))} - {"order", "settings", "changes"}


def _twice(names: Sequence[Any]) -> list[Any]:
    return [name for name in names if names.count(name) > 1]


def _refuse_seeds(seeds: Sequence[int]) -> None:
    if not seeds or _twice(seeds):
        raise UserError(f"seeds are {list(seeds)}; name one or more, none of them twice")


def _refuse_unquoted(changes: Mapping[str, Any]) -> None:
    """Raises ``UserError`` for a place without quotes, which TOML takes for tables in tables."""
    for key, value in changes.items():
        steps = [key]
        while "." not in key and isinstance(value, Mapping) and value and "type" not in value:  # a type: a whole part
            step, value = next(iter(value.items()))
            steps.append(step)
        if len(steps) > 1:
            raise UserError(f'put the place in quotes: "{printable(".".join(steps))}"')


def advice_on(plan: Plan) -> list[str]:
    """What a user should know before hours of work: unequal numbers of trials, and fewer seeds than are advised."""
    trained = [entry for entry in plan.entries if entry.kind == TRAIN]
    lines = []
    if len({len(entry.trials) for entry in trained}) > 1:
        lines.append(f"unequal tuning: trials of {', '.join(f'{entry.name} {len(entry.trials)}' for entry in trained)}")
    counted = [entry for entry in trained if entry.phase != "tune"]
    if counted and (count := min(len(entry.seeds) for entry in counted)) < ENOUGH_SEEDS:
        names = ", ".join(entry.name for entry in counted if len(entry.seeds) == count)
        seeds = f"{count} seed{'s' if count > 1 else ''} ({names})"
        lines.append(f"few seeds: {seeds}; {ENOUGH_SEEDS} or more are advised, as fewer can hardly tell methods apart")
    return lines


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
        train_on = entry.train_on or source.train_on
        return Asked(
            kind=entry.kind,
            recipe=entry.recipe,
            settings=entry.settings,
            changes=entry.changes,
            train_on=tuple(train_on.split("+")) if train_on else (),
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


def runs_of(
    plan: Plan, *, only: Sequence[str] = (), phase: Literal["all", "tune", "final"] = "all"
) -> list[PlannedRun]:
    """The runs of a plan's entries, or ``only`` of some: tuning first, then the final ones.

    Final runs are in the order of data, probes, and seeds, so that methods keep step with each other.

    Raises:
        UserError: no such entry, or two runs of one name.
    """
    names = [entry.name for entry in plan.entries]
    if unknown := [name for name in only if name not in names]:
        raise UserError(f"--only {unknown[0]}: the plan has {', '.join(names)}")
    entries = [entry for entry in plan.entries if not only or entry.name in only]
    datasets = list(dict.fromkeys(data for entry in entries for data in entry.data))
    pairs = [(entry, data) for data in datasets for entry in entries if data in entry.data]
    tuning = [run for entry, data in pairs if entry.phase != "final" for run in _trials(plan, entry, data)]
    finals = [PlannedRun(*pair, seed) for pair in pairs if pair[0].phase != "tune" for seed in pair[0].seeds]

    def turn(run: PlannedRun) -> tuple[int, bool, int]:
        return datasets.index(run.data), run.entry.kind != PROBE, run.entry.seeds.index(run.seed)

    runs = [*(tuning if phase != "final" else ()), *(sorted(finals, key=turn) if phase != "tune" else ())]
    if twice := _twice([run.key for run in runs]):
        raise UserError(f"two runs of the plan would both be called {min(twice)}; name entries or data otherwise")
    return runs
