"""A CSV that lists photographs. The reader opens no image."""

import os
import unicodedata
from pathlib import Path

import pytest

from fieldmark.data.dataset import Box
from fieldmark.data.table import read_table, read_unlabelled
from fieldmark.errors import UserError


def table(folder: Path, text: str | bytes) -> Path:
    file = folder / "list.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_paths_and_labels(tmp_path: Path) -> None:
    dataset = read_table(table(tmp_path, "path,label\nx/1.jpg,class 10\nx/2.jpg,class 9\n./x/../3.jpg,class 9\n"))
    assert dataset.classes == ("class 9", "class 10")
    assert [(photo.name, photo.label) for photo in dataset.photos] == [("x/1.jpg", 1), ("x/2.jpg", 0), ("3.jpg", 0)]
    assert dataset.photos[0].path == tmp_path / "x" / "1.jpg"
    assert (dataset.root, dataset.layout, dataset.notes, dataset.is_split) == (tmp_path, "table", (), False)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_as_spreadsheets_write_it(delimiter: str, start: bytes, end: str, tmp_path: Path) -> None:
    rows = [
        ["Label", " PATH ", "Split", "group", "Box", "comment"],
        ["rose", "a.jpg", "Train", "g1", '"1 2 3.5 4"', '"two\nlines"'],
        ["tulip", '"b, c; d.jpg"', "VALID", "", '"1,2,3,4"', ""],
        ["", "", "", "", "", ""],
        ["rose", "ü.jpg", "testing", "", "", ""],
        [],
    ]
    dataset = read_table(table(tmp_path, start + end.join(map(delimiter.join, rows)).encode()))
    assert [(photo.name, photo.label, photo.split, photo.group, photo.box) for photo in dataset.photos] == [
        ("a.jpg", 0, "train", "g1", Box(1, 2, 3.5, 4)),
        ("b, c; d.jpg", 1, "val", "", Box(1, 2, 3, 4)),
        ("ü.jpg", 0, "test", "", None),
    ]
    assert dataset.notes == ("unknown columns left out: comment",)


def test_a_box_in_four_columns(tmp_path: Path) -> None:
    dataset = read_table(table(tmp_path, "path,label,x,y,width,height\na.jpg,a,1,2,30,40.5\nb.jpg,b,,,,\nc.jpg,b\n"))
    assert [photo.box for photo in dataset.photos] == [Box(1, 2, 30, 40.5), None, None]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "row 1: no column path and no column label (the table is empty)"),
        ("where,label\na.jpg,a\n", "row 1: no column path (found: where, label)"),
        ("a.jpg,cat\nb.jpg,dog\n", "The first row names the columns: path may be called image, "),
        ("path,image,Class,Species\na.jpg,b,c,d\n", "the columns class and species may both be the label; call one"),
        ("path,label,path\na.jpg,a,b\n", "row 1: the column path appears twice"),
        ("path,label,box,x,y,width,height\na.jpg,a,1 2 3 4,1,2,3,4\n", "row 1: give a box either as"),
        ("path,label\n", "has a header, but no row"),
        ("path,label\na.jpg,a\n,b\n", "row 3: the path is empty"),
        ("path,label\na.jpg,a\n\nb.jpg,  \n", "row 4: the label of b.jpg is empty"),
        (
            "path,label,split\na.jpg,a,train\nb.jpg,b,fold 2\n",
            "row 3: the split is 'fold 2', but must be train, val or test",
        ),
        ("path,label,split\na.jpg,a,train\nb.jpg,b,\n", "row 3: the split is empty, but other rows name one"),
        ("path,label,box\na.jpg,a,1 2 3\n", "row 2: the box '1 2 3' must be four numbers"),
        ("path,label,box\na.jpg,a,1 2 3 0\n", "row 2: the box '1 2 3 0' must be four numbers"),
        ("path,label,box\na.jpg,a,1 2 inf 4\n", "row 2: the box '1 2 inf 4'"),
        ("path,label,x,y,width,height\na.jpg,a,1,2,,4\n", "row 2: the box '1 2  4'"),
        ("path,label,box\na.jpg,a,1,2,3,4\n", "row 2: 6 values for 3 columns; put quotes around commas"),
        ('path,label\na.jpg,a\n"b.jpg,b\n', "row 3: not readable as CSV"),
        ("path,label\na.jpg,a\nb.jpg,b\n./a.jpg,b\n", "rows 2 and 4: ./a.jpg has two labels, 'a' and 'b'"),
        ("path,label,split\na.jpg,a,train\na.jpg,a,test\n", "rows 2 and 3: a.jpg has two splits, 'train' and 'test'"),
        ("path,label\na.jpg,Caf\xe9".encode("latin-1"), "not a CSV in UTF-8"),
        (b"path,label\n\0\0\0", "binary data"),
    ],
)
def test_the_row_at_fault_is_named(text: str | bytes, what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read_table(table(tmp_path, text))
    assert str(error.value).startswith(str(tmp_path / "list.csv"))
    assert what in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_the_same_row_twice_is_a_note(tmp_path: Path) -> None:
    dataset = read_table(table(tmp_path, "path,label\na.jpg,a\nb.jpg,b\na.jpg,a\nx/../b.jpg,b\n"))
    assert [photo.name for photo in dataset.photos] == ["a.jpg", "b.jpg"]
    assert dataset.notes == ("2 rows left out because they repeat an image, e.g. row 4",)


def test_absolute_and_foreign_paths(tmp_path: Path) -> None:
    rows = [f"{tmp_path}/x/1.jpg,a", "/elsewhere/2.jpg,a", "../3.jpg,b", "x\\4.jpg,b", "odd\\5.jpg,b"]
    rows += ["caf\\udce9.jpg,b", "as\\udce9.jpg,b", "none\\udce9.jpg,b"]
    (tmp_path / "odd\\5.jpg").touch()
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    (tmp_path / "as\\udce9.jpg").touch()
    dataset = read_table(table(tmp_path, "path,label\n" + "\n".join(rows)))
    assert [photo.name for photo in dataset.photos] == [
        "x/1.jpg",
        "/elsewhere/2.jpg",
        "../3.jpg",
        "x/4.jpg",
        "odd\\5.jpg",
        "caf\udce9.jpg",
        "as\\udce9.jpg",
        "none/udce9.jpg",
    ]
    assert dataset.photos[0].path == tmp_path / "x" / "1.jpg"
    assert dataset.photos[1].path == Path("/elsewhere/2.jpg")
    assert dataset.photos[4].path.is_file()


@pytest.mark.parametrize("path", ["path", "Image", "filename", "File Name", "file_path", "image-path", "IMG"])
@pytest.mark.parametrize("label", ["label", "Class", "class_name", "species", "Category"])
def test_columns_under_other_names(path: str, label: str, tmp_path: Path) -> None:
    dataset = read_table(table(tmp_path, f"{path},{label}\na.jpg,b\n"))
    assert ([photo.name for photo in dataset.photos], dataset.classes) == (["a.jpg"], ("b",))
    told = [f"the column {name.casefold()} is read as" for name in (path, label) if name not in ("path", "label")]
    assert len(dataset.notes) == len(told)
    assert all(note.startswith(start) for note, start in zip(dataset.notes, told, strict=True))
    (photo,) = read_unlabelled(tmp_path / "list.csv")
    assert photo.path == tmp_path / "a.jpg"


def test_the_own_name_of_a_column_goes_first(tmp_path: Path) -> None:
    dataset = read_table(table(tmp_path, "class,label,image,path\nAves,crow,x.jpg,a.jpg\n"))
    assert (dataset.classes, dataset.photos[0].name) == (("crow",), "a.jpg")
    assert dataset.notes == ("unknown columns left out: class, image",)


def test_a_column_that_seems_to_name_splits_is_told(tmp_path: Path) -> None:
    dataset = read_table(table(tmp_path, "path,label,set\na.jpg,a,train\nb.jpg,b,Test\n"))
    assert not dataset.is_split
    assert dataset.notes[-1] == "the column set seems to name splits (Test, train); to use it, call it split"


def test_one_label_in_two_forms_of_unicode_is_one_class(tmp_path: Path) -> None:
    composed, decomposed = "K\u00e4fer", "Ka\u0308fer"
    dataset = read_table(table(tmp_path, f"path,label\na.jpg,{composed}\nb.jpg,{decomposed}\na.jpg,{decomposed}\n"))
    assert dataset.classes == (composed,)
    assert dataset.spellings == ((decomposed, composed),)
    assert read_table(table(tmp_path, f"path,label\na.jpg,{decomposed}\nb.jpg,b\n")).spellings == ()


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_a_file_whose_name_has_another_form_of_unicode_is_found(listed: str, stored: str, tmp_path: Path) -> None:
    name = unicodedata.normalize(stored, "K\u00e4fer/gr\u00fcn.jpg")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    written = unicodedata.normalize(listed, name)
    for path in (written, written.replace("/", "\\"), str(tmp_path / written)):
        dataset = read_table(table(tmp_path, f"path,label\n{path},a\n"))
        assert (dataset.photos[0].name, dataset.photos[0].path.is_file()) == (name, True)
    assert read_table(table(tmp_path, "path,label\n\u00fc.jpg,a\n")).photos[0].name == "\u00fc.jpg"  # nowhere


def test_width_and_height_alone_are_those_of_the_photo(tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text("path,label,width,height\na.jpg,a,640,480\nb.jpg,b,640,480\n")
    dataset = read_table(table)
    assert [photo.box for photo in dataset.photos] == [None, None]
    assert dataset.notes == ("unknown columns left out: width (no box), height (no box)",)
