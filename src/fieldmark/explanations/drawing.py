"""Heatmaps drawn so that the photo stays readable: lit where they are high, dim and grey where they are low."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image

from fieldmark.errors import printable
from fieldmark.evaluation.pictures import families_of, save_figure
from fieldmark.explanations.titles import Room, fitted, measure_of

LEVELS = (0.25, 0.5, 0.75)
"""Shares of a heatmap's maximum whose lines are drawn."""
COLOURS = "plasma"
"""Of the lines: tells levels apart with any colour vision, and by lightness alone."""
DARKEST = 0.4
"""Brightness where a heatmap is 0."""
_GREYS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_SIDE, _GAP, _WORDS = 2.9, 0.12, 0.75  # inches
_LINES, _ABOVE = 4, 3  # of words above a panel, and above all
_SIZE, _LARGE = 9, 11  # of their letters, in points
_POINTS = 72  # in an inch


class Panel(NamedTuple):
    """A picture uint8 (H, W, 3), a heatmap (h, w) in [0, 1] over it or None, and words above it.

    ``points`` (N, 2) and ``grid`` (h, w, 2) are x and y as shares of the picture's sides: marks, and a lattice's nodes.
    """

    picture: np.ndarray
    heatmap: np.ndarray | None
    title: str
    points: np.ndarray | None = None
    grid: np.ndarray | None = None


def lit(picture: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """The picture uint8 (H, W, 3), in colour where a heatmap (h, w) in [0, 1] is high, dim and grey where it is low."""
    height, width = picture.shape[:2]
    light = enlarged_to(heatmap, (height, width))[..., None]
    grey = (picture @ _GREYS)[..., None]
    colour = grey + (picture - grey) * np.sqrt(light)
    return (colour * (DARKEST + (1 - DARKEST) * np.sqrt(light)) + 0.5).astype(np.uint8)


def enlarged_to(heatmap: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A heatmap (h, w) in [0, 1] at another size (H, W), float32."""
    image = Image.fromarray(heatmap.astype(np.float32))
    return np.clip(np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC)), 0, 1)


def draw_panels(
    path: Path,
    *,
    rows: Sequence[Sequence[Panel]],
    title: str = "",
    names: Sequence[str] = (),
    files: Sequence[str] = (),
) -> str:
    """Draws rows of panels, with one scale for all heatmaps, as PNG.

    Args:
        path: of the PNG.
        rows: of panels, the first of each row leftmost.
        title: above all.
        names: of classes and runs in the titles, which may be shortened.
        files: names of files in them, which stay on one line.

    Returns:
        The letters of the words that no font on this machine has, "" where all are there.
    """
    words = "".join(panel.title for row in rows for panel in row) + title
    families, lacking = families_of(printable(words.replace("\n", " ")))
    columns = max(map(len, rows))
    width, height = columns * (_SIDE + _GAP), len(rows) * (_SIDE + _WORDS)
    figure, font = Figure(figsize=(width, height)), {"fontfamily": families, "parse_math": False}
    if title:
        room = Room(_ABOVE, width * _POINTS, measure_of(families, _LARGE))
        above = fitted(title, room, names=names, files=files)
        figure.suptitle(above, y=1 + 0.1 / height, va="bottom", fontsize=_LARGE, **font)
    room = Room(_LINES, _SIDE * _POINTS, measure_of(families, _SIZE))
    for down, row in enumerate(rows):
        for across, panel in enumerate(row):
            left, bottom = across * (_SIDE + _GAP) / width, 1 - (down + 1) * (_SIDE + _WORDS) / height
            axes = figure.add_axes((left, bottom, _SIDE / width, _SIDE / height))
            said = fitted(panel.title, room, names=names, files=files)
            axes.set_title(said, fontsize=_SIZE, loc="left", linespacing=1.3, **font)
            _draw(axes, panel)
    if any(panel.heatmap is not None for row in rows for panel in row):
        _draw_scale(figure, width, height)
    save_figure(path, figure)
    return lacking


def panels_writer(
    rows: Sequence[Sequence[Panel]],
    *,
    title: str = "",
    names: Sequence[str] = (),
    files: Sequence[str] = (),
    lacking: set[str] | None = None,
) -> Callable[[Path], None]:
    """``draw_panels`` as ``files.replace_files`` calls it; ``lacking`` takes up the letters that no font has."""

    def write(path: Path) -> None:
        letters = draw_panels(path, rows=rows, title=title, names=names, files=files)
        if lacking is not None:
            lacking.update(letters)

    return write


def _draw(axes: Axes, panel: Panel) -> None:
    picture, heatmap = panel.picture, panel.heatmap
    axes.set_axis_off()
    _draw_marks(axes, panel)
    if heatmap is None:
        axes.imshow(picture)
        return
    axes.imshow(lit(picture, heatmap))
    if heatmap.max() > min(LEVELS):
        large = enlarged_to(heatmap, picture.shape[:2])
        lines = axes.contour(large, levels=LEVELS, cmap=COLOURS, vmin=0, vmax=1, linewidths=1.2)
        lines.set_path_effects([withStroke(linewidth=2.2, foreground="black", alpha=0.6)])


def _draw_marks(axes: Axes, panel: Panel) -> None:
    sides = np.array(panel.picture.shape[1::-1])
    if panel.grid is not None:
        places = panel.grid * sides - 0.5
        for lines in (places, places.swapaxes(0, 1)):
            for line in lines:
                axes.plot(line[:, 0], line[:, 1], color="white", linewidth=0.6, alpha=0.8, clip_on=True)
    if panel.points is not None:
        x, y = (panel.points * sides - 0.5).T
        axes.plot(x, y, "o", markersize=7, markerfacecolor="none", markeredgecolor="black", markeredgewidth=3)
        axes.plot(x, y, "o", markersize=7, markerfacecolor="none", markeredgecolor="white", markeredgewidth=1.5)


def _draw_scale(figure: Figure, width: float, height: float) -> None:
    axes = figure.add_axes((1 + 0.05 / width, 1 - (_SIDE + _WORDS) / height, 0.12 / width, _SIDE / height))
    scale = figure.colorbar(ScalarMappable(Normalize(0, 1), COLOURS), cax=axes, ticks=(0, *LEVELS, 1))
    scale.set_label("share of the maximum", fontsize=8)
    axes.tick_params(labelsize=8)
