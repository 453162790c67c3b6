"""CSV files as spreadsheet programs save them: each reads as the same rows, wherever a CSV is read."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.outputs import is_table_with
from fieldmark.data.split import read_splits, write_splits
from fieldmark.data.spreadsheet import header_of, read_rows
from fieldmark.data.table import read_table, read_unlabelled
from fieldmark.errors import UserError

ROWS = [["path", "label", "note"], ["ü 1.jpg", "Käfer, groß", 'a "b"; c'], ["x|2.jpg", "鳥", "two\nlines"]]


def written(rows: list[list[str]], *, delimiter: str = ",", end: str = "\n", quoted: bool = False) -> str:
    table = io.StringIO()
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(table, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
    return table.getvalue()


# Ways of saving: from rows to bytes.
WAYS: dict[str, Callable[[list[list[str]]], bytes]] = {
    "plain": lambda rows: written(rows).encode(),
    "byte-order mark": lambda rows: written(rows, end="\r\n").encode("utf-8-sig"),
    "semicolons": lambda rows: written(rows, delimiter=";", end="\r\n").encode("utf-8-sig"),
    "tabs": lambda rows: written(rows, delimiter="\t").encode(),
    "bars": lambda rows: written(rows, delimiter="|").encode(),
    "sep line": lambda rows: ("sep=;\r\n" + written(rows, delimiter=";", end="\r\n")).encode("utf-8-sig"),
    "quoted sep line": lambda rows: ('"sep=\t"\n' + written(rows, delimiter="\t")).encode(),
    "unicode text": lambda rows: written(rows, delimiter="\t", end="\r\n").encode("utf-16"),
    "utf-16, big-endian": lambda rows: b"\xfe\xff" + written(rows).encode("utf-16-be"),
    "utf-16 without a mark": lambda rows: written(rows).encode("utf-16-le"),
    "utf-16 without a mark, big-endian": lambda rows: written(rows).encode("utf-16-be"),
    "old Macintosh": lambda rows: written(rows, end="\r", quoted=True).encode(),
    "all quoted": lambda rows: written(rows, delimiter=";", quoted=True).encode(),
    "blank columns": lambda rows: written([[*row, "", " "] for row in rows]).encode(),
    "blank rows": lambda rows: written([[""] * 3, *rows, ["", " ", ""], [], []]).encode(),
    "no last end of line": lambda rows: written(rows).encode().removesuffix(b"\n"),
}
ways = pytest.mark.parametrize("way", WAYS)


def saved(folder: Path, way: str, rows: list[list[str]], name: str = "list.csv") -> Path:
    file = folder / name
    file.write_bytes(WAYS[way](rows))
    return file


@ways
def test_every_way_gives_the_same_rows(way: str, tmp_path: Path) -> None:
    file = saved(tmp_path, way, ROWS)
    rows = read_rows(file)
    assert [row.cells for row in rows] == ROWS
    assert [row.number for row in rows] == ([2, 3, 4] if way == "blank rows" else [1, 2, 3])
    assert set(ROWS[0]) <= set(header_of(file)) or way == "blank rows"


@ways
def test_tables_lists_splits_and_earlier_results_are_read_by_it(way: str, tmp_path: Path) -> None:
    file = saved(tmp_path, way, ROWS)
    assert [(photo.name, photo.label) for photo in read_table(file).photos] == [("ü 1.jpg", 0), ("x|2.jpg", 1)]
    assert [photo.path.name for photo in read_unlabelled(file)] == ["ü 1.jpg", "x|2.jpg"]
    splits = [["name", "label", "split"], [" ü.jpg", "a, b", "train"], ["x;2.jpg", "c", ""], ["y.jpg", "c", "test"]]
    assert read_splits(saved(tmp_path, way, splits)) == {" ü.jpg": "train", "x;2.jpg": "", "y.jpg": "test"}
    if way != "blank rows":
        assert is_table_with("name", "split")(tmp_path / "list.csv")
        assert not is_table_with("name", "class_1")(tmp_path / "list.csv")


def test_a_box_with_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path;label;x;y;width;height\na.jpg;a;1,5;2;30;40,25\n")
    (photo,) = read_table(tmp_path / "list.csv").photos
    assert photo.box == (1.5, 2, 30, 40.25)


def test_names_of_any_bytes_survive(tmp_path: Path) -> None:
    names = ["a\udcff.jpg", "b\r.jpg", "c\n,;\t|.jpg", ' "d" ']
    photos = tuple(Photo(name, tmp_path / "x", 0, "train") for name in names)
    write_splits(tmp_path / "splits.csv", Dataset(tmp_path, "folder", ("c",), photos))
    assert list(read_splits(tmp_path / "splits.csv")) == names


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("path,label\na.jpg,a\nb.jpg,Käfer\n".encode("cp1252"), r"row 3: this is not a CSV in UTF-8\. Save it again"),
        ("path,label\nкот.jpg,a\n".encode("cp1251"), "row 2: this is not a CSV in UTF-8"),
        (b"path,label\n\0\1\2\3", "binary data"),
        (b'path,label\na.jpg,"a\n', "row 2: not readable as CSV"),
        (b"path,label\n" + b"x" * 140_000 + b",a\n", "row 2: not readable as CSV"),
    ],
)
def test_what_is_not_read_is_refused_with_its_row(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    for reader in (read_rows, read_table, read_unlabelled, read_splits):
        with pytest.raises(UserError, match=words) as error:
            reader(tmp_path / "list.csv")
        assert len(str(error.value).splitlines()) == 1
    is_table_with("path")(tmp_path / "list.csv")  # never raises


def test_empty_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"\xef\xbb\xbf\r\n\r\n")
    assert read_rows(tmp_path / "list.csv") == []
    assert header_of(tmp_path / "list.csv") == []
    with pytest.raises(UserError, match="the table cannot be read"):
        read_rows(tmp_path / "none.csv")
