"""From what a user types to a part, a paper or a row: our own names in any spelling, or a class from elsewhere."""

import re
from collections.abc import Iterable
from typing import Any

from fieldmark.errors import UserError, printable
from fieldmark.plain import did_you_mean, shown, value_of
from fieldmark.recipe import Part
from fieldmark.recipes import COMPOSITIONS, PAPERS, PARTS, ROWS
from fieldmark.recipes.composition import Composition, Row


def composition_of(text: str) -> Composition:
    """What ``--method`` names: a paper by its short name, or a Method class of the user's own.

    Raises:
        UserError: no such name.
    """
    name = text.split(",")[0]
    for composition in COMPOSITIONS:
        if composition.name == name:
            if "," in text:
                raise UserError(f"--method {name} takes no options; give them to its parts: --term NAME,option=value")
            return composition
    if ":" not in name:
        nearest = did_you_mean(name, (composition.name for composition in COMPOSITIONS))
        raise UserError(f"--method {printable(name)}: {nearest} (or package.module:Class for a method of your own)")
    return Composition(name, method=part_of(text, option="--method"))


def rows_of(paper: str | None = None) -> dict[str, Row]:
    """The rows of the papers' tables by the names that ``--recipe`` takes: of one paper, or of all.

    Args:
        paper: the paper's name for ``--method``, its file's name, or a row's full name for that row alone.

    Raises:
        UserError: no paper or row of that name.
    """
    if paper is None:
        return dict(ROWS)
    if paper in ROWS:
        return {paper: ROWS[paper]}
    names = {module.__name__.rpartition(".")[2]: module.COMPOSITION.name for module in PAPERS if module.ROWS}
    name = names.get(paper.lower().removesuffix(".py").replace("-", "_"), paper.lower())
    if name not in names.values():
        kind, choices = ("row", ROWS) if "/" in paper else ("paper with rows", names.values())
        raise UserError(f"no {kind} is called {printable(paper)!r}; {did_you_mean(paper, choices)}")
    return {key: row for key, row in ROWS.items() if key.startswith(f"{name}/")}


def remarks_on(rows: Iterable[str]) -> list[str]:
    """What to know of the figures of these rows' papers before they are compared with ours."""
    papers = {name.partition("/")[0] for name in rows}
    return [f"{paper.name}: {paper.remark}" for paper in COMPOSITIONS if paper.remark and paper.name in papers]


def part_of(text: str, *, option: str) -> Part:
    """A part from ``name,option=value,...``; the name is one of our own in any spelling, or ``package.module:Class``.

    Args:
        text: what was typed.
        option: for which place, such as "--neck" or, for messages in Python's words, "neck".

    Raises:
        UserError: no such part for that place, or an option that is not ``name=value``.
    """
    name, *options = text.split(",")
    return Part(_part_name(name, option), dict(_option(item, option) for item in options))


def _part_name(name: str, option: str) -> str:
    """The name of one of our parts from any spelling; the name of a class from elsewhere as it is."""
    if ":" in name:
        return name
    place, plain = option.removeprefix("--"), re.sub(r"[-_ ]", "", name).lower()
    known = next((part for parts in PARTS.values() for part in parts if part.lower() == plain), name)
    if known in PARTS[place]:
        return known
    spellings = (re.sub(r"(?<=[a-z])(?=[A-Z])", "-", part).lower() for part in PARTS[place])
    other = _other_place(known)
    # what is known elsewhere is no misspelling
    nearest = f"that is a {other}; {did_you_mean('', spellings)}" if other else did_you_mean(name.lower(), spellings)
    raise UserError(f"{option} {printable(name)}: {nearest} (or package.module:Class for a class of your own)")


def refuse_unknown(place: str, part: Part) -> None:
    """Raises ``UserError`` for a name that is neither that of a class from elsewhere nor of one of ours for the place.

    Args:
        place: a key of ``PARTS``.
        part: what stands there.
    """
    if ":" in part.name or part.name in PARTS[place]:
        return
    other = _other_place(part.name)
    said = f"there is no {place} {shown(part.name)}" + (f", which is a {other}" if other else "")
    raise UserError(f"{said}; {did_you_mean('' if other else part.name, PARTS[place])}")


def _other_place(name: str) -> str:
    """The place of a part of ours; "" for other names."""
    return next((place for place, parts in PARTS.items() if name in parts), "")


def _option(text: str, option: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{option}: {text!r} must be name=value")
    words = {"true": True, "false": False, "none": None}
    return key.strip(), words[value.lower()] if value.lower() in words else value_of(value)
