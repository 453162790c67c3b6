"""A CSV that lists photographs: columns ``path`` and ``label``, optionally ``split``, ``group`` and a box."""

import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.data.dataset import Box, Dataset, Photo, spelled_apart
from fieldmark.data.entries import natural_order
from fieldmark.data.layout import split_of
from fieldmark.data.spreadsheet import Row, read_rows
from fieldmark.errors import UserError, printable
from fieldmark.files import unescaped

BOX_COLUMNS = ("x", "y", "width", "height")
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
_COLUMNS = ("path", "label", "split", "group", "box", *BOX_COLUMNS)
# Other names of the columns that a table must have, without blanks, hyphens and underscores.
_ALIASES = {
    "path": ("image", "file", "filename", "filepath", "imagepath", "imagefile", "imagename", "img", "photo", "picture"),
    "label": ("class", "classname", "category", "species", "labelname", "target"),
}


@dataclass(frozen=True, slots=True)
class _Row:
    number: int  # as a spreadsheet counts: the header is row 1
    path: str
    label: str
    spelling: str  # the label as it stands
    split: str
    group: str
    box: Box | None


def read_table(file: Path) -> Dataset:
    """The photos that a CSV lists; paths are relative to the CSV, labels are the names of the classes.

    Column names and splits are read in upper or lower case; a path may also be called image, file or filename, a label
    class, category or species. ``spreadsheet.py`` says which encodings and delimiters are read. A box is given by the
    columns x, y, width, height or by one column ``box`` ("x y w h" or "x,y,w,h"), in pixels. Other columns are ignored,
    with a line in ``notes``. Photos are not opened: missing files are reported by the scan.
    Raises ``UserError`` with the number of the wrong row (the header is row 1).
    """
    shown = printable(str(file))
    rows, notes = _rows(file, required=("path", "label"))
    unsplit = [row.number for row in rows if not row.split]
    if 0 < len(unsplit) < len(rows):
        raise UserError(f"{shown}, row {unsplit[0]}: the split is empty, but other rows name one; fill in all or none.")
    root = file.parent
    kept, repeats = _without_repeats(rows, lambda path: _name(root, path), shown)
    return _dataset(root, kept, spelled_apart(row.spelling for row in rows), (*repeats, *notes))


def read_unlabelled(file: Path) -> list[Photo]:
    """The photos that a CSV lists, row by row, for prediction: like ``read_table``, but without labels.

    A photo's name is its path from the working folder, as that of a photo that is named itself.
    """
    rows, _ = _rows(file, required=("path",))
    paths = [file.parent / _name(file.parent, row.path) for row in rows]
    return [Photo(str(path), path, box=row.box) for path, row in zip(paths, rows, strict=True)]


def _rows(file: Path, *, required: tuple[str, ...]) -> tuple[list[_Row], list[str]]:
    """The rows, and notes on the columns."""
    shown = printable(str(file))
    header, *below = read_rows(file) or [Row(1, [])]
    names = [cell.strip().casefold() for cell in header.cells]
    columns = _columns(names, required, f"{shown}, row {header.number}: ")
    rows = [_row(columns, [cell.strip() for cell in cells], number, required, shown) for number, cells in below]
    if not rows:
        raise UserError(f"{shown}: the table has a header, but no row that names an image.")
    return rows, list(_column_notes(names, columns, below))


def _columns(names: list[str], required: tuple[str, ...], place: str) -> list[str]:
    """The names of the columns, those of ``_ALIASES`` replaced by ours."""
    plain = [re.sub(r"[\s_-]", "", name) for name in names]
    columns = [short if short in _COLUMNS else name for short, name in zip(plain, names, strict=True)]
    for wanted in (name for name in required if name not in columns):
        places = [at for at, name in enumerate(plain) if name in _ALIASES[wanted]]
        if len(places) > 1:
            both = " and ".join(printable(names[at]) for at in places)
            raise UserError(f"{place}the columns {both} may both be the {wanted}; call one of them {wanted}.")
        for at in places:
            columns[at] = wanted
    if missing := [name for name in required if name not in columns]:
        raise UserError(f"{place}no column {' and no column '.join(missing)} ({_present(names, missing)}")
    if repeated := [name for name in columns if name in _COLUMNS and columns.count(name) > 1]:
        raise UserError(f"{place}the column {repeated[0]} appears twice.")
    if set(BOX_COLUMNS) <= set(columns):
        if "box" in columns:
            raise UserError(f"{place}give a box either as x, y, width, height or as one column box.")
        return columns
    # fewer of them are no box: most often the photo's own width and height
    return [f"{name} (no box)" if name in BOX_COLUMNS else name for name in columns]


def _present(names: list[str], missing: Sequence[str]) -> str:
    """What the header has, and which names it may have."""
    if not any(names):
        return "the table is empty)."
    choices = "; ".join(f"{wanted} may be called {', '.join(_ALIASES[wanted])}" for wanted in missing)
    return f"found: {printable(', '.join(names))[:200]}).\nThe first row names the columns: {choices}."


def _column_notes(names: list[str], columns: list[str], rows: Sequence[Row]) -> Iterator[str]:
    for name, column in zip(names, columns, strict=True):
        if name != column and column in _COLUMNS:
            yield f"the column {printable(name)} is read as {column}"
    if unknown := [name for name in columns if name not in _COLUMNS and name]:
        yield f"unknown columns left out: {printable(', '.join(unknown))}"
    for at, name in enumerate(columns if "split" not in columns else []):
        words = {cells[at].strip() for _, cells in rows if at < len(cells)} - {""}
        if name not in _COLUMNS and len(words) > 1 and all(map(split_of, words)):
            examples = printable(", ".join(sorted(words)[:3]))
            yield f"the column {printable(name)} seems to name splits ({examples}); to use it, call it split"


def _row(columns: list[str], values: list[str], number: int, required: tuple[str, ...], shown: str) -> _Row:
    def refuse(what: str) -> UserError:
        return UserError(f"{shown}, row {number}: {what}")

    if any(values[len(columns) :]):
        raise refuse(f"{len(values)} values for {len(columns)} columns; put quotes around commas.")
    cells = dict(zip(columns, values, strict=False))
    path, spelling, word = cells.get("path", ""), cells.get("label", ""), cells.get("split", "")
    if not path:
        raise refuse("the path is empty.")
    if not spelling and "label" in required:
        raise refuse(f"the label of {printable(path)} is empty; name its class or delete the row.")
    split = split_of(word)
    if word and not split:
        raise refuse(f"the split is '{printable(word)}', but must be train, val or test.")
    label = unicodedata.normalize("NFC", spelling)  # as folders' names are read: one name, one class
    return _Row(number, path, label, spelling, split, cells.get("group", ""), _box(cells, refuse))


def _box(cells: dict[str, str], refuse: Callable[[str], UserError]) -> Box | None:
    if "box" in cells:
        texts = re.split(r"[\s,;]+", cells["box"].strip("()[] ")) if cells["box"] else []
    else:
        # A spreadsheet program of many countries writes 1,5 for 1.5.
        texts = [cells.get(column, "").replace(",", ".") for column in BOX_COLUMNS]
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
    if not path.isascii():
        # Archives and network drives may have changed the Unicode form of the file's name.
        forms = (path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD")))
        path = next((form for form in forms if os.path.lexists(root / form)), path)
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


def _dataset(
    root: Path, rows: dict[str, _Row], spellings: tuple[tuple[str, ...], ...], notes: tuple[str, ...]
) -> Dataset:
    classes = tuple(sorted({row.label for row in rows.values()}, key=natural_order))
    index = {name: at for at, name in enumerate(classes)}
    photos = tuple(
        Photo(name, root / name, label=index[row.label], split=row.split, group=row.group, box=row.box)
        for name, row in rows.items()
    )
    return Dataset(root, "table", classes=classes, photos=photos, notes=notes, spellings=spellings)
