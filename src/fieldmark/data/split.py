"""Cuts an unsplit dataset into train, val and test, so that what is measured on test was not seen in training.

Photos that belong together (``groups.py``) share a split: such a *unit* is never divided. Units are taken in
the order of a hash of (seed, name), so the cut does not depend on the order of files; test and val are filled to each
class's share and the rest is for training.
"""

import csv
import hashlib
import io
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark.data.dataset import SPLITS, Dataset, Photo, hardly_differ
from fieldmark.data.duplicates import positions_by
from fieldmark.data.groups import units_of
from fieldmark.data.scan import Scan
from fieldmark.data.spreadsheet import Row, read_rows
from fieldmark.errors import UserError, printable
from fieldmark.files import write_bytes

SPLITS_FILE = "splits.csv"
"""The splits in a run's folder."""
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
_HEADER = ["name", "label", "split"]
_TORN = "groups, bursts or clusters of copies separated by the earlier cut"


def cut(
    dataset: Dataset,
    scan: Scan | None,
    *,
    seed: int,
    val_fraction: float = 0.0,
    previous: Mapping[str, str] | None = None,
    mend: bool = False,
) -> Dataset:
    """``dataset`` with a split for every labelled photo; its ``notes`` report pins that disagree and look-alikes.

    An unsplit dataset is cut 80/10/10 into train, val and test, class by class: where a class has enough
    units, each of train, test and val (in this order) gets at least one. A split dataset keeps its splits; if it has no
    val, ``val_fraction`` moves that share of the official training photos there.
    ``previous`` (name to split, from ``read_splits``) pins old photos, which never move; a new photo joins the split
    of its unit if that is pinned. With ``mend``, units that the pins divide are not pinned but cut anew, whole.
    ``scan`` tells bursts and copies; without it only groups are kept together.
    Raises ``UserError`` where a class has no training photo.
    """
    if dataset.is_split:
        if not val_fraction or any(photo.split == "val" for photo in dataset.photos):
            return dataset
        shares = {"train": 1 - val_fraction, "val": val_fraction, "test": 0.0}
        pool = [photo for photo in dataset.photos if photo.split == "train"]
    else:
        shares = SHARES
        pool = [photo for photo in dataset.photos if photo.label is not None]
    pool.sort(key=lambda photo: photo.name)
    roots, look_alikes = units_of(pool, scan)
    pinned = {photo.name: split for photo in pool if (split := (previous or {}).get(photo.name))}
    torn = _torn(pool, roots.tolist(), pinned)
    notes = [f"belong together, but the earlier cut separated them: {names}" for names in torn.values()]
    if mend and torn:
        notes = [f"{_TORN}, and cut anew now: {len(torn):,}, such as {next(iter(torn.values()))}"]
        root_of = {photo.name: root for photo, root in zip(pool, roots.tolist(), strict=True)}
        pinned = {name: split for name, split in pinned.items() if root_of[name] not in torn}
    units = _units(pool, roots.tolist(), seed, pinned)
    _Cutter(units, shares).run()
    chosen = {pool[at].name: unit.split for unit in units for at in unit.members}
    chosen |= pinned  # a pinned photo stays in its split, even if that divides its unit
    photos = tuple(replace(photo, split=chosen.get(photo.name, photo.split)) for photo in dataset.photos)
    result = replace(dataset, photos=photos, notes=(*dataset.notes, *look_alikes, *notes))
    refuse_untrained(result)
    return result


def refuse_untrained(dataset: Dataset, train_on: Collection[str] = ("train",)) -> None:
    """Raises ``UserError`` naming the classes that have photos, but none in the splits trained on."""
    present = {photo.label for photo in dataset.photos if photo.split and photo.label is not None}
    missing = [dataset.classes[label] for label in sorted(present - {photo.label for photo in dataset.of(train_on)})]
    if missing:
        examples = ", ".join(printable(name) for name in missing[:5]) + (", ..." if len(missing) > 5 else "")
        similar = [" = ".join(names) for names in hardly_differ(dataset.classes) if not set(missing).isdisjoint(names)]
        hint = f"\nOne class under several names? {printable(similar[0])}" if similar else ""
        raise UserError(
            f"{len(missing):,} of {len(dataset.classes):,} classes have no training photo: {examples}.\n"
            f"Add photos of them to the training split, or remove these classes.{hint}"
        )


def for_photos(splits: Mapping[str, str], photos: Iterable[Photo]) -> dict[str, str]:
    """``splits`` under the photos' own names, where these differ only in Unicode form, or in ``\\`` for ``/``.

    So a list that was made on another system fits the photos; names that fit no photo stay.
    """
    names = dict.fromkeys(photo.name for photo in photos)
    strange = {_plain(name): name for name in splits if name not in names}
    renamed = {strange[plain]: name for name in names if name not in splits and (plain := _plain(name)) in strange}
    return {renamed.get(name, name): split for name, split in splits.items()}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).replace("\\", "/")


def with_splits(dataset: Dataset, splits: Mapping[str, str]) -> Dataset:
    """``dataset`` with the given ``splits`` (name to split); a photo that they do not name is in no split."""
    return dataset.with_photos(replace(photo, split=splits.get(photo.name, "")) for photo in dataset.photos)


def write_splits(path: Path, dataset: Dataset) -> None:
    """Writes a CSV of name, class name and split, a row per photo; ``read_splits`` returns every name unchanged."""
    labels = ("" if photo.label is None else dataset.classes[photo.label] for photo in dataset.photos)
    rows = [_HEADER, *([photo.name, label, photo.split] for photo, label in zip(dataset.photos, labels, strict=True))]
    # The writer does not quote a bare carriage return, and the reader would end the row there.
    quoting = csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else csv.QUOTE_MINIMAL
    table = io.StringIO()
    csv.writer(table, quoting=quoting, lineterminator="\n").writerows(rows)
    # Bytes of a name that are not UTF-8 come from the file system as lone surrogates.
    write_bytes(path, table.getvalue().encode("utf-8", "surrogatepass"))


def read_splits(path: Path) -> dict[str, str]:
    """Name to split ("": in no split) from the file that ``write_splits`` wrote, or a run's folder that holds it.

    Raises ``UserError`` for anything else.
    """
    path = path / SPLITS_FILE if path.is_dir() else path
    place = printable(str(path))
    header, *rows = read_rows(path) or [Row(1, [])]
    if header.cells != _HEADER:
        raise UserError(f"{place}: the first line must be {','.join(_HEADER)}, as in the splits.csv of a run.")
    splits: dict[str, str] = {}
    for number, cells in rows:
        if len(cells) != 3 or cells[2] not in (*SPLITS, ""):
            raise UserError(f"{place}: row {number} must be a name, a class and one of {', '.join(SPLITS)}.")
        if cells[0] in splits:
            raise UserError(f"{place}: row {number} names {printable(cells[0])} a second time.")
        splits[cells[0]] = cells[2]
    return splits


def digest(dataset: Dataset, *, boxes: bool = False) -> str:
    """64 hex digits over the classes and every photo's name, class, split and file size, in any order.

    As far as can be told without opening files, datasets with equal digests hold the same photos; with ``boxes``, the
    same boxes too.
    """
    lines = []
    for photo in dataset.photos:
        label = None if photo.label is None else dataset.classes[photo.label]
        # All photos of a packed dataset share one path: their rows tell them apart.
        size = os.stat(photo.path).st_size if photo.path.exists() else -1
        lines.append(repr((photo.name, label, photo.split, photo.row, size, *([photo.box] if boxes else []))))
    text = repr(dataset.classes) + "\n" + "\n".join(sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass
class _Unit:
    """Photos that share a split: their positions, photos per class, place in the order, and the split once known."""

    members: list[int]
    counts: Counter[int]
    order: str
    split: str = ""

    @property
    def size(self) -> int:
        return len(self.members)


def _units(photos: Sequence[Photo], roots: Sequence[int], seed: int, previous: Mapping[str, str]) -> list[_Unit]:
    units = []
    for members in positions_by(roots).values():
        keys = (f"{seed}\0{photos[at].name}".encode("utf-8", "surrogatepass") for at in members)
        counts = Counter(label for at in members if (label := photos[at].label) is not None)
        pins = Counter(split for at in members if (split := previous.get(photos[at].name)))
        # Where pins disagree, the most frequent split wins, then train.
        split = max(SPLITS, key=lambda split: pins[split]) if pins else ""
        units.append(_Unit(members, counts, min(hashlib.sha256(key).hexdigest() for key in keys), split))
    return sorted(units, key=lambda unit: unit.order)


def _torn(photos: Sequence[Photo], roots: Sequence[int], pinned: Mapping[str, str]) -> dict[int, str]:
    """The units whose photos are pinned to several splits, by root: one photo of each split, in words."""
    torn = {}
    for root, members in positions_by(roots).items():
        places = {split: name for at in members if (split := pinned.get(name := photos[at].name))}
        if len(places) > 1:
            names = (f"{printable(places[split])} ({split})" for split in SPLITS if split in places)
            torn[root] = ", ".join(names)
    return torn


class _Cutter:
    """Fills test, then val, class by class; the remaining units are for training."""

    def __init__(self, units: Sequence[_Unit], shares: Mapping[str, float]) -> None:
        self._units = units
        self._shares = shares
        self._units_with: dict[int, list[_Unit]] = defaultdict(list)
        self._total: Counter[int] = Counter()
        self._placed: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
        self._free: Counter[int] = Counter()
        for unit in units:
            for label in unit.counts:
                self._units_with[label].append(unit)
            self._total.update(unit.counts)
            self._free.update(list(unit.counts))
            if unit.split:
                self._place(unit, unit.split)

    def run(self) -> None:
        """Gives every unit its split."""
        # Classes with little choice choose first.
        labels = sorted(
            self._units_with, key=lambda label: (len(self._units_with[label]), self._units_with[label][0].order)
        )
        for split in ("test", "val"):
            for label in labels:
                self._fill(label, split)
        for unit in self._units:
            unit.split = unit.split or "train"

    def _quota(self, label: int, split: str) -> int:
        share = self._shares[split]
        return max(1, int(share * self._total[label] + 0.5)) if share else 0

    def _fill(self, label: int, split: str) -> None:
        free = [unit for unit in self._units_with[label] if not unit.split]
        for unit in free:
            if self._placed[split][label] >= self._quota(label, split):
                return
            if self._fits(unit, split) and self._leaves_enough(unit, split):
                self._place(unit, split)
        if self._placed[split][label] or not self._shares[split]:
            return
        # Every unit is larger than the share: better too many photos than none.
        for unit in sorted(free, key=lambda unit: unit.size):
            if self._leaves_enough(unit, split):
                self._place(unit, split)
                return

    def _fits(self, unit: _Unit, split: str) -> bool:
        placed = self._placed[split]
        return all(placed[label] + count <= self._quota(label, split) for label, count in unit.counts.items())

    def _leaves_enough(self, unit: _Unit, split: str) -> bool:
        """Whether each class keeps a unit for training, and one for val unless this is its first for test."""

        def still_needed(label: int) -> int:
            lacks_val = self._shares["val"] and not self._placed["val"][label]
            is_second = split == "test" and self._placed["test"][label]
            return (not self._placed["train"][label]) + bool(lacks_val and is_second)

        return all(self._free[label] > still_needed(label) for label in unit.counts)

    def _place(self, unit: _Unit, split: str) -> None:
        unit.split = split
        self._placed[split].update(unit.counts)
        self._free.subtract(list(unit.counts))
