"""Dataclasses to plain data (as in JSON and TOML) and back: the only codec, and the only check of types and ranges.

What a class may hold is given by its annotations: ``bool``, ``int``, ``float`` (whole numbers too), ``str``,
``Path``, ``Any``, ``Literal``, ``tuple[X, ...]``, ``Mapping[str, X]``, ``X | None``, ``int | str``, dataclasses,
``Annotated[number, Range(...)]``, and as a field a choice of dataclasses (distinguished by a key "type" with the
class's name). A class with its own plain form has ``to_plain(self)`` and a class method ``from_plain(data, where)``.
"""

import dataclasses
import json
import math
import os
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from fieldmark.errors import UserError, printable

T = TypeVar("T")
TYPE = "type"
"""The key that distinguishes the classes of a choice."""
_SHOWN = 20  # names in a message
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}


@dataclass(frozen=True)
class Range:
    """The numbers that a field may hold: ``above`` and ``below`` exclude the end, ``least`` and ``most`` include it."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def holds(self, value: float) -> bool:
        """Whether a number is inside; infinity and NaN never are."""
        return self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        """In words, such as "at least 0 and below 1"; "finite" if there are no ends."""
        words = (("at least", self.least), ("above", self.above), ("at most", self.most), ("below", self.below))
        return " and ".join(f"{word} {end:g}" for word, end in words if math.isfinite(end)) or "finite"


Count = Annotated[int, Range(least=1)]
Natural = Annotated[int, Range(least=0)]
NotNegative = Annotated[float, Range(least=0)]
Positive = Annotated[float, Range(above=0)]
Share = Annotated[float, Range(least=0, most=1)]
Fraction = Annotated[float, Range(above=0, most=1)]
Finite = Annotated[float, Range()]
BelowOne = Annotated[float, Range(least=0, below=1)]
_LARGEST = 10**308
"""Larger whole numbers have no float."""


def to_plain(value: Any) -> Any:
    """A value of the annotated kinds as plain data: dictionaries, lists, numbers, texts."""
    if hasattr(value, "to_plain"):
        return value.to_plain()
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _tagged(getattr(value, name), hint) for name, hint in _hints(type(value)).items()}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_plain(data: Any, wanted: type[T], *, where: str = "") -> T:
    """Plain data as a value of a class, all of it checked.

    Args:
        data: from ``to_plain``, a JSON parser or a TOML parser; what has a default may be missing.
        wanted: the class, or any of the annotations above.
        where: the path of ``data`` in messages, such as "stages.0"; "" for the whole.

    Raises:
        UserError: an unknown or missing key, a value of the wrong type or out of range.
    """
    return _decoded(data, wanted, where)


def json_text(value: Any) -> str:
    """A value as indented JSON; bytes of a file's name that are not UTF-8 are escaped as JSON does."""
    text = json.dumps(to_plain(value), indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def changed(data: Any, changes: Mapping[str, Any]) -> Any:
    """Plain data with new values at some paths, such as "stages.0.optimiser.lr".

    A new "type" replaces everything beside it, as other classes have other fields.

    Raises:
        UserError: a path that does not exist.
    """
    for path, value in changes.items():
        data = _with(data, path.split("."), value, path)
    return data


def value_of(text: str) -> Any:
    """The value of a word on the command line: a JSON value, a number such as .5, or else the word itself."""
    if re.fullmatch(r"-?(\d+\.|\.\d+)", text):
        return float(text)
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return text


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """The names closest to a word, as a question; else the names, or the first of them if they are many."""
    if not (names := list(choices)):
        return "there are none"
    if near := nearest(word, names):
        return f"did you mean {' or '.join(near)}?"
    first = ", ".join(names[:_SHOWN])
    return f"choose one of {len(names)}, such as {first}" if len(names) > _SHOWN else f"choose {first}"


def nearest(word: str, choices: Iterable[str]) -> list[str]:
    """Up to three names that are close to a word, or begin with it; capitals, "-" and "_" make no difference."""
    spelt = {name.lower().replace("-", "_"): name for name in choices}
    plain = word.lower().replace("-", "_")
    longer = [name for name in spelt if plain and name.startswith(plain)]
    return [spelt[name] for name in get_close_matches(plain, spelt, n=3, cutoff=0.6) or longer[:3]]


def _no_number(word: str) -> Any:
    raise ValueError(word)


def several(items: T | Iterable[T]) -> tuple[T, ...]:
    """What a caller gave as several; a single text, path or class stands for itself, and not for its letters."""
    return (items,) if isinstance(items, str | os.PathLike | type) else tuple(items)  # pyright: ignore


@cache
def _hints(kind: type) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(kind)]
    hints = typing.get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in names}


def _choices(hint: Any) -> list[Any]:
    """The members of a union except None; any other annotation alone."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        return [choice for choice in get_args(hint) if choice is not types.NoneType]
    return [hint]


def _tagged(value: Any, hint: Any) -> Any:
    """A field's value as plain data, with its class's name where the field is a choice."""
    data = to_plain(value)
    return {TYPE: type(value).__name__} | data if len(_choices(hint)) > 1 and is_dataclass(value) else data


def _decoded(data: Any, wanted: Any, where: str) -> Any:
    if wanted is Any:
        return data
    if get_origin(wanted) is Annotated:
        kind, limits = get_args(wanted)
        return _within(_decoded(data, kind, where), limits, where)
    if hasattr(wanted, "from_plain"):
        return wanted.from_plain(data, where)
    if isinstance(wanted, type) and is_dataclass(wanted):
        return _fields(data, wanted, where)
    if get_origin(wanted) in (typing.Union, types.UnionType):
        return _chosen(data, wanted, where)
    return _simple(data, wanted, where)


def _simple(data: Any, wanted: Any, where: str) -> Any:
    """Numbers, texts, lists and tables."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is tuple and isinstance(data, list | tuple):
        return tuple(_decoded(item, arguments[0], _below(where, at)) for at, item in enumerate(data))
    if origin is Mapping and isinstance(data, Mapping):
        return {key: _decoded(item, arguments[1], _below(where, key)) for key, item in data.items()}
    if origin is Literal and data in arguments and type(data) is type(arguments[arguments.index(data)]):
        return data
    if wanted is float and (isinstance(data, float) or (type(data) is int and abs(data) < _LARGEST)):
        return float(data)
    if wanted is Path and isinstance(data, str | Path):
        return Path(data)
    if isinstance(wanted, type) and type(data) is wanted:
        return data
    if origin is Literal and isinstance(data, str):
        raise UserError(f"{where} is {shown(data)}; {did_you_mean(data, map(str, arguments))}")
    raise UserError(f"{where or 'it'} is {shown(data)}; it must be {_in_words(wanted)}")


def _in_words(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(str, get_args(wanted)))}"
    if get_origin(wanted) is tuple:
        return "a list"
    if len(choices := _choices(wanted)) > 1:
        return " or ".join(map(_in_words, choices))
    return _WORDS.get(wanted, "a table")


def _within(value: Any, limits: Range, where: str) -> Any:
    if not limits.holds(value):
        raise UserError(f"{where} is {value}; it must be {limits}")
    return value


def _chosen(data: Any, wanted: Any, where: str) -> Any:
    choices = _choices(wanted)
    if data is None and types.NoneType in get_args(wanted):
        return None
    classes = {choice.__name__: choice for choice in choices if isinstance(choice, type) and is_dataclass(choice)}
    if len(choices) == 1:
        return _decoded(data, choices[0], where)
    if not classes:  # numbers and texts
        fitting = [choice for choice in choices if type(data) is choice]
        return _simple(data, fitting[0] if fitting else wanted, where)
    if not isinstance(data, Mapping) or TYPE not in data:
        raise UserError(f"{where} is {shown(data)}; it must be a table with a {TYPE!r}: {', '.join(classes)}")
    tag = str(data[TYPE])
    if tag not in classes:
        raise UserError(f"{_below(where, TYPE)} is {shown(data[TYPE])}; {did_you_mean(tag, classes)}")
    return _fields({key: item for key, item in data.items() if key != TYPE}, classes[tag], where)


def _fields(data: Any, kind: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise UserError(f"{where or 'it'} is {shown(data)}; it must be a table of settings")
    hints = _hints(kind)
    if unknown := [str(key) for key in data if key not in hints]:
        missing = f"{where} has no setting" if where else "there is no setting"
        raise UserError(f"{missing} {shown(unknown[0])}; {did_you_mean(unknown[0], hints)}")
    defaults = (dataclasses.MISSING, dataclasses.MISSING)
    needed = [field.name for field in dataclasses.fields(kind) if (field.default, field.default_factory) == defaults]
    if missing := [name for name in needed if name not in data]:
        raise UserError(f"{where or 'it'} lacks the setting {missing[0]!r}")
    values = {key: _decoded(item, hints[key], _below(where, key)) for key, item in data.items()}
    try:
        return kind(**values)
    except UserError as error:  # fields that do not go together
        raise UserError(f"{where}: {error}" if where else str(error)) from None


def _with(data: Any, steps: Sequence[str], value: Any, path: str) -> Any:
    """A copy of plain data with a new value at one path."""
    step, *rest = steps
    if isinstance(data, list | tuple):
        if not step.isdecimal() or int(step) >= len(data):
            raise UserError(f"{printable(path)}: no entry {shown(step)} in a list of {len(data)}, counted from 0")
        items, at = list(data), int(step)
        items[at] = _with(items[at], rest, value, path) if rest else value
        return items
    if not isinstance(data, Mapping):
        raise UserError(f"{printable(path)}: there is no {shown(step)} in {shown(data)}, which has no settings")
    if not rest:
        return {TYPE: value} if step == TYPE and TYPE in data else {**data, step: value}
    if step not in data:
        raise UserError(f"{printable(path)}: there is no {shown(step)}; {did_you_mean(step, data)}")
    return {**data, step: _with(data[step], rest, value, path)}


def _below(where: str, step: object) -> str:
    return f"{where}.{printable(str(step))}" if where else printable(str(step))


def shown(value: Any) -> str:
    """A value in a message: on one line, and shortened if long."""
    text = printable(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."
