"""The figures of a comparison, from its records: one table a data set, one row an entry."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from fieldmark.bench.plan import PROBE
from fieldmark.bench.recipe_words import RecipeWords, in_words
from fieldmark.bench.results import DONE, Result, read_answers, read_results
from fieldmark.bench.tuning import Score, scores, winner
from fieldmark.evaluation.statistics import LEVEL, Difference, Interval, detectable, holm, paired_difference
from fieldmark.evaluation.statistics import seed_interval as interval_of

BETTER, WORSE, UNCLEAR, UNKNOWN = "better", "worse", "unclear", "unknown"


@dataclass(frozen=True)
class Comparison:
    """A row against a baseline, over the seeds and the ``photos`` that both have.

    ``difference`` in shares, ``p`` corrected for all comparisons of the data set, whichever baseline they are to
    (Holm), ``minimum_detectable`` the smallest effect that such an experiment finds with a chance of 80 %, at the level
    of the correction's first step.
    """

    baseline: str
    difference: Difference
    seeds: tuple[int, ...]
    photos: int
    p: float = np.nan
    minimum_detectable: float = np.nan

    @property
    def verdict(self) -> str:
        """``BETTER``, ``WORSE``, ``UNCLEAR``, or with one seed ``UNKNOWN``."""
        if np.isnan(self.p):
            return UNKNOWN
        if not self.p < 1 - LEVEL:
            return UNCLEAR
        return BETTER if self.difference.interval.mean > 0 else WORSE


@dataclass(frozen=True)
class Row:
    """An entry: its final runs that are done, their mean accuracies, its trials, and how it compares.

    ``levels`` are the accuracies at levels of groups that all final runs have. ``comparison`` is to the row that it
    names, which has its batches and its compute; ``to_default`` to the plan's default baseline, where that is another
    row.
    """

    entry: str
    kind: str
    baseline: str
    finals: tuple[Result, ...]
    top1: Interval
    per_class: float
    seconds: float
    trials: tuple[Score, ...]
    levels: Mapping[str, Interval] = field(default_factory=dict)
    comparison: Comparison | None = None
    to_default: Comparison | None = None

    @property
    def winner(self) -> Score | None:
        """The trial that is followed; None where none has a score."""
        return winner(self.trials)


@dataclass(frozen=True)
class Table:
    """A data set: its rows and results in the plan's order, and how many photos all final runs saw but ``odd`` ones.

    ``tried`` are the trials of each entry, also of those without a row; ``default`` is the plan's default baseline;
    ``words`` say by key what runs followed; ``class_sizes`` how many of the photos each class has, that has any;
    ``odd`` are the runs of which no photo is another run's, ``unsure`` how many photos of a run have no finite logits.
    """

    data: str
    results: tuple[Result, ...]
    rows: tuple[Row, ...]
    tried: Mapping[str, tuple[Score, ...]]
    default: str
    words: Mapping[str, RecipeWords]
    photos: int
    class_sizes: tuple[int, ...] = ()
    odd: tuple[str, ...] = ()
    unsure: Mapping[str, int] = field(default_factory=dict)

    @property
    def finals(self) -> list[Result]:
        """The final runs of all rows."""
        return [run for row in self.rows for run in row.finals]

    @property
    def comparisons(self) -> list[tuple[Row, Comparison]]:
        """Those of all rows."""
        return [(row, each) for row in self.rows for each in (row.comparison, row.to_default) if each]

    def followed(self, runs: Iterable[Result]) -> list[RecipeWords]:
        """What some runs followed, as far as that is recorded."""
        return [self.words[run.key] for run in runs if run.key in self.words]

    @property
    def corrected_for(self) -> int:
        """Number of comparisons that the p-values are corrected for."""
        return sum(not np.isnan(comparison.difference.p) for _, comparison in self.comparisons)


def tables_of(folder: Path, default: str = "") -> list[Table]:
    """The tables of a comparison; ``default`` is the plan's default baseline, "" for the one that most entries name.

    Raises:
        UserError: no results, or files that are damaged.
    """
    by_data = groupby(read_results(folder), lambda run: run.data)
    return [_table(folder, list(results), default) for _, results in by_data]


def _table(folder: Path, results: Sequence[Result], default: str) -> Table:
    default = default or _most_named(results)
    by_entry = {run.entry: [other for other in results if other.entry == run.entry] for run in results}
    rows = [row for runs in by_entry.values() if (row := _row(runs))]
    keys = [run.key for row in rows for run in row.finals]
    right, labels, unsure = _photos(folder, keys)
    known = ~np.isnan(right)
    is_odd = [len(keys) > 1 and bool((known.sum(0)[own] == 1).all()) for own in known]
    rest = known[np.logical_not(is_odd)] if len(keys) else known
    common = rest.all(0) if len(rest) else np.zeros(known.shape[1], bool)
    return Table(
        data=results[0].data,
        results=tuple(results),
        rows=tuple(_compared(rows, dict(zip(keys, right, strict=True)), default)),
        tried={name: tried for name, runs in by_entry.items() if (tried := tuple(scores(runs)))},
        default=default,
        words={run.key: in_words(run.recipe, key=run.key) for run in results if run.recipe or run.status == DONE},
        photos=int(common.sum()),
        class_sizes=tuple(np.unique(labels[common], return_counts=True)[1].tolist()),
        odd=tuple(key for key, odd in zip(keys, is_odd, strict=True) if odd),
        unsure={key: count for key, count in zip(keys, unsure, strict=True) if count},
    )


def _most_named(results: Sequence[Result]) -> str:
    """The baseline that most entries name; of equals the one named first."""
    return Counter({run.entry: run.baseline for run in results}.values()).most_common(1)[0][0]


def _row(results: Sequence[Result]) -> Row | None:
    """An entry's row; None while no final run of it is done."""
    finals = tuple(run for run in results if run.phase == "final" and run.status == DONE)
    if not finals:
        return None
    return Row(
        entry=finals[0].entry,
        kind=finals[0].kind,
        baseline=finals[0].baseline,
        finals=finals,
        top1=interval_of([run.metrics["top1"] for run in finals]),
        per_class=float(np.mean([run.metrics["mean_per_class"] for run in finals])),
        seconds=float(np.mean([run.seconds for run in finals])),
        trials=tuple(scores(results)),
        levels={
            name: interval_of([run.levels[name] for run in finals])
            for name in finals[0].levels
            if all(name in run.levels for run in finals)
        },
    )


def _photos(folder: Path, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """What R runs said of I photos, which are those of all of them.

    Returns:
        Whether they were right (R, I), 1 or 0, or nan where a run was not measured on a photo; the photos' labels (I,);
        for each run, the number of photos whose logits are not all finite.
    """
    answers = [read_answers(folder, key) for key in keys]
    names = np.unique(np.concatenate([np.array([], str), *(run.names for run in answers)]))
    right, labels = np.full((len(keys), len(names)), np.nan), np.zeros(len(names), np.int64)
    for row, run in zip(right, answers, strict=True):
        columns = np.searchsorted(names, run.names)
        row[columns] = run.logits.argmax(1) == run.labels
        labels[columns] = run.labels
    return right, labels, [int((~np.isfinite(run.logits)).any(1).sum()) for run in answers]


def _compared(rows: Sequence[Row], right: Mapping[str, np.ndarray], default: str) -> list[Row]:
    """The rows with their differences to the row that each names and, if that is another, to the default baseline.

    P-values are corrected for all of these, of both kinds together.
    """
    by_name = {row.entry: row for row in rows}
    pairs = [(row, by_name[name]) for row in rows for name in dict.fromkeys((row.baseline, default)) if name in by_name]
    raw = {(row.entry, other.entry): _comparison(row, other, right) for row, other in pairs if row is not other}
    known = {names: comparison for names, comparison in raw.items() if comparison}
    corrected = holm([comparison.difference.p for comparison in known.values()])
    alpha = (1 - LEVEL) / max(1, int(np.sum(~np.isnan(corrected))))
    for (names, comparison), p in zip(list(known.items()), corrected, strict=True):
        smallest = detectable(comparison.difference.error, comparison.difference.df, alpha=alpha)
        known[names] = replace(comparison, p=float(p), minimum_detectable=smallest)
    return [
        replace(
            row,
            comparison=known.get((row.entry, row.baseline)),
            to_default=None if default == row.baseline else known.get((row.entry, default)),
        )
        for row in rows
    ]


def _comparison(row: Row, baseline: Row, right: Mapping[str, np.ndarray]) -> Comparison | None:
    """A row against another, over the photos that their runs share; None where there is nothing to compare."""
    mine, theirs = ({run.seed: right[run.key] for run in of.finals} for of in (row, baseline))
    if row.kind == PROBE:  # no seed changes its answers: it stands beside each seed of the other
        mine = dict.fromkeys(theirs, next(iter(mine.values())))
    if baseline.kind == PROBE:
        theirs = dict.fromkeys(mine, next(iter(theirs.values())))
    seeds = tuple(sorted(mine.keys() & theirs.keys()))
    first, second = (np.array([of[seed] for seed in seeds]) for of in (mine, theirs))
    shared = ~np.isnan(first + second).any(0)
    if not seeds or not shared.any():
        return None
    return Comparison(baseline.entry, paired_difference(first[:, shared], second[:, shared]), seeds, int(shared.sum()))
