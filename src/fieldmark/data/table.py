"""A CSV that lists photographs: columns ``path`` and ``label``, optionally ``split``, ``group`` and a box."""

import csv
import io
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fieldmark.data.dataset import Box, Dataset, Photo
from fieldmark.data.folder import SPLIT_WORDS, natural_order
from fieldmark.errors import UserError, printable
from fieldmark.files import unescaped

BOX_COLUMNS = ("x", "y", "width", "height")
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
_COLUMNS = frozenset({"path", "label", "split", "group", "box", *BOX_COLUMNS})


@dataclass(frozen=True, slots=True)
class _Row:
    number: int  # as a spreadsheet counts: the header is row 1
    path: str
    label: str
    split: str
    group: str
    box: Box | None


def read_table(file: Path) -> Dataset:
    """The photos that a CSV lists; paths are relative to the CSV, labels are the names of the classes.

    Column names and splits are read in upper or lower case; the delimiter is a comma, semicolon or tab; the encoding is
    UTF-8 with or without a byte-order mark. A box is given by the columns x, y, width, height or by one column ``box``
    ("x y w h" or "x,y,w,h"), in pixels. Other columns are ignored, with a line in ``notes``. Photos are not opened:
    missing files are reported by the scan.
    Raises ``UserError`` with the number of the wrong row (the header is row 1).
    """
    shown = printable(str(file))
    columns, rows = _rows(file, required=("path", "label"))
    unsplit = [row.number for row in rows if not row.split]
    if 0 < len(unsplit) < len(rows):
        raise UserError(f"{shown}, row {unsplit[0]}: the split is empty, but other rows name one; fill in all or none.")
    root = file.parent
    kept, notes = _without_repeats(rows, lambda path: _name(root, path), shown)
    if unknown := [column for column in columns if column not in _COLUMNS and column]:
        notes.append(f"unknown columns left out: {printable(', '.join(unknown))}")
    return _dataset(root, kept, notes)


def read_unlabelled(file: Path) -> list[Photo]:
    """The photos that a CSV lists, row by row, for prediction: like ``read_table``, but without labels.

    A photo's name is its path from the working folder, as that of a photo that is named itself.
    """
    _, rows = _rows(file, required=("path",))
    paths = [file.parent / _name(file.parent, row.path) for row in rows]
    return [Photo(str(path), path, box=row.box) for path, row in zip(paths, rows, strict=True)]


def _rows(file: Path, *, required: tuple[str, ...]) -> tuple[list[str], list[_Row]]:
    shown = printable(str(file))
    records = _records(_text(file), shown)
    columns = _columns(records, required, shown)
    rows = [_row(columns, cells, number, required, shown) for number, cells in enumerate(records[1:], 2) if any(cells)]
    if not rows:
        raise UserError(f"{shown}: the table has a header, but no row that names an image.")
    return columns, rows


def _text(file: Path) -> str:
    shown = printable(str(file))
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{shown}: the table cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise UserError(f"{shown}: this is not a CSV in UTF-8. Save it again as 'CSV UTF-8'.") from None
    if "\0" in text:
        raise UserError(f"{shown}: this is not a CSV (it holds binary data). Save the table as 'CSV UTF-8'.")
    return text


def _records(text: str, shown: str) -> list[list[str]]:
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    # The delimiter is the one that divides the header into the most columns.
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[list[str]] = []
    try:
        # extend keeps what was read before an error, which gives the number of the wrong row.
        records.extend([cell.strip() for cell in cells] for cells in reader)
    except csv.Error as error:
        raise UserError(f"{shown}, row {len(records) + 1}: not readable as CSV ({error}).") from None
    return records


def _columns(records: list[list[str]], required: tuple[str, ...], shown: str) -> list[str]:
    columns = [cell.casefold() for cell in records[0]] if records else []
    if missing := [column for column in required if column not in columns]:
        present = f"found: {printable(', '.join(columns))[:200]}" if any(columns) else "the table is empty"
        raise UserError(f"{shown}, row 1: no column {' and no column '.join(missing)} ({present}).")
    if repeated := [column for column in columns if column in _COLUMNS and columns.count(column) > 1]:
        raise UserError(f"{shown}, row 1: the column {repeated[0]} appears twice.")
    given = [column for column in BOX_COLUMNS if column in columns]
    if given and ("box" in columns or len(given) < 4):
        raise UserError(f"{shown}, row 1: give a box either as x, y, width, height or as one column box.")
    return columns


def _row(columns: list[str], values: list[str], number: int, required: tuple[str, ...], shown: str) -> _Row:
    def refuse(what: str) -> UserError:
        return UserError(f"{shown}, row {number}: {what}")

    if any(values[len(columns) :]):
        raise refuse(f"{len(values)} values for {len(columns)} columns; put quotes around commas.")
    cells = dict(zip(columns, values, strict=False))
    path, label, word = cells.get("path", ""), cells.get("label", ""), cells.get("split", "")
    if not path:
        raise refuse("the path is empty.")
    if not label and "label" in required:
        raise refuse(f"the label of {printable(path)} is empty; name its class or delete the row.")
    if word and word.casefold() not in SPLIT_WORDS:
        raise refuse(f"the split is '{printable(word)}', but must be train, val or test.")
    split = SPLIT_WORDS[word.casefold()] if word else ""
    return _Row(number, path, label, split, cells.get("group", ""), _box(cells, refuse))


def _box(cells: dict[str, str], refuse: Callable[[str], UserError]) -> Box | None:
    if "box" in cells:
        texts = re.split(r"[\s,;]+", cells["box"].strip("()[] ")) if cells["box"] else []
    else:
        texts = [cells.get(column, "") for column in BOX_COLUMNS]
    if not any(texts):
        return None
    shown = printable(" ".join(texts))
    try:
        values = [float(text) for text in texts]
    except ValueError:
        raise refuse(f"the box '{shown}' must be four numbers: x, y, width, height.") from None
    if len(values) != 4 or not all(map(math.isfinite, values)) or min(values[2:]) <= 0:
        raise refuse(f"the box '{shown}' must be four numbers: x, y, width, height, the last two above 0.")
    return Box(*values)


def _name(root: Path, path: str) -> str:
    """The path relative to the CSV, with "/", so that the same file always has the same name."""
    if "\\" in path and not os.path.lexists(root / path):
        exact = unescaped(path)  # as ``predict`` writes it
        path = exact if os.path.lexists(root / exact) else path.replace("\\", "/")  # written on Windows
    if os.path.isabs(path):
        path = os.path.relpath(path, root) if Path(path).is_relative_to(root) else path
    return os.path.normpath(path).replace(os.sep, "/")


def _without_repeats(rows: list[_Row], name: Callable[[str], str], shown: str) -> tuple[dict[str, _Row], list[str]]:
    kept: dict[str, _Row] = {}
    repeats: list[int] = []
    for row in rows:
        first = kept.setdefault(name(row.path), row)
        if first is row:
            continue
        for what, before, now in (("labels", first.label, row.label), ("splits", first.split, row.split)):
            if before != now:
                raise UserError(
                    f"{shown}, rows {first.number} and {row.number}: {printable(row.path)} has two {what}, "
                    f"'{printable(before)}' and '{printable(now)}'; delete one of the rows."
                )
        repeats.append(row.number)
    count = f"{len(repeats):,} row{'s' * (len(repeats) > 1)}"
    return kept, [f"{count} left out because they repeat an image, e.g. row {repeats[0]}"] if repeats else []


def _dataset(root: Path, rows: dict[str, _Row], notes: list[str]) -> Dataset:
    classes = tuple(sorted({row.label for row in rows.values()}, key=natural_order))
    index = {name: at for at, name in enumerate(classes)}
    photos = tuple(
        Photo(name, root / name, label=index[row.label], split=row.split, group=row.group, box=row.box)
        for name, row in rows.items()
    )
    return Dataset(root=root, layout="table", classes=classes, photos=photos, notes=tuple(notes))
