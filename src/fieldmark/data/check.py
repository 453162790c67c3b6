"""Checks a dataset before training: what is wrong with it, and what to do about each problem.

``Report.to_json()`` is a dict: ``format_version`` 1; ``data``, ``layout``, ``photos``, ``classes`` (names);
``counts``: split (``"all"`` if unsplit) to photos per class, in the order of ``classes``; ``cut``: the same for the cut
that ``train`` makes of unsplit data with its default seed 0 (else empty); ``sizes``: ``width`` and
``height`` with ``min``, ``median`` and ``max`` in pixels; ``formats``: format to photos; ``notes`` of the reader;
``findings``: the most serious first, each with ``kind``, ``severity`` ("error": it cannot be trained on; "warning":
results suffer; "note"), ``count``, ``text``, ``advice`` and ``items``, the full list, each a row of strings: the names
of a cluster of copies; a damaged photo's name and the reason; a class's name and counts; otherwise the name.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fieldmark.data.dataset import SPLITS, Dataset, Photo, hardly_differ, is_uneven
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
# A class with fewer photos can hardly be learned.
FEW = 10
TINY = 64
LONG = 4.0

Row = tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One kind of problem, found ``count`` times; ``text`` is a noun phrase; ``items`` as in the module's docstring."""

    kind: str
    severity: str
    count: int
    text: str
    advice: str
    items: tuple[Row, ...] = ()

    @property
    def examples(self) -> tuple[str, ...]:
        """Up to three items, one per line, each with at most four names."""
        return tuple(map(in_words, self.items[:EXAMPLES]))


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
        """The whole report, with full lists of names, as plain values for ``json.dump``."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}


def check_dataset(dataset: Dataset, scan: Scan) -> Report:
    """Checks ``dataset``, split or not, by the facts of ``scan_photos(dataset.photos)``."""
    known = scan.by_name()
    pairs = [(photo, known[photo.name]) for photo in dataset.photos if photo.name in known]
    sound = [(photo, facts) for photo, facts in pairs if not facts.damage]
    split_by_train = None if dataset.is_split else without_damaged(dataset, scan).split(seed=0).dataset
    findings = (
        *_copies(sound),
        _damaged(pairs),
        *_class_sets(dataset),
        *(_missing(split_by_train, SPLITS) if split_by_train else ()),
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
        cut={split: split_by_train.counts(split) for split in SPLITS} if split_by_train else {},
        sizes={axis: _spread([getattr(facts, axis) for _, facts in sound]) for axis in ("width", "height")},
        formats=dict(Counter(facts.format for _, facts in sound).most_common()),
        notes=dataset.notes,
        findings=tuple(finding for finding in findings if finding.count),
    )


def class_findings(dataset: Dataset, *, splits: Collection[str] | None = None) -> tuple[Finding, ...]:
    """What is wrong with the names and splits of classes, as findings; raises ``UserError`` if training lacks one.

    ``splits`` are those that should have photos of every class; None means all that have any photos.
    """
    if dataset.is_split:
        refuse_untrained(dataset)
    return tuple(finding for finding in _class_sets(dataset, splits) if finding.count)


def in_words(row: Row) -> str:
    """An item of a finding on one line, with at most four names."""
    more = f", and {len(row) - NAMES:,} more" if len(row) > NAMES else ""
    # Blanks around a name would not show.
    names = (name if name == name.strip() else f"'{name}'" for name in row[:NAMES])
    return printable(" = ".join(names)) + more


def _splits(dataset: Dataset) -> list[str]:
    used = {photo.split for photo in dataset.photos}
    return [split for split in (*SPLITS, "") if split in used]


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {"min": 0, "median": 0, "max": 0}
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def _listed(kind: str, severity: str, items: Sequence[Row], *, text: str, advice: str) -> Finding:
    """The finding that counts its items."""
    return Finding(kind, severity, len(items), text, advice, tuple(items))


def _copies(sound: Sequence[tuple[Photo, PhotoFacts]]) -> Iterator[Finding]:
    """Leakage first, then contradictory labels, then harmless copies."""
    exact = exact_duplicates([facts.sha for _, facts in sound])
    looks, thumbs = [facts.look for _, facts in sound], [facts.thumb for _, facts in sound]
    similar = near_copies(looks, thumbs, [photo.label for photo, _ in sound])
    near = [cluster for cluster in similar.copies if len({sound[at][1].sha for at in cluster}) > 1]
    within: list[Finding] = []
    for kind, clusters, how in (
        ("exact", exact, "byte for byte"),
        ("near", near, "re-encoded, resized, mirrored or taken at the same moment"),
    ):
        leaks = dict.fromkeys(cluster for cluster in clusters if len({sound[at][0].split for at in cluster} - {""}) > 1)
        yield _listed(
            f"{kind}_across_splits",
            "warning",
            _rows(sound, leaks),
            text=f"photos in several splits, {how} (what is measured there was seen in training)",
            advice="Remove the copies from training; leave a benchmark's official split as it is, but know of them.",
        )
        duplicates = _listed(
            f"{kind}_duplicates",
            "note",
            _rows(sound, [cluster for cluster in clusters if cluster not in leaks]),
            text=f"photos that occur several times, {how}",
            advice="Harmless if few: the cut keeps copies in one split. Remove them to count each photo once.",
        )
        within.append(duplicates)
    near_members = {at for cluster in near for at in cluster}
    clusters = [*near, *(cluster for cluster in exact if cluster[0] not in near_members)]
    yield _listed(
        "duplicates_across_classes",
        "warning",
        _rows(sound, [cluster for cluster in clusters if len({sound[at][0].label for at in cluster}) > 1]),
        text="photos with a copy in another class",
        advice="One of the labels is wrong: look at each photo and keep the right one.",
    )
    yield _listed(
        "look_alikes",
        "warning",
        _rows(sound, similar.alike),
        text="scenes whose look-alike photos make up much of their classes, as under a fixed camera",
        advice="The cut separates them, except for copies: " + BY_OBJECT,
    )
    yield from within


def _rows(sound: Sequence[tuple[Photo, PhotoFacts]], clusters: Iterable[Sequence[int]]) -> list[Row]:
    return [tuple(sound[at][0].name for at in cluster) for cluster in clusters]


def _damaged(pairs: Sequence[tuple[Photo, PhotoFacts]]) -> Finding:
    rows = [(photo.name, facts.damage) for photo, facts in pairs if facts.damage]
    advice = "Replace or remove them; training leaves them out, or refuses with --strict."
    return _listed("damaged", "error", rows, text="photos that cannot be read", advice=advice)


def _class_sets(dataset: Dataset, splits: Collection[str] | None = None) -> Iterator[Finding]:
    """Names that may be one class, classes without photos, and classes that one split has and another lacks."""
    yield _listed(
        "similar_class_names",
        "warning",
        hardly_differ(dataset.classes),
        text="classes whose names differ only in case, blanks or the form of letters",
        advice="They count as different classes: where they are one, give their folders or labels one name.",
    )
    yield _listed(
        "class_spellings",
        "note",
        dataset.spellings,
        text="class names in several Unicode forms (composed and decomposed letters), read as one class each",
        advice="Nothing to do if they are one class; otherwise give them different names.",
    )
    used = {photo.label for photo in dataset.photos}
    empty = [(name,) for label, name in enumerate(dataset.classes) if label not in used]
    advice = "They are never predicted: add photos."
    yield _listed("empty_classes", "note", empty, text="classes without photos", advice=advice)
    if dataset.is_split:
        yield from _missing(dataset, splits or {"train", *_splits(dataset)})


def _missing(dataset: Dataset, splits: Collection[str]) -> Iterator[Finding]:
    """The classes with photos, but none in one of ``splits``."""
    used = {photo.label for photo in dataset.photos}
    for split in (split for split in SPLITS if split in splits):
        counts = dataset.counts(split)
        advice = f"They are not measured in {split}: add photos, at least three groups per class."
        if split == "train":
            advice = "They cannot be learned: add training photos, or remove the classes."
        yield _listed(
            f"classes_missing_in_{split}",
            "error" if split == "train" else "warning",
            [(name,) for label, name in enumerate(dataset.classes) if not counts[label] and label in used],
            text=f"classes without a photo in {split}",
            advice=advice,
        )


def _balance(dataset: Dataset) -> Iterator[Finding]:
    counts = dataset.counts("train" if dataset.is_split else "")
    present = sorted((count, label) for label, count in enumerate(counts) if count)
    yield _listed(
        "few_photos",
        "warning",
        [(dataset.classes[label], str(count)) for count, label in present if count < FEW],
        text=f"classes with fewer than {FEW} photos to learn from",
        advice="Add photos of them before anything else.",
    )
    if is_uneven(counts):
        (least, small), (most, large) = present[0], present[-1]
        yield Finding(
            "imbalance",
            "warning",
            most // least,
            "photos of the largest class for each of the smallest",
            "Judge by mean per-class accuracy, and train with --balance logit-adjust.",
            ((dataset.classes[small], str(least)), (dataset.classes[large], str(most))),
        )
    unlabelled = [(photo.name,) for photo in dataset.photos if photo.label is None]
    yield _listed("unlabelled", "note", unlabelled, text="photos without a label", advice="They are not trained on.")


def _sizes(sound: Sequence[tuple[Photo, PhotoFacts]]) -> Iterator[Finding]:
    measured = [
        ((photo.name, f"{facts.width} x {facts.height}"), facts, sorted((facts.width, facts.height)))
        for photo, facts in sound
    ]
    yield _listed(
        "tiny",
        "warning",
        # Packed datasets are tiny by design, and all images have one size.
        [row for row, facts, (side, _) in measured if side < TINY and facts.format != "packed"],
        text=f"photos with a side below {TINY} pixels",
        advice="They are enlarged and show little: look for the full-size originals.",
    )
    yield _listed(
        "extreme_aspect",
        "warning",
        [row for row, _, (small, large) in measured if large > LONG * small],
        text=f"photos more than {LONG:g} times as long as wide",
        advice="A square crop loses most of them: crop them around the object.",
    )


def _remarks(sound: Sequence[tuple[Photo, PhotoFacts]]) -> Iterator[Finding]:
    rows_by_kind: dict[str, list[Row]] = defaultdict(list)
    for photo, facts in sound:
        for remark in facts.remarks:
            # Remarks such as "12 pages: ..." differ only in the number: one finding for all of them.
            kind = "".join("N" if c.isdigit() else c for c in remark) if ":" in remark else remark
            rows_by_kind[kind].append((photo.name, remark))
    advice = "They are converted the same way in training and in use; look at one to be sure."
    for kind, rows in sorted(rows_by_kind.items()):
        yield _listed("remark", "note", rows, text=f"photos that are converted ({kind})", advice=advice)


def _groups(dataset: Dataset) -> Iterator[Finding]:
    splits_of: dict[str, set[str]] = defaultdict(set)
    groups_of: dict[int, set[str]] = defaultdict(set)
    for photo in dataset.photos:
        if photo.group:
            splits_of[photo.group].add(photo.split)
        if photo.label is not None:
            groups_of[photo.label].add(photo.group or f"\0{photo.name}")
    yield _listed(
        "groups_across_splits",
        "warning",
        [(group,) for group, splits in sorted(splits_of.items()) if len(splits) > 1],
        text="groups with photos in several splits",
        advice="Photos of one group resemble each other: move each group into one split.",
    )
    if splits_of and not dataset.is_split:
        yield _listed(
            "few_groups",
            "warning",
            [(dataset.classes[label],) for label, groups in sorted(groups_of.items()) if len(groups) < 3],
            text="classes with fewer than three groups",
            advice="A group stays in one split, so val or test will lack them: divide the groups, or add some.",
        )
    text = "groups kept together by the cut (sub-folders of a class, or a column of the table)"
    yield Finding("groups", "note", len(splits_of), text, "Nothing to do if that is what they stand for.")
