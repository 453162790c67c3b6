"""What is to be compared, as one reads and writes it: a TOML file of entries.

format_version = 1
title = "20 classes of CUB-200-2011"
data = ["cub20"]                     # of all entries that name none; where they lie: --data cub20=FOLDER
seeds = [10, 11, 12]                 # of the final runs
baseline = "plain"                   # what entries are held against that name no other
notes = ["..."]                      # may be left out: what readers of the report have to know, such as earlier trials

[sets.cub20]                         # may be left out; path is relative to this file
train_on = "train"

[settings]                           # of all entries: those of ``fieldmark train``
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
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fieldmark.bench.toml_table import TomlTable
from fieldmark.errors import UserError, printable

FORMAT_VERSION = 1
TRAIN, PROBE = "train", "probe"
PHASES = ("both", "tune", "final")
PROBE_SETTINGS = ("backbone", "weights", "size")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class Place:
    """A data set of a plan: where it lies, if the plan says so, and which of its labels and splits count."""

    path: Path | None = None
    annotation: str = "variant"
    train_on: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Tuning:
    """How trials are run: seeds, share of the training photos held out, share of the epochs."""

    seeds: tuple[int, ...] = (0,)
    hold_out: float = 0.3
    epochs: float = 1.0


@dataclass(frozen=True)
class Entry:
    """A row of the table: what is trained (or probed), on which data, with which seeds.

    ``settings`` are those of ``fieldmark train``; ``recipe`` stands in their place ("": none); ``changes`` are of the
    recipe that results, by place; ``trials`` further changes, of which tuning chooses one; ``order`` as in the plan.
    """

    name: str
    kind: Literal["train", "probe"]
    data: tuple[str, ...]
    seeds: tuple[int, ...]
    baseline: str
    phase: Literal["both", "tune", "final"]
    train_on: tuple[str, ...] | None
    recipe: str
    settings: Mapping[str, Any]
    changes: Mapping[str, Any]
    trials: tuple[Mapping[str, Any], ...]
    order: int


@dataclass(frozen=True)
class Plan:
    """Entries, and what they have in common; ``baseline`` is what entries are held against that name no other.

    ``notes`` are lines that stand at the head of the report.
    """

    path: Path
    title: str
    entries: tuple[Entry, ...]
    sets: Mapping[str, Place] = field(default_factory=dict)
    tuning: Tuning = field(default_factory=Tuning)
    baseline: str = "plain"
    notes: tuple[str, ...] = ()


def read_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        UserError: no TOML, an unknown key, a value of another kind, or entries that do not fit together.
    """
    shown = printable(str(path))
    try:
        top = TomlTable(tomllib.loads(path.read_text("utf-8")), shown)
    except (OSError, ValueError) as error:
        raise UserError(f"{shown}: no plan that can be read ({printable(str(error))})") from error
    if (version := top.take("format_version", int)) != FORMAT_VERSION:
        raise UserError(f"{shown}: format_version is {version}, and this Fieldmark reads {FORMAT_VERSION}")
    sets = {
        name: _place(TomlTable(found, f"{shown}: [sets.{name}]"), path) for name, found in top.tables("sets").items()
    }
    tuning = _tuning(TomlTable(top.take("tuning", dict, {}), f"{shown}: [tuning]"))
    common = _Common(
        title=top.take("title", str, path.stem),
        data=top.words("data", ()),
        seeds=top.numbers("seeds", (0,)),
        baseline=top.take("baseline", str, "plain"),
        settings=top.take("settings", dict, {}),
    )
    notes = top.words("notes", ())
    if isinstance(top.left.get("entry"), dict):
        raise UserError(f"{shown}: [entry] is one table; write [[entry]] above each entry")
    entries = [TomlTable(found, f"{shown}: [[entry]] {at + 1}") for at, found in enumerate(top.take("entry", list, []))]
    top.refuse_rest()
    if not entries:
        raise UserError(f"{shown}: no entries; write [[entry]] and a name for each row of the table")
    plan = Plan(path, common.title, tuple(_entry(one, common, at) for at, one in enumerate(entries)), sets, tuning)
    _check(plan, shown)
    return replace(plan, baseline=common.baseline, notes=notes)


def unequal_trials(plan: Plan) -> str:
    """One line where entries that are trained have different numbers of trials; "" where all have equally many."""
    counts = {entry.name: len(entry.trials) for entry in plan.entries if entry.kind == TRAIN}
    if len(set(counts.values())) < 2:
        return ""
    return "unequal tuning: " + ", ".join(f"{name} has {count} trials" for name, count in counts.items())


@dataclass(frozen=True)
class _Common:
    """What entries fall back on."""

    title: str
    data: tuple[str, ...]
    seeds: tuple[int, ...]
    baseline: str
    settings: Mapping[str, Any]


def _place(table: TomlTable, plan: Path) -> Place:
    said = table.take("path", str, "")
    found = Place(plan.parent / said if said else None, table.take("annotation", str, "variant"), table.splits())
    table.refuse_rest()
    return found


def _tuning(table: TomlTable) -> Tuning:
    default = Tuning()
    found = Tuning(
        seeds=table.numbers("seeds", default.seeds),
        hold_out=table.take("hold_out", float, default.hold_out),
        epochs=table.take("epochs", float, default.epochs),
    )
    table.refuse_rest()
    if not 0 < found.hold_out < 1:
        raise UserError(f"{table.where}: hold_out is {found.hold_out:g}; between 0 and 1")
    if not 0 < found.epochs <= 1:
        raise UserError(f"{table.where}: epochs is {found.epochs:g}; a share above 0, and at most 1")
    return found


def _entry(table: TomlTable, common: _Common, order: int) -> Entry:
    name = table.take("name", str)
    table.where += f" ({printable(name)})"
    kind, phase = table.take("kind", str, TRAIN), table.take("phase", str, "both")
    for key, value, known in (("kind", kind, (TRAIN, PROBE)), ("phase", phase, PHASES)):
        if value not in known:
            raise UserError(f"{table.where}: {key} is {value!r}; choose {', '.join(known)}")
    trials = table.take("trials", list, [])
    if wrong := [trial for trial in trials if not isinstance(trial, dict)]:
        raise UserError(f"{table.where}: a trial is a table of changes, not {wrong[0]!r}")
    recipe = table.take("recipe", str, "")
    entry = Entry(
        name=name,
        kind=kind,
        data=table.words("data", common.data),
        seeds=(0,) if kind == PROBE else table.numbers("seeds", common.seeds),
        baseline=table.take("baseline", str, common.baseline),
        phase=phase,
        train_on=table.splits(),
        recipe=recipe,
        changes=_changes(table.take("set", dict, {}), table.where),
        trials=tuple(_changes(trial, table.where) for trial in trials),
        settings=_settings(table, {} if recipe else common.settings, kind),
        order=order,
    )
    if recipe and (table.left or kind == PROBE):
        raise UserError(f"{table.where}: recipe excludes all other settings; change it with set = {{...}}")
    if kind == PROBE and (trials or entry.changes):
        raise UserError(f"{table.where}: a probe has neither trials nor changes; it chooses its penalty itself")
    return entry


def _changes(said: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Changes by place; TOML takes a place without quotes for tables in tables.

    Raises:
        UserError: a place without quotes.
    """
    for key, value in said.items():
        way = [key]
        while "." not in key and isinstance(value, dict) and value and "type" not in value:  # a type tells a whole part
            step, value = next(iter(value.items()))
            way.append(step)
        if len(way) > 1:
            raise UserError(f'{where}: put the place in quotes: "{printable(".".join(way))}"')
    return said


def _settings(table: TomlTable, common: Mapping[str, Any], kind: str) -> dict[str, Any]:
    if kind == TRAIN:
        return dict(common) | table.left
    if wrong := [key for key in table.left if key not in PROBE_SETTINGS]:
        raise UserError(f"{table.where}: a probe has no setting {wrong[0]}; it has {', '.join(PROBE_SETTINGS)}")
    return {key: value for key, value in common.items() if key in PROBE_SETTINGS} | table.left


def _check(plan: Plan, shown: str) -> None:
    """Raises ``UserError`` where names or seeds of entries do not fit together."""
    names = [entry.name for entry in plan.entries]
    for name in (*names, *(data for entry in plan.entries for data in entry.data)):
        if not _NAME.fullmatch(name):
            raise UserError(f"{shown}: {printable(name)!r} is no name for files; use letters, digits and -_.+")
    for entry in plan.entries:
        if names.count(entry.name) > 1:
            raise UserError(f"{shown}: two entries are called {entry.name}")
        if not entry.data:
            raise UserError(f"{shown}: {entry.name} names no data; say data = [...] there or for all entries")
        if entry.baseline not in names:
            raise UserError(f"{shown}: {entry.name} is held against {entry.baseline}, which is no entry")
        if entry.trials and (twice := set(entry.seeds) & set(plan.tuning.seeds)):
            raise UserError(f"{shown}: {entry.name} is tuned and measured with seed {min(twice)}; take fresh seeds")
