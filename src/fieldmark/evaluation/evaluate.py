"""``fieldmark evaluate``: a run measured on a split of labelled photographs."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.confidence.calibration import Calibration, calibration_of
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.confidence.record import Confidence
from fieldmark.confidence.taxonomy import Groups
from fieldmark.core import processes
from fieldmark.data.dataset import SPLITS, Dataset, Photo, Unread, composed
from fieldmark.data.opening import (
    OpenedData,
    refuse_missing_splits,
    refuse_unknown_names,
    refuse_without_boxes,
    unreadable,
    without_damaged,
)
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import Scan, is_other_file, recognised
from fieldmark.data.split import digest, for_photos, read_splits, with_splits
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.comparison import Comparison
from fieldmark.evaluation.inference import infer, scored
from fieldmark.evaluation.levels import ByLevel, measure_levels
from fieldmark.evaluation.metrics import Figures, Headline, Metrics, confused_pairs, measure
from fieldmark.evaluation.statistics import Interval, share_interval
from fieldmark.evaluation.training_photos import trained_on
from fieldmark.files import refuse_unwritable
from fieldmark.input.loading import Photographs
from fieldmark.runs.added import read_additions
from fieldmark.runs.folder import SCAN, About, Opened, Start, read_run, read_start

OPENINGS = "test_openings.csv"
CLEAR = 5.0
"""Points to either side of top-1 above which photos are few."""
OPEN_TEST = ("test", "all")
"""Splits that hold test photos: each measurement is logged."""


@dataclass(frozen=True)
class Evaluation:
    """How a run does on a split.

    ``logits`` (N, C) and ``labels`` (N,) belong to ``photos``, those below ``data`` that could be read; ``unread`` are
    those that could not; ``headline`` names the figure to look at first; ``branches`` are the top-1 accuracies of a
    method's branches, each alone; ``notes`` are remarks on the choice of photos; ``against`` compares the run with
    another one, where one was named; ``localization`` says where it looks, where that was asked for; ``confidence`` is
    what the run knows of its certainty, ``groups`` are those of its classes, where they have any; ``trained_on`` is how
    many of the photos the run was trained on.
    """

    split: str
    data: Path
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    logits: np.ndarray
    labels: np.ndarray
    metrics: Metrics
    unread: tuple[Unread, ...]
    headline: Headline
    branches: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    against: Comparison | None = None
    localization: Figures | None = None
    confidence: Confidence | None = None
    groups: Groups | None = None
    trained_on: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the photos that could be read."""
        return tuple(photo.name for photo in self.photos)

    @property
    def damaged(self) -> tuple[str, ...]:
        """A line with name and reason for each photo that could not be read."""
        return tuple(photo.line for photo in self.unread)

    @cached_property
    def log_probabilities(self) -> np.ndarray:
        """(N, C), at the run's temperature."""
        return log_probabilities(self.logits, self.confidence.applied if self.confidence else 1.0)

    @cached_property
    def calibration(self) -> Calibration:
        """How far the probabilities can be trusted."""
        return calibration_of(self.log_probabilities, self.labels)

    @property
    def top1_interval(self) -> Interval:
        """Top-1 with its interval for other photos of the same kind."""
        return share_interval(int(np.trace(self.metrics.confusion)), self.metrics.n)

    @cached_property
    def by_level(self) -> ByLevel | None:
        """How often it is right at each level of groups."""
        if self.groups is None:
            return None
        return measure_levels(np.exp(self.log_probabilities), self.labels, self.groups)

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data; shares between 0 and 1, ``top1_interval`` the ends of the 95 % interval."""
        pairs = confused_pairs(self.metrics.confusion)
        return {
            "split": self.split,
            "data": printable(str(self.data)),
            "n": self.metrics.n,
            "n_damaged": len(self.unread),
            "classes": len(self.classes),
            "classes_with_photos": len(np.unique(self.labels)),
            "headline": self.headline,
            "top1": self.metrics.top1,
            "top1_interval": list(self.top1_interval[1:]),
            **({} if self.metrics.top5 is None else {"top5": self.metrics.top5}),
            "mean_per_class": self.metrics.mean_per_class,
            "macro_f1": self.metrics.macro_f1,
            "most_confused": [
                {"class": self.classes[i], "with": self.classes[j], "photos": count} for i, j, count in pairs
            ],
            "calibration": {
                "temperature": self.confidence.applied if self.confidence else None,
                **self.calibration.to_json(),
            },
            "damaged": list(self.damaged),
            "notes": list(self.notes),
            **({"branches": dict(self.branches)} if self.branches else {}),
            **({"against": self.against.to_json()} if self.against else {}),
            **({"localization": self.localization.to_json()} if self.localization else {}),
            **({"by_level": self.by_level.to_json()} if self.by_level else {}),
        }


def evaluate(
    opened: Opened,
    chosen: OpenedData,
    *,
    split: str,
    workers: int = 1,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measures a run on a split.

    Args:
        opened: the run, its learner on the device to use.
        chosen: its photos, as ``split_of_run`` gives them.
        split: its name.
        workers: the number of processes that read photos ahead.
        progress: called with the number of photos just done.

    Raises:
        UserError: not one photo can be read, or the log of openings cannot be written.
    """
    dataset, method = chosen.dataset, opened.learner.method
    photos = Photographs(dataset.photos, opened.recipe.pixels, packed=dataset.pixels)
    if split in OPEN_TEST:  # first, so that an evaluation that is stopped counts too
        processes.from_first(partial(_log_opening, opened.path, dataset, split))
    read = infer(partial(scored, method), photos, method=method, workers=workers, progress=progress)
    logits, *branches = np.split(read.values, 1 + len(method.scored_views), axis=1)
    labels = read.labels
    _refuse_unsound(logits, read.photos, opened.path)
    metrics, seen = measure(logits, labels), len(trained_on(opened.path, read.photos))
    return Evaluation(
        split=split,
        data=dataset.root,
        classes=opened.classes,
        photos=read.photos,
        logits=logits,
        labels=labels,
        metrics=metrics,
        unread=(*chosen.unread, *read.unread),
        headline=opened.about.headline,
        branches={name: measure(own, labels).top1 for name, own in zip(method.scored_views, branches, strict=True)},
        notes=(*dataset.notes, *_remarks(opened, split, labels, metrics, seen)),
        confidence=opened.confidence,
        trained_on=seen,
    )


def _refuse_unsound(logits: np.ndarray, photos: Sequence[Photo], run: Path) -> None:
    """Raises ``UserError`` where scores are no numbers, which would count as wrong answers."""
    rows = np.flatnonzero(~(logits < np.inf).all(1))
    if len(rows):
        count = f"{len(rows):,} of {len(photos):,} photos, such as {printable(photos[rows[0]].name)}"
        advice = "its weights are damaged, or its method divides by zero there: train it anew, or mend the method"
        raise UserError(f"{printable(str(run))}: the network's scores of {count}, are not numbers;\n{advice}")


def _remarks(opened: Opened, split: str, labels: np.ndarray, metrics: Metrics, seen: int) -> Iterator[str]:
    """What the user should know of the figures, which are of photos of which ``seen`` were trained on."""
    yield from _absent(labels, opened.classes)
    if added := read_additions(opened.path):
        names = ", ".join(map(printable, added.names))
        yield f"added without training, from a few photos: {names}"
    if seen:
        photos = f"these photos ({split})" if seen == metrics.n else f"{seen:,} of these {metrics.n:,} photos"
        yield f"the run was trained on {photos}: the figures do not say how it does on others"
    if 2 * seen < metrics.n:
        yield from _little(metrics, read_start(opened.path))


def _absent(labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """A remark where some classes have no photo."""
    present = set(labels.tolist())
    names = [printable(name) for label, name in enumerate(classes) if label not in present]
    if not names:
        return []
    examples = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    means = f"means over classes are those of the other {len(present):,}"
    return [f"{len(names):,} of the run's {len(classes):,} classes have no photo here ({examples}): {means}"]


def _little(metrics: Metrics, start: Start | None) -> list[str]:
    """A remark on what few photos can tell, and on a figure of more photos where there is one."""
    top1 = share_interval(int(np.trace(metrics.confusion)), metrics.n)
    half = 100 * (top1.high - top1.low) / 2
    if half < CLEAR:
        return []
    count = "one photo tells" if metrics.n == 1 else f"{metrics.n:,} photos tell"
    remark = f"{count} top-1 to ± {half:.0f} points, which cannot show what is better by less"
    if start is None or start.share is None or start.photos <= metrics.n:
        return [remark]
    probe = share_interval(start.right, start.photos)
    figure = f"{probe.mean:.1%} of {start.photos:,} photos of {' + '.join(start.splits)}"
    between = f"95 % interval: {probe.low:.1%} to {probe.high:.1%}"
    return [f"{remark}; the probe that training began as was right, out of fold, on {figure} ({between})"]


def split_of_run(run: Path, data: Path | Dataset | None, split: str, *, corrections: Path | None = None) -> OpenedData:
    """The photos of a split, their labels being indices of the run's classes; no photo is opened.

    Photos that the run found damaged, and whose files have not changed since, are left out. A dataset that the run cut
    itself, or held photos out of, is split as the run's ``splits.csv`` says. A note tells of photos that are gone.

    Args:
        run: the run's folder, of which the network is not read.
        data: the photographs' folder, or the dataset read from it; None for the data that the run was trained on.
        split: "train", "val", "test" or "all".
        corrections: a list of corrected labels; by default the one that lies with the photos, or that the run was
            trained with.

    Raises:
        UserError: no such split, no photo in it that can be read, or photos of classes that the run does not know.
    """
    recipe, classes, about = read_run(run)
    if split not in (*SPLITS, "all"):
        raise UserError(f"--split {printable(split)!r}: choose {', '.join(SPLITS)} or all")
    dataset = data if isinstance(data, Dataset) else data_of(about, data, corrections=corrections)
    known, has_own_splits = Scan.load(run / SCAN), about.held_out or not dataset.is_split
    is_own = data is None or not dataset.is_split  # else the names alone say so
    if split == "all":
        if has_own_splits and data is None:  # other photos may have the same names
            dataset = with_splits(dataset, read_splits(run))
    else:
        if has_own_splits:
            dataset = _split_by_run(run, dataset, known)
        refuse_missing_splits(dataset, [split], source="--split")
        dataset = dataset.with_photos(dataset.of([split]))
    if split != "all" or data is None:
        dataset = replace(dataset, notes=(*dataset.notes, *_gone(read_splits(run), dataset, split, is_own=is_own)))
    if recipe.pixels.fit == "box":
        refuse_without_boxes(dataset.photos)
    dataset = relabelled(dataset, classes)
    chosen = without_damaged(dataset, recognised(dataset.photos, known))
    if not chosen.dataset.photos:
        raise unreadable(chosen.unread, of=len(dataset.photos))
    return chosen


def data_of(about: About, data: Path | None, *, corrections: Path | None = None) -> Dataset:
    """The dataset read from ``data``, or else the one that the run was trained on; ``corrections`` as for a split."""
    source = data or Path(about.data)
    if data is None and not source.exists():
        raise UserError(f"{printable(str(source))}, which the run was trained on, does not exist; use --data DATA")
    own = about.list_of_corrections if data is None else None  # it is for the run's own data
    return read_dataset(source, annotation=about.annotation, corrections=corrections or own)


def _split_by_run(run: Path, dataset: Dataset, known: Scan) -> Dataset:
    """The dataset with the run's splits; photos that the run does not know belong to none, and a note says so."""
    splits = for_photos(read_splits(run), dataset.photos)
    facts, root = known.by_name(), printable(str(dataset.root))
    named = [photo for photo in dataset.photos if photo.name in splits]
    if not named and dataset.is_split:
        return dataset
    advice = "use --split all to measure on all of these photos"
    refuse_unknown_names(dataset, splits, source=f"{root} has no splits, and the run's splits.csv", advice=advice)
    changed = [photo for photo in named if photo.name in facts and is_other_file(photo, facts[photo.name])]
    if 2 * len(changed) > len(named):
        example = f"such as {printable(changed[0].name)}"
        raise UserError(
            f"{root}: {len(changed):,} files are named like photos of the run, {example}, but are different;\n{advice}"
        )
    unknown = sum(photo.name not in splits and photo.name not in facts for photo in dataset.photos)
    note = f"{unknown:,} photos that the run does not know belong to no split; --split all includes them"
    return replace(with_splits(dataset, splits), notes=(*dataset.notes, *([note] if unknown else [])))


def _gone(splits: Mapping[str, str], dataset: Dataset, split: str, *, is_own: bool) -> list[str]:
    """A note where photos of the run's split are gone and others are here; of data that may be other ones, most."""
    found = {photo.name for photo in dataset.photos}
    places = for_photos(splits, dataset.photos).items()
    wanted = [name for name, place in places if place and split in (place, "all")]
    here = found.intersection(wanted)
    if not here or len(here) == len(wanted) or not (is_own or 2 * len(here) > len(wanted)):
        return []
    kind = {"train": "training ", "val": "validation ", "test": "test "}.get(split, "")
    example = printable(next(name for name in wanted if name not in found))
    gone = len(wanted) - len(here)
    count = f"{gone:,} of the run's {len(wanted):,} {kind}photos {'is' if gone == 1 else 'are'} not here"
    return [f"{count}, such as {example}; the figures are of the others"]


def relabelled(dataset: Dataset, classes: tuple[str, ...]) -> Dataset:
    """The dataset with a run's ``classes``, whatever their order.

    Raises:
        UserError: photos of other classes.
    """
    index = {composed(name): label for label, name in enumerate(classes)}
    index |= {name: label for label, name in enumerate(classes)}
    known = {name: name if name in index else composed(name) for name in dataset.classes}
    names = ["" if photo.label is None else known[dataset.classes[photo.label]] for photo in dataset.photos]
    if strange := Counter(name for name in names if name not in index):
        shown = [f"{printable(name)!r} ({count:,} photos)" for name, count in strange.most_common(5)]
        more = f" and {len(strange) - 5:,} more" if len(strange) > 5 else ""
        raise UserError(
            f"{strange.total():,} of {len(names):,} photos have labels that this run was not trained on: "
            f"{', '.join(shown)}{more};\n"
            f"leave them out of {printable(str(dataset.root))} (the run's classes.json has those it knows)"
        )
    photos = (replace(photo, label=index[name]) for photo, name in zip(dataset.photos, names, strict=True))
    return replace(dataset, classes=classes, photos=tuple(photos), levels=())  # which are of its own classes


def refuse_unlogged(run: Path, split: str) -> None:
    """Raises ``UserError`` where a measurement of ``split`` would have to be logged in the run, and cannot be."""
    if split in OPEN_TEST:
        advice = "looks at test photos are logged there: make the run writable or evaluate a copy of it"
        refuse_unwritable(run / OPENINGS, grows=True, advice=f"{advice} (--split val --out FOLDER needs neither)")


def _log_opening(run: Path, dataset: Dataset, split: str) -> None:
    """Logs each look at a test split: the best figure of many looks is no longer a test figure."""
    refuse_unlogged(run, split)
    path = run / OPENINGS
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["time", "split", "photos", "data_digest"])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        writer.writerow([now, split, len(dataset.photos), digest(dataset)])
