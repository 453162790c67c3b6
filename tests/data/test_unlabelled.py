"""Inputs of a prediction: taken in any form and order, and nothing left out in silence."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.data.dataset import Box
from fieldmark.data.unlabelled import photos_of
from fieldmark.errors import UserError
from small_runs import write_photo


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def below(folder: Path, inputs: Any = None) -> list[str]:
    """The photos of a folder, by their paths below it."""
    return [photo.path.relative_to(folder).as_posix() for photo in photos_of(inputs or folder).photos]


def test_folders_are_searched_through_in_natural_order(tmp_path: Path) -> None:
    touched(tmp_path, "b/2.jpg", "b/10.jpg", "a/x/1.PNG", "9.jpg", "10.jpg", "b/1/3.pbm")
    assert below(tmp_path) == ["9.jpg", "10.jpg", "a/x/1.PNG", "b/2.jpg", "b/10.jpg", "b/1/3.pbm"]
    assert photos_of(tmp_path).notes == ()


def test_what_a_folder_holds_besides_is_counted_with_examples(tmp_path: Path) -> None:
    touched(tmp_path, "1.jpg", "notes.txt", "IMG_0001", "a/b.jpg_large", "a/c.dng", ".DS_Store")
    touched(tmp_path, ".hidden/1.jpg", "a/._1.jpg")
    hidden, other = sorted(photos_of(tmp_path).notes, key=len)
    assert hidden.startswith("passed over: 2 hidden or system files and folders, e.g. ")
    assert str(tmp_path / ".hidden") in hidden
    assert other.startswith("passed over: 4 files whose names do not end like an image's")
    assert f"e.g. {tmp_path / 'IMG_0001'}, {tmp_path / 'notes.txt'}, {tmp_path / 'a'}" in other
    (alone,) = photos_of([tmp_path / "IMG_0001"]).photos
    assert alone.path == tmp_path / "IMG_0001"


def test_linked_folders_are_read_once_and_circles_end(tmp_path: Path) -> None:
    touched(tmp_path, "top/z/1.jpg", "top/z/in/2.jpg", "elsewhere/deep/3.jpg", "beside.jpg")
    top = tmp_path / "top"
    for link, target in (
        ("a", top / "z"), ("b", tmp_path / "elsewhere"), ("c", tmp_path / "elsewhere/deep"), ("up", tmp_path),
        ("z/self", top), ("z/in/loop", top / "z"), ("z/in/nothing", top / "nowhere"),
    ):  # fmt: skip
        (top / link).symlink_to(target)
    (tmp_path / "elsewhere" / "back").symlink_to(top)
    assert below(top) == ["b/deep/3.jpg", "z/1.jpg", "z/in/2.jpg"]
    dangling, links = photos_of(top).notes
    assert "1 file whose name" in dangling
    assert links.startswith("passed over: 6 linked folders")
    assert below(top / "b") == ["back/z/1.jpg", "back/z/in/2.jpg", "deep/3.jpg"]  # a link that is named itself


def test_a_folder_whose_links_all_lead_to_each_other_is_read_in_no_time(tmp_path: Path) -> None:
    for name in range(20):
        write_photo(tmp_path / f"{name}" / "1.jpg", label=0, number=name)
        for other in range(20):
            (tmp_path / f"{name}" / f"to{other}").symlink_to(tmp_path / f"{other}")
    assert below(tmp_path) == [f"{name}/1.jpg" for name in range(20)]
    assert photos_of(tmp_path).notes[0].startswith("passed over: 400 linked folders")


def test_folders_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "1.jpg", "locked/2.jpg")
    listed = os.scandir

    def scandir(folder: Path) -> Any:
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr("os.scandir", scandir)
    assert below(tmp_path) == ["1.jpg"]
    place = tmp_path / "locked"
    assert photos_of(tmp_path).notes == (
        f"passed over: 1 folder that cannot be read, e.g. {place} (Permission denied)",
    )
    with pytest.raises(UserError, match=r"locked: the folder cannot be read \(Permission denied\)"):
        photos_of(place)


def test_inputs_without_photos(tmp_path: Path) -> None:
    for nothing in (tmp_path / "none.jpg", "none", "", "a\0b", "~nobody-of-this-name/a.jpg", "n" * 5000):
        with pytest.raises(UserError, match="no such file or folder"):
            photos_of(nothing)
    touched(tmp_path, "empty/raw.dng", "a/1.jpg")
    with pytest.raises(UserError, match=r"no photos to predict.*\n.*raw\.dng.*\n.*empty$") as error:
        photos_of(tmp_path / "empty")
    assert len(str(error.value).splitlines()) == 3
    photos, _, notes = photos_of([tmp_path / "empty", tmp_path / "a"])
    assert len(photos) == 1
    assert notes[1] == f"passed over: 1 folder without images, e.g. {tmp_path / 'empty'}"
    with pytest.raises(UserError, match="no photos to predict"):
        photos_of([])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".CSV"])
def test_tables(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touched(tmp_path, "lists/a.jpg", "lists/b.jpg")
    table = Path("lists") / f"list{suffix}"
    rows = ["path,x,y,width,height", "a.jpg,10,10,40,40", "./b.jpg,,,,", "a.jpg,,,,", "missing.jpg,,,,"]
    rows.append(f"{tmp_path}/elsewhere.jpg,,,,")
    text = "\n".join(rows)
    table.write_text(text.replace(",", "\t") if suffix == ".tsv" else text)
    photos = photos_of(table).photos
    here = [str(Path("lists") / name) for name in ("a.jpg", "b.jpg", "a.jpg", "missing.jpg")]
    assert [photo.name for photo in photos] == [*here, str(tmp_path / "elsewhere.jpg")]
    assert [photo.path.exists() for photo in photos] == [True, True, True, False, False]
    assert [photo.box for photo in photos] == [Box(10, 10, 40, 40), None, None, None, None]


def test_a_single_input_is_a_list_of_one(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a" / "1.jpg", label=0, number=0)
    with Image.open(path) as picture, path.open("rb") as file:
        named, nameless = (path, str(path), path.parent, picture, file), (path.read_bytes(), np.asarray(picture))
        for source in (*named, *nameless):
            single, several = photos_of(source), photos_of([source])
            assert [len(single.photos), len(several.photos)] == [1, 1]
            assert len(single.pictures) == len(several.pictures) == (not isinstance(source, str | Path))
            for three in ([source] * 3, (source,) * 3, iter([source] * 3)):
                assert len(photos_of(three).photos) == 3
        assert {photos_of([source]).photos[0].name for source in named} == {str(path)}
        assert {photos_of([source]).photos[0].name for source in nameless} == {"inputs[0]"}


def test_a_mixture_keeps_its_order(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a" / "1.jpg", label=0, number=0)
    write_photo(tmp_path / "a" / "2.jpg", label=0, number=1)
    pixels = np.zeros((9, 9, 3), np.uint8)
    photos, pictures, _ = photos_of([b"one", path, pixels, path.parent, io.BytesIO(b"two")])
    assert [photo.name for photo in photos] == [
        "inputs[0]", str(path), "inputs[2]", str(path), str(path.with_name("2.jpg")), "inputs[4]",
    ]  # fmt: skip
    assert [photo.row for photo in photos] == [0, -1, 1, -1, -1, 2]
    assert pictures[0] == b"one"
    assert pictures[1] is pixels
    assert pictures[2] == b"two"


@pytest.mark.parametrize("wrong", [None, 3, {"a.jpg": 1}, object(), io.StringIO("a")])
def test_everything_else_is_refused_by_its_type(wrong: Any, tmp_path: Path) -> None:
    for inputs, name in ((wrong, "inputs"), ([b"", wrong], r"inputs\[1\]"), ([[wrong]], r"inputs\[0\]")):
        with pytest.raises(UserError, match=rf"^{name} is ") as error:
            photos_of(inputs)
        assert len(str(error.value).splitlines()) == 1
