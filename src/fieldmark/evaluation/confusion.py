"""The confusion matrix as a picture."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldmark.errors import printable
from fieldmark.files import replace_file

_LEGIBLE = 60  # names of more classes than this would not be legible


def draw_confusion(path: Path, confusion: np.ndarray, classes: Sequence[str]) -> None:
    """Rows are true classes, columns predictions; each row is in % of its photos."""
    from matplotlib.figure import Figure

    count = len(classes)
    side = float(np.clip(3 + 0.22 * count, 5, 16))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    image = axes.imshow(100 * shares, cmap="magma_r", vmin=0, vmax=100, interpolation="nearest")
    if count <= _LEGIBLE:
        names = [_short(name) for name in classes]
        # class names are not formulas, even with dollar signs
        axes.set_xticks(range(count), names, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(count), names, fontsize=7, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=axes, shrink=0.7, label="% of the true class")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # characters that the font lacks show as boxes
        replace_file(path, lambda draft: figure.savefig(draft, dpi=110))


def _short(name: str, longest: int = 32) -> str:
    text = printable(name)
    return text if len(text) <= longest else text[: longest - 1] + "…"
