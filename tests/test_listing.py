"""Lists as tables and as lines."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from fieldmark.equations import Equation
from fieldmark.listing import (
    equations_to_json,
    near,
    print_equations,
    print_quoted,
    print_recipe,
    print_recipes,
    print_rows,
    recipes_to_json,
)
from fieldmark.recipe import recipe_from_json
from fieldmark.recipes import ROWS as RECIPES
from fieldmark.recipes.quoted import Quoted
from fieldmark.training.overrides import with_fields

ROWS = [("a", "[bold]b", "a long word " * 9), ("c\nd", "e", "f")]


def printed(*, terminal: bool, width: int = 40) -> str:
    file = io.StringIO()
    print_rows(("one", "two", "three"), ROWS, Console(file=file, force_terminal=terminal, width=width))
    return re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())


def test_a_program_gets_a_line_a_row_uncut():
    assert printed(terminal=False).splitlines() == ["a  [bold]b  " + "a long word " * 9, "c\\nd  e  f"]


def test_a_terminal_gets_a_table_that_fits():
    lines = printed(terminal=True).splitlines()
    assert max(map(len, lines)) <= 40
    text = "\n".join(lines)
    assert all(word in text for word in ("one", "two", "three", "[bold]b", "c\\nd", "│"))


def test_equations_say_where_they_are_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    found = [Equation("p", 3, "f", tmp_path / "x" / "y.py", 7, "all"), Equation("p", 4, "g", Path("/z.py"), 1, "none")]
    file = io.StringIO()
    print_equations(found, Console(file=file))
    assert file.getvalue().splitlines() == ["p  Eq. 3  f  x/y.py:7  all", "p  Eq. 4  g  /z.py:1  none"]
    assert equations_to_json(found)[0] == {
        "paper": "p", "number": 3, "function": "f", "file": "x/y.py", "line": 7, "meaning": "all",
    }  # fmt: skip
    assert near(Path("/z.py")) == Path("/z.py")


def test_recipes_say_what_they_are_and_hold_all_of_it():
    rows = {name: RECIPES[name] for name in ("pc/cub-resnet50-plain", "pc/dogs-densenet161")}
    file = io.StringIO()
    print_recipes(rows, Console(file=file))
    assert file.getvalue().splitlines() == [
        "pc/cub-resnet50-plain  Table 2  CUB-200-2011  resnet50.tv_in1k  224  244  78.15  not yet run",
        "pc/dogs-densenet161  Table 2  Stanford Dogs  densenet161.tv_in1k  224  120  83.75  not yet run",
    ]
    plain, _ = recipes_to_json(rows)
    assert recipe_from_json(json.dumps(plain.pop("recipe"))) == rows["pc/cub-resnet50-plain"].recipe
    assert plain == {
        "name": "pc/cub-resnet50-plain", "data": "CUB-200-2011", "table": "Table 2", "paper": 78.15,
        "ours": "not yet run", "backbone": "resnet50.tv_in1k", "epochs": 244,
    }  # fmt: skip


def test_quoted_figures_say_who_quotes_what():
    file = io.StringIO()
    print_quoted([Quoted("cin", "Table 2", "Stanford Cars", "HBP", 93.7)], Console(file=file))
    assert file.getvalue() == "cin quotes  Table 2  Stanford Cars  HBP  93.70\n"
    print_quoted([], Console(file=file, force_terminal=True))
    assert file.getvalue().count("\n") == 1, "no table without figures"


@pytest.mark.parametrize("name", ["pc/cub-resnet50", "api-net/cub-resnet101", "mc-loss/cub-vgg16-scratch", "s3n/cub"])
def test_each_field_of_a_row_can_be_said_as_it_is_listed(name: str):
    row = next(row for key, row in RECIPES.items() if key.startswith(name))
    file = io.StringIO()
    print_recipe(row, Console(file=file))
    lines = [line.split("  ", 1) for line in file.getvalue().splitlines()]
    assert ["stages.0.epochs", str(row.recipe.stages[0].epochs)] in lines
    assert ["model.backbone", row.recipe.model.backbone] in lines
    said = [f"{place}={value}" for place, value in lines if not place.endswith(".type")]
    assert with_fields(row.recipe, said) == row.recipe
    changed = with_fields(row.recipe, [text if not text.startswith("seed=") else "seed=9" for text in said])
    assert changed != row.recipe
