"""What a run knows of its data: photos per class and split, files that cannot be read, copies and other findings."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fieldmark.data.check import Finding, check_dataset
from fieldmark.data.dataset import SPLITS, Dataset, Photo
from fieldmark.data.scan import Scan
from fieldmark.data.split import SPLITS_FILE, read_splits
from fieldmark.data.spreadsheet import read_rows
from fieldmark.errors import UserError, printable
from fieldmark.runs.folder import SCAN, About

SEVERITIES = ("error", "warning", "note")


class SplitRow(NamedTuple):
    """Photos of a split, how many classes have any, and the classes with fewest and most, by their photos."""

    split: str
    photos: int
    classes: int
    fewest: int
    most: int


class Known(NamedTuple):
    """What the run's files say of its data.

    ``trained`` are training photos by class name; ``scanned`` is how many photos were looked at before training;
    ``problem`` says why there is nothing, "" where there is.
    """

    splits: tuple[SplitRow, ...] = ()
    trained: dict[str, int] = {}  # noqa: RUF012  (never changed)
    findings: tuple[Finding, ...] = ()
    scanned: int = 0
    problem: str = ""


def known_of(run: Path, classes: Sequence[str], about: About, *, train_on: Sequence[str]) -> Known:
    """Reads ``splits.csv`` and ``scan.json``; the photos themselves are not needed."""
    try:
        dataset, scan = _dataset(run, classes, about), Scan.load(run / SCAN)
    except UserError as error:
        return Known(problem=str(error))
    trained = Counter(classes[photo.label] for photo in dataset.of(train_on) if photo.label is not None)
    findings = [finding for finding in check_dataset(_with_damaged(dataset, scan), scan).findings if finding.items]
    return Known(
        splits=tuple(_split_row(dataset, split) for split in SPLITS if dataset.of([split])),
        trained=dict(trained),
        findings=tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))),
        scanned=len(scan.facts),
    )


def measurable_splits(run: Path, *, train_on: Sequence[str]) -> list[str]:
    """The splits to measure on, test first: those that have photos and were not trained on.

    Raises:
        UserError: the run's splits cannot be read.
    """
    splits = set(read_splits(run).values()) - set(train_on)
    return [split for split in ("test", "val") if split in splits]


def _dataset(run: Path, classes: Sequence[str], about: About) -> Dataset:
    """The data by the run's table alone."""
    splits, index = read_splits(run), {name: label for label, name in enumerate(classes)}
    labels = {cells[0]: index.get(cells[1]) for _, cells in read_rows(run / SPLITS_FILE)[1:]}
    photos = (Photo(name, Path(name), labels.get(name), split) for name, split in splits.items())
    return Dataset(Path(about.data), about.layout, tuple(classes), tuple(photos))


def _with_damaged(dataset: Dataset, scan: Scan) -> Dataset:
    """The data and the photos that were left out of it; of which class and split these are, nobody wrote down."""
    names = {photo.name for photo in dataset.photos}
    lost = (Photo(facts.name, Path(facts.name), 0) for facts in scan.damaged if facts.name not in names)
    return dataset.with_photos((*dataset.photos, *lost))


def _split_row(dataset: Dataset, split: str) -> SplitRow:
    present = [count for count in dataset.counts(split) if count]
    return SplitRow(split, len(dataset.of([split])), len(present), min(present, default=0), max(present, default=0))


def examples_in_words(finding: Finding) -> list[str]:
    """Up to three of what was found, and how many more there are."""
    more = len(finding.items) - len(finding.examples)
    return [*map(printable, finding.examples), *([f"and {more:,} more"] if more > 0 else [])]
