"""From what a user types to a part: a name of ours with options, or a class from the user's own module."""

import ast
import importlib
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fieldmark.errors import UserError, printable
from fieldmark.recipe import Part
from fieldmark.recipes import COMPOSITIONS, KNOWN, PAPERS, ROWS
from fieldmark.recipes.composition import Composition, Row


def composition_of(text: str) -> Composition:
    """What ``--method`` names: a paper by its short name, or a Method class of the user's.

    Raises:
        UserError: no such name.
    """
    name = text.split(",")[0]
    for composition in COMPOSITIONS:
        if composition.name == name:
            if "," in text:
                raise UserError(f"--method {name} takes no options here; give its parts: --term NAME,option=value")
            return composition
    if ":" not in name:
        names = ", ".join(composition.name for composition in COMPOSITIONS)
        raise UserError(f"--method {name}: choose {names}, or package.module:Class for a method of your own")
    return Composition(name, method=part_of(text, option="--method"))


def rows_of(paper: str | None = None) -> dict[str, Row]:
    """The rows of the papers' tables by the names that ``--recipe`` takes; of one paper alone, or of all.

    Args:
        paper: the paper's name for ``--method``, or its file's name; or a row's own name, for that row alone.

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
        close = get_close_matches(paper, ROWS, n=3) if "/" in paper else list(names.values())
        known = f"choose {', '.join(close)}" if close else "fieldmark recipes lists them"
        raise UserError(f"no {'row' if '/' in paper else 'paper with rows'} is called {printable(paper)!r}; {known}")
    return {key: row for key, row in ROWS.items() if key.startswith(f"{name}/")}


def part_of(text: str, *, option: str) -> Part:
    """A part from ``name,option=value,...``; the name is one of ours in any spelling, or ``package.module:Class``.

    Raises:
        UserError: no such class, or an option that is not ``name=value``.
    """
    name, *rest = text.split(",")
    kind = imported(name, option=option) if ":" in name else _known(name, option)
    return Part(kind, dict(_option(item, option) for item in rest))


def imported(name: str, *, option: str) -> type:
    """The class ``package.module:Class``, looked for beside the installed packages in the working folder."""
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for step in attribute.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError, TypeError, ValueError, SyntaxError) as error:
        raise UserError(f"{option} {name}: {error}; it is package.module:Class") from error
    finally:
        sys.path.remove(here)
    if not isinstance(found, type):
        raise UserError(f"{option} {name}: that is no class")
    return found


def imported_all(names: Sequence[str]) -> tuple[type, ...]:
    """The classes of ``--external``."""
    return tuple(imported(name, option="--external") for name in names)


def _known(name: str, option: str) -> type:
    plain = re.sub(r"[-_ ]", "", name).lower()
    for kind in KNOWN:
        if kind.__name__.lower() == plain:
            return kind
    spelt = ", ".join(re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower() for kind in KNOWN)
    raise UserError(f"{option} {name}: choose one of {spelt}, or package.module:Class")


def _option(text: str, option: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{option}: {text!r} is no name=value")
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return key.strip(), words[value.lower()]
    try:
        return key.strip(), ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key.strip(), value
