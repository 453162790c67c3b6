"""Look a dataset over before it is trained on: what is wrong with it, and what to do about each thing.

``Report.to_json()`` is a dict: ``format_version`` 1; ``data``, ``layout``, ``photos``, ``classes`` (names);
``counts``: split (``"all"`` if unsplit) to photos a class, in the order of ``classes``; ``cut``: the same for the cut
that ``train`` makes of unsplit data by its own seed 0 (else empty); ``sizes``: ``width`` and
``height`` with ``min``, ``median`` and ``max`` in pixels; ``formats``: format to photos; ``notes`` of the reader;
``findings``: in order of weight, each with ``kind``, ``severity`` ("error": it cannot be trained on; "warning":
results suffer; "note"), ``count``, ``text``, ``advice`` and ``items``, the full list, a row of strings each: a
cluster of copies by name; of a damaged photo its name and the reason; of a class its name and counts; else the name.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fieldmark.data.dataset import SPLITS, Dataset, Photo, is_uneven
from fieldmark.data.duplicates import exact_duplicates
from fieldmark.data.groups import BY_OBJECT
from fieldmark.data.lookalikes import near_copies
from fieldmark.data.opening import without_damaged
from fieldmark.data.scan import PhotoFacts, Scan
from fieldmark.data.split import refuse_untrained
from fieldmark.errors import printable

FORMAT_VERSION = 1
EXAMPLES = 3
NAMES = 4
# With fewer photos than this a class can hardly be learned.
FEW = 10
TINY = 64
LONG = 4.0

Row = tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One kind of thing, found ``count`` times; ``text`` is a noun phrase; for ``items`` see the module's docstring."""

    kind: str
    severity: str
    count: int
    text: str
    advice: str
    items: tuple[Row, ...] = ()

    @property
    def examples(self) -> tuple[str, ...]:
        """Up to three items, each on one line with at most four of its names."""
        return tuple(_line(row) for row in self.items[:EXAMPLES])


@dataclass(frozen=True)
class Report:
    """All that ``check_dataset`` found; see the module's docstring for the fields."""

    data: str
    layout: str
    photos: int
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    cut: dict[str, tuple[int, ...]]
    sizes: dict[str, dict[str, float]]
    formats: dict[str, int]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything, full lists of names included, as plain values for ``json.dump``."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}


def check_dataset(dataset: Dataset, scan: Scan) -> Report:
    """What is to be said of ``dataset``, split or not, by the facts of ``scan_photos(dataset.photos)``."""
    known = scan.by_name()
    pairs = [(photo, known[photo.name]) for photo in dataset.photos if photo.name in known]
    sound = [(photo, found) for photo, found in pairs if not found.damage]
    parted = None if dataset.is_split else without_damaged(dataset, scan).split(seed=0).dataset
    findings = (
        *_copies(sound),
        *_damaged(pairs),
        *_class_sets(dataset),
        *(_missing(parted, SPLITS) if parted else ()),
        *_balance(dataset),
        *_sizes(sound),
        *_remarks(sound),
        *_groups(dataset),
    )
    return Report(
        data=str(dataset.root),
        layout=dataset.layout,
        photos=len(dataset.photos),
        classes=dataset.classes,
        counts={split or "all": dataset.counts(split) for split in _splits(dataset)},
        cut={split: parted.counts(split) for split in SPLITS} if parted else {},
        sizes={axis: _spread([getattr(found, axis) for _, found in sound]) for axis in ("width", "height")},
        formats=dict(Counter(found.format for _, found in sound).most_common()),
        notes=dataset.notes,
        findings=tuple(finding for finding in findings if finding.count),
    )


def class_findings(dataset: Dataset, *, splits: Collection[str] | None = None) -> tuple[Finding, ...]:
    """The classes that a split lacks, as findings; those that training alone lacks raise ``UserError``.

    ``splits`` are those that should have photos of every class; None stands for those that have any.
    """
    if dataset.is_split:
        refuse_untrained(dataset)
    return tuple(finding for finding in _class_sets(dataset, splits) if finding.count)


def _line(row: Row) -> str:
    more = f", and {len(row) - NAMES:,} more" if len(row) > NAMES else ""
    return printable(" = ".join(row[:NAMES])) + more


def _splits(dataset: Dataset) -> list[str]:
    used = {photo.split for photo in dataset.photos}
    return [split for split in (*SPLITS, "") if split in used]


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {"min": 0, "median": 0, "max": 0}
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def _copies(sound: Sequence[tuple[Photo, PhotoFacts]]) -> Iterator[Finding]:
    """Leakage first, then disagreeing labels, then what is harmless."""
    exact = exact_duplicates([found.sha for _, found in sound])
    looks, thumbs = [found.look for _, found in sound], [found.thumb for _, found in sound]
    found = near_copies(looks, thumbs, [photo.label for photo, _ in sound])
    near = [cluster for cluster in found.copies if len({sound[at][1].sha for at in cluster}) > 1]
    kinds = (
        ("exact", exact, "byte for byte"),
        ("near", near, "re-encoded, resized, mirrored or of one moment"),
    )
    within: list[Finding] = []
    for kind, clusters, how in kinds:
        across: list[tuple[int, ...]] = []
        inside: list[tuple[int, ...]] = []
        for cluster in clusters:
            (across if len({sound[at][0].split for at in cluster} - {""}) > 1 else inside).append(cluster)
        text = f"photos in several splits, {how} (what is measured there was seen in training)"
        advice = "Remove the copies from training; a benchmark's official split is left as it is, but know it."
        yield Finding(f"{kind}_across_splits", "warning", len(across), text, advice, _rows(sound, across))
        text = f"photos that are there several times, {how}"
        advice = "Harmless if few: the cut keeps copies in one split. Remove them to weigh each photo once."
        within.append(Finding(f"{kind}_duplicates", "note", len(inside), text, advice, _rows(sound, inside)))
    yield from _disagreements(sound, exact, near)
    text = "scenes whose photos look alike in their classes' greater part, as under a fixed camera"
    advice = "The cut parts them, but for copies: " + BY_OBJECT
    yield Finding("look_alikes", "warning", len(found.alike), text, advice, _rows(sound, found.alike))
    yield from within


def _disagreements(
    sound: Sequence[tuple[Photo, PhotoFacts]], exact: Iterable[tuple[int, ...]], near: Iterable[tuple[int, ...]]
) -> Iterator[Finding]:
    seen = {at for cluster in near for at in cluster}
    clusters = [*near, *(cluster for cluster in exact if cluster[0] not in seen)]
    torn = [cluster for cluster in clusters if len({sound[at][0].label for at in cluster}) > 1]
    text = "photos with a copy in another class"
    advice = "One of the labels is wrong: look at each, keep the right one."
    yield Finding("duplicates_across_classes", "warning", len(torn), text, advice, _rows(sound, torn))


def _rows(sound: Sequence[tuple[Photo, PhotoFacts]], clusters: Iterable[Sequence[int]]) -> tuple[Row, ...]:
    return tuple(tuple(sound[at][0].name for at in cluster) for cluster in clusters)


def _damaged(pairs: Sequence[tuple[Photo, PhotoFacts]]) -> Iterator[Finding]:
    rows = tuple((photo.name, found.damage) for photo, found in pairs if found.damage)
    advice = "Replace or remove them; training leaves them out, or refuses with --strict."
    yield Finding("damaged", "error", len(rows), "photos that cannot be read", advice, rows)


def _class_sets(dataset: Dataset, splits: Collection[str] | None = None) -> Iterator[Finding]:
    """Classes without any photo, and classes that one split has and another lacks."""
    counts = {split: dataset.counts(split) for split in _splits(dataset)}
    labels = range(len(dataset.classes))
    empty = [label for label in labels if not any(count[label] for count in counts.values())]
    rows = tuple((dataset.classes[label],) for label in empty)
    advice = "Nothing can predict them: add photos."
    yield Finding("empty_classes", "note", len(rows), "classes without any photo", advice, rows)
    if dataset.is_split:
        yield from _missing(dataset, splits or {"train", *counts})


def _missing(dataset: Dataset, splits: Collection[str]) -> Iterator[Finding]:
    """The classes with photos, but none in one of ``splits``."""
    some = {photo.label for photo in dataset.photos}
    for split in (split for split in SPLITS if split in splits):
        here = dataset.counts(split)
        rows = tuple((name,) for label, name in enumerate(dataset.classes) if not here[label] and label in some)
        text, severity = f"classes without a photo in {split}", "error" if split == "train" else "warning"
        advice = f"Nothing is measured of them in {split}: add photos, at least three groups a class."
        if split == "train":
            advice = "They cannot be learned: add training photos, or remove the classes."
        yield Finding(f"classes_missing_in_{split}", severity, len(rows), text, advice, rows)


def _balance(dataset: Dataset) -> Iterator[Finding]:
    counts = dataset.counts("train" if dataset.is_split else "")
    present = sorted((count, label) for label, count in enumerate(counts) if count)
    few = tuple((dataset.classes[label], str(count)) for count, label in present if count < FEW)
    text = f"classes with fewer than {FEW} photos to learn from"
    yield Finding("few_photos", "warning", len(few), text, "Add photos of them before anything else.", few)
    if is_uneven(counts):
        (least, small), (most, large) = present[0], present[-1]
        rows = ((dataset.classes[small], str(least)), (dataset.classes[large], str(most)))
        text = "photos of the largest class for each of the smallest"
        advice = "Judge by mean per-class accuracy, and train with --balance."
        yield Finding("imbalance", "warning", most // least, text, advice, rows)
    unlabelled = tuple((photo.name,) for photo in dataset.photos if photo.label is None)
    text, advice = "photos without a label", "They are not trained on."
    yield Finding("unlabelled", "note", len(unlabelled), text, advice, unlabelled)


def _sizes(sound: Sequence[tuple[Photo, PhotoFacts]]) -> Iterator[Finding]:
    measured = [(photo, found, sorted((found.width, found.height))) for photo, found in sound]
    # Packed sets are tiny by design, and all alike.
    tiny = [(photo, found) for photo, found, (side, _) in measured if side < TINY and found.format != "packed"]
    text = f"photos with a side below {TINY} pixels"
    advice = "They are enlarged and show little: look for the originals of these thumbnails."
    yield Finding("tiny", "warning", len(tiny), text, advice, _size_rows(tiny))
    long = [(photo, found) for photo, found, (small, large) in measured if large > LONG * small]
    text = f"photos more than {LONG:g} times as long as wide"
    advice = "A square crop loses most of them: crop them around the object."
    yield Finding("extreme_aspect", "warning", len(long), text, advice, _size_rows(long))


def _size_rows(pairs: Sequence[tuple[Photo, PhotoFacts]]) -> tuple[Row, ...]:
    return tuple((photo.name, f"{found.width} x {found.height}") for photo, found in pairs)


def _remarks(sound: Sequence[tuple[Photo, PhotoFacts]]) -> Iterator[Finding]:
    named: dict[str, list[Row]] = defaultdict(list)
    for photo, found in sound:
        for remark in found.remarks:
            # Frames and pages are counted in words such as "12 pages: ...": one finding for all counts.
            kind = "".join("N" if c.isdigit() else c for c in remark) if ":" in remark else remark
            named[kind].append((photo.name, remark))
    advice = "Handled alike in training and use; no need to convert, but look at one."
    for kind, rows in sorted(named.items()):
        text = f"photos that are converted, {kind}"
        yield Finding("remark", "note", len(rows), text, advice, tuple(rows))


def _groups(dataset: Dataset) -> Iterator[Finding]:
    groups: dict[str, set[str]] = defaultdict(set)
    alone: dict[int, set[str]] = defaultdict(set)
    for photo in dataset.photos:
        if photo.group:
            groups[photo.group].add(photo.split)
        if photo.label is not None:
            alone[photo.label].add(photo.group or f"\0{photo.name}")
    torn = tuple((group,) for group, splits in sorted(groups.items()) if len(splits) > 1)
    text = "groups with photos in several splits"
    advice = "Photos of one group resemble each other: move each group into one split."
    yield Finding("groups_across_splits", "warning", len(torn), text, advice, torn)
    if groups and not dataset.is_split:
        single = tuple((dataset.classes[label],) for label, found in sorted(alone.items()) if len(found) < 3)
        text = "classes with fewer than three groups"
        advice = "A group stays in one split, so val or test will lack them: divide the groups, or add some."
        yield Finding("few_groups", "warning", len(single), text, advice, single)
    text = "groups kept together by the cut (sub-folders of a class, or a column of the table)"
    yield Finding("groups", "note", len(groups), text, "Nothing to do if that is what they mean.")
