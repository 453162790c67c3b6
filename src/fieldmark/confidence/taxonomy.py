"""Groups of classes, at one or several levels: a tree that an answer can climb, until it is certain enough."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fieldmark.data.dataset import Level, composed, hardly_differ
from fieldmark.data.spreadsheet import Row, read_rows
from fieldmark.errors import UserError, printable
from fieldmark.plain import did_you_mean

CLASS, UNSURE = "class", "unsure"
"""The name of the lowest level, and of the column of classes; and what stands for a level where there is no answer."""


@dataclass(frozen=True)
class Groups:
    """Classes and the levels above them, the finest first; without levels, the classes alone.

    Raises ``UserError`` where that is no tree, or a name could mean two things.
    """

    classes: tuple[str, ...]
    levels: tuple[Level, ...] = ()

    def __post_init__(self) -> None:
        for fault in _faults(self):
            raise UserError(fault)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the levels, from the classes' own up."""
        return (CLASS, *(level.name for level in self.levels))

    @cached_property
    def nodes(self) -> tuple[tuple[str, ...], ...]:
        """The names at each level: the classes, then the groups in the order of their first classes."""
        return (self.classes, *(tuple(dict.fromkeys(level.groups)) for level in self.levels))

    @cached_property
    def positions(self) -> tuple[np.ndarray, ...]:
        """For each level, where in ``nodes`` each class's own node stands: (C,) int64."""
        positions = [np.arange(len(self.classes))]
        for level, names in zip(self.levels, self.nodes[1:], strict=True):
            at = {name: place for place, name in enumerate(names)}
            positions.append(np.array([at[group] for group in level.groups], dtype=np.int64))
        return tuple(positions)

    def with_class(self, name: str, group: str = "") -> "Groups":
        """These with a further class, the last one: in a group and what that lies in, or by itself at each level.

        Raises:
            UserError: there is no such group, or the class is called like one that it does not lie in.
        """
        depth = next((at for at, level in enumerate(self.levels) if group in level.groups), len(self.levels))
        if group and depth == len(self.levels):
            known = dict.fromkeys(group for level in self.levels for group in level.groups)
            raise UserError(f"'{printable(group)}' is no group of the run's classes; {did_you_mean(group, known)}")
        own = [
            level.groups[self.levels[depth].groups.index(group)] if at >= depth else name
            for at, level in enumerate(self.levels)
        ]
        if name not in own[depth:] and any(name in level.groups for level in self.levels):
            raise UserError(f"'{printable(name)}' is a group of classes already; give the class another name")
        levels = (Level(level.name, (*level.groups, own[at])) for at, level in enumerate(self.levels))
        return Groups((*self.classes, name), tuple(levels))

    def without_class(self, label: int) -> "Groups":
        """These without the class of that index."""

        def less(names: tuple[str, ...]) -> tuple[str, ...]:
            return (*names[:label], *names[label + 1 :])

        return Groups(less(self.classes), tuple(Level(level.name, less(level.groups)) for level in self.levels))


def _faults(groups: Groups) -> Iterator[str]:
    """What is wrong with groups, in words."""
    names = [level.name for level in groups.levels]
    if {CLASS, UNSURE, ""} & {*names} or len({*names}) < len(names):
        own = f"each needs a name of its own, other than {CLASS} and {UNSURE}"
        yield f"levels are called {printable(', '.join(names))}; {own}"
    for level in groups.levels:
        if len(level.groups) != len(groups.classes) or not all(level.groups):
            yield f"the level {printable(level.name)} does not give each class a group"
            return
    below = Level(CLASS, groups.classes)
    for level in groups.levels:
        yield from _torn(groups.classes, below, level)
        below = level
    yield from _ambiguous(groups)


def _torn(classes: Sequence[str], below: Level, level: Level) -> Iterator[str]:
    """Groups of a level whose classes lie in several groups of the next one."""
    first: dict[str, tuple[str, str]] = {}
    for name, fine, coarse in zip(classes, below.groups, level.groups, strict=True):
        other, example = first.setdefault(fine, (coarse, name))
        if other != coarse:
            places = f"'{other}' by the class '{example}', in '{coarse}' by '{name}'"
            yield printable(f"the {below.name} '{fine}' lies in the {level.name} {places}; it can lie in one only")


def _ambiguous(groups: Groups) -> Iterator[str]:
    """Groups that are called like a class or a finer group which does not lie in them."""
    holders: dict[str, tuple[str, set[int]]] = {}
    for name, nodes, positions in zip(groups.names, groups.nodes, groups.positions, strict=True):
        members: dict[int, set[int]] = defaultdict(set)
        for at, place in enumerate(positions.tolist()):
            members[place].add(at)
        for place, node in enumerate(nodes):
            below, classes = holders.get(node, (name, members[place]))
            if not classes <= members[place]:
                lacking = f"is called like a {below} that does not lie in it; rename one of the two"
                yield printable(f"the {name} '{node}' {lacking}")
            holders[node] = (below if classes == members[place] else name, members[place])


def read_groups(file: Path, classes: Sequence[str]) -> Groups:
    """The groups of a run's classes from a CSV: a column ``class``, and one per level, the finest first.

    The header names the levels. An empty cell leaves a class, or its group at the level before, by itself. Rows may be
    repeated, so that a table of photos serves as well; names are compared in composed Unicode.

    Args:
        file: the table, as ``data/spreadsheet.py`` reads it.
        classes: those of the run; each needs a row.

    Raises:
        UserError: not such a table, classes that are missing or unknown, or groups that contradict each other.
    """
    shown = printable(str(file))
    header, *rows = read_rows(file) or [Row(1, [])]
    column, levels = _columns([composed(cell.strip()) for cell in header.cells], shown)
    paths = _paths(rows, column, levels, shown)
    known = {composed(name): name for name in classes}
    _refuse_classes(paths, known, shown)
    rising = [[known.get(group, group) for group in paths[composed(name)]] for name in classes]
    found = tuple(Level(name, tuple(path[at] for path in rising)) for at, name in enumerate(levels.values()))
    for level in found:
        for alike in hardly_differ({*level.groups} - {*classes}):
            spellings = " and ".join(f"'{printable(name)}'" for name in alike)
            raise UserError(f"{shown}: the {printable(level.name)} is written {spellings}; write it one way")
    try:
        return Groups(tuple(classes), found)
    except UserError as error:
        raise UserError(f"{shown}: {error}") from None


def _columns(names: Sequence[str], shown: str) -> tuple[int, dict[int, str]]:
    """The column of classes, and those of levels with their names."""
    wanted = f"{shown}: the first row must name a column {CLASS} and one for each level, the finest first"
    places = [at for at, name in enumerate(names) if name.casefold() == CLASS]
    if len(places) != 1 or len(names) < 2:
        found = printable(", ".join(names))[:200] or "nothing"
        raise UserError(f"{wanted}, such as {CLASS},genus,family;\nfound: {found}")
    levels = {at: name for at, name in enumerate(names) if at != places[0]}
    if not all(levels.values()):
        number = next(at for at, name in levels.items() if not name) + 1
        raise UserError(f"{wanted};\ncolumn {number} has no name")
    if alike := hardly_differ(levels.values()) or tuple((n,) for n in names if names.count(n) > 1):
        raise UserError(f"{wanted};\ntwo columns are called {printable(alike[0][0])}")
    return places[0], levels


def _paths(rows: Sequence[Row], column: int, levels: Mapping[int, str], shown: str) -> dict[str, list[str]]:
    """For each class, its groups from the finest level up."""
    paths: dict[str, list[str]] = {}
    first: dict[str, int] = {}
    given: set[tuple[int, str]] = set()
    alone: dict[tuple[int, str], int] = {}
    for number, cells in rows:
        texts = [composed(cell.strip()) for cell in cells] + [""] * (1 + len(levels) - len(cells))
        place = f"{shown}, row {number}"
        if any(texts[1 + len(levels) :]):
            raise UserError(f"{place}: {len(texts)} values for {1 + len(levels)} columns; put quotes around commas")
        if not texts[column]:
            raise UserError(f"{place}: the {CLASS} is empty; name it or delete the row")
        path = [texts[column]]
        for at in levels:
            path.append(texts[at] or path[-1])
            if texts[at]:
                given.add((at, texts[at]))
            else:
                alone.setdefault((at, path[-1]), number)
        name = path.pop(0)
        if paths.setdefault(name, path) != path:
            both = f"rows {first[name]} and {number}: '{printable(name)}' has different groups"
            raise UserError(f"{shown}, {both}; delete one of the rows")
        first.setdefault(name, number)
    for at, group in given & alone.keys():
        level, place = printable(levels[at]), f"{shown}, row {alone[at, group]}"
        others = f"other rows have the {level} '{printable(group)}'"
        raise UserError(f"{place}: the {level} is empty, and {others}; write it here, too, or call theirs differently")
    return paths


def _refuse_classes(found: Mapping[str, object], known: Mapping[str, str], shown: str) -> None:
    """Raises ``UserError`` where the classes of a table are not those of the run."""
    if missing := [printable(known[name]) for name in known if name not in found]:
        few = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        count = f"{len(missing):,} of the run's {len(known):,} classes"
        raise UserError(f"{shown}: no row for {count}: {few};\nadd them, with empty cells where a class has no group")
    if strange := [name for name in found if name not in known]:
        count = f"{len(strange):,} rows are" if len(strange) > 1 else "one row is"
        near = did_you_mean(strange[0], known.values()) if len(known) <= 20 else "see the run's classes.json"
        raise UserError(f"{shown}: {count} of classes that the run does not know: {printable(strange[0])}; {near}")
