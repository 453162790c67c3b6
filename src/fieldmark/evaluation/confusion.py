"""The confusion matrix as a picture."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from fieldmark.errors import printable
from fieldmark.evaluation.pictures import families_of, save_picture

LEGIBLE = 250
"""Names and counts of more classes than this would make the picture too large to be opened."""
SMALLEST = 4.5
"""Points of the smallest letters that can be read."""


def draw_confusion(path: Path, confusion: np.ndarray, classes: Sequence[str], *, title: str = "all photos") -> str:
    """Rows are true classes, columns predictions; colours are % of a row's photos, numbers are photos.

    Args:
        path: of the PNG.
        confusion: photos by true class (row) and predicted class (column), (C, C).
        classes: their names.
        title: above it.

    Returns:
        The letters of the names that no font on this machine has, "" where all are there.
    """
    count, names = len(classes), [_short(name) for name in classes]
    families, lacking = families_of("".join(names))
    cell = float(np.clip(6 / count, 0.16, 0.8)) if count <= LEGIBLE else 16 / count  # inches
    side = count * cell
    figure = Figure(figsize=(side, side))  # of the matrix alone: what is around it is added when it is saved
    tall = min(1, 4 / side)
    axes, bar = figure.add_axes((0, 0, 1, 1)), figure.add_axes((1 + 0.3 / side, 1 - tall, 0.2 / side, tall))
    totals = confusion.sum(1, keepdims=True)
    shares = np.where(totals, 100 * confusion / np.maximum(totals, 1), np.nan)
    colours = matplotlib.colormaps["Blues"].with_extremes(bad="0.8")
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=100, interpolation="nearest")
    figure.colorbar(image, cax=bar, label="% of the true class's photos")
    absent = int((totals == 0).sum())
    axes.set_title(title + (f"\n(grey rows: {absent:,} without photos)" if absent else ""), fontsize=11)
    where = "" if count <= LEGIBLE else ", by its row in per_class.csv, from 0"
    axes.set(xlabel=f"predicted class{where}", ylabel=f"true class{where}")
    if count <= LEGIBLE:
        # class names are not formulas, even with dollar signs
        looks = {"fontsize": min(max(43 * cell, 7), 10), "fontfamily": families, "parse_math": False}
        axes.set_xticks(range(count), names, rotation=90, **looks)
        axes.set_yticks(range(count), names, **looks)
        _write_counts(axes, confusion, shares, points=72 * cell)
    save_picture(path, figure)
    return lacking


def _write_counts(axes: Axes, confusion: np.ndarray, shares: np.ndarray, *, points: float) -> None:
    """Writes how many photos each cell has, where that fits; ``points`` is the side of a cell.

    All cells with the same number are drawn at once, as marks: one by one, those of 200 classes would take a minute.
    """
    digits = len(str(confusion.max()))
    size = min(0.62 * points, 0.85 * points / (0.64 * digits), 10)
    if size < SMALLEST:
        return
    places: dict[tuple[int, bool], list[tuple[int, int]]] = defaultdict(list)
    for row, column in np.argwhere(confusion).tolist():
        places[int(confusion[row, column]), bool(shares[row, column] > 50)].append((column, row))
    for (number, is_dark), cells in places.items():
        outline = TextPath((0, 0), str(number), size=size)
        middle = (outline.vertices.min(0) + outline.vertices.max(0)) / 2
        outline = outline.transformed(Affine2D().translate(*-middle))
        x, y = zip(*cells, strict=True)
        look = {"markersize": 2 * np.abs(outline.vertices).max(), "markeredgewidth": 0}
        axes.plot(x, y, linestyle="none", marker=outline, color="white" if is_dark else "black", **look)


def _short(name: str, longest: int = 32) -> str:
    text = printable(name)
    return text if len(text) <= longest else text[: longest - 1] + "…"
