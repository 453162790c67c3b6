"""Dataclasses as plain data and back: what comes back is what went in, and all else is refused in one line."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.errors import UserError
from fieldmark.plain import (
    BelowOne,
    Count,
    Finite,
    Natural,
    NotNegative,
    Positive,
    Range,
    Share,
    changed,
    did_you_mean,
    from_plain,
    json_text,
    shown,
    to_plain,
    value_of,
)


@dataclass(frozen=True)
class Nest:
    """One of two classes for the same field."""

    eggs: Count
    height: NotNegative = 0.0


@dataclass(frozen=True)
class Burrow:
    """The other, with a field of the same name."""

    eggs: Natural = 0
    depth: Share = 0.5

    def __post_init__(self) -> None:
        if self.eggs > 9 and self.depth == 0:
            raise UserError("so many eggs need depth")


@dataclass(frozen=True)
class Code:
    """A class with a form of its own: a text."""

    letters: str

    def to_plain(self) -> str:
        return f"<{self.letters}>"

    @classmethod
    def from_plain(cls, data: Any, where: str) -> "Code":
        if not isinstance(data, str) or data[:1] != "<":
            raise UserError(f"{where} is no code")
        return cls(data[1:-1])


@dataclass(frozen=True)
class Bird:
    """A field of every kind that there is."""

    name: str
    home: Nest | Burrow
    ringed: bool = False
    weight: float = 1.0
    sex: Literal["f", "m"] = "f"
    legs: Literal[2, 1] = 2
    folder: Path = Path()
    length: Annotated[float, Range(above=0, most=1)] | None = None
    code: Code | None = None
    homes: tuple[Nest, ...] = ()
    flights: tuple[tuple[float, ...], ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, Natural]] = field(default_factory=dict)
    colour: int | str = "brown"
    rest: Any = None


BIRD = Bird("wren", Nest(5))
numbers = st.floats(allow_nan=False)
nests = st.builds(Nest, st.integers(1), st.floats(0, allow_infinity=False))
burrows = st.builds(Burrow, st.integers(0, 9), st.floats(0, 1))
plain = st.recursive(st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=5), st.lists, max_leaves=4)
birds = st.builds(
    Bird,
    st.text(max_size=5),
    nests | burrows,
    st.booleans(),
    numbers,
    st.sampled_from(["f", "m"]),
    st.sampled_from([1, 2]),
    st.sampled_from([Path(), Path("a/b"), Path("caf\udce9")]),
    st.none() | st.floats(0, 1, exclude_min=True),
    st.none() | st.builds(Code, st.text(max_size=5)),
    st.lists(nests, max_size=2).map(tuple),
    st.lists(st.lists(numbers, max_size=2).map(tuple), max_size=2).map(tuple),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    st.dictionaries(st.text(max_size=5), st.dictionaries(st.text(max_size=3), st.integers(0), max_size=2), max_size=2),
    st.integers() | st.text(max_size=5),
    plain,
)


@given(birds)
@settings(max_examples=150, deadline=None)
def test_every_value_comes_back_through_json(bird: Bird):
    data = to_plain(bird)
    assert from_plain(data, Bird) == bird
    text = json_text(bird)
    text.encode("utf-8")
    assert json.loads(text) == data
    assert from_plain(json.loads(text), Bird) == bird


def test_plain_data_is_what_a_file_shows():
    assert to_plain(Bird("wren", Burrow(2), code=Code("x"), homes=(Nest(1),), folder=Path("a/b"))) == {
        "name": "wren",
        "home": {"type": "Burrow", "eggs": 2, "depth": 0.5},
        "ringed": False,
        "weight": 1.0,
        "sex": "f",
        "legs": 2,
        "folder": "a/b",
        "length": None,
        "code": "<x>",
        "homes": [{"eggs": 1, "height": 0.0}],
        "flights": [],
        "words": {},
        "counts": {},
        "colour": "brown",
        "rest": None,
    }


def test_what_has_a_default_may_be_missing():
    assert from_plain({"name": "wren", "home": {"type": "Nest", "eggs": 5}}, Bird) == BIRD


def test_numbers_of_python_and_numpy_serve_where_they_are_exact():
    bird = from_plain(to_plain(BIRD) | {"weight": 3, "length": np.float64(0.5), "flights": ((1, 2.5),)}, Bird)
    assert (bird.weight, bird.length, bird.flights) == (3.0, 0.5, ((1.0, 2.5),))
    assert [type(number) for number in (bird.weight, bird.length, *bird.flights[0])] == [float] * 4
    assert from_plain(3, float) == 3.0
    assert from_plain({"eggs": 10**30}, Nest).eggs == 10**30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nmae": "x"}, r"there is no setting 'nmae'; did you mean name\?"),
        ({"a\nb": 1}, r"there is no setting 'a\\nb'; choose name, home, "),
        ({"name": 3}, "name is 3; it must be a text"),
        ({"name": None}, "name is None; it must be a text"),
        ({"ringed": 1}, "ringed is 1; it must be true or false"),
        ({"ringed": "yes"}, "ringed is 'yes'; it must be true or false"),
        ({"weight": "3"}, "weight is '3'; it must be a number"),
        ({"weight": True}, "weight is True; it must be a number"),
        ({"weight": None}, "weight is None; it must be a number"),
        ({"weight": 10**400}, "weight is 1000.*; it must be a number"),
        ({"sex": "male"}, "sex is 'male'; choose f, m"),
        ({"sex": 1}, "sex is 1; it must be one of f, m"),
        ({"sex": ["f"]}, r"sex is \['f'\]; it must be one of f, m"),
        ({"legs": True}, "legs is True; it must be one of 2, 1"),
        ({"legs": 2.0}, "legs is 2.0; it must be one of 2, 1"),
        ({"folder": 3}, "folder is 3; it must be a path"),
        ({"length": "x\n" * 99}, r"length is 'x\\nx.*\.\.\.; it must be a number"),
        ({"length": 1.5}, "length is 1.5; it must be above 0 and at most 1"),
        ({"code": 3}, "code is no code"),
        ({"home": "Nest"}, "home is 'Nest'; it must be a table with a 'type': Nest, Burrow"),
        ({"home": {"eggs": 3}}, "home is {'eggs': 3}; it must be a table with a 'type': Nest, Burrow"),
        ({"home": {"type": "Burow"}}, r"home.type is 'Burow'; did you mean Burrow\?"),
        ({"home": {"type": ["Nest"]}}, r"home.type is \['Nest'\]; "),
        ({"home": {"type": "Nest"}}, "home lacks the setting 'eggs'"),
        ({"home": {"type": "Nest", "eggs": 2, "depth": 0.5}}, "home has no setting 'depth'; choose eggs, height"),
        ({"home": {"type": "Nest", "eggs": 0}}, "home.eggs is 0; it must be at least 1"),
        ({"home": {"type": "Burrow", "eggs": 10, "depth": 0}}, "home: so many eggs need depth"),
        ({"homes": {"eggs": 1}}, "homes is {'eggs': 1}; it must be a list"),
        ({"homes": [{"eggs": 1}, 3]}, "homes.1 is 3; it must be a table of settings"),
        ({"homes": [{"eggs": 1}, {"eggs": -1}]}, "homes.1.eggs is -1; it must be at least 1"),
        ({"flights": [[1.0], ["far"]]}, "flights.1.0 is 'far'; it must be a number"),
        ({"words": ["a"]}, r"words is \['a'\]; it must be a table"),
        ({"words": {"a": 3}}, "words.a is 3; it must be a text"),
        ({"words": {"a\nb\udce9": 3}}, r"words.a\\nb\\udce9 is 3; it must be a text"),
        ({"counts": {"a": {"b": -1}}}, "counts.a.b is -1; it must be at least 0"),
        ({"colour": 1.5}, "colour is 1.5; it must be a whole number or a text"),
    ],
)
def test_everything_else_is_refused_in_one_line(changes: dict[str, Any], message: str):
    for where, place in (("", ""), ("birds.3", r"birds\.3\.")):
        data = to_plain(BIRD) | changes
        expected = f"birds.3 has no{message[11:]}" if where and message.startswith("there is no") else place + message
        with pytest.raises(UserError, match=f"^{expected}") as caught:
            from_plain(data, Bird, where=where)
        assert len(str(caught.value).splitlines()) == 1
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("data", [None, 3, [], "wren", True])
def test_a_table_is_asked_for(data: Any):
    with pytest.raises(UserError, match=r"^it is .*; it must be a table of settings$"):
        from_plain(data, Bird)
    with pytest.raises(UserError, match=r"^plan is .*; it must be a table of settings$"):
        from_plain(data, Bird, where="plan")


def test_what_is_missing_is_named():
    with pytest.raises(UserError, match=r"^it lacks the setting 'name'$"):
        from_plain({}, Bird)
    with pytest.raises(UserError, match=r"^homes\.0 lacks the setting 'eggs'$"):
        from_plain(to_plain(BIRD) | {"homes": [{}]}, Bird)


RANGES: dict[str, tuple[Any, list[float], list[float]]] = {
    "at least 1": (Count, [1, 10**400], [0, -1]),
    "at least 0": (NotNegative, [0.0, 1e308], [-1e-9]),
    "above 0": (Positive, [5e-324], [0.0, -0.0, -1.0]),
    "at least 0 and at most 1": (Share, [0, 1.0, 0.5], [-1e-9, 1 + 1e-9]),
    "at least 0 and below 1": (BelowOne, [0, 0.999], [1, -1e-9]),
    "finite": (Finite, [0, -1e308], []),
    "above -2 and below 0.5": (Annotated[float, Range(above=-2, below=0.5)], [-1.99, 0.499], [-2, 0.5]),
}


@pytest.mark.parametrize("words", RANGES)
def test_ranges_hold_what_they_say_and_never_infinity_or_nan(words: str):
    wanted, inside, outside = RANGES[words]
    assert [from_plain(value, wanted, where="x") for value in inside] == inside
    never = [math.inf, -math.inf, math.nan]
    assert not any(get_args(wanted)[1].holds(value) for value in never)
    for value in outside if wanted is Count else [*outside, *never]:
        with pytest.raises(UserError, match=f"^x is .*; it must be {words}$"):
            from_plain(value, wanted, where="x")


DATA = {"a": [1, {"b": 2}], "c": {"type": "Nest", "eggs": 3}, "d": {}}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("d", 7, {**DATA, "d": 7}),
        ("d.e", 7, {**DATA, "d": {"e": 7}}),
        ("a.0", 7, {**DATA, "a": [7, {"b": 2}]}),
        ("a.1.b", [7], {**DATA, "a": [1, {"b": [7]}]}),
        ("c.eggs", 7, {**DATA, "c": {"type": "Nest", "eggs": 7}}),
        ("c.type", "Burrow", {**DATA, "c": {"type": "Burrow"}}),
        ("d.type", "Burrow", {**DATA, "d": {"type": "Burrow"}}),
    ],
)
def test_a_value_is_changed_at_its_place(path: str, value: Any, expected: Any):
    before = json.dumps(DATA)
    assert changed(DATA, {path: value}) == expected
    assert json.dumps(DATA) == before


def test_changes_follow_each_other():
    assert changed(DATA, {"c.type": "Burrow", "c.eggs": 1, "a.1.b": 0, "a.1.c": 1}) == {
        "a": [1, {"b": 0, "c": 1}],
        "c": {"type": "Burrow", "eggs": 1},
        "d": {},
    }
    assert changed({"a": (1, 2)}, {"a.1": 3}) == {"a": [1, 3]}
    assert changed(DATA, {}) == DATA


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("e.f", "e.f: there is no 'e'; choose a, c, d"),
        ("c.egs.x", r"c.egs.x: there is no 'egs'; did you mean eggs\?"),
        ("d.e.f", "d.e.f: there is no 'e'; there are none"),
        ("a.2", "a.2: no entry '2' in a list of 2, counted from 0"),
        ("a.-1", "a.-1: no entry '-1' in a list of 2"),
        ("a.b.c", "a.b.c: no entry 'b' in a list of 2"),
        ("a.", "a.: no entry '' in a list of 2"),
        ("a.0.b", "a.0.b: there is no 'b' in 1, which has no settings"),
        ("c.eggs.x", "c.eggs.x: there is no 'x' in 3, which has no settings"),
        ("\nq.x", r"\\nq.x: there is no '\\nq'; choose a, c, d"),
    ],
)
def test_a_place_that_does_not_exist_is_told_in_one_line(path: str, message: str):
    with pytest.raises(UserError, match=f"^{message}") as caught:
        changed(DATA, {path: 7})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-2.5e-3", -0.0025),
        (".5", 0.5),
        ("-.25", -0.25),
        ("1.", 1.0),
        ("true", True),
        ("null", None),
        ('"3"', "3"),
        ('["train", 3]', ["train", 3]),
        ('{"backbone": 0.1}', {"backbone": 0.1}),
        ("crop", "crop"),
        ("", ""),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[1, NaN]", "[1, NaN]"),
        ("[1,", "[1,"),
        pytest.param("[" * 99_999, "[" * 99_999, id="deep"),
        pytest.param("9" * 5000, "9" * 5000, id="long"),
    ],
)
def test_a_word_of_the_command_line_is_a_value_or_itself(text: str, value: Any):
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


def test_names_that_are_no_utf_8_stand_in_json_as_escapes():
    text = json_text({"class": "caf\udce9", "wing": "Flügel", "鷺": 'quo"te\n'})
    assert text.encode("utf-8").count(b"\\udce9") == 1
    assert "Flügel" in text
    assert "鷺" in text
    assert json.loads(text) == {"class": "caf\udce9", "wing": "Flügel", "鷺": 'quo"te\n'}
    assert text.startswith('{\n  "class"')
    assert text.endswith("}\n")


def test_the_nearest_names_are_asked_for():
    assert did_you_mean("wrne", ["wren", "rook"]) == "did you mean wren?"
    assert did_you_mean("roock", ["rook", "rock", "wren"]) == "did you mean rook or rock?"
    assert did_you_mean("GREAT-TIT", ["great_tit", "Great-Auk"]) == "did you mean great_tit or Great-Auk?"
    assert did_you_mean("gre", ["great_tit", "rook"]) == "did you mean great_tit?"
    assert did_you_mean("stork", iter(["wren", "rook"])) == "choose wren, rook"
    assert did_you_mean("stork", []) == "there are none"
    many = [f"{number:03}" for number in range(50)]
    assert did_you_mean("stork", many) == f"choose one of 50, such as {', '.join(many[:20])}"


def test_a_value_is_shown_on_one_line_and_not_longer_than_it_helps():
    assert shown("a\nb\udce9") == r"'a\nb\udce9'"
    assert shown([1, 2]) == "[1, 2]"
    assert len(shown(list(range(1000)))) == 80
    assert shown(list(range(1000))).endswith("...")
