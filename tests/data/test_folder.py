"""Folders of class folders, as people keep them. The reader opens no file, so empty files will do."""

import os
import socket
import time
from pathlib import Path

import pytest

from fieldmark.data.folder import read_folder
from fieldmark.errors import UserError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_classes_in_natural_order_without_splits(tmp_path: Path) -> None:
    dataset = read_folder(touch(tmp_path, "bolt 10/b.jpg", "bolt 9/a.JPG", "bolt 9/B.png", "Nut/x.HeIc"))
    assert dataset.classes == ("bolt 9", "bolt 10", "Nut")
    assert [(photo.name, photo.label, photo.split, photo.group) for photo in dataset.photos] == [
        ("bolt 9/B.png", 0, "", ""),
        ("bolt 9/a.JPG", 0, "", ""),
        ("bolt 10/b.jpg", 1, "", ""),
        ("Nut/x.HeIc", 2, "", ""),
    ]
    assert dataset.photos[0].path == tmp_path / "bolt 9" / "B.png"
    assert (dataset.notes, dataset.is_split, dataset.layout) == ((), False, "folder")


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Training", "VALID", "Testing"), ("TRAIN", "validation", "test")],
)
def test_split_folders_in_any_spelling(train: str, val: str, test: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{train}/a/1.jpg", f"{train}/b/1.jpg", f"{val}/a/1.jpg", f"{test}/b/1.jpg", f"{test}/c/1.jpg")
    dataset = read_folder(tmp_path)
    assert dataset.classes == ("a", "b", "c")  # c lacks training photos: for the check to report
    assert [dataset.counts(split) for split in ("train", "val", "test")] == [(1, 1, 0), (1, 0, 0), (0, 1, 1)]
    assert dataset.photos[0].name == f"{train}/a/1.jpg"


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    dataset = read_folder(touch(tmp_path, "control/1.jpg", "test/1.jpg", "test/old/2.jpg"))
    assert dataset.classes == ("control", "test")
    assert not dataset.is_split


def test_sub_folders_become_groups(tmp_path: Path) -> None:
    touch(tmp_path, "wren/1.jpg", "wren/nest 1/2.jpg", "wren/nest 1/day 2/3.jpg", "tit/nest 1/4.jpg")
    found = {photo.name: (photo.label, photo.group) for photo in read_folder(tmp_path).photos}
    assert found == {
        "wren/1.jpg": (1, ""),
        "wren/nest 1/2.jpg": (1, "wren/nest 1"),
        "wren/nest 1/day 2/3.jpg": (1, "wren/nest 1"),
        "tit/nest 1/4.jpg": (0, "tit/nest 1"),
    }
    touch(tmp_path / "s", "train/wren/nest 1/2.jpg", "val/wren/nest 1/3.jpg")
    assert {photo.group for photo in read_folder(tmp_path / "s").photos} == {"wren/nest 1"}


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "train/a/1.jpg",
        "train/a/notes.txt",
        "train/b/1.jpg",
        "train/b/raw.cr2",
        "train/README",
        "extra/1.jpg",
    )
    touch(
        tmp_path,
        "test/loose.jpg",
        "train/a/.hidden.jpg",
        "train/a/Thumbs.db",
        "__MACOSX/train/a/1.jpg",
        ".DS_Store",
        "cover.png",
    )
    (tmp_path / "train" / "empty").mkdir()
    dataset = read_folder(tmp_path)
    assert [photo.name for photo in dataset.photos] == ["train/a/1.jpg", "train/b/1.jpg"]
    assert dataset.classes == ("a", "b")
    assert dataset.notes == (
        "3 files that are not images left out, e.g. train/README",
        "2 images outside the class folders left out, e.g. cover.png",
        "1 class folder without images left out, e.g. train/empty",
        "1 folder beside the splits left out, e.g. extra",
    )


def test_an_unpacked_archive_with_one_folder_around_the_classes(tmp_path: Path) -> None:
    touch(tmp_path, "birds/a/1.jpg", "birds/b/1.jpg", "__MACOSX/birds/a/1.jpg", "birds/.DS_Store")
    dataset = read_folder(tmp_path)
    assert (dataset.root, dataset.classes) == (tmp_path / "birds", ("a", "b"))
    assert "read from there" in dataset.notes[0]


def test_links_and_things_that_are_not_files(tmp_path: Path) -> None:
    root = touch(tmp_path / "root", "a/1.jpg", "b/1.jpg")
    touch(tmp_path / "elsewhere", "2.jpg")
    (root / "c").symlink_to(tmp_path / "elsewhere")  # a class folder on another disk
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "broken.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(root / "a" / "pipe.jpg")
    here = os.getcwd()
    os.chdir(root / "b")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        os.chdir(here)
        dataset = read_folder(root)
    names = [photo.name for photo in dataset.photos]
    assert names == ["a/1.jpg", "a/broken.jpg", "a/pipe.jpg", "b/1.jpg", "b/socket.png", "c/2.jpg"]
    assert dataset.notes == (
        "1 file that is not an image left out, e.g. self",
        "2 linked folders left out, e.g. a/up",
    )


def test_odd_names_are_kept(tmp_path: Path) -> None:
    touch(tmp_path, "Großspecht/ü.jpg", "two\nlines/a\n.jpg", "b/x.jpg")
    raw = os.fsdecode(b"b/\xff\xfe.jpg")
    touch(tmp_path, raw)
    dataset = read_folder(tmp_path)
    assert {photo.name for photo in dataset.photos} == {"Großspecht/ü.jpg", "two\nlines/a\n.jpg", "b/x.jpg", raw}
    assert all(photo.path.is_file() for photo in dataset.photos)
    touch(tmp_path, "b/odd\n\udcff.txt")
    assert read_folder(tmp_path).notes == ("1 file that is not an image left out, e.g. b/odd\\n\\udcff.txt",)


def test_one_name_in_two_spellings_of_unicode_is_one_class(tmp_path: Path) -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    dataset = read_folder(touch(tmp_path, f"train/{composed}/1.jpg", f"val/{decomposed}/1.jpg", "train/b/1.jpg"))
    assert dataset.classes == ("b", composed)
    assert dataset.spellings == ((decomposed, composed),)  # for the check to tell
    assert read_folder(touch(tmp_path / "one", f"{decomposed}/1.jpg", "b/1.jpg")).spellings == ()


def test_an_unreadable_class_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "c/1.jpg")
    scandir = os.scandir

    def guarded(path: str | Path) -> object:
        if os.path.basename(path) == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)  # the tests may run as root, who may read anything
    dataset = read_folder(tmp_path)
    assert dataset.classes == ("a", "c")
    assert dataset.notes == ("1 folder that cannot be read left out, e.g. b/ (Permission denied)",)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ([], "no image found in any class folder"),
        (["1.jpg", "2.jpg"], r"images, but no class folders \(2, e\.g\. "),
        (["train/1.jpg", "val/1.jpg"], r"images, but no class folders \(2, e\.g\. "),
        (["a/notes.txt"], "no image found in any class folder"),
    ],
)
def test_nothing_to_learn_from(names: list[str], what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=what) as error:
        read_folder(touch(tmp_path, *names))
    assert str(tmp_path) in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_many_files_are_listed_fast(tmp_path: Path) -> None:
    for at in range(20):
        (tmp_path / f"class {at}").mkdir()
        for one in range(250):
            os.close(os.open(f"{tmp_path}/class {at}/{one}.jpg", os.O_CREAT))
    start = time.process_time()
    assert len(read_folder(tmp_path).photos) == 5000
    assert time.process_time() - start < 1.0  # some 0.05 s: 100,000 files take a second or two
