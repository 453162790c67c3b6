"""Where the lines, marks and words of a diagram go: plain numbers, which the template draws as SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fieldmark.reports.measured import Range

LEFT, RIGHT, TOP, BOTTOM = 40, 384, 12, 222
"""Edges of the area inside of the axes."""
TICKS = 5
MARKS = 40
"""Points of a line that get marks of their own, at most."""


class Tick(NamedTuple):
    """A place on an axis, and what is written there."""

    at: float
    text: str


class Line(NamedTuple):
    """A named line: the points of its polylines (gaps part them), and its marks."""

    name: str
    pieces: tuple[str, ...]
    marks: tuple[tuple[float, float], ...]


class Chart(NamedTuple):
    """Lines over epochs."""

    title: str
    unit: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    lines: tuple[Line, ...]


class Mark(NamedTuple):
    """Answers of like probability: place, interval of the accuracy, height of the bar of their number."""

    x: float
    y: float
    low: float
    high: float
    bar: float
    photos: int


class Reliability(NamedTuple):
    """Accuracy over probability, both from 0 to 1, with the number of photos below."""

    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    bar_width: float


def charts_of(rows: Sequence[Mapping[str, float]]) -> list[Chart]:
    """Losses and accuracies by epoch, as far as ``metrics.csv`` has any; numbers that are not finite leave gaps."""
    names = list(
        dict.fromkeys(name for row in reversed(rows) for name in row if name not in ("epoch", "lr", "seconds"))
    )
    shares = [name for name in names if name.endswith(("top1", "per_class"))]
    losses = [name for name in names if name not in shares]
    charts = [_chart(rows, losses, title="Losses", unit="loss"), _chart(rows, shares, title="Accuracy", unit="%")]
    return [chart for chart in charts if chart.lines]


def _chart(rows: Sequence[Mapping[str, float]], names: Sequence[str], *, title: str, unit: str) -> Chart:
    factor = 100.0 if unit == "%" else 1.0
    curves: dict[tuple[float | None, ...], list[str]] = {}  # equal ones share a line
    for name in names:
        values = tuple(_finite(row.get(name), factor) for row in rows)
        if any(value is not None for value in values):
            curves.setdefault(values, []).append(name.replace("_", " "))
    present = [value for values in curves for value in values if value is not None]
    epochs = [row["epoch"] for row in rows]
    if not present or not epochs:
        return Chart(title, unit, (), (), ())
    bounds = _padded(min(present), max(present))
    ends = (epochs[0], epochs[-1]) if epochs[-1] > epochs[0] else (epochs[0] - 1, epochs[0] + 1)
    lines = tuple(_line(" = ".join(same), epochs, values, ends, bounds) for values, same in curves.items())
    across = tuple(Tick(x_of(at, *ends), f"{at:g}") for at in ticks(*ends, whole=True))
    return Chart(title, unit, across, tuple(Tick(y_of(at, *bounds), f"{at:g}") for at in ticks(*bounds)), lines)


def _finite(value: float | None, factor: float) -> float | None:
    return None if value is None or not math.isfinite(value) else value * factor


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return low - room, high + room


def _line(
    name: str,
    epochs: Sequence[float],
    values: Sequence[float | None],
    ends: tuple[float, float],
    bounds: tuple[float, float],
) -> Line:
    pieces: list[list[tuple[float, float]]] = [[]]
    for epoch, value in zip(epochs, values, strict=True):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((x_of(epoch, *ends), y_of(value, *bounds)))
    points = [point for piece in pieces for point in piece]
    marks = tuple(points) if len(points) <= MARKS else ()
    return Line(name, tuple(" ".join(f"{x:.1f},{y:.1f}" for x, y in piece) for piece in pieces if piece), marks)


def reliability_of(ranges: Sequence[Range]) -> Reliability:
    """Where the marks of confidence against accuracy go."""
    most = max(part.photos for part in ranges)
    marks = tuple(
        Mark(
            x_of(part.probability, 0, 1),
            y_of(part.accuracy.mean, 0, 1),
            y_of(part.accuracy.low, 0, 1),
            y_of(part.accuracy.high, 0, 1),
            0.25 * (BOTTOM - TOP) * part.photos / most,
            part.photos,
        )
        for part in ranges
    )
    quarters = (0, 0.25, 0.5, 0.75, 1)
    across = tuple(Tick(x_of(at, 0, 1), f"{100 * at:g}") for at in quarters)
    return Reliability(across, tuple(Tick(y_of(at, 0, 1), f"{100 * at:g}") for at in quarters), marks, 18.0)


def x_of(value: float, low: float, high: float) -> float:
    """From left to right."""
    return round(LEFT + (RIGHT - LEFT) * (value - low) / (high - low), 1)


def y_of(value: float, low: float, high: float) -> float:
    """From bottom to top."""
    return round(BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low), 1)


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About ``TICKS`` round numbers from ``low`` to ``high``, whole ones where asked for."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(at * step, 10) + 0.0 for at in range(first, math.floor(high / step + 1e-9) + 1)]
