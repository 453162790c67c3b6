"""Accuracy by epoch, of runs beside each other: Pairwise Confusion, Fig. 2 (right), and Mutual-Channel Loss, Fig. 6."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fieldmark.data.spreadsheet import read_rows
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.pictures import families_of, save_figure
from fieldmark.files import replace_files
from fieldmark.paper_figures.figure import FORMAT_VERSION, names_of_runs
from fieldmark.runs.folder import METRICS, Opened, digest_of

NAME, TITLE = "convergence", "Training and validation by epoch, as in Pairwise Confusion, Fig. 2"
DRAWN = (
    ("loss", "training loss", 1),
    ("train_top1", "training, top-1, %", 100),
    ("val_top1", "validation, top-1, %", 100),
)
"""Columns of a run's table of metrics, what they are, and their factor."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of runs, told apart with any colour vision (Okabe and Ito); lines and marks differ, too."""

Curves = Mapping[str, list[float | None]]


@dataclass(frozen=True)
class Convergence:
    """How runs came along: by name the digest of each and its columns ``epoch`` and those of ``DRAWN``, as it has them.

    A value that an epoch lacks is None.
    """

    runs: Mapping[str, str]
    curves: Mapping[str, Curves]
    name: str = NAME
    title: str = TITLE
    lines: Sequence[str] = ()

    def save(self, folder: Path, *, lacking: set[str] | None = None) -> Path:
        """Writes convergence.png and convergence.json; both or none.

        ``lacking`` takes up the letters that no font on this machine has.

        Raises:
            UserError: they cannot be written.
        """
        said = {"format_version": FORMAT_VERSION, "figure": NAME, "title": TITLE, "runs": dict(self.runs), "panels": []}
        words = json.dumps(said | {"curves": self.curves}, indent=2, ensure_ascii=False) + "\n"
        contents = {
            f"{NAME}.png": partial(_draw, curves=self.curves, lacking=set() if lacking is None else lacking),
            f"{NAME}.json": lambda draft: draft.write_text(words, "utf-8", "backslashreplace"),
        }
        replace_files(folder, contents)
        return folder / f"{NAME}.png"


def convergence(runs: Sequence[Opened]) -> Convergence | None:
    """The curves of runs; None where the first one has none, as a probe has not."""
    names = names_of_runs([run.path for run in runs])
    tables = {name: curves_of(run.path) for name, run in zip(names, runs, strict=True)}
    if len(next(iter(tables.values()))["epoch"]) < 2:
        return None
    digests = {name: digest_of(run.path) for name, run in zip(names, runs, strict=True)}
    return Convergence(digests, {name: curves for name, curves in tables.items() if curves["epoch"]})


def curves_of(run: Path) -> Curves:
    """The columns of a run's table of metrics; no epochs where there is none.

    Raises:
        UserError: a table that was changed by hand.
    """
    path = run / METRICS
    rows = [row.cells for row in read_rows(path)] if path.is_file() else []
    header, *values = rows or [["epoch"]]
    wanted = [name for name in ("epoch", *(name for name, *_ in DRAWN)) if name in header]
    try:
        table = {name: [_number(row[header.index(name) :][:1]) for row in values] for name in wanted}
    except ValueError as error:
        raise UserError(f"{printable(str(path))}: {error}; it was changed by hand") from None
    if None in table.get("epoch", [None]):
        raise UserError(f"{printable(str(path))}: an epoch has no number; it was changed by hand")
    return table


def _number(cells: Iterable[str]) -> float | None:
    """Of a cell, if it is there, is not empty and is finite."""
    number = float(next(iter(cells), "") or "nan")
    return number if math.isfinite(number) else None


def _draw(path: Path, *, curves: Mapping[str, Curves], lacking: set[str]) -> None:
    families, letters = families_of("".join(curves))
    lacking.update(letters)
    kinds = [kind for kind in DRAWN if any(kind[0] in table for table in curves.values())]
    figure = Figure(figsize=(4.6 * len(kinds), 4.2 + 0.22 * len(curves)), layout="constrained")
    figure.suptitle(TITLE, fontsize=11)
    axes = figure.subplots(1, len(kinds), squeeze=False)[0]
    for place, (column, label, factor) in zip(axes, kinds, strict=True):
        for at, (name, table) in enumerate(curves.items()):
            values = [math.nan if value is None else factor * value for value in table.get(column, ())]
            place.plot(
                table["epoch"][: len(values)],
                values,
                label=name,
                color=COLOURS[at % len(COLOURS)],
                linestyle=("-", "--", "-.", ":")[at % 4],
                marker="osD^vP*"[at % 7],
                markersize=4,
                markevery=max(1, len(values) // 12),
            )
        place.set(xlabel="epoch", ylabel=label)
        place.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        place.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", frameon=False, prop={"family": families})
    for text in legend.get_texts():
        text.set_parse_math(False)  # names of runs are no formulas, even with dollar signs
    save_figure(path, figure)
