"""Rows that an earlier call has left, whole or killed: which photos have one, and what it says.

Photos that could not be read count as if they had none, as they may have been mended since.
"""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.errors import UserError, printable
from fieldmark.files import partial_files, unescaped
from fieldmark.predictions.prediction import Prediction
from fieldmark.predictions.writing import header_of

TRIED, SPREAD, APART = 4, 32, 0.02
"""Photos whose rows are computed once more, how many where more than classes was asked for, and how far off a
probability may be: further, another model made them."""


class Kept:
    """The rows of a table of predictions, read as often as they are wanted: only a number for each is held.

    Args:
        path: of the table.
        header: its columns.
    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path, self.header = path, list(header)
        held = [("number", np.uint64), ("share", np.float32)]
        rows = np.fromiter(((_number(one.file), one.probabilities[0]) for one in self.predictions()), held)
        self.count, self._shares = len(rows), rows["share"].copy()
        self._numbers, self._left = np.unique(rows["number"], return_counts=True)

    def predictions(self) -> Iterator[Prediction]:
        """What the rows say, in order, but for those of unreadable photos and a last one that was cut off."""
        return (one for one in self._rows() if not one.reason)

    def _rows(self) -> Iterator[Prediction]:
        with self.path.open("rb") as file:
            rows = csv.reader(line.decode() for line in file if line.endswith(b"\n"))
            next(rows)
            before = None
            for row in rows:
                if before is not None:
                    yield self._prediction(before)
                before = row
        if before is not None and len(before) == len(self.header):
            yield self._prediction(before)

    def _prediction(self, row: Sequence[str]) -> Prediction:
        if len(row) != len(self.header):
            raise UserError(f"{printable(str(self.path))}: a row with {len(row)} values; leave out --resume")
        cells = dict(zip(self.header, row, strict=True))
        ranks = range(1, 1 + sum(name.startswith("class_") for name in self.header))
        ranked = [(unescaped(cells[f"class_{rank}"]), float(cells[f"probability_{rank}"] or 0)) for rank in ranks]
        classes = [(name, share) for name, share in ranked if name]
        more = {name: read(cells[name]) for name, read in _FURTHER.items() if name in cells}
        return Prediction(
            unescaped(cells["file"]),
            tuple(name for name, _ in classes),
            tuple(share for _, share in classes),
            cells["error"],
            **more,  # pyright: ignore[reportArgumentType]
        )

    def split(self, photos: Iterable[Photo]) -> Iterator[tuple[Photo, bool]]:
        """Each photo, and whether it has a row; one that is named twice needs two."""
        left = self._left.copy()
        for photo in photos:
            number = np.uint64(_number(photo.name))
            at = int(np.searchsorted(self._numbers, number))
            has_row = bool(at < len(left) and self._numbers[at] == number and left[at])
            if has_row:
                left[at] -= 1
            yield photo, has_row

    def others(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The photos that have no row yet."""
        return (photo for photo, has_row in self.split(photos) if not has_row)

    def delete_partial(self, whole: Path) -> None:
        """Deletes the table, if it is a partial one whose rows are all in ``whole`` by now."""
        if self.path in partial_files(whole):
            self.path.unlink(missing_ok=True)

    def refuse_other_answers(
        self,
        photos: Iterable[Photo],
        answered: Callable[[Sequence[Photo]], Iterable[Prediction]],
        *,
        certainty: float | None = None,
    ) -> None:
        """Raises ``UserError`` where photos that have rows get other answers now.

        A few of them are answered once more: the first, or, where answers or sets were asked for, some for which the
        model was sure and some for which it was not. A row whose answer does not reach the certainty is another's.
        """
        tried = self._tried(photos)
        names = {photo.name for photo in tried}
        rows: dict[str, Prediction] = {}
        for row in self.predictions():
            if row.file in names:
                rows[row.file] = row
            if (
                certainty is not None
                and row.answer_probability is not None
                and row.answer_probability < certainty - 1e-6
            ):
                raise self._other(row.file)
        for now in answered(tried) if tried else ():
            if _differ(rows[now.file], now):
                raise self._other(now.file)

    def _tried(self, photos: Iterable[Photo]) -> list[Photo]:
        """Photos with rows that are answered once more."""
        with_rows = (photo for photo, has_row in self.split(photos) if has_row)
        if not _FURTHER.keys() & {*self.header} or not self.count:
            return list(islice(with_rows, TRIED))
        places = np.linspace(0, self.count - 1, min(SPREAD, self.count)).astype(int)
        rows = {*np.argsort(self._shares, kind="stable")[places].tolist()}
        names = {one.file for at, one in enumerate(self.predictions()) if at in rows}
        return [photo for photo in with_rows if photo.name in names]

    def _other(self, file: str) -> UserError:
        return UserError(
            f"--resume: {printable(str(self.path))} says something else of {printable(file)} than is said now: "
            "the model, the photo or what is asked for changed;\nleave out --resume, or name another file with -o"
        )


def _differ(before: Prediction, now: Prediction) -> bool:
    """Whether two answers to a photo cannot be one model's to one question."""
    shares = dict(zip(now.classes, now.probabilities, strict=True))
    known = zip(before.classes, before.probabilities, strict=True)
    moved = any(abs(shares.get(name, share) - share) > APART for name, share in known)
    said = [(one.classes[:1], one.answer, one.level, one.set) for one in (before, now)]
    return moved or said[0] != said[1]


_FURTHER: dict[str, Callable[[str], object]] = {
    "answer": unescaped,
    "level": unescaped,
    "answer_probability": lambda text: float(text) if text else None,
    "nearest": unescaped,
    "distance": lambda text: float(text) if text else None,
    "set": lambda text: tuple(json.loads(text)) if text else None,
}


def kept_rows(path: Path, *, top: int, further: Sequence[str]) -> Kept | None:
    """The rows that earlier calls with the same columns left for a table; None where there are none.

    They are those of the table itself or of a partial one beside it, of whichever is larger.

    Raises:
        UserError: the rows have other columns, or cannot be read.
    """
    found = [file for file in (path, *partial_files(path)) if file.is_file() and file.stat().st_size]
    if not found:
        return None
    largest = max(found, key=lambda file: file.stat().st_size)
    header, shown = header_of(top, further), printable(str(largest))
    try:
        with largest.open(encoding="utf-8", newline="") as file:
            first = next(csv.reader(file), [])
        if first != header:
            raise UserError(f"--resume: {shown} has other columns than were asked for now; leave out --resume")
        return Kept(largest, header)
    except (OSError, csv.Error, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"--resume: {shown} cannot be read ({str(error)[:80]}); leave out --resume") from None


def _number(name: str) -> int:
    """Tells one name from another; for 64 bits and a million names a mistake has a chance of one in 30 million."""
    text = re.sub(r"[\ud800-\udfff]", lambda odd: f"\\u{ord(odd[0]):x}", name)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
