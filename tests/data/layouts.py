"""Small generated folders in the exact native layout of each benchmark. Pixels are noise; lists are as published."""

import hashlib
import pickle
import uuid
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from fieldmark.data.dataset import Dataset

CORNERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")


def sizes(dataset: Dataset) -> tuple[int, int, int]:
    """How many photos train, val and test have."""
    return len(dataset.of(["train"])), len(dataset.of(["val"])), len(dataset.of(["test"]))


def picture(path: Path, size: tuple[int, int] = (48, 40), seed: int = 0) -> Path:
    """A small JPEG (or what the suffix says) of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def lines(path: Path, rows: list[str]) -> None:
    """A text file, each row ended by a newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))


def cub(root: Path, photos: int = 4) -> Path:
    """CUB_200_2011: decimal ids from 1, class folders with three digits, floats with one decimal, parts from 1."""
    classes = ["001.Black_footed_Albatross", "004.Groove_billed_Ani", "200.Common_Yellowthroat"]
    paths = [f"{name}/{name[4:]}_{at:04d}_{at}.jpg" for name in classes for at in range(photos)]
    ids = range(1, len(paths) + 1)
    for at, path in enumerate(paths):
        picture(root / "images" / path, seed=at)
    lines(root / "images.txt", [f"{one} {path}" for one, path in zip(ids, paths, strict=True)])
    lines(root / "classes.txt", [f"{int(name[:3])} {name}" for name in classes])
    labels = [f"{one} {int(path[:3])}" for one, path in zip(ids, paths, strict=True)]
    lines(root / "image_class_labels.txt", labels)
    lines(root / "train_test_split.txt", [f"{one} {one % 2}" for one in ids])
    lines(root / "bounding_boxes.txt", [f"{one} {one}.0 5.0 20.5 30.0" for one in ids])
    lines(root / "parts" / "parts.txt", ["1 back", "2 beak", "7 left eye"])
    parts = [f"{one} {part} {where}" for one in ids for part, where in ((1, "9.0 8.0 1"), (2, "7.5 6.0 1"))]
    lines(root / "parts" / "part_locs.txt", [*parts, *(f"{one} 7 0.0 0.0 0" for one in ids)])
    return root


def nabirds(root: Path) -> Path:
    """nabirds: ids are dashed UUIDs, folders are class ids of four digits, classes.txt names inner nodes too."""
    names = {0: "Birds", 1: "Ducks, Geese, and Swans", 295: "Snow Goose", 817: "Oak Titmouse", 1010: "Oak Titmouse"}
    ids = [(str(uuid.UUID(int=at * 7919 + 1)), leaf) for leaf in (295, 817, 1010) for at in range(leaf, leaf + 4)]
    paths = {image: f"{leaf:04d}/{image.replace('-', '')}.jpg" for image, leaf in ids}
    for at, path in enumerate(paths.values()):
        picture(root / "images" / path, seed=at)
    lines(root / "images.txt", [f"{image} {path}" for image, path in paths.items()])
    lines(root / "classes.txt", [f"{one} {name}" for one, name in names.items()])
    lines(root / "hierarchy.txt", ["1 0", "295 1", "817 0", "1010 0"])
    lines(root / "image_class_labels.txt", [f"{image} {leaf}" for image, leaf in ids])
    lines(root / "train_test_split.txt", [f"{image} {at % 2}" for at, (image, _) in enumerate(ids)])
    lines(root / "bounding_boxes.txt", [f"{image} 3 4 20 30" for image, _ in ids])
    lines(root / "sizes.txt", [f"{image} 48 40" for image, _ in ids])
    lines(root / "parts" / "parts.txt", ["0 bill", "1 crown", "3 left eye"])
    places = ("0 5 6 1", "1 -1 -1 0", "3 7 8 1")
    lines(root / "parts" / "part_locs.txt", [f"{image} {place}" for image, _ in ids for place in places])
    return root


def aircraft(root: Path) -> Path:
    """fgvc-aircraft-2013b: ids of seven digits, names with blanks and slashes, corners from (1, 1)."""
    data = root / "data"
    planes = [("707-320", "Boeing 707", "Boeing"), ("Saab 2000", "Saab 2000", "Saab"), ("F/A-18", "F/A-18", "Boeing")]
    splits = ("train", "val", "test")
    rows = [(f"{1000000 + at * 7:07d}", planes[at % 3], splits[at // 3 % 3]) for at in range(18)]
    for at, (image, _, _) in enumerate(rows):
        picture(data / "images" / f"{image}.jpg", (60, 60), seed=at)
    lists = {"variant": "variants.txt", "family": "families.txt", "manufacturer": "manufacturers.txt"}
    for at, (level, file) in enumerate(lists.items()):
        lines(data / file, sorted({plane[at] for plane in planes}))
        for split in splits:
            found = [f"{image} {plane[at]}" for image, plane, where in rows if where == split]
            lines(data / f"images_{level}_{split}.txt", found)
        found = [f"{image} {plane[at]}" for image, plane, where in rows if where != "test"]
        lines(data / f"images_{level}_trainval.txt", found)
    lines(data / "images_box.txt", [f"{image} 3 5 50 38" for image, _, _ in rows])
    return root


def cell(values: list[str]) -> np.ndarray:
    """A MATLAB cell array, one column."""
    column = np.empty((len(values), 1), dtype=object)
    column[:, 0] = values
    return column


def cars_annotations(file: Path, rows: list[tuple[int, str]]) -> None:
    """``annotations``: a 1 × N struct array with the fields in the published order."""
    fields = [*CORNERS, "class", "fname"]
    array = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    for at, (class_id, name) in enumerate(rows):
        corners = [np.uint16(value) for value in (10 + at, 12, 300, 200)]
        array[0, at] = (*corners, np.uint8(class_id), name)
    savemat(file, {"annotations": array})


def cars(root: Path) -> Path:
    """stanford_cars: ``devkit`` beside the two image folders, class names as a 1 × C cell array."""
    (root / "devkit").mkdir(parents=True)
    names = ["AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012", "smart fortwo Convertible 2012"]
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": cell(names).T})
    files = {"train": root / "devkit" / "cars_train_annos.mat", "test": root / "cars_test_annos_withlabels.mat"}
    for split, file in files.items():
        rows = [(at % 3 + 1, f"{at + 1:05d}.jpg") for at in range(6)]
        cars_annotations(file, rows)
        for at, (_, name) in enumerate(rows):
            picture(root / f"cars_{split}" / name, seed=at)
    return root


def cars_in_one(root: Path, *, classes: tuple[int, ...] = (1, 2, 3, 1, 2, 3)) -> Path:
    """Stanford Cars as published later: ``car_ims`` beside ``cars_annos.mat``, each entry with its path and split."""
    fields = ["relative_im_path", *CORNERS, "class", "test"]
    array = np.empty((1, len(classes)), dtype=[(field, object) for field in fields])
    for at, class_id in enumerate(classes):
        name = f"car_ims/{at + 1:06d}.jpg"
        array[0, at] = (name, *map(np.uint16, (10 + at, 12, 300, 200)), np.uint8(class_id), np.uint8(at % 2))
        picture(root / name, seed=at)
    savemat(root / "cars_annos.mat", {"annotations": array, "class_names": cell(["AM", "Ram", "smart"]).T})
    return root


def dogs(root: Path) -> Path:
    """Stanford Dogs: lists of N × 1 cells with labels as doubles, annotations in XML without a suffix."""
    breeds = ["n02085620-Chihuahua", "n02085782-Japanese_spaniel", "n02099429-curly-coated_retriever"]
    files = {"train": [], "test": []}
    for at in range(12):
        breed = breeds[at % 3]
        files["train" if at < 6 else "test"].append((f"{breed}/{breed.split('-')[0]}_{at}", at % 3 + 1))
    for split, rows in files.items():
        for name, _ in rows:
            picture(root / "Images" / f"{name}.jpg")
            dog_annotation(root / "Annotation" / name, [(3, 4, 30, 35)])
        dog_list(root / f"{split}_list.mat", rows)
    dog_list(root / "file_list.mat", [*files["train"], *files["test"]])
    return root


def dog_list(file: Path, rows: list[tuple[str, int]]) -> None:
    """One of the three lists."""
    names = [name for name, _ in rows]
    labels = np.array([[float(label)] for _, label in rows])
    savemat(
        file, {"file_list": cell([f"{name}.jpg" for name in names]), "annotation_list": cell(names), "labels": labels}
    )


def dog_annotation(file: Path, boxes: list[tuple[int, int, int, int]]) -> None:
    """One dog an ``object``."""
    tags = ("xmin", "ymin", "xmax", "ymax")
    objects = [
        "\t<object>\n\t\t<name>dog</name>\n\t\t<pose>Unspecified</pose>\n\t\t<bndbox>\n"
        + "".join(f"\t\t\t<{tag}>{value}</{tag}>\n" for tag, value in zip(tags, box, strict=True))
        + "\t\t</bndbox>\n\t</object>"
        for box in boxes
    ]
    size = "\t<size>\n\t\t<width>48</width>\n\t\t<height>40</height>\n\t\t<depth>3</depth>\n\t</size>"
    lines(file, ["<annotation>", "\t<folder>02085620</folder>", "\t<filename>%s</filename>", size, *objects])
    with file.open("a") as stream:
        stream.write("</annotation>")


def flowers(root: Path, classes: int = 4, photos: int = 6) -> Path:
    """flowers-102: 1 × N arrays, labels uint8 from 1, the ids of the three splits uint16 from 1."""
    count = classes * photos
    for one in range(1, count + 1):
        picture(root / "jpg" / f"image_{one:05d}.jpg", seed=one)
    savemat(root / "imagelabels.mat", {"labels": np.arange(count, dtype=np.uint8)[None] % classes + 1})
    ids = np.arange(1, count + 1, dtype=np.uint16)[None]
    third = count // 3
    splits = {"trnid": ids[:, 2 * third :], "valid": ids[:, third : 2 * third], "tstid": ids[:, :third]}
    savemat(root / "setid.mat", splits)
    return root


class _OldPickler(pickle._Pickler):
    """Writes a dtype's ``align`` as 0, as the NumPy that made the originals did."""

    def reducer_override(self, value: object) -> object:
        if isinstance(value, np.dtype):
            function, (name, _, copy), state = value.__reduce__()
            return function, (name, 0, copy), state
        return NotImplemented


def cifar10(root: Path, rows: int = 4) -> dict[str, str]:
    """cifar-10-batches-py; returns the md5 of each file."""
    names = ["airplane", "automobile", "bird", "cat"]
    files = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for at, file in enumerate(files):
        labels = [(at + row) % 4 for row in range(rows)]
        filenames = [f"photo_s_{row:06d}.png" for row in range(rows)]
        _batch(root / file, {"batch_label": file, "labels": labels, "filenames": filenames}, seed=at)
    _pickled(root / "batches.meta", {"num_cases_per_batch": rows, "label_names": names, "num_vis": 3072})
    return {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in root.iterdir()}


def cifar100(root: Path, rows: int = 6) -> Path:
    """cifar-100-python: one batch a split, fine and coarse labels."""
    for at, file in enumerate(("train", "test")):
        labels = [row % 3 for row in range(rows)]
        _batch(root / file, {"fine_labels": labels, "coarse_labels": [0] * rows, "batch_label": file}, seed=at)
    _pickled(root / "meta", {"fine_label_names": ["apple", "maple_tree", "wolf"], "coarse_label_names": ["things"]})
    return root


def _batch(file: Path, entry: dict[str, object], seed: int) -> None:
    labels = entry.get("labels", entry.get("fine_labels"))
    assert isinstance(labels, list)
    data = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    _pickled(file, {**entry, "data": data})


def _pickled(file: Path, entry: dict[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        _OldPickler(stream, protocol=2).dump(entry)
