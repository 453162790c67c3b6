"""What a user names is told apart by looking; mistakes get one to three lines."""

import os
import subprocess
import sys
from pathlib import Path

import layouts
import pytest

from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError


def refused(source: str | Path, **options: str) -> str:
    with pytest.raises(UserError) as error:
        read_dataset(source, **options)
    assert 1 <= len(str(error.value).splitlines()) <= 3
    return str(error.value)


def test_a_folder_and_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.jpg", "b/1.jpg"):
        layouts.picture(tmp_path / name)
    (tmp_path / "list.CSV").write_text("path,label\na/1.jpg,first\n")
    assert read_dataset(str(tmp_path)).layout == "folder"
    assert read_dataset(tmp_path / "list.CSV").classes == ("first",)
    monkeypatch.chdir(tmp_path)
    dataset = read_dataset("list.CSV")
    monkeypatch.chdir("/")
    assert dataset.photos[0].path.is_file()


def test_a_benchmark_one_folder_further_in(tmp_path: Path) -> None:
    root = layouts.cub(tmp_path / "download" / "CUB_200_2011")
    (tmp_path / "download" / "attributes.txt").touch()
    dataset = read_dataset(tmp_path / "download")
    assert (dataset.root, dataset.layout) == (root, "cub-200-2011")
    assert dataset.photos == read_dataset(root).photos
    assert dataset.notes == ("CUB-200-2011 read from the folder CUB_200_2011",)
    layouts.flowers(tmp_path / "download" / "flowers")
    assert "several benchmarks lie here (CUB_200_2011, flowers)" in refused(tmp_path / "download")


def test_the_images_of_a_benchmark_alone(tmp_path: Path) -> None:
    dataset = read_dataset(layouts.cub(tmp_path / "CUB_200_2011") / "images")
    assert (dataset.layout, len(dataset.classes)) == ("folder", 3)
    assert dataset.notes == ("name the folder above for the official split of CUB-200-2011",)


def test_annotation_is_for_aircraft(tmp_path: Path) -> None:
    layouts.aircraft(tmp_path / "planes" / "fgvc-aircraft-2013b")
    assert read_dataset(tmp_path / "planes", annotation="manufacturer").classes == ("Boeing", "Saab")
    assert "must be variant, family or manufacturer" in refused(tmp_path / "planes", annotation="maker")
    assert "applies to FGVC-Aircraft only" in refused(layouts.cub(tmp_path / "cub"), annotation="family")


@pytest.mark.parametrize("name", ["missing", "", "nul\0", "new\nline", "x" * 5000])
def test_a_missing_path(name: str, tmp_path: Path) -> None:
    text = refused(name and str(tmp_path / name))
    assert "no such file or folder" in text
    assert name == "" or str(tmp_path) in text


def test_a_home_that_nobody_has() -> None:
    assert refused("~nobody-of-this-name/photos").startswith("~nobody-of-this-name/photos: there is no such file")


def test_things_that_are_no_data(tmp_path: Path) -> None:
    assert "no image found" in refused(tmp_path)
    photo = layouts.picture(tmp_path / "1.jpg")
    assert "this file is not a CSV" in refused(photo)
    text = refused(tmp_path)
    assert str(tmp_path) in text
    assert "images, but no class folders (1, e.g. 1.jpg)" in text
    (tmp_path / "list.XLSX").touch()
    assert "a spreadsheet; save it as 'CSV UTF-8'" in refused(tmp_path / "list.XLSX")
    photo.rename(tmp_path / "photo.csv")
    assert "not a CSV in UTF-8" in refused(tmp_path / "photo.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "neither a folder nor a CSV" in refused(tmp_path / "pipe.csv")


def test_no_reader_imports_torch() -> None:
    code = "import sys, fieldmark.data.reading; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        ).returncode
        == 0
    )
