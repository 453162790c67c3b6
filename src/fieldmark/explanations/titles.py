"""Words above a picture: as many lines as there is room for, no wider than it, and names shortened where they must be.

Widths are measured in the fonts that draw them: a line has room for many an i, and for few Chinese letters.
"""

import re
import warnings
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

from fieldmark.errors import printable
from fieldmark.evaluation.pictures import DPI

SHORTEST = 7
"""Letters of a name that are left at least, the ellipsis among them."""
ELLIPSIS = "…"

Measure = Callable[[str], float]


class Room(NamedTuple):
    """Room for words: how many lines, how wide they may be, and what measures the width of a line."""

    lines: int
    width: float
    measure: Measure


def measure_of(families: Sequence[str], size: float) -> Measure:
    """What measures the width of a line, in points, in fonts of a size in points."""
    font, renderer = FontProperties(family=list(families), size=size), RendererAgg(1, 1, DPI)  # hinted as in pictures

    def width(line: str) -> float:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            return renderer.get_text_width_height_descent(line, font, ismath=False)[0] * 72 / DPI

    return width


def fitted(title: str, room: Room, *, names: Sequence[str] = (), files: Sequence[str] = ()) -> str:
    """A title that fits into the room.

    Args:
        title: its lines are broken further where they are too wide.
        room: for it.
        names: that may be in it, of classes and runs: where there is no room for whole ones, their middles give way.
        files: names of files that may be in it, which stay on one line.
    """
    lines = [printable(line) for line in title.split("\n")]
    lines = [_shortened(line, _in(line, files), partial(_is_one, room=room)) for line in lines]
    text = "\n".join(lines)
    text = _shortened(text, _in(text, names), lambda text: len(_broken(text, room)) <= room.lines)
    broken = _broken(text, room)
    if len(broken) > room.lines:
        last = broken[room.lines - 1]
        while last and room.measure(last + ELLIPSIS) > room.width:
            last = last[:-1]
        broken = [*broken[: room.lines - 1], last + ELLIPSIS]
    return "\n".join(broken)


def _in(text: str, names: Sequence[str]) -> list[str]:
    return [name for name in map(printable, names) if name and name in text]


def _is_one(line: str, room: Room) -> bool:
    return room.measure(line) <= room.width


def _shortened(text: str, names: Sequence[str], fits: Callable[[str], bool]) -> str:
    """The text with as much of the names as fits; with their shortest forms where nothing does."""
    if not names or fits(text):
        return text
    lengths = range(SHORTEST, max(SHORTEST + 1, *map(len, names)))
    at = bisect_left(lengths, True, key=lambda letters: not fits(_cut(text, names, letters)))
    return _cut(text, names, lengths[max(at - 1, 0)])


def _cut(text: str, names: Sequence[str], letters: int) -> str:
    """The text with names of at most so many letters."""
    for name in sorted(set(names), key=len, reverse=True):
        if len(name) > letters:
            end = (letters - 1) // 2
            text = text.replace(name, name[: letters - 1 - end] + ELLIPSIS + name[-end:])
    return text


def _broken(text: str, room: Room) -> list[str]:
    return [part for line in text.split("\n") for part in _wrapped(line, room)]


def _wrapped(line: str, room: Room) -> list[str]:
    """A line in parts that are no wider than the room; words are broken only where one alone is too wide."""
    parts, current = [], ""
    for word in re.findall(r"\s*\S+", line):
        if current and not _is_one(current + word, room):
            parts.append(current)
            current = ""
        current = current + word if current else word.lstrip()
        while not _is_one(current, room) and len(current) > 1:
            end = max(bisect_left(range(1, len(current)), True, key=lambda end: not _is_one(current[:end], room)), 1)
            parts.append(current[:end])
            current = current[end:]
    return [*parts, current]
