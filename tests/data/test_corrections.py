"""Decisions on labels become a list, the list is read with the data, and without it all is as before."""

from pathlib import Path

import layouts
import pytest

from fieldmark.data.corrections import Applied, apply_decisions, is_list, read_decisions
from fieldmark.data.dataset import Dataset
from fieldmark.data.reading import corrections_place, read_as_given, read_dataset
from fieldmark.data.split import digest
from fieldmark.errors import UserError

NAMES = ("ant/1.jpg", "ant/2.jpg", "bee/1.jpg", "bee/2.jpg", "cat, big/1.jpg")
HEADER = "file,split,given,suggested,why,credible,decision"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in NAMES:
        layouts.picture(tmp_path / "data" / name)
    return tmp_path / "data"


def decided(data: Path, *rows: str, header: str = HEADER) -> Path:
    path = data.parent / "suspects.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def applied(data: Path, *rows: str, test: bool = False) -> Applied:
    given = read_as_given(data)
    return apply_decisions(given, decided(data, *rows), corrections_place(data, given), test=test)


def labels(dataset: Dataset) -> dict[str, str]:
    return {photo.name: dataset.classes[photo.label or 0] for photo in dataset.photos}


def refused(data: Path, *rows: str, header: str = HEADER, test: bool = False) -> str:
    given = read_as_given(data)
    with pytest.raises(UserError) as error:
        apply_decisions(given, decided(data, *rows, header=header), corrections_place(data, given), test=test)
    assert 1 <= len(str(error.value).splitlines()) <= 3
    assert not corrections_place(data, given).exists()
    return str(error.value)


def test_decisions_are_honoured_and_undone_by_removing_one_file(data: Path) -> None:
    before, files = read_dataset(data), {path: path.read_bytes() for path in data.rglob("*.jpg")}
    done = applied(
        data,
        "ant/1.jpg,,ant,bee,looks like it,0.01,suggested",
        "ant/2.jpg,,ant,bee,looks like it,0.01,keep",
        "bee/1.jpg,,bee,,unlike,,DROP ",
        'bee/2.jpg,,bee,ant,x,0.02,"cat, big"',
        '"cat, big/1.jpg",,"cat, big",ant,x,0.02,',
    )
    assert (done.left_out, done.relabelled, done.undecided, done.untouched) == (1, 2, 1, 0)
    after = read_dataset(data)
    assert labels(after) == {
        "ant/1.jpg": "bee", "ant/2.jpg": "ant", "bee/2.jpg": "cat, big", "cat, big/1.jpg": "cat, big",
    }  # fmt: skip
    assert after.classes == before.classes
    assert after.notes == (
        f"labels corrected by {done.place} (photos left out: 1, relabelled: 2); remove that file to undo it",
    )
    assert digest(after) != digest(before)  # so that --resume sees it
    assert {path: path.read_bytes() for path in data.rglob("*.jpg")} == files
    done.place.unlink()
    assert read_dataset(data) == before


def test_later_decisions_join_earlier_ones(data: Path) -> None:
    applied(data, "ant/1.jpg,,ant,bee,x,0.01,bee", "bee/1.jpg,,bee,,x,,drop")
    # the person now sees ant/1.jpg as a bee; keeping it keeps the correction
    done = applied(data, "ant/1.jpg,,bee,ant,x,0.1,keep", "bee/2.jpg,,bee,ant,x,0.1,ant")
    assert (done.left_out, done.relabelled) == (1, 2)
    assert labels(read_dataset(data))["ant/1.jpg"] == "bee"
    # the same row as at first, decided otherwise
    assert applied(data, "ant/1.jpg,,ant,bee,x,0.01,keep").relabelled == 1
    assert labels(read_dataset(data))["ant/1.jpg"] == "ant"
    done = applied(data, "bee/1.jpg,,bee,,x,,keep", "bee/2.jpg,,bee,ant,x,0.1,keep")
    assert (done.left_out, done.relabelled) == (0, 0)
    assert not done.place.exists()


def test_a_table_has_a_list_of_its_own_beside_it(data: Path) -> None:
    for name in ("first", "second"):
        (data / f"{name}.csv").write_text('path,label\nant/1.jpg,x\nbee/1.jpg,y\n"cat, big/1.jpg",y\n')
    source = data / "first.csv"
    given = read_as_given(source)
    place = corrections_place(source, given)
    apply_decisions(given, decided(data, "ant/1.jpg,,x,,w,,y"), place)
    assert place == data / "first.fieldmark-labels.csv"
    assert set(labels(read_dataset(source)).values()) == {"y"}
    assert set(labels(read_dataset(data / "second.csv")).values()) == {"x", "y"}
    assert not any("fieldmark-labels" in note for note in read_dataset(data).notes)  # is no file that is left out


def test_official_test_photos_are_left_alone_unless_asked_for(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("train/ant/1.jpg", "train/bee/1.jpg", "test/ant/2.jpg", "test/bee/2.jpg"):
        layouts.picture(data / name)
    rows = ("train/ant/1.jpg,train,ant,bee,x,0.1,bee", "test/ant/2.jpg,test,ant,bee,x,0.1,bee")
    assert "all decisions (1) are on official test photos" in refused(data, rows[1])
    done = applied(data, *rows)
    assert (done.relabelled, done.untouched) == (1, 1)
    assert labels(read_dataset(data))["test/ant/2.jpg"] == "ant"
    assert applied(data, *rows, test=True).relabelled == 2
    after = read_dataset(data)
    assert labels(after)["test/ant/2.jpg"] == "bee"
    assert "official test photos among them: 1" in after.notes[-1]


def test_a_benchmark(tmp_path: Path) -> None:
    root = layouts.cub(tmp_path / "download" / "CUB_200_2011")
    given = read_as_given(root)
    photo = next(photo for photo in given.photos if photo.split == "train")
    old = given.classes[photo.label or 0]
    new = next(name for name in given.classes if name != old)
    place = corrections_place(root, given)
    apply_decisions(given, decided(root, f"{photo.name},train,{old},{new},x,0.1,suggested"), place)
    for source in (root, root.parent):  # named itself or by the folder around it
        assert labels(read_dataset(source))[photo.name] == new


def test_photos_may_be_named_without_their_folders_and_classes(tmp_path: Path) -> None:
    """As the server's page names single photos: where one alone is meant, it is found; else nothing is decided."""
    for name in ("ant/1.jpg", "ant/a.jpg", "bee/1.jpg", "bee/b.jpg"):
        layouts.picture(tmp_path / "data" / "train" / name)
    layouts.picture(tmp_path / "data" / "test" / "bee" / "b.jpg")
    given = read_as_given(tmp_path / "data")
    path = tmp_path / "corrections.csv"
    path.write_text("file,given,decision\na.jpg,,bee\nbee/1.jpg,bee,drop\n1.jpg,,ant\nb.jpg,,ant\n")
    place = corrections_place(tmp_path / "data", given)
    done = apply_decisions(given, path, place)
    assert (done.left_out, done.relabelled) == (1, 1)
    assert place.read_text().split() == ["file,given,decision", "train/ant/a.jpg,ant,bee", "train/bee/1.jpg,bee,drop"]
    path.write_text("file,given,decision\na.jpg,cat,ant\nb.jpg,bee,drop\n")
    with pytest.raises(UserError, match="not 'cat'"):
        apply_decisions(given, path, place)


def test_words_and_classes_of_the_same_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("keep/1.jpg", "drop/1.jpg", "class:x/1.jpg"):
        layouts.picture(data / name)
    applied(data, "keep/1.jpg,,keep,,x,,class:drop", "drop/1.jpg,,drop,,x,,class:class:x")
    assert labels(read_dataset(data)) == {
        "keep/1.jpg": "drop", "drop/1.jpg": "class:x", "class:x/1.jpg": "class:x",
    }  # fmt: skip


def test_names_survive_other_systems(tmp_path: Path) -> None:
    data = tmp_path / "data"
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for name in (f"{composed}/1.jpg", "bee/1.jpg", "bee/new\nline.jpg"):
        layouts.picture(data / name)
    applied(data, f"{decomposed}\\1.jpg,,{decomposed},,x,,bee", f'"bee/new\nline.jpg",,bee,,x,,{decomposed}')
    assert labels(read_dataset(data)) == {f"{composed}/1.jpg": "bee", "bee/1.jpg": "bee", "bee/new\nline.jpg": composed}


def test_names_that_a_spreadsheet_would_compute(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("=1+1/1.jpg", "@x/1.jpg", "'=y/1.jpg"):
        layouts.picture(data / name)
    done = applied(data, "'=1+1/1.jpg,,'=1+1,,x,,'@x", "@x/1.jpg,,@x,,x,,drop", "'=y/1.jpg,,'=y,,x,,'=1+1")
    assert labels(read_dataset(data)) == {"=1+1/1.jpg": "@x", "'=y/1.jpg": "=1+1"}
    assert not any(
        cell.startswith(("=", "@")) for line in done.place.read_text().splitlines() for cell in line.split(",")
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["other/1.jpg,,ant,,x,,drop"], "it was made for other photos"),
        (["ant/1.jpg,,ant,,x,,dragon"], "'dragon' is no class of the data"),
        (["ant/1.jpg,,ant,,x,,baa"], "'baa' is no class of the data; "),
        (["ant/1.jpg,,ant,,x,,suggested"], "no class is suggested"),
        (["ant/1.jpg,,bee,,x,,drop"], "is 'ant' in the data, not 'bee'"),
        (["ant/1.jpg,,ant,,x,,drop", "ant\\1.jpg,,ant,,x,,bee"], "rows 2 and 3: ant/1.jpg is decided twice"),
        (["ant/1.jpg,,ant,,x,,"], "no row has a decision"),
        ([], "no row has a decision"),
        ([f'"{name}",,"{name.split("/")[0]}",,x,,drop' for name in NAMES], "leaves out every photo"),
    ],
)
def test_bad_decisions(data: Path, rows: list[str], said: str) -> None:
    assert said in refused(data, *rows)


def test_the_same_decision_twice_is_no_contradiction(data: Path) -> None:
    assert applied(data, "ant/1.jpg,,ant,bee,x,,suggested", "ant/1.jpg,,ant,,y,,bee").relabelled == 1


def test_bad_lists_are_refused_where_the_data_are_read(data: Path, tmp_path: Path) -> None:
    place = data / "fieldmark-labels.csv"
    for text, said in (
        ("file,given\n", "no column decision"),
        ("", "no column file"),
        ("file,given,decision\nant/1.jpg,ant,dragon\n", "row 2: 'dragon' is no class"),
        ("file,given,decision\nx.jpg,ant,drop\n", "names none of the photos"),
        ("file,given,decision\nant/1.jpg,ant,drop\nant/1.jpg,ant,bee\n", "is decided twice"),
    ):
        place.write_text(text)
        with pytest.raises(UserError, match=said):
            read_dataset(data)
    place.write_text("file,given,decision\nant/1.jpg,ant,drop\ngone.jpg,ant,drop\n")  # a photo that was deleted since
    assert len(read_dataset(data).photos) == 4
    other = tmp_path / "other.csv"
    other.write_text("file,given,decision\nant/1.jpg,ant,bee\n")
    with pytest.raises(UserError, match="a list of their own"):
        read_dataset(data, corrections=other)
    place.unlink()
    assert labels(read_dataset(data, corrections=other))["ant/1.jpg"] == "bee"
    with pytest.raises(UserError, match="no such file"):
        read_dataset(data, corrections=tmp_path / "none.csv")


def test_a_table_that_a_person_edits_is_never_written_over(data: Path) -> None:
    suspects = decided(data, "ant/1.jpg,,ant,,x,,drop")
    assert not is_list(suspects)
    copy = data.parent / "copy.csv"
    copy.write_bytes(suspects.read_bytes())
    for place, said in ((copy, "not a result of this command"), (suspects, "is an input of this command")):
        with pytest.raises(UserError, match=said):
            apply_decisions(read_as_given(data), suspects, place, option="--corrections")
    assert copy.read_bytes() == suspects.read_bytes()


def test_a_spreadsheet_may_have_saved_it(data: Path) -> None:
    path = decided(data, "ant/1.jpg;;ant;bee;x;;suggested", header=HEADER.replace(",", ";"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert [row.decision for row in read_decisions(path)] == ["suggested"]


def test_rows_that_name_no_single_photo_are_told(tmp_path: Path) -> None:
    for name in ("jay/1.jpg", "jay/2.jpg", "wren/1.jpg", "wren/3.jpg"):
        layouts.picture(tmp_path / "data" / name)
    dataset = read_dataset(tmp_path / "data")
    decided, place = tmp_path / "decided.csv", tmp_path / "data" / "fieldmark-labels.csv"
    decided.write_text("file,given,decision\njay/2.jpg,jay,wren\n3.jpg,,jay\n1.jpg,,wren\ngone.jpg,,drop\n")
    done = apply_decisions(dataset, decided, place)
    assert (done.relabelled, done.left_out) == (2, 0)
    assert done.unmatched == ("1.jpg may be jay/1.jpg or wren/1.jpg", "gone.jpg is none of the photos")
    decided.write_text("file,given,decision\n1.jpg,,wren\n")
    with pytest.raises(UserError, match=r"1 rows? names? no single photo: 1\.jpg may be jay/1\.jpg or wren/1\.jpg"):
        apply_decisions(dataset, decided, place)
