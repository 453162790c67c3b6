"""The figures of a comparison, from its records: one table a data set, one row an entry."""

from collections import Counter
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
    """A row against a baseline, over the seeds and the photos that both have.

    ``difference`` in shares, ``p`` corrected for all comparisons of the data set, whichever baseline they are to
    (Holm), ``seen_from`` the smallest effect that such an experiment finds with a chance of 80 %, at the level of the
    correction's first step.
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
    """An entry: its final runs that are done, their mean accuracies, its trials, and how it compares.

    ``comparison`` is to the row that it names, which has its batches and its compute; ``to_default`` to the plan's
    default baseline, where that is another row.
    """

    entry: str
    kind: str
    baseline: str
    finals: tuple[Result, ...]
    top1: Interval
    per_class: float
    seconds: float
    trials: tuple[Score, ...]
    comparison: Comparison | None = None
    to_default: Comparison | None = None

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Those that there are."""
        return tuple(one for one in (self.comparison, self.to_default) if one)


@dataclass(frozen=True)
class Table:
    """A data set: its rows in the plan's order, all its results, how many photos all final runs saw.

    ``default`` is the plan's default baseline, ``class_sizes`` how many of the photos each class has, that has any.
    """

    data: str
    title: str
    rows: tuple[Row, ...]
    results: tuple[Result, ...]
    photos: int
    default: str
    class_sizes: tuple[int, ...] = ()

    @property
    def corrected_for(self) -> int:
        """Number of comparisons that the p-values are corrected for."""
        return sum(not np.isnan(one.difference.p) for row in self.rows for one in row.comparisons)


def tables_of(folder: Path, default: str = "") -> list[Table]:
    """The tables of a comparison.

    Args:
        folder: of the comparison.
        default: the plan's default baseline; "" for the one that most entries name.

    Raises:
        UserError: no results, or files that are damaged.
    """
    results = read_results(folder)
    by_data = ([one for one in results if one.data == data] for data in sorted({one.data for one in results}))
    return [_table(folder, found, default) for found in by_data]


def _table(folder: Path, results: list[Result], default: str) -> Table:
    in_order = sorted(results, key=lambda one: (one.order, one.entry))
    entries = dict.fromkeys(one.entry for one in in_order)
    rows = [_row([one for one in results if one.entry == name]) for name in entries]
    done = [row for row in rows if row is not None]
    right, sizes = _right(folder, [result for row in done for result in row.finals])
    default = default or _most_named(in_order)
    return Table(
        data=results[0].data,
        title=results[0].title,
        rows=tuple(_corrected([_compared(row, done, right, default=default) for row in done])),
        results=tuple(results),
        photos=len(next(iter(right.values()), ())),
        default=default,
        class_sizes=sizes,
    )


def _most_named(results: Sequence[Result]) -> str:
    """The baseline that most entries name; of equals the one named first."""
    return Counter({one.entry: one.baseline for one in results}.values()).most_common(1)[0][0]


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


def _right(folder: Path, finals: Sequence[Result]) -> tuple[dict[str, np.ndarray], tuple[int, ...]]:
    """Whether each photo was right, bool (I,) by run, over the photos that all runs were measured on; class sizes."""
    if not finals:
        return {}, ()
    answers = {one.key: read_answers(folder, one.key) for one in finals}
    common = reduce(np.intersect1d, (one.names for one in answers.values()))
    found: dict[str, np.ndarray] = {}
    sizes: tuple[int, ...] = ()
    for key, (names, labels, logits) in answers.items():
        order = np.argsort(names)
        at = order[np.searchsorted(names, common, sorter=order)]
        found[key] = logits[at].argmax(1) == labels[at]
        sizes = tuple(int(count) for count in np.unique(labels[at], return_counts=True)[1])
    return found, sizes


def _compared(row: Row, rows: Sequence[Row], right: Mapping[str, np.ndarray], *, default: str) -> Row:
    """The row with its differences to the row that it names and, if that is another, to the default baseline."""
    found = {one.entry: _comparison(row, one, right) for one in rows if one.entry != row.entry}
    to_default = None if default == row.baseline else found.get(default)
    return replace(row, comparison=found.get(row.baseline), to_default=to_default)


def _comparison(row: Row, baseline: Row, right: Mapping[str, np.ndarray]) -> Comparison | None:
    """A row against another; None where there is nothing to compare."""
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
    """The rows with p-values corrected for all of the table's comparisons, of both kinds together."""
    corrected = holm([one.difference.p for row in rows for one in row.comparisons])
    alpha = (1 - LEVEL) / max(1, int(np.sum(~np.isnan(corrected))))
    left = iter(corrected)

    def with_p(one: Comparison | None) -> Comparison | None:
        if one is None:
            return None
        seen = detectable(one.difference.error, one.difference.df, alpha=alpha)
        return replace(one, p=float(next(left)), seen_from=seen)

    return [replace(row, comparison=with_p(row.comparison), to_default=with_p(row.to_default)) for row in rows]
