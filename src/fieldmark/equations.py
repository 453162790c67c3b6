"""Which line computes which equation of which paper, read from the source: neither papers nor torch are imported.

A file in ``papers/`` lists its equations in a block of its docstring, one per row, two spaces or more between columns.
A line that is indented deeper continues a meaning; any other is a note for who reads the file, and no part of it:

    Equations
        Eq. 5   euclidean_confusion  squared distance of two probability vectors
        Eq. 10  PairwiseConfusion    the training objective's added part,
            over the pairs of a batch
        Eq. 1 and 4 are definitions.

The line that computes one ends in ``# Eq. 5``.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fieldmark.errors import UserError, printable

PACKAGE = Path(__file__).resolve().parent
_ROW = re.compile(r"(\s+)Eq\. (\d+)\s{2,}([\w.]+)\s{2,}(\S.*)")
_TAG = re.compile(r"#.*\bEq\. (\d+)\s*$")


@dataclass(frozen=True)
class Equation:
    """An equation of a paper and a line that computes it.

    ``paper`` is its name for ``--method``; ``function`` the function or class, as the paper's file lists it;
    ``meaning`` a short description.
    """

    paper: str
    number: int
    function: str
    file: Path
    line: int
    meaning: str


class Listed(NamedTuple):
    """A row of the block ``Equations``."""

    number: int
    function: str
    meaning: str


class Tagged(NamedTuple):
    """A line that ends in ``# Eq. N``, and the functions and classes around it."""

    number: int
    line: int
    inside: tuple[str, ...]


def equations(paper: str | None = None) -> list[Equation]:
    """All equations, by paper and number, one value for each line that computes one.

    Args:
        paper: a single paper, by its name for ``--method`` or its file's name; None for all.

    Raises:
        UserError: an unknown paper.
    """
    names = {path: name_of(path) for path in sorted((PACKAGE / "papers").rglob("*.py")) if listed(_read(path))}
    wanted = None if paper is None else paper.lower().removesuffix(".py").replace("-", "_")
    chosen = [path for path, name in names.items() if wanted in (None, name.replace("-", "_"), _paper_of(path))]
    if not chosen:
        raise UserError(
            f"no paper is called {printable(str(paper))!r}; choose {', '.join(dict.fromkeys(names.values()))}"
        )
    computed = (equation for path in chosen for equation in _of_file(path, names[path]))
    return sorted(computed, key=lambda equation: (equation.paper, equation.number))


def listed(text: str) -> list[Listed]:
    """The rows of the block ``Equations`` in a paper's file, in order."""
    rows: list[Listed] = []
    _, _, block = (ast.get_docstring(ast.parse(text)) or "").partition("\nEquations\n")
    margin = ""  # deeper than this a line continues the row above it
    for line in block.splitlines():
        if row := _ROW.fullmatch(line.rstrip()):
            margin = f"{row[1]} "
            rows.append(Listed(int(row[2]), row[3], row[4]))
        elif line and not line[0].isspace():
            break
        elif margin and line.startswith(margin) and line.strip():
            rows[-1] = rows[-1]._replace(meaning=f"{rows[-1].meaning} {line.strip()}")
        else:
            margin = ""
    return rows


def tagged(text: str) -> list[Tagged]:
    """The lines of a source text that end in ``# Eq. N``, in order."""
    around = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    tags = [(token.start[0], _TAG.search(token.string)) for token in tokens if token.type == tokenize.COMMENT]
    return [
        Tagged(int(tag[1]), line, tuple(node.name for node in around if node.lineno <= line <= (node.end_lineno or 0)))
        for line, tag in tags
        if tag
    ]


def name_of(path: Path) -> str:
    """The name for ``--method`` of the paper that a file below ``papers/`` belongs to.

    It is in the paper's file in ``recipes/``, which is named like its file, or the folder of its files, in ``papers/``.
    """
    recipe = PACKAGE / "recipes" / f"{_paper_of(path)}.py"
    return _composition(recipe) or _paper_of(path).replace("_", "-")


def _paper_of(path: Path) -> str:
    """The paper's file or folder, without a suffix."""
    return path.relative_to(PACKAGE / "papers").with_suffix("").parts[0]


def _composition(recipe: Path) -> str:
    """The first word of ``COMPOSITION`` in a paper's file in ``recipes/``; "" if there is none."""
    for node in ast.parse(_read(recipe)).body if recipe.is_file() else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPOSITION":
            assert isinstance(node.value, ast.Call)
            return str(ast.literal_eval(node.value.args[0]))
    return ""


def _of_file(path: Path, name: str) -> Iterator[Equation]:
    text = _read(path)
    lines = tagged(text)
    for number, function, meaning in sorted(listed(text), key=lambda row: row.number):
        for tag in lines:
            if tag.number == number and function.split(".")[-1] in tag.inside:
                yield Equation(name, number, function, path, tag.line, meaning)


def _read(path: Path) -> str:
    return path.read_text("utf-8")
