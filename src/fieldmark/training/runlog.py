"""The log of a run: a live display, or plain lines without a terminal; metrics.csv and curves.png."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fieldmark.console import SILENCE, tell
from fieldmark.files import replace_file, write_csv

METRICS, CURVES = "metrics.csv", "curves.png"


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
    """

    def __init__(self, run: Path, *, console: Console) -> None:
        self.run, self.console = run, console
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
        """An epoch is done: all rows so far go to metrics.csv, the last one to the console."""
        write_metrics(self.run / METRICS, rows)
        row, epoch = rows[-1], round(rows[-1]["epoch"])
        parts = [name for name in row if "/" in name]  # a term's figures, by their own names
        names = [name for name in ("loss", *parts, "train_top1", "val_top1") if name in row]
        figures = [f"{name if name in parts else name.replace('_', ' ')} {row[name]:.3f}" for name in names]
        place, pace = f"epoch {epoch}/{self.steps // self.per_epoch}", self._pace(epoch * self.per_epoch)
        self.note("  ".join((place, *figures, *pace)))

    def _pace(self, step: int) -> tuple[str, str]:
        """The speed so far, and the time left after a step."""
        taken = time.perf_counter() - self._begun
        left = taken / max(step - self._done, 1) * (self.steps - step)
        return f"{self._images / max(taken, 1e-9):.1f} images/s", f"{clock(left)} left"


def write_metrics(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes one row per epoch; a column that some rows lack is empty there."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[f"{row[key]:.6g}" if key in row else "" for key in columns] for row in rows]
    write_csv(path, [columns, *cells])


def draw_curves(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Losses and accuracies by epoch, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    skipped = ("epoch", "lr", "seconds")
    for name in dict.fromkeys(key for row in rows for key in row if key not in skipped):
        is_share = name.endswith(("top1", "per_class"))
        values = [row.get(name, float("nan")) * (100 if is_share else 1) for row in rows]
        (right if is_share else left).plot(epochs, values, marker=".", label=name.replace("_", " "))
    for axes, title in ((left, "loss"), (right, "accuracy, %")):
        axes.set(xlabel="epoch", title=title)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(frameon=False)
    replace_file(path, lambda draft: figure.savefig(draft, dpi=110))
