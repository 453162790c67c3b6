"""The confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

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
        axes.set_xticks(range(count), classes, rotation=90, fontsize=7)
        axes.set_yticks(range(count), classes, fontsize=7)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=axes, shrink=0.7, label="% of the true class")
    figure.savefig(path, dpi=110)
