"""What is to be compared, as one reads and writes it: a TOML file of entries.

format_version = 1
title = "20 classes of CUB-200-2011"
data = ["cub20"]                     # of all entries that name none; where they lie: --data cub20=FOLDER
seeds = [10, 11, 12, 13, 14, 15]     # of the final runs; six or more tell methods apart
baseline = "plain"                   # what entries are compared with unless they name another
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from fieldmark.errors import UserError, printable
from fieldmark.files import write_bytes
from fieldmark.plain import Natural, Range, from_plain

FORMAT_VERSION = 1
PLAN = "plan.toml"
"""A comparison's plan as its folder keeps it, by which the report says what is missing."""
TRAIN: Literal["train"] = "train"
PROBE: Literal["probe"] = "probe"
ENOUGH_SEEDS = 6
"""Flipping the signs of n paired differences gives no two-sided p below 2 / 2ⁿ: 0.25 for three seeds, 0.03 for six."""
PROBE_SETTINGS = ("backbone", "weights", "size")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


class Splits(tuple[str, ...]):
    """Names of splits, in a plan as "train" or "train+val"."""

    @classmethod
    def from_plain(cls, data: Any, where: str) -> "Splits":
        """Raises ``UserError`` for what is no text."""
        return cls(from_plain(data, str, where=where).split("+"))


@dataclass(frozen=True)
class DataSource:
    """A data set of a plan: where it lies, if the plan says so, and which of its labels and splits count."""

    path: Path | None = None
    annotation: str = "variant"
    train_on: Splits | None = None


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
    train_on: Splits | None = None
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
        if twice := next((name for name in self.data if self.data.count(name) > 1), ""):
            raise UserError(f"data names {twice} twice")
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
    written = tables.pop("entry", ())
    if isinstance(written, Mapping):
        raise UserError("[entry] is one table; write [[entry]] above each entry")
    common = from_plain(tables, Common)
    entries = tuple(
        _entry(table, common, order) for order, table in enumerate(from_plain(written, tuple[Mapping[str, Any], ...]))
    )
    names = [entry.name for entry in entries]
    if not names:
        raise UserError("no entries; write [[entry]] and a name for each row of the table")
    for entry in entries:
        if names.count(entry.name) > 1:
            raise UserError(f"two entries are called {entry.name}")
        if entry.baseline not in names:
            raise UserError(f"{entry.name} is to be compared with {entry.baseline}, which is no entry")
        if entry.trials and (twice := set(entry.seeds) & set(common.tuning.seeds)):
            raise UserError(f"{entry.name} is tuned and measured with seed {min(twice)}; take fresh seeds")
    sets = {name: replace(place, path=place.path and path.parent / place.path) for name, place in common.sets.items()}
    known = vars(common) | {"title": common.title or path.stem, "sets": sets}
    return Plan(**known, path=path, entries=entries)


def _entry(table: Mapping[str, Any], common: Common, order: int) -> Entry:
    """An entry: its own keys, and all others as settings, before those that all entries have in common."""
    is_probe = table.get("kind") == PROBE
    settings = {} if "recipe" in table else dict(common.settings)
    if is_probe:
        settings = {key: value for key, value in settings.items() if key in PROBE_SETTINGS}
    own: dict[str, Any] = {"data": common.data, "seeds": common.seeds, "baseline": common.baseline, "order": order}
    for key, value in table.items():
        if key in _ENTRY:
            own["changes" if key == "set" else key] = value
        else:
            settings[key] = value
    if is_probe:
        own["seeds"] = (0,)  # none changes its answers
    name = printable(str(table.get("name", order + 1)))
    return from_plain(own | {"settings": settings}, Entry, where=f"[[entry]] {name}")


_ENTRY = {"set", *(part.name for part in fields(Entry))} - {"order", "settings", "changes"}


def _refuse_seeds(seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
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


def keep_plan(plan: Plan, folder: Path) -> None:
    """Copies a plan's file into the folder of a comparison, all or nothing; one that says the same is left alone."""
    path, content = folder / PLAN, plan.path.read_bytes()
    if not path.is_file() or path.read_bytes() != content:
        write_bytes(path, content)


def advice_on(plan: Plan) -> list[str]:
    """What a user should know before hours of work: unequal numbers of trials, and fewer seeds than are advised."""
    trained = [entry for entry in plan.entries if entry.kind == TRAIN]
    lines = []
    if len({len(entry.trials) for entry in trained}) > 1:
        lines.append(f"unequal tuning: trials of {', '.join(f'{entry.name} {len(entry.trials)}' for entry in trained)}")
    few = {len(entry.seeds): entry.name for entry in trained if entry.phase != "tune"}
    if few and (count := min(few)) < ENOUGH_SEEDS:
        seeds = f"{count} seed{'s' if count > 1 else ''} ({few[count]})"
        lines.append(f"few seeds: {seeds}; {ENOUGH_SEEDS} or more are advised, as fewer can hardly tell methods apart")
    return lines
