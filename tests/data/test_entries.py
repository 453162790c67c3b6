"""What names say: photos, litter of systems, and their order."""

import os
from pathlib import Path

import pytest

from fieldmark.data.entries import (
    IMAGE_SUFFIXES,
    has_images,
    holds_images,
    is_ignored,
    is_image,
    listed,
    natural_order,
    readable_subfolders,
    subfolders,
)
from fieldmark.data.folder import read_folder
from fieldmark.data.unlabelled import photos_of
from fieldmark.errors import UserError

LITTER = [
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@tmp", ".@__thumb", "@Recently-Snapshot"),  # network drives
    *("$RECYCLE.BIN", "RECYCLER", "System Volume Information"),  # Windows
    *("__MACOSX", ".AppleDouble", ".Trashes", ".Spotlight-V100", ".fseventsd"),  # macOS
    *("lost+found", ".Trash-1000", ".thumbnails", ".ipynb_checkpoints", "__pycache__", ".git"),  # Linux and programs
]


def test_natural_order_takes_numbers_of_any_length() -> None:
    names = ["a10", "a9", "A09", "a", "a" + "1" * 5000, "a2b10", "a2b9"]
    assert sorted(names, key=natural_order) == ["a", "a2b9", "a2b10", "A09", "a9", "a10", "a" + "1" * 5000]


@pytest.mark.parametrize(
    "name", [*LITTER, ".DS_Store", "._bird.jpg", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r"]
)
def test_litter_is_known_in_any_case(name: str) -> None:
    assert is_ignored(name)
    assert is_ignored(name.upper())
    assert is_ignored(name.lower())


@pytest.mark.parametrize("name", ["@home", "#1", "recycling bin", "lost", "thumb", "icon", "a.b", "macosx"])
def test_names_of_classes_are_no_litter(name: str) -> None:
    assert not is_ignored(name)


def test_suffixes() -> None:
    assert all(is_image(f"a{suffix}") and is_image(f"a{suffix.upper()}") for suffix in IMAGE_SUFFIXES)
    assert not any(map(is_image, ("jpg", ".jpg", "a.txt", "a.jpg.txt", "a")))


@pytest.mark.parametrize("name", LITTER)
@pytest.mark.parametrize("place", ["", "cat", "cat/nest", "train/cat"])
def test_litter_is_passed_over_at_every_depth(name: str, place: str, tmp_path: Path) -> None:
    photos = [f"{folder}/1.jpg" for folder in ("cat", "dog", "cat/nest")]
    if place.startswith("train"):
        photos = [f"{split}/{photo}" for split in ("train", "test") for photo in photos]
    for photo in (*photos, f"{place}/{name}/2.jpg", f"{place}/{name}/x/3.jpg", f"{place}/._1.jpg"):
        (tmp_path / photo).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / photo).touch()
    dataset = read_folder(tmp_path)
    assert sorted(photo.name for photo in dataset.photos) == sorted(photos)
    assert (dataset.classes, dataset.notes) == (("cat", "dog"), ())
    assert {photo.name for photo in photos_of(tmp_path).photos} == {str(tmp_path / photo) for photo in photos}


def test_folders_and_images_below(tmp_path: Path) -> None:
    (tmp_path / "b/10").mkdir(parents=True)
    (tmp_path / "b/9").mkdir()
    (tmp_path / "b/@eaDir").mkdir()
    (tmp_path / "b/9/x.JPG").touch()
    (tmp_path / "b/folder.jpg").mkdir()
    (tmp_path / "b/link").symlink_to("9")
    assert [entry.name for entry in subfolders(tmp_path / "b")] == ["9", "10", "folder.jpg", "link"]
    assert [has_images(tmp_path / name) for name in ("b", "b/9", "b/10", "none")] == [False, True, False, False]
    assert [holds_images(tmp_path / name) for name in ("b", "b/9", "b/10", "none")] == [True, True, False, False]
    assert readable_subfolders(tmp_path / "none") == []
    with pytest.raises(UserError, match="cannot be read"):
        subfolders(tmp_path / "none")
    (tmp_path / "b/10/@eaDir").mkdir()
    (tmp_path / "b/10/@eaDir/x.jpg").touch()
    assert not holds_images(tmp_path / "b/10")


def test_names_in_a_message() -> None:
    assert listed(["b10", "b9"]) == "b9, b10"
    assert listed(["a", "b", "c", "d\n", os.fsdecode(b"e\xff")]) == "a, b, c and 2 more"
