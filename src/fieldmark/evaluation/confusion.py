"""The confusion matrix as a picture."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldmark.errors import printable
from fieldmark.files import replace_file

_NAMED = 60  # with more classes than this, names would not be legible


def draw_confusion(path: Path, confusion: np.ndarray, classes: Sequence[str]) -> None:
    """Rows are true classes, columns predictions; each row is scaled to its photos."""
    from matplotlib.figure import Figure

    count = len(classes)
    side = float(np.clip(3 + 0.22 * count, 5, 16))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    image = axes.imshow(100 * shares, cmap="magma_r", vmin=0, vmax=100, interpolation="nearest")
    if count <= _NAMED:
        names = [_short(name) for name in classes]
        # class names are no formulas, whatever dollar signs they hold
        axes.set_xticks(range(count), names, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(count), names, fontsize=7, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=axes, shrink=0.7, label="% of the true class")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a script that the font lacks shows as boxes
        replace_file(path, lambda draft: figure.savefig(draft, dpi=110))


def _short(name: str, most: int = 32) -> str:
    text = printable(name)
    return text if len(text) <= most else text[: most - 1] + "…"
