"""Keys of a table, taken one by one."""

import pytest

from fieldmark.bench.toml_table import TomlTable
from fieldmark.errors import UserError


def test_each_key_is_taken_once_and_of_its_kind():
    table = TomlTable({"a": 1, "b": 2, "c": ["x", "y"], "train_on": "train+val"}, "plan.toml")
    assert (table.take("a", int), table.take("b", float), table.words("c", ())) == (1, 2.0, ("x", "y"))
    assert table.splits() == ("train", "val")
    assert (table.take("a", int, 7), table.tables("sets"), table.numbers("seeds", (0,))) == (7, {}, (0,))
    table.refuse_rest()


@pytest.mark.parametrize(
    ("values", "taken", "said"),
    [
        ({}, lambda table: table.take("a", str), "plan.toml lacks a"),
        ({"a": True}, lambda table: table.take("a", int), "plan.toml: a is True; expected int"),
        ({"a": ["x", 1]}, lambda table: table.words("a", ()), "plan.toml: a holds 1; expected str"),
        ({"a": ["x", "x"]}, lambda table: table.words("a", ()), "plan.toml: a names one twice"),
        ({"a": [-1]}, lambda table: table.numbers("a", (0,)), "whole numbers from 0 on"),
        ({"a": 1}, lambda table: table.refuse_rest(), "plan.toml: a means nothing here"),
    ],
)
def test_mistakes_name_the_place(values, taken, said):
    with pytest.raises(UserError) as error:
        taken(TomlTable(values, "plan.toml"))
    assert said in str(error.value)


def test_no_table():
    with pytest.raises(UserError, match="x must be a table"):
        TomlTable(3, "x")
