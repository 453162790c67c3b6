"""What the runs on look-alike birds say, as Markdown: accuracy, and accuracy inside pairs, over redraws of the birds.

    python benchmarks/lookalikes_report.py runs/lookalike_birds runs/lookalikes [RUNS ...]

The first folder holds the data that lookalikes.py drew, the others what ``fieldmark bench run`` left. There is a table
for each size of mark and number of photos. A photo is right inside its pair if the logit of its species is above that
of its twin, whatever the other logits are. A redraw has its own species and photos, so each gives one figure (the mean
over seeds, where a plan has several), and intervals are Student's over the redraws' figures. Each method's difference
to the plan's baseline is paired by redraw; its p-value is that of Student's test on the redraws' differences.

Where a data set, a run or its logits are missing, each is named, and the exit code is 2. How the runs were made is
said by ``fieldmark bench report RUNS``.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from fieldmark.bench.plan import PLAN, Plan, PlannedRun, read_plan
from fieldmark.bench.results import DONE, Answers, json_path, read_answers, read_result
from fieldmark.data.dataset import Box
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.statistics import Difference, Interval, holm, seed_interval
from lookalikes import share_of

FEW = 3
"""Redraws below which it is said that they are few."""


@dataclass(frozen=True)
class Redraw:
    """A data set: the ``species`` of each test photo by its name, each species' twin, and what a reader has to know.

    ``photos`` are the training photos per species, ``area`` the telling mark's share of the picture in the median test
    photo.
    """

    species: Mapping[str, str]
    twins: Mapping[str, str]
    photos: float
    area: float


class Figures(NamedTuple):
    """Shares of the test photos that are right, among all species and inside pairs."""

    accuracy: float
    inside: float


class Comparison(NamedTuple):
    """What ``fieldmark bench run`` left: its plan, data by name, figures by entry and data, and what is missing."""

    plan: Plan
    redraws: Mapping[str, Redraw]
    figures: Mapping[tuple[str, str], Figures]
    missing: Sequence[str]


class Cell(NamedTuple):
    """What a table says of an entry and a figure; the baseline has no ``difference``, whose ``p`` is corrected."""

    interval: Interval
    difference: Difference | None = None
    p: float = np.nan


def read_redraw(folder: Path) -> Redraw:
    """Reads ``marks.csv``.

    Raises ``UserError`` where there is none.
    """
    path = folder / "marks.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"missing: {printable(str(path))}; benchmarks/lookalikes.py draws the data") from error
    test = [row for row in rows if row["path"].startswith("test/")]
    twins = {row["species"]: row["twin"] for row in rows}
    boxes = (Box(*(float(row[side]) for side in ("x", "y", "width", "height"))) for row in test)
    return Redraw(
        species={row["path"]: row["species"] for row in test},
        twins=twins,
        photos=(len(rows) - len(test)) / len(twins),
        area=float(np.median([share_of(box) for box in boxes])),
    )


def figures_of(answers: Answers, redraw: Redraw) -> Figures:
    """The figures of a run; raises ``UserError`` where it was measured on other photos."""
    names, labels, logits = answers
    if sorted(names) != sorted(redraw.species):
        raise UserError("it was measured on other photos than marks.csv has: draw the data and run it again")
    species = [redraw.species[name] for name in names]
    label_of = dict(zip(species, labels, strict=True))
    twins = np.array([label_of[redraw.twins[each]] for each in species])
    photos = np.arange(len(names))
    above = logits[photos, labels] > logits[photos, twins]
    return Figures(float((logits.argmax(1) == labels).mean()), float(above.mean()))


def read_run(folder: Path, run: PlannedRun, redraw: Redraw) -> Figures:
    """The figures of a finished run; raises ``UserError`` where it is missing or failed."""
    path = json_path(folder, run.key)
    if not path.is_file():
        raise UserError(f"missing: {printable(str(path))}; fieldmark bench run works it")
    result = read_result(path)
    if result.status != DONE:
        raise UserError(f"{run.key} failed: {result.reason}")
    try:
        return figures_of(read_answers(folder, run.key), redraw)
    except UserError as error:
        raise UserError(f"{run.key}: {error}") from error


def read_comparison(data: Path, folder: Path) -> Comparison:
    """The figures of the final runs in ``folder`` on the redraws in ``data``: all entries on all data sets of the plan.

    Raises ``UserError`` for a folder without a plan, or a plan whose baseline is no entry.
    """
    if not (folder / PLAN).is_file():
        raise UserError(f"missing: {printable(str(folder / PLAN))}; fieldmark bench run --out FOLDER makes it")
    plan = read_plan(folder / PLAN)
    if plan.baseline not in [entry.name for entry in plan.entries]:
        raise UserError(f"{printable(str(folder / PLAN))}: the baseline {plan.baseline} is no entry")
    redraws: dict[str, Redraw] = {}
    figures: dict[tuple[str, str], Figures] = {}
    missing: list[str] = []
    for name in dict.fromkeys(name for entry in plan.entries for name in entry.data):
        try:
            redraws[name] = read_redraw(data / name)
        except UserError as error:
            missing.append(str(error))
    for name, entry in product(redraws, plan.entries):
        try:
            of_seeds = [read_run(folder, PlannedRun(entry, name, seed), redraws[name]) for seed in entry.seeds]
            figures[entry.name, name] = Figures(*np.mean(of_seeds, axis=0).tolist())
        except UserError as error:
            missing.append(str(error))
    return Comparison(plan, redraws, figures, missing)


def difference_of(values: Sequence[float] | np.ndarray) -> Difference:
    """The mean of differences, one per redraw, with Student's interval and test; both are nan for one redraw."""
    sample, interval = np.asarray(values), seed_interval(values)
    df = len(sample) - 1
    error = float(sample.std(ddof=1) / np.sqrt(len(sample))) if df else np.nan
    if error == 0:  # the difference is the same in each redraw
        p = 0.0 if interval.mean else 1.0
    else:
        p = float(2 * stats.t.sf(abs(interval.mean) / error, df)) if df else np.nan
    return Difference(interval, error, df if df else np.nan, p)


def cells_of(figures: Mapping[str, Sequence[float]], baseline: str) -> dict[str, Cell]:
    """A figure's cells by entry, from its values by redraw; p is corrected over the entries (Holm)."""
    plain = np.asarray(figures[baseline])
    others = [entry for entry in figures if entry != baseline]
    differences = [difference_of(np.asarray(figures[entry]) - plain) for entry in others]
    corrected = holm([difference.p for difference in differences])
    compared = zip(others, differences, corrected, strict=True)
    cells = {entry: Cell(seed_interval(figures[entry]), difference, float(p)) for entry, difference, p in compared}
    return {entry: cells.get(entry, Cell(seed_interval(figures[entry]))) for entry in figures}


def with_ends(interval: Interval, spelt: Callable[[float], str]) -> str:
    """A mean, with the ends in brackets where they are known."""
    ends = "" if np.isnan(interval.low) else f" ({spelt(interval.low)} to {spelt(interval.high)})"
    return spelt(interval.mean) + ends


def percent(share: float) -> str:
    """A share, between 0 and 100 %, of which Student's interval knows nothing."""
    return f"{100 * min(max(share, 0.0), 1.0):.1f}"


def points(difference: float) -> str:
    """A difference of shares with its sign."""
    text = f"{100 * difference:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def columns(cell: Cell) -> list[str]:
    """A figure, its difference to the baseline, and p."""
    if cell.difference is None:
        return [with_ends(cell.interval, percent), "", ""]
    p = "" if np.isnan(cell.p) else "< 0.001" if cell.p < 0.001 else f"{cell.p:.3f}"
    return [with_ends(cell.interval, percent), with_ends(cell.difference.interval, points), p]


def table_of(comparison: Comparison, names: Sequence[str]) -> list[str]:
    """The lines of a regime's table, whose redraws are ``names``."""
    baseline, entries = comparison.plan.baseline, [entry.name for entry in comparison.plan.entries]
    by_figure = [
        cells_of({entry: [comparison.figures[entry, name][place] for name in names] for entry in entries}, baseline)
        for place in range(len(Figures._fields))
    ]
    figures = "".join(f" {figure} | to {baseline} | p |" for figure in ("accuracy %", "inside pairs %"))
    rows = ([entry, *chain.from_iterable(columns(cells[entry]) for cells in by_figure)] for entry in entries)
    return [f"| method |{figures}", f"| --- |{' ---: |' * 6}", *(f"| {' | '.join(row)} |" for row in rows)]


def section(comparison: Comparison, regime: str, names: Sequence[str]) -> list[str]:
    """The lines of a regime: its name, its data, its table, and how to read it."""
    redraws = [comparison.redraws[name] for name in names]
    count, first, others = len(redraws), redraws[0], len(comparison.plan.entries) - 1
    few = f"**Few redraws: {count}. Fewer than {FEW} can hardly tell methods apart; six are advised.**"
    return [
        f"## {regime}",
        "",
        f"{count} redraw{'s' if count > 1 else ''}, each of {len(first.twins)} species with {first.photos:g} training "
        f"photos per species and {len(first.species):,} test photos; the box of the mark that tells a pair apart takes "
        f"{100 * np.median([redraw.area for redraw in redraws]):.1f} % of the picture (median).",
        "",
        *([few, ""] if count < FEW else []),
        *table_of(comparison, names),
        "",
        "In brackets 95 % intervals over redraws; differences in percentage points, paired by redraw; p corrected "
        f"(Holm) over the {others} methods, for each of the two figures by itself.",
        "",
    ]


def report_of(comparison: Comparison) -> str:
    """The text of a comparison, of which nothing is missing."""

    def regime_of(name: str) -> str:
        return name.rpartition("-")[0]

    regimes = groupby(sorted(comparison.redraws, key=regime_of), regime_of)
    return "\n".join(chain.from_iterable(section(comparison, regime, list(names)) for regime, names in regimes))


def main(words: Sequence[str] | None = None) -> int:
    """Prints the report, or what is missing; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder that lookalikes.py made")
    parser.add_argument("runs", type=Path, nargs="+", help="folders that fieldmark bench run made")
    said = parser.parse_args(words)
    try:
        comparisons = [read_comparison(said.data, folder) for folder in said.runs]
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if missing := [line for comparison in comparisons for line in comparison.missing]:
        print(*missing, sep="\n", file=sys.stderr)
        return 2
    print(*map(report_of, comparisons), sep="\n", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
