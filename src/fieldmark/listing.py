"""What commands list: a table in a terminal, one plain line per row elsewhere."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from fieldmark.console import tell
from fieldmark.equations import Equation
from fieldmark.errors import printable
from fieldmark.plain import to_plain
from fieldmark.recipe import recipe_to_json

if TYPE_CHECKING:
    from fieldmark.recipes.composition import Row
    from fieldmark.recipes.quoted import Quoted


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Prints rows of words: a table in a terminal; else one line each, uncut, with two spaces between words."""
    if console.is_terminal:
        first, *others = headings
        table = Table(Column(first, no_wrap=True, overflow="ignore"), *others)  # which is typed as it stands
        for row in rows:
            table.add_row(*(escape(printable(word)) for word in row))
        console.print(table)
        return
    tell(console, *("  ".join(row) for row in rows))


def print_equations(listed: Sequence[Equation], console: Console) -> None:
    """Prints paper, number, function, file and line, and meaning of equations."""
    rows = [(e.paper, f"Eq. {e.number}", e.function, f"{near(e.file)}:{e.line}", e.meaning) for e in listed]
    print_rows(("paper", "equation", "function", "line", "meaning"), rows, console)


def equations_to_json(listed: Sequence[Equation]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [vars(equation) | {"file": str(near(equation.file))} for equation in listed]


def print_recipes(rows: "Mapping[str, Row]", console: Console) -> None:
    """Prints name, table, data, backbone, image size, epochs, the paper's top-1 in % and ours."""
    lines = []
    for name, row in rows.items():
        size, epochs = row.recipe.pixels.size, row.recipe.epochs
        numbers = (str(size), str(epochs), "-" if row.paper is None else f"{row.paper:.2f}")
        lines.append((name, row.table, row.data, row.recipe.model.backbone, *numbers, row.ours))
    print_rows(("recipe", "table", "data", "backbone", "pixels", "epochs", "paper %", "ours"), lines, console)


def print_quoted(quoted: "Sequence[Quoted]", console: Console) -> None:
    """Prints the figures of the same tables that a paper quotes: paper, table, data, system and top-1 in %."""
    lines = [(f"{q.paper} quotes", q.table, q.data, q.system, f"{q.figure:.2f}") for q in quoted]
    if lines:
        print_rows(("no recipe", "table", "data", "system", "paper %"), lines, console)


def print_recipe(row: "Row", console: Console) -> None:
    """Prints every field of a row's recipe by its path, as ``--set`` takes it."""
    fields = _fields(to_plain(row.recipe))
    print_rows(("path", "value"), list(fields.items()), console)


def _fields(data: Any, path: str = "") -> dict[str, str]:
    """The leaves of plain data by their paths, steps joined by dots; empty lists and tables are leaves."""
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    below = {key: text for step, value in steps for key, text in _fields(value, f"{path}.{step}").items()}
    return below or {path.removeprefix("."): data if isinstance(data, str) else json.dumps(data)}


def recipes_to_json(rows: "Mapping[str, Row]") -> list[dict[str, Any]]:
    """The same as plain data, with each recipe as its file would hold it."""
    return [
        {"name": name, "data": row.data, "table": row.table, "paper": row.paper, "ours": row.ours}
        | {"backbone": row.recipe.model.backbone, "epochs": row.recipe.epochs}
        | {"recipe": json.loads(recipe_to_json(row.recipe))}
        for name, row in rows.items()
    ]


def near(path: Path) -> Path:
    """A path relative to the working folder, if it is inside."""
    folder = Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path
