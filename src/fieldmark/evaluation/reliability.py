"""The reliability plot: how often answers are right, by the probability that they claim."""

from pathlib import Path

from matplotlib.figure import Figure

from fieldmark.confidence.calibration import Calibration
from fieldmark.evaluation.pictures import save_picture

RIGHT, BY_CHANCE = "#0072b2", "0.85"


def draw_reliability(path: Path, calibration: Calibration, *, title: str) -> None:
    """Marks are answers of like probability, the larger the more; a perfect network has 95 % of them in the grey.

    Args:
        path: of the PNG.
        calibration: what was measured.
        title: above it.
    """
    figure = Figure(figsize=(5, 5))
    axes = figure.add_subplot()
    most = max(part.photos for part in calibration.bins)
    for part in calibration.bins:
        low, high = (100 * end for end in part.band)
        axes.bar((part.low + part.high) / 2, high - low, part.high - part.low, low, color=BY_CHANCE)
    axes.plot([0, 1], [0, 100], color="0.5", linestyle="--", linewidth=1)
    for part in calibration.bins:
        area = 12 + 90 * part.photos / most
        axes.scatter(part.probability, 100 * part.right / part.photos, s=area, color=RIGHT, zorder=3)
    low, high = (100 * end for end in (calibration.error.low, calibration.error.high))
    line = f"calibration error {100 * calibration.error.value:.1f} points (by chance {low:.1f} to {high:.1f})"
    axes.set_title(f"{title}\n{line}", fontsize=10)
    axes.set(xlabel="probability of the answer, %", ylabel="right, %", xlim=(0, 1), ylim=(0, 100))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    save_picture(path, figure)
