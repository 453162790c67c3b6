"""The figures of a comparison, from its records: one table a data set, one row an entry."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.bench.plan import PROBE
from fieldmark.bench.results import DONE, Result, read_answers, read_results
from fieldmark.bench.tuning import Score, scores, winner
from fieldmark.evaluation.statistics import LEVEL, Difference, Interval, detectable, holm, paired_difference
from fieldmark.evaluation.statistics import seed_interval as interval_of

BETTER, WORSE, UNCLEAR, UNKNOWN = "better", "worse", "unclear", "unknown"


class _Photos(NamedTuple):
    """A run's photos: ``names`` (I,) in order, their ``labels``, whether each was ``right``, and ``unsure``.

    ``unsure`` is the number of photos whose logits are not all finite.
    """

    names: np.ndarray
    labels: np.ndarray
    right: np.ndarray
    unsure: int


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
        return tuple(comparison for comparison in (self.comparison, self.to_default) if comparison)

    @property
    def winner(self) -> Score | None:
        """The trial that is followed; None where none has a score."""
        return winner(self.trials)


@dataclass(frozen=True)
class Table:
    """A data set: its rows in the plan's order, all its results, how many photos all final runs saw but ``odd`` ones.

    ``default`` is the plan's default baseline, ``class_sizes`` how many of the photos each class has, that has any;
    ``odd`` are the runs of which no photo is another run's, ``unsure`` how many photos of a run have no finite logits.
    """

    data: str
    title: str
    rows: tuple[Row, ...]
    results: tuple[Result, ...]
    photos: int
    default: str
    class_sizes: tuple[int, ...] = ()
    odd: tuple[str, ...] = ()
    unsure: Mapping[str, int] = field(default_factory=dict)

    @property
    def comparisons(self) -> list[tuple[Row, Comparison]]:
        """Those of all rows."""
        return [(row, comparison) for row in self.rows for comparison in row.comparisons]

    @property
    def corrected_for(self) -> int:
        """Number of comparisons that the p-values are corrected for."""
        return sum(not np.isnan(comparison.difference.p) for _, comparison in self.comparisons)


def tables_of(folder: Path, default: str = "") -> list[Table]:
    """The tables of a comparison.

    Args:
        folder: of the comparison.
        default: the plan's default baseline; "" for the one that most entries name.

    Raises:
        UserError: no results, or files that are damaged.
    """
    results = read_results(folder)
    names = sorted({run.data for run in results})
    return [_table(folder, [run for run in results if run.data == name], default) for name in names]


def _table(folder: Path, results: list[Result], default: str) -> Table:
    in_order = sorted(results, key=lambda run: (run.order, run.entry))
    entries = dict.fromkeys(run.entry for run in in_order)
    rows = [_row([run for run in results if run.entry == name]) for name in entries]
    done = [row for row in rows if row is not None]
    photos = {run.key: _photos(folder, run.key) for row in done for run in row.finals}
    odd = _odd(photos)
    common = _shared([measured for key, measured in photos.items() if key not in odd])
    default = default or _most_named(in_order)
    return Table(
        data=results[0].data,
        title=results[0].title,
        rows=tuple(_corrected([_compared(row, done, photos, default=default) for row in done])),
        results=tuple(results),
        photos=len(common),
        default=default,
        class_sizes=_class_sizes([measured for key, measured in photos.items() if key not in odd], common),
        odd=odd,
        unsure={key: measured.unsure for key, measured in photos.items() if measured.unsure},
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
    )


def _photos(folder: Path, key: str) -> _Photos:
    names, labels, logits = read_answers(folder, key)
    order = np.argsort(names)
    names, labels, logits = names[order], labels[order], logits[order]
    return _Photos(names, labels, logits.argmax(1) == labels, int((~np.isfinite(logits)).any(1).sum()))


def _shared(photos: Iterable[_Photos]) -> np.ndarray:
    """The names, in order, of the photos that all of these runs were measured on."""
    names = [measured.names for measured in photos]
    return reduce(np.intersect1d, names) if names else np.array([], dtype=str)


def _odd(photos: Mapping[str, _Photos]) -> tuple[str, ...]:
    """The runs that share no photo with any other, where there is another."""
    runs = Counter(str(name) for measured in photos.values() for name in np.unique(measured.names))
    return tuple(
        key
        for key, measured in photos.items()
        if len(photos) > 1 and all(runs[str(name)] == 1 for name in measured.names)
    )


def _class_sizes(photos: Sequence[_Photos], names: np.ndarray) -> tuple[int, ...]:
    if not photos:
        return ()
    labels = photos[0].labels[np.searchsorted(photos[0].names, names)]
    return tuple(int(count) for count in np.unique(labels, return_counts=True)[1])


def _compared(row: Row, rows: Sequence[Row], photos: Mapping[str, _Photos], *, default: str) -> Row:
    """The row with its differences to the row that it names and, if that is another, to the default baseline."""
    others = {other.entry: _comparison(row, other, photos) for other in rows if other.entry != row.entry}
    to_default = None if default == row.baseline else others.get(default)
    return replace(row, comparison=others.get(row.baseline), to_default=to_default)


def _comparison(row: Row, baseline: Row, photos: Mapping[str, _Photos]) -> Comparison | None:
    """A row against another, over the photos that their runs share; None where there is nothing to compare."""
    mine, theirs = ({run.seed: photos[run.key] for run in of.finals} for of in (row, baseline))
    if row.kind == PROBE:  # no seed changes its answers: it stands beside each seed of the other
        mine = dict.fromkeys(theirs, next(iter(mine.values())))
    if baseline.kind == PROBE:
        theirs = dict.fromkeys(mine, next(iter(theirs.values())))
    seeds = tuple(sorted(mine.keys() & theirs.keys()))
    names = _shared([of[seed] for of in (mine, theirs) for seed in seeds])
    if not len(names):
        return None
    first, second = (np.stack([_right(of[seed], names) for seed in seeds]) for of in (mine, theirs))
    return Comparison(baseline.entry, paired_difference(first, second), seeds, len(names))


def _right(photos: _Photos, names: np.ndarray) -> np.ndarray:
    """Whether the photos of these names were right, bool (I,)."""
    return photos.right[np.searchsorted(photos.names, names)]


def _corrected(rows: Sequence[Row]) -> list[Row]:
    """The rows with p-values corrected for all of the table's comparisons, of both kinds together."""
    corrected = holm([comparison.difference.p for row in rows for comparison in row.comparisons])
    alpha = (1 - LEVEL) / max(1, int(np.sum(~np.isnan(corrected))))
    left = iter(corrected)

    def with_p(comparison: Comparison | None) -> Comparison | None:
        if comparison is None:
            return None
        smallest = detectable(comparison.difference.error, comparison.difference.df, alpha=alpha)
        return replace(comparison, p=float(next(left)), minimum_detectable=smallest)

    return [replace(row, comparison=with_p(row.comparison), to_default=with_p(row.to_default)) for row in rows]
