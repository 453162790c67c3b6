"""Draws docs/jeffreys.png: why Pairwise Confusion does not train with Jeffreys divergence.

    python docs/figures/jeffreys.py

Left, two images of two classes as the classifier becomes more certain (Eq. 2, 3 and 5 of the paper); right, SGD on a
small linear classifier with either term added to the loss and with neither, all else equal.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fieldmark.papers.pairwise_confusion import euclidean_confusion, jeffreys_bound, jeffreys_divergence

BLUE, RED, GREY, BLACK = "#2166ac", "#b2182b", "#777777", "#111111"
CLASSES, IMAGES, STEPS, WINDOW = 4, 64, 300, 10


def draw(file: Path) -> None:
    """Writes the picture."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    draw_values(left)
    draw_training(right)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    Image.open(buffer).convert("RGB").quantize(64).save(file, optimize=True)  # a few colours make a small file


def draw_values(axes: Axes) -> None:
    """Divergence, its bound and the confusion over the classifier's error."""
    errors = torch.logspace(-12, np.log10(0.45), 200, dtype=torch.float64)
    p, q = torch.stack([1 - errors, errors], 1), torch.stack([errors, 1 - errors], 1)
    axes.plot(errors, jeffreys_divergence(p, q), color=RED, label="Jeffreys divergence (Eq. 2)")
    axes.plot(errors, jeffreys_bound(errors, errors), color=RED, linestyle=":", label="its bound (Eq. 3)")
    axes.plot(errors, euclidean_confusion(p, q), color=BLUE, label="Euclidean confusion (Eq. 5)")
    axes.set(
        xscale="log", xlabel="probability left for the wrong class", ylabel="value", title="As the classifier learns"
    )
    axes.invert_xaxis()
    axes.legend(frameon=False)


def draw_training(axes: Axes) -> None:
    """Cross-entropy over the steps, with either term and neither; means of a few steps, as single batches are noisy."""
    runs = (
        (jeffreys_divergence, 1.0, RED, "divergence, weight 1"),
        (jeffreys_divergence, 0.01, GREY, "divergence, weight 0.01"),
        (euclidean_confusion, 1.0, BLUE, "confusion, weight 1"),
        (euclidean_confusion, 0.0, BLACK, "neither"),
    )
    for term, weight, colour, label in runs:
        losses = np.array(cross_entropies(term, weight)).reshape(-1, WINDOW).mean(1)
        steps = np.arange(len(losses)) * WINDOW
        axes.plot(steps, losses, color=colour, label=label)
        if not np.isfinite(losses).all():
            last = np.flatnonzero(np.isfinite(losses))[-1]
            axes.plot(steps[last], losses[last], "x", color=colour, markersize=9)
            axes.annotate("not a number", (steps[last] + 8, losses[last]), color=colour, fontsize="small", va="center")
    axes.axhline(np.log(CLASSES), color=GREY, linewidth=0.8, linestyle="--", label="guessing")
    axes.set(yscale="log", ylim=(1e-5, 12), xlabel="step", ylabel="cross-entropy", title="SGD, all else equal")
    axes.legend(frameon=False, fontsize="small", loc="lower left", ncols=2)


def cross_entropies(term: Callable[[Tensor, Tensor], Tensor], weight: float, *, steps: int = STEPS) -> list[float]:
    """Trains on four clusters of points with ``weight`` times the mean of ``term`` over pairs of different classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (IMAGES,), generator=generator)
    centres = 2 * torch.randn(CLASSES, 8, generator=generator)
    images = centres[labels] + torch.randn(IMAGES, 8, generator=generator)
    weights = torch.zeros(8, CLASSES, requires_grad=True)
    optimiser = torch.optim.SGD([weights], lr=1.0)
    losses = []
    for _ in range(steps):
        rows = torch.randperm(IMAGES, generator=generator)[:16]
        logits = images[rows] @ weights
        loss = F.cross_entropy(logits, labels[rows])
        p, q = logits.softmax(1).chunk(2)
        differ = labels[rows][:8] != labels[rows][8:]
        optimiser.zero_grad()
        (loss + weight * (differ * term(p, q)).sum() / len(rows)).backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "jeffreys.png")
