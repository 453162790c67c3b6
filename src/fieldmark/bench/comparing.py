"""The figures of a comparison, from its records: one table a data set, one row an entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np

from fieldmark.bench.plan import PROBE
from fieldmark.bench.records import DONE, Result, read_answers, read_results
from fieldmark.bench.tuning import Score, scores
from fieldmark.evaluation.statistics import LEVEL, Difference, Interval, detectable, holm, paired_difference
from fieldmark.evaluation.statistics import seed_interval as interval_of

BETTER, WORSE, UNTOLD = "better", "worse", "untold"


@dataclass(frozen=True)
class Comparison:
    """A row against its baseline, over the seeds and the photos that both have.

    ``difference`` in shares, ``p`` corrected for all comparisons of the table (Holm), ``seen_from`` the smallest effect
    that such an experiment finds with a chance of 80 %, at the level of the correction's first step.
    """

    baseline: str
    difference: Difference
    seeds: tuple[int, ...]
    p: float = np.nan
    seen_from: float = np.nan

    @property
    def verdict(self) -> str:
        """``BETTER``, ``WORSE`` or ``UNTOLD``."""
        if not self.p < 1 - LEVEL:
            return UNTOLD
        return BETTER if self.difference.interval.mean > 0 else WORSE


@dataclass(frozen=True)
class Row:
    """An entry: its final runs that are done, their mean accuracies, its trials, and how it compares."""

    entry: str
    kind: str
    baseline: str
    finals: tuple[Result, ...]
    top1: Interval
    per_class: float
    seconds: float
    trials: tuple[Score, ...]
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Table:
    """A data set: its rows in the plan's order, all its results, how many photos all final runs saw."""

    data: str
    title: str
    rows: tuple[Row, ...]
    results: tuple[Result, ...]
    photos: int


def tables_of(folder: Path) -> list[Table]:
    """The tables of a comparison.

    Raises:
        UserError: no results, or files that are damaged.
    """
    results = read_results(folder)
    return [_table(folder, [one for one in results if one.data == data]) for data in sorted({r.data for r in results})]


def _table(folder: Path, results: list[Result]) -> Table:
    entries = list(dict.fromkeys(one.entry for one in sorted(results, key=lambda one: (one.order, one.entry))))
    rows = [_row([one for one in results if one.entry == name]) for name in entries]
    done = [row for row in rows if row is not None]
    right = _right(folder, [result for row in done for result in row.finals])
    compared = _corrected([replace(row, comparison=_comparison(row, done, right)) for row in done])
    photos = len(next(iter(right.values()), ()))
    return Table(results[0].data, results[0].title, tuple(compared), tuple(results), photos)


def _row(results: Sequence[Result]) -> Row | None:
    """An entry's row; None while no final run of it is done."""
    finals = tuple(one for one in results if one.phase == "final" and one.status == DONE)
    if not finals:
        return None
    return Row(
        entry=finals[0].entry,
        kind=finals[0].kind,
        baseline=finals[0].baseline,
        finals=finals,
        top1=interval_of([one.metrics["top1"] for one in finals]),
        per_class=float(np.mean([one.metrics["mean_per_class"] for one in finals])),
        seconds=float(np.mean([one.seconds for one in finals])),
        trials=tuple(scores(results)),
    )


def _right(folder: Path, finals: Sequence[Result]) -> dict[str, np.ndarray]:
    """Whether each photo was right, bool (I,) by run, over the photos that all runs were measured on."""
    if not finals:
        return {}
    answers = {one.key: read_answers(folder, one.key) for one in finals}
    common = reduce(np.intersect1d, (one.names for one in answers.values()))
    found = {}
    for key, (names, labels, logits) in answers.items():
        order = np.argsort(names)
        at = order[np.searchsorted(names, common, sorter=order)]
        found[key] = logits[at].argmax(1) == labels[at]
    return found


def _comparison(row: Row, rows: Sequence[Row], right: Mapping[str, np.ndarray]) -> Comparison | None:
    """A row against the row that it names; None for that row itself, and where there is nothing to compare."""
    baseline = next((one for one in rows if one.entry == row.baseline), None)
    if baseline is None or baseline.entry == row.entry:
        return None
    mine, theirs = ({one.seed: right[one.key] for one in of.finals} for of in (row, baseline))
    if row.kind == PROBE:  # no seed changes its answers: it stands beside each seed of the other
        mine = dict.fromkeys(theirs, next(iter(mine.values())))
    if baseline.kind == PROBE:
        theirs = dict.fromkeys(mine, next(iter(theirs.values())))
    seeds = tuple(sorted(mine.keys() & theirs.keys()))
    if not seeds or not len(mine[seeds[0]]):
        return None
    first, second = (np.stack([of[seed] for seed in seeds]) for of in (mine, theirs))
    return Comparison(baseline.entry, paired_difference(first, second), seeds)


def _corrected(rows: Sequence[Row]) -> list[Row]:
    """The rows with p-values corrected for all of the table's comparisons."""
    compared = [row.comparison for row in rows if row.comparison]
    corrected = holm([one.difference.p for one in compared])
    many = max(1, int(np.sum(~np.isnan(corrected))))
    found: list[Row] = []
    for row in rows:
        if row.comparison is None:
            found.append(row)
            continue
        error, df = row.comparison.difference.error, row.comparison.difference.df
        p = float(corrected[next(at for at, one in enumerate(compared) if one is row.comparison)])
        seen = detectable(error, df, alpha=(1 - LEVEL) / many)
        found.append(replace(row, comparison=replace(row.comparison, p=p, seen_from=seen)))
    return found
