"""Benchmarks that list their photographs in MATLAB files: Stanford Cars, Stanford Dogs, Flowers-102.

torchvision has readers for two of them. Flowers-102: its reader is used on the original folder, where it checks that
both .mat files are the published ones and provides the names of the 102 classes, which the archive lacks; any other
folder of that layout is read here, and a note says so. Stanford Cars: its reader is not used, because it ignores boxes,
demands one name for the folder and imports torch; tests compare its photos and labels with ours.
Boxes of Cars and Dogs are (left, top, right, bottom) in pixels as published: width is right - left.
"""

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from fieldmark.data.benchmarks.text_lists import (
    Entry,
    assemble,
    boxless_note,
    damaged,
    read_fields,
    read_numbers,
    read_whole,
    unused_note,
)
from fieldmark.data.dataset import Box, Dataset
from fieldmark.errors import UserError, printable

_CORNERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_FLOWER_SETS = {"train": "trnid", "val": "valid", "test": "tstid"}


def is_cars(root: Path) -> bool:
    """Whether ``root`` is ``stanford_cars``: ``devkit`` with ``cars_train`` or ``cars_test``, or the later release."""
    in_two = (root / "devkit").is_dir() and ((root / "cars_train").is_dir() or (root / "cars_test").is_dir())
    return in_two or ((root / "car_ims").is_dir() and (root / "cars_annos.mat").is_file())


def read_cars(root: Path) -> Dataset:
    """Stanford Cars (Krause et al. 2013): 196 classes, official train and test, boxes.

    It was published twice: in two folders with a development kit, where ``cars_test_annos_withlabels.mat`` is in
    ``root`` or in ``devkit`` (without it test images have no labels, and the test split is left out with a note), and
    later in one folder, ``car_ims``, listed in ``cars_annos.mat``. Raises ``UserError`` that names the file and entry
    at fault.
    """
    file = root / "cars_annos.mat"
    if file.is_file() and (root / "car_ims").is_dir():
        names = _cars_names(file)
        entries = _cars(file, names)
        return assemble(root, "stanford-cars", entries, names, notes=unused_note(names, entries))
    names = _cars_names(root / "devkit" / "cars_meta.mat")
    entries = _cars(root / "devkit" / "cars_train_annos.mat", names, split="train")
    places = [folder / "cars_test_annos_withlabels.mat" for folder in (root, root / "devkit")]
    labelled = next((file for file in places if file.is_file()), None)
    notes = [] if labelled else ["test images left out: their labels, cars_test_annos_withlabels.mat, are missing"]
    if labelled:
        entries += _cars(labelled, names, split="test")
    return assemble(root, "stanford-cars", entries, names, notes=[*notes, *unused_note(names, entries)])


def is_dogs(root: Path) -> bool:
    """Whether ``root`` holds ``Images`` beside the lists or the ``Annotation`` of Stanford Dogs."""
    return (root / "Images").is_dir() and ((root / "train_list.mat").is_file() or (root / "Annotation").is_dir())


def read_dogs(root: Path) -> Dataset:
    """Stanford Dogs (Khosla et al. 2011): 120 classes, official train and test, boxes.

    A photograph of several dogs gets the box around them all. "n02085782-Japanese_spaniel" becomes "Japanese spaniel".
    Raises ``UserError`` that names the file and entry at fault.
    """
    entries: list[Entry] = []
    folders: dict[int, str] = {}
    for split in ("train", "test"):
        file = root / f"{split}_list.mat"
        paths, labels = _mat(file, ("file_list", "labels"))
        if len(paths) != len(labels):
            raise damaged(file, "", f"{len(paths)} files in file_list, but {len(labels)} labels")
        for number, (path, label) in enumerate(zip(paths, labels, strict=True), 1):
            name, class_id = str(_unwrapped(path)), _whole(file, f"entry {number}", label)
            folder = name.split("/")[0]
            if folders.setdefault(class_id, folder) != folder:
                raise damaged(file, f"entry {number}", f"label {class_id} is both {folders[class_id]} and {folder}")
            annotation = root / "Annotation" / name.removesuffix(".jpg")
            entries.append(Entry(f"Images/{name}", class_id, split, _dogs_box(annotation)))
    names = {class_id: re.sub(r"^n[0-9]+-", "", folder).replace("_", " ") for class_id, folder in folders.items()}
    return assemble(root, "stanford-dogs", entries, names, notes=boxless_note(entries))


def is_flowers(root: Path) -> bool:
    """Whether ``root`` holds ``jpg`` beside ``imagelabels.mat`` or ``setid.mat``."""
    return (root / "jpg").is_dir() and any((root / file).is_file() for file in ("imagelabels.mat", "setid.mat"))


def read_flowers(root: Path) -> Dataset:
    """Flowers-102 (Nilsback and Zisserman 2008): 102 classes, official train, val and test; it has no boxes.

    Class names come from ``class_names.txt`` ("1 pink primrose") where the folder has one, else from torchvision.
    Raises ``UserError`` that names the file and entry at fault.
    """
    notes: list[str] = []
    entries = _flowers_by_torchvision(root)
    if entries is None:
        entries = _flowers(root)
        notes.append(
            "imagelabels.mat and setid.mat read as they are: torchvision does not recognise them as the originals"
        )
    names = _flower_names(root, {entry.class_id for entry in entries})
    return assemble(root, "flowers-102", entries, names, notes=notes)


def _mat(file: Path, variables: tuple[str, ...]) -> list[np.ndarray]:
    """The variables of a MATLAB file, each as a flat array."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise UserError(f"{printable(str(file))}: reading it needs scipy. pip install 'fieldmark[train]'") from None
    if not file.is_file():
        raise damaged(file, "", "the file is missing")
    try:
        values = loadmat(file, variable_names=variables)
    except Exception as error:  # scipy's parser may raise any exception on a damaged file
        raise damaged(file, "", f"not readable as a MATLAB file ({type(error).__name__})") from error
    if missing := [name for name in variables if name not in values]:
        raise damaged(file, "", f"the variable {missing[0]} is missing")
    return [np.asarray(values[name]).ravel() for name in variables]


def _unwrapped(cell: Any) -> Any:
    """The value in a MATLAB cell, however deeply it is nested; text is stripped of blanks."""
    while isinstance(cell, np.ndarray):
        cell = cell.ravel()[0] if cell.size else ""
    return str(cell).strip() if isinstance(cell, str) else cell


def _whole(file: Path, place: str, cell: Any) -> int:
    """A whole number, which MATLAB often writes as a double."""
    (value,) = read_numbers(file, place, [str(_unwrapped(cell))])
    if value != int(value):
        raise damaged(file, place, f"{value} must be a whole number")
    return int(value)


def _cars_names(file: Path) -> dict[int, str]:
    (listed,) = _mat(file, ("class_names",))
    return {number: str(_unwrapped(cell)) for number, cell in enumerate(listed, 1)}


def _cars(file: Path, names: dict[int, str], *, split: str = "") -> list[Entry]:
    """The entries of a list: that of one split, or with "" the one that gives each photo's path and whether it is for
    testing.
    """
    (annotations,) = _mat(file, ("annotations",))
    fields = (*_CORNERS, "class", *(("fname",) if split else ("relative_im_path", "test")))
    if missing := [field for field in fields if field not in (annotations.dtype.names or ())]:
        raise damaged(file, "", f"the field {missing[0]} of annotations is missing")
    entries: list[Entry] = []
    for number, annotation in enumerate(annotations, 1):
        place = f"entry {number}"
        values = {field: str(_unwrapped(annotation[field])) for field in fields}
        left, top, right, bottom = read_numbers(file, place, (values[corner] for corner in _CORNERS))
        class_id = _whole(file, place, values["class"])
        if class_id not in names:
            raise damaged(file, place, f"class {class_id} is not in {'cars_meta.mat' if split else file.name}")
        name = values["fname" if split else "relative_im_path"]
        if not name:
            raise damaged(file, place, "the file name is empty")
        part = split or ("test" if _whole(file, place, values["test"]) else "train")
        box = Box(left, top, right - left, bottom - top)
        entries.append(Entry(f"cars_{split}/{name}" if split else name, class_id, part, box))
    return entries


def _dogs_box(file: Path) -> Box | None:
    if not file.is_file():
        return None
    try:
        boxes = ElementTree.fromstring(file.read_bytes()).iter("bndbox")
        corners = [[box.findtext(tag, "") for tag in ("xmin", "ymin", "xmax", "ymax")] for box in boxes]
    except ElementTree.ParseError as error:
        raise damaged(file, f"line {error.position[0]}", "not readable as XML") from None
    if not corners:
        return None
    lefts, tops, rights, bottoms = zip(*(read_numbers(file, "bndbox", corner) for corner in corners), strict=True)
    return Box(min(lefts), min(tops), max(rights) - min(lefts), max(bottoms) - min(tops))


def _flowers_by_torchvision(root: Path) -> list[Entry] | None:
    """The photographs as torchvision lists them, None where the folder or its .mat files are not the originals."""
    if root.name != "flowers-102" or importlib.util.find_spec("torchvision") is None:
        return None
    from torchvision.datasets import Flowers102

    try:
        # With ``loader=str`` an item is (path, label) and no image is opened.
        readers = {split: Flowers102(root.parent, split, loader=str) for split in _FLOWER_SETS}
    except RuntimeError:  # raised where a checksum differs
        return None
    return [
        Entry(f"jpg/{Path(path).name}", label + 1, split)
        for split, reader in readers.items()
        for path, label in (reader[at] for at in range(len(reader)))
    ]


def _flowers(root: Path) -> list[Entry]:
    file = root / "imagelabels.mat"
    (values,) = _mat(file, ("labels",))
    labels = [_whole(file, f"entry {number}", value) for number, value in enumerate(values, 1)]
    file = root / "setid.mat"
    entries: list[Entry] = []
    for split, ids in zip(_FLOWER_SETS, _mat(file, tuple(_FLOWER_SETS.values())), strict=True):
        for number, value in enumerate(ids, 1):
            place = f"{_FLOWER_SETS[split]}, entry {number}"
            image = _whole(file, place, value)
            if not 1 <= image <= len(labels):
                raise damaged(file, place, f"image {image} has no label in imagelabels.mat")
            entries.append(Entry(f"jpg/image_{image:05d}.jpg", labels[image - 1], split))
    return entries


def _flower_names(root: Path, used: Iterable[int]) -> dict[int, str]:
    file = root / "class_names.txt"
    if file.is_file():
        names = {
            read_whole(file, f"line {number}", class_id): name for number, (class_id, name) in read_fields(file, 2)
        }
    elif importlib.util.find_spec("torchvision") is not None:
        from torchvision.datasets import Flowers102

        names = dict(enumerate(Flowers102.classes, 1))
    else:
        names = {}
    return {class_id: names.get(class_id, f"class {class_id}") for class_id in used}
