"""The log of a run: a live display, or plain lines without a terminal; metrics.csv and curves.png."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fieldmark.console import SILENCE, tell
from fieldmark.files import write_csv
from fieldmark.runs.folder import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = "curves.png"
_NO_CURVES = ("epoch", "lr", "seconds")


def clock(seconds: float) -> str:
    """Seconds as people write them: "45 s", "8 min", "2 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class RunLog:
    """The display and the log of one run; a context manager, so that the live display always ends with the run.

    Args:
        run: the run's folder.
        console: where lines go; plain lines unless it is a terminal.
        headline: the figure of validation that an epoch's line shows, "top1" or "mean_per_class".
    """

    def __init__(self, run: Path, *, console: Console, headline: str = "top1") -> None:
        self.run, self.console = run, console
        self.shown = ("loss", "train_top1", "val_top1" if headline == "top1" else "val_per_class")
        self.steps = self.per_epoch = 1
        self._images = self._done = 0
        self._begun = self._last_line = time.perf_counter()
        self._progress: Progress | None = None

    def __enter__(self) -> "RunLog":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the live display."""
        if self._progress:
            self._progress.stop()

    def begin(self, *, steps: int, per_epoch: int, done: int) -> None:
        """Starts the display, just before the first step.

        Args:
            steps: of the whole run.
            per_epoch: steps per epoch.
            done: steps that earlier sessions did.
        """
        self.steps, self.per_epoch, self._done = steps, per_epoch, done
        self._begun = self._last_line = time.perf_counter()
        if self.console.is_terminal and not self.console.quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"))
            self._progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self.console)
            self._task = self._progress.add_task("epoch 1", total=steps, completed=done, rate="")
            self._progress.start()

    def resize(self, *, steps: int) -> None:
        """The whole run has another number of steps from now on."""
        self.steps = steps
        if self._progress:
            self._progress.update(self._task, total=steps)

    def note(self, text: str) -> None:
        """Shows a line to the user."""
        self._last_line = time.perf_counter()
        tell(self.console, text)

    def step(self, images: int, step: int, seconds: float) -> None:
        """A training step is done."""
        self._images += images
        epoch, (rate, left) = (step - 1) // self.per_epoch + 1, self._pace(step)
        if self._progress:
            name = f"epoch {epoch}/{self.steps // self.per_epoch}"
            self._progress.update(self._task, completed=step, description=name, rate=rate)
        elif time.perf_counter() - self._last_line > SILENCE:
            self.note(f"epoch {epoch} step {step}/{self.steps}  {rate}  {left}")

    def epoch(self, rows: Sequence[Mapping[str, float]]) -> None:
        """An epoch is done, or the start measured, as epoch 0: rows go to metrics.csv, the last one to the console."""
        write_metrics(self.run / METRICS, rows)
        row, epoch = rows[-1], round(rows[-1]["epoch"])
        parts = [name for name in row if "/" in name]  # a term's figures, by their own names
        names = [name for name in (self.shown[0], *parts, *self.shown[1:]) if name in row]
        figures = [f"{name if name in parts else name.replace('_', ' ')} {row[name]:.3f}" for name in names]
        place, pace = f"epoch {epoch}/{self.steps // self.per_epoch}", self._pace(epoch * self.per_epoch)
        self.note("  ".join((place, *figures, *pace) if epoch else ("start", *figures)))

    def _pace(self, step: int) -> tuple[str, str]:
        """The speed so far, and the time left after a step."""
        taken = time.perf_counter() - self._begun
        left = taken / max(step - self._done, 1) * (self.steps - step)
        return f"{self._images / max(taken, 1e-9):.1f} images/s", f"{clock(left)} left"


def write_metrics(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes one row per epoch; a column that some rows lack is empty there."""
    columns = _columns(rows)
    cells = [[f"{row[key]:.6g}" if key in row else "" for key in columns] for row in rows]
    write_csv(path, [columns, *cells])


def _columns(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """All columns, in the order of the last row: that of the start, epoch 0, has few."""
    return list(dict.fromkeys(key for row in reversed(rows) for key in row))


def draw_curves(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Losses and accuracies by epoch, as a picture; curves that are the same all the way share one line."""
    from matplotlib.figure import Figure

    from fieldmark.evaluation.pictures import save_picture

    taken = f", trained in {clock(rows[-1]['seconds'])}" if rows and "seconds" in rows[-1] else ""
    epochs = round(rows[-1]["epoch"]) if rows else 0
    title = f"training, {epochs} epoch{'' if epochs == 1 else 's'}{taken}"
    names = [name for name in _columns(rows) if name not in _NO_CURVES]
    shares = [name for name in names if name.endswith(("top1", "per_class"))]
    losses = [name for name in names if name not in shares]
    figure = Figure(figsize=(10, 4 + 0.22 * max(len(losses), len(shares))), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    _plot(left, rows, losses, title="losses", unit="loss (no unit)")
    _plot(right, rows, shares, title="accuracies", unit="accuracy, %", factor=100)
    save_picture(path, figure)


def _plot(
    axes: "Axes", rows: Sequence[Mapping[str, float]], names: Sequence[str], *, title: str, unit: str, factor: float = 1
) -> None:
    """Draws curves of a kind: a line on top is thinner, with dashes and marks of its own, so none hides another."""
    from matplotlib.ticker import MaxNLocator

    from fieldmark.evaluation.pictures import families_of

    curves: dict[str, list[str]] = {}  # the names by what they are, to the digits of metrics.csv
    for name in names:
        curves.setdefault(str([f"{row.get(name, math.nan):.6g}" for row in rows]), []).append(name)
    for at, (name, *others) in enumerate(curves.values()):
        axes.plot(
            [row["epoch"] for row in rows],
            [row.get(name, math.nan) * factor for row in rows],
            label=" = ".join(each.replace("_", " ").strip() for each in (name, *others)),
            linewidth=max(3.6 - 0.8 * at, 0.8),
            linestyle=("-", "--", ":", "-.")[at % 4],
            marker="osD^vP*X"[at % 8],
            markersize=max(8 - at, 3),
            markerfacecolor="none",
            markevery=max(1, len(rows) // 12),
        )
    axes.set(xlabel="epoch", ylabel=unit, title=title)
    ends = [row["epoch"] for row in rows] or [1]
    axes.set_xlim(ends[0] - 0.5, ends[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    if curves:
        families, _ = families_of("".join(names))
        look: dict[str, Any] = {"frameon": False, "prop": {"family": families}}
        legend = axes.legend(loc="upper left", bbox_to_anchor=(0, 0), borderaxespad=3.5, **look)  # below: it hides none
        for text in legend.get_texts():
            text.set_parse_math(False)  # names of losses are not formulas, even with dollar signs
