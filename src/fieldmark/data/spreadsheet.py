"""The one reader of CSV files, as programs write them and as spreadsheet programs save them again."""

import codecs
import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

from fieldmark.errors import UserError, printable

DELIMITERS = ",;\t|"
_HEAD = 1 << 16
# Spreadsheet programs take the delimiter from such a first line and do not show it.
_SEPARATOR = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|$)', re.IGNORECASE)


class Row(NamedTuple):
    """The cells of a row as they stand, and its number as a spreadsheet counts (from 1)."""

    number: int
    cells: list[str]


def read_rows(file: Path) -> list[Row]:
    """The rows of a CSV that are not blank, the header first; cells keep their blanks.

    Read are UTF-8, with a byte-order mark or without, and UTF-16; commas, semicolons, tabs or bars between the cells;
    any ends of lines; a first line such as ``sep=;``. Blank columns on the right are dropped. Lone surrogates stand for
    bytes of file names that are no text. Raises ``UserError`` with the place for anything else.
    """
    shown = printable(str(file))
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"{shown}: the table cannot be read ({error.strerror}).") from None
    try:
        text = data.decode(_encoding(data), "surrogatepass")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{shown}, row {row}: this is not a CSV in UTF-8. Save it again as 'CSV UTF-8'.") from None
    if "\0" in text:
        raise UserError(f"{shown}: this is not a CSV (it holds binary data). Save the table as 'CSV UTF-8'.")
    text, delimiter = _delimited(text)
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        # extend keeps what was read before an error, which gives the number of the wrong row.
        rows.extend(Row(number, cells) for number, cells in enumerate(reader, 1))
    except csv.Error as error:
        raise UserError(f"{shown}, row {len(rows) + 1}: not readable as CSV ({error}).") from None
    rows = [row for row in rows if any(map(str.strip, row.cells))]
    width = _width(rows[0].cells) if rows else 0
    return [Row(number, cells[: max(width, _width(cells))]) for number, cells in rows]


def header_of(file: Path) -> list[str]:
    """The first row of a CSV, from its first 64 kB; empty where there is none."""
    with file.open("rb") as stream:
        data = stream.read(_HEAD)
    text, delimiter = _delimited(data.decode(_encoding(data), "replace"))
    return _first(text, delimiter)


def _encoding(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Without a mark, every second byte of a header in UTF-16 is zero.
    start = data[: min(64, len(data) // 2 * 2)]
    for at, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if start and not any(start[at::2]) and all(start[1 - at :: 2]):
            return encoding
    return "utf-8-sig"


def _delimited(text: str) -> tuple[str, str]:
    """The text without a line that names the delimiter, and the delimiter: that which divides the header most."""
    if named := _SEPARATOR.match(text):
        return text[named.end() :], named[1]
    return text, max(DELIMITERS, key=lambda delimiter: len(_first(text, delimiter)))


def _first(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text[:_HEAD], newline=""), delimiter=delimiter), [])
    except csv.Error:
        return []


def _width(cells: list[str]) -> int:
    return max((at for at, cell in enumerate(cells, 1) if cell.strip()), default=0)
