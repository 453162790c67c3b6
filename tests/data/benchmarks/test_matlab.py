"""Benchmarks whose lists are MATLAB files: Stanford Cars, Stanford Dogs, Flowers-102."""

import sys
from pathlib import Path

import layouts
import numpy as np
import pytest
from scipy.io import loadmat

from fieldmark.data.benchmarks import matlab as benchmarks_mat
from fieldmark.data.dataset import Box, Photo
from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError


def test_the_real_flowers_are_read_alike_with_and_without_torchvision(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "flowers-102"
    dataset = read_dataset(root)
    assert (layouts.sizes(dataset), len(dataset.classes)) == ((1020, 1020, 6149), 102)
    assert set(dataset.counts("train")) == set(dataset.counts("val")) == {10}
    assert dataset.classes[0] == "pink primrose"
    assert dataset.notes == ()
    labels, ids = loadmat(root / "imagelabels.mat")["labels"][0], loadmat(root / "setid.mat")
    expected = [(f"jpg/image_{one:05d}.jpg", labels[one - 1] - 1) for one in ids["tstid"][0]]
    assert [(photo.name, photo.label) for photo in dataset.of(["test"])] == expected
    (tmp_path / "renamed").symlink_to(root)
    renamed = read_dataset(tmp_path / "renamed")
    assert [_values(photo) for photo in renamed.photos] == [_values(photo) for photo in dataset.photos]
    assert "as they are" in renamed.notes[0]


def _values(photo: Photo) -> tuple[object, ...]:
    return photo.name, photo.label, photo.split, photo.box


def test_cars_are_as_torchvision_reads_them(tmp_path: Path) -> None:
    from torchvision.datasets import StanfordCars

    dataset = read_dataset(layouts.cars(tmp_path / "stanford_cars"))
    assert layouts.sizes(dataset) == (6, 0, 6)
    assert dataset.photos[1].box == Box(11, 12, 289, 188)
    for split in ("train", "test"):
        reader = StanfordCars(tmp_path, split, loader=str)
        assert tuple(reader.classes) == dataset.classes
        theirs = [reader[at] for at in range(len(reader))]
        assert [(str(photo.path), photo.label) for photo in dataset.of([split])] == theirs


def test_cars_labels_of_the_test_split_may_lie_in_the_devkit_or_be_missing(tmp_path: Path) -> None:
    root = layouts.cars(tmp_path)
    before = read_dataset(root)
    labelled = (root / "cars_test_annos_withlabels.mat").rename(root / "devkit" / "cars_test_annos_withlabels.mat")
    assert read_dataset(root).photos == before.photos
    labelled.unlink()
    assert layouts.sizes(read_dataset(root)) == (6, 0, 0)
    assert "test images left out" in read_dataset(root).notes[0]


def test_cars_in_one_folder(tmp_path: Path) -> None:
    dataset = read_dataset(layouts.cars_in_one(tmp_path))
    assert (dataset.layout, dataset.classes, dataset.notes) == ("stanford-cars", ("AM", "Ram", "smart"), ())
    assert layouts.sizes(dataset) == (3, 0, 3)
    last = dataset.photos[-1]
    assert _values(last) == ("car_ims/000006.jpg", 2, "test", Box(15, 12, 285, 188))
    assert [photo.label for photo in dataset.of(["train"])] == [0, 2, 1]
    assert last.path == tmp_path / "car_ims" / "000006.jpg"


def test_damaged_cars_in_one_folder_are_named(tmp_path: Path) -> None:
    layouts.cars_in_one(tmp_path, classes=(1, 4))
    with pytest.raises(UserError, match=r"cars_annos\.mat, entry 2: class 4 is not in cars_annos\.mat"):
        read_dataset(tmp_path)
    fields = [*layouts.CORNERS, "class", "relative_im_path"]
    untold = {"annotations": np.zeros((1, 2), dtype=[(field, object) for field in fields]), "class_names": ["AM"]}
    layouts.savemat(tmp_path / "cars_annos.mat", untold)
    with pytest.raises(UserError, match="the field test of annotations is missing"):
        read_dataset(tmp_path)


def test_damaged_cars_are_named(tmp_path: Path) -> None:
    root = layouts.cars(tmp_path)
    file = root / "devkit" / "cars_train_annos.mat"
    layouts.cars_annotations(file, [(1, "00001.jpg"), (9, "00002.jpg")])
    with pytest.raises(UserError, match=r"cars_train_annos\.mat, entry 2: class 9 is not in cars_meta\.mat"):
        read_dataset(root)
    layouts.savemat(file, {"annotations": np.zeros((1, 2), dtype=[("bbox_x1", object)])})
    with pytest.raises(UserError, match="the field bbox_y1 of annotations is missing"):
        read_dataset(root)
    for junk in (b"", b"no matlab file", b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\xff" * 99):
        file.write_bytes(junk)
        with pytest.raises(UserError, match=r"cars_train_annos\.mat: "):
            read_dataset(root)
    file.unlink()
    with pytest.raises(UserError, match=r"cars_train_annos\.mat: the file is missing"):
        read_dataset(root)


def test_dogs(tmp_path: Path) -> None:
    root = layouts.dogs(tmp_path)
    two = root / "Annotation" / "n02085620-Chihuahua" / "n02085620_0"
    layouts.dog_annotation(two, [(10, 12, 20, 30), (5, 15, 18, 39)])
    (root / "Annotation" / "n02085620-Chihuahua" / "n02085620_3").unlink()
    dataset = read_dataset(root)
    assert dataset.classes == ("Chihuahua", "Japanese spaniel", "curly-coated retriever")
    assert layouts.sizes(dataset) == (6, 0, 6)
    assert dataset.photos[0].name == "Images/n02085620-Chihuahua/n02085620_0.jpg"
    assert [dataset.photos[at].box for at in (0, 1, 3)] == [Box(5, 12, 15, 27), Box(3, 4, 27, 31), None]
    assert dataset.notes == ("1 of 12 images have no box",)


def test_damaged_dogs_are_named(tmp_path: Path) -> None:
    root = layouts.dogs(tmp_path)
    file = root / "Annotation" / "n02085620-Chihuahua" / "n02085620_0"
    layouts.lines(file, ["<annotation>", "<bndbox><xmin>1</xmin>"])
    with pytest.raises(UserError, match=r"n02085620_0, line 3: not readable as XML"):
        read_dataset(root)
    file.unlink()
    layouts.dog_list(root / "test_list.mat", [("n02085620-Chihuahua/n02085620_6", 1), ("n9-Wolf/n9_1", 1)])
    with pytest.raises(UserError, match=r"test_list\.mat, entry 2: label 1 is both n02085620-Chihuahua and n9-Wolf"):
        read_dataset(root)
    (root / "train_list.mat").unlink()
    with pytest.raises(UserError, match=r"train_list\.mat: the file is missing"):
        read_dataset(root)


def test_small_flowers(tmp_path: Path) -> None:
    root = layouts.flowers(tmp_path / "flowers-102")
    dataset = read_dataset(root)
    assert dataset.classes == ("pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea")
    assert layouts.sizes(dataset) == (8, 8, 8)
    assert dataset.of(["test"])[5].name == "jpg/image_00006.jpg"
    assert dataset.of(["test"])[5].label == 1
    layouts.lines(root / "class_names.txt", ["1 rose", "2 dog rose"])
    assert read_dataset(root).classes == ("rose", "dog rose", "class 3", "class 4")


def test_damaged_flowers_are_named(tmp_path: Path) -> None:
    root = layouts.flowers(tmp_path)
    one = np.ones((1, 1), dtype=np.uint16)
    layouts.savemat(root / "setid.mat", {"trnid": one, "valid": one * 2, "tstid": one * 25})
    with pytest.raises(UserError, match=r"setid\.mat, tstid, entry 1: image 25 has no label in imagelabels\.mat"):
        read_dataset(root)


def test_without_scipy_the_text_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = layouts.cars(tmp_path)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(UserError, match=r"needs scipy\. pip install 'fieldmark\[train\]'"):
        benchmarks_mat.read_cars(root)
