"""Benchmarks that list their photographs in text files: CUB-200-2011, NABirds, FGVC-Aircraft.

Each has ``is_X(root) -> bool``, which recognises the folder, and ``read_X(root) -> Dataset``. Only classes with
photographs count: labels are 0, 1, ... in the order of the original ids, whichever ids a subset of a benchmark keeps.
torchvision has a reader for FGVC-Aircraft, which is not used: it knows neither boxes nor the banner, demands one name
for the folder, does not say which line of a list is damaged, and imports torch. Tests compare its answer with ours.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fieldmark.data.benchmarks.levels import PhotoLevels, tree_levels
from fieldmark.data.dataset import Box, Dataset, Landmark, Photo
from fieldmark.errors import UserError, printable

AIRCRAFT_LEVELS = {"variant": "variants.txt", "family": "families.txt", "manufacturer": "manufacturers.txt"}
_AIRCRAFT_BANNER = 20  # rows at the bottom that name the photographer


class Entry(NamedTuple):
    """One photograph of a benchmark: its path below the root, with "/", and the original class id."""

    name: str
    class_id: int
    split: str
    box: Box | None = None
    landmarks: tuple[Landmark, ...] = ()


def damaged(file: Path, place: str, what: str) -> UserError:
    """The error for a benchmark's file that is not as published; ``place`` is "line 7", say, or ""."""
    where = f"{printable(str(file))}, {place}" if place else printable(str(file))
    return UserError(f"{where}: {printable(what)}.\nUnpack this file again from the original archive.")


def assemble(
    root: Path,
    layout: str,
    entries: list[Entry],
    names: Mapping[int, str],
    *,
    notes: Iterable[str] = (),
    trim_bottom: int = 0,
) -> Dataset:
    """The dataset of ``entries``; ``names`` gives the class name of every original id in use.

    Raises ``UserError`` where no image is listed, or one is listed twice.
    """
    if not entries:
        raise damaged(root, "", "the lists name no image")
    name, times = Counter(entry.name for entry in entries).most_common(1)[0]
    if times > 1:
        raise damaged(root, "", f"{name} is listed {times} times")
    used = sorted({entry.class_id for entry in entries})
    label = {class_id: at for at, class_id in enumerate(used)}
    namesakes = Counter(names[class_id] for class_id in used)
    # The id distinguishes classes of the same name.
    classes = tuple(
        names[class_id] if namesakes[names[class_id]] == 1 else f"{names[class_id]} ({class_id})" for class_id in used
    )
    photos = tuple(
        Photo(name, root / name, label[class_id], split, box=box, landmarks=landmarks, trim_bottom=trim_bottom)
        for name, class_id, split, box, landmarks in entries
    )
    return Dataset(root=root, layout=layout, classes=classes, photos=photos, notes=tuple(notes))


def unused_note(names: Mapping[int, str], entries: Iterable[Entry]) -> list[str]:
    """The note on classes that are listed but have no photograph (empty if there are none)."""
    unused = sorted(set(names) - {entry.class_id for entry in entries})
    if not unused:
        return []
    return [f"{len(unused):,} listed classes without an image left out, e.g. {printable(names[unused[0]])}"]


def boxless_note(entries: Collection[Entry]) -> list[str]:
    """The note on photographs without a box (empty if there are none)."""
    missing = sum(entry.box is None for entry in entries)
    return [f"{missing:,} of {len(entries):,} images have no box"] if missing else []


def is_cub(root: Path) -> bool:
    """Whether ``root`` is ``CUB_200_2011`` as unpacked."""
    return _is_birds(root) and not (root / "hierarchy.txt").is_file()


def read_cub(root: Path) -> Dataset:
    """CUB-200-2011 (Wah et al. 2011) with its official split, boxes and 15 part locations.

    Class names are made readable: "004.Groove_billed_Ani" becomes "Groove billed Ani". Boxes and parts are in pixels.
    Raises ``UserError`` that names the file and line at fault.
    """
    entries, names = _birds(root, lambda text: re.sub(r"^[0-9]+\.", "", text).replace("_", " "))
    return assemble(root, "cub-200-2011", entries, names, notes=[*unused_note(names, entries), *boxless_note(entries)])


def is_nabirds(root: Path) -> bool:
    """Whether ``root`` is ``nabirds`` as unpacked."""
    return _is_birds(root) and (root / "hierarchy.txt").is_file()


def read_nabirds(root: Path) -> Dataset:
    """NABirds (Van Horn et al. 2015) with its official split, boxes and 11 part locations.

    ``classes.txt`` also names the inner nodes of the hierarchy; the 555 nodes with photographs are the classes, and
    ``hierarchy.txt`` gives the levels above them.
    Raises ``UserError`` that names the file and line at fault.
    """
    entries, names = _birds(root, str)
    dataset = assemble(root, "nabirds", entries, names, notes=boxless_note(entries))
    paths = _paths(root / "hierarchy.txt", names, classes=sorted({entry.class_id for entry in entries}))
    return replace(dataset, levels=tuple(tree_levels(paths, dataset.classes, names)))


def is_aircraft(root: Path) -> bool:
    """Whether ``root`` is ``fgvc-aircraft-2013b`` as unpacked, or the ``data`` folder in it."""
    base = _aircraft_base(root)
    return (base / "images").is_dir() and any((base / file).is_file() for file in AIRCRAFT_LEVELS.values())


def read_aircraft(root: Path, annotation: str = "variant") -> Dataset:
    """FGVC-Aircraft (Maji et al. 2013) with its official train, val and test; the root is the ``data`` folder.

    ``annotation`` is "variant" (100 classes), "family" (70) or "manufacturer" (30). The banner at the bottom is
    cut off (``trim_bottom``). Published boxes have the top-left pixel at (1, 1) and include both corners. The
    annotations above the one asked for are the dataset's levels.
    Raises ``UserError`` that names the file and line at fault.
    """
    base = _aircraft_base(root)
    names = {number: name for number, (name,) in read_fields(base / AIRCRAFT_LEVELS[annotation], 1)}
    ids = {name: number for number, name in names.items()}
    boxes = _aircraft_boxes(base / "images_box.txt")
    entries: list[Entry] = []
    for split in ("train", "val", "test"):
        file = base / f"images_{annotation}_{split}.txt"
        for number, (image, name) in read_fields(file, 2):
            if name not in ids:
                raise damaged(file, f"line {number}", f"{name} is not in {AIRCRAFT_LEVELS[annotation]}")
            entries.append(Entry(f"images/{image}.jpg", ids[name], split, boxes.get(image)))
    notes = [*unused_note(names, entries), *boxless_note(entries)]
    layout = f"fgvc-aircraft ({annotation})"
    dataset = assemble(base, layout, entries, names, notes=notes, trim_bottom=_AIRCRAFT_BANNER)
    above = _aircraft_levels(base, annotation, dataset)
    return replace(dataset, levels=tuple(above.levels), notes=(*dataset.notes, *above.notes))


def read_fields(file: Path, count: int) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of each non-blank line.

    Fields are separated by blanks; the last of the ``count`` fields is the rest of the line. Raises ``UserError``
    where the file is missing or a line has too few fields.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise damaged(file, "", f"the file cannot be read ({error.strerror})") from None
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.strip().split(None, count - 1)
        if fields and len(fields) < count:
            raise damaged(file, f"line {number}", f"{len(fields)} of {count} fields: '{line.strip()[:80]}'")
        if fields:
            yield number, fields


def read_numbers(file: Path, place: str, texts: Iterable[str]) -> list[float]:
    """``texts`` as finite numbers; raises ``UserError`` that names the place."""
    texts = list(texts)
    try:
        values = [float(text) for text in texts]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise damaged(file, place, f"'{' '.join(texts)}' must be numbers")
    return values


def read_whole(file: Path, place: str, text: str) -> int:
    """``text`` as a whole number; raises ``UserError`` that names the place."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise damaged(file, place, f"'{text}' must be a whole number")
    return int(text)


def _is_birds(root: Path) -> bool:
    return (root / "images").is_dir() and all(
        (root / file).is_file() for file in ("images.txt", "image_class_labels.txt")
    )


def _birds(root: Path, readable: Callable[[str], str]) -> tuple[list[Entry], dict[int, str]]:
    """The photographs, and the class names by original id, of the layout that CUB and NABirds share."""
    images = {image: path for _, (image, path) in read_fields(root / "images.txt", 2)}
    file = root / "classes.txt"
    names = {
        read_whole(file, f"line {number}", class_id): readable(name)
        for number, (class_id, name) in read_fields(file, 2)
    }
    labels = _labels(root / "image_class_labels.txt", images, names)
    splits = _splits(root / "train_test_split.txt", images)
    boxes = _boxes(root / "bounding_boxes.txt")
    landmarks = _landmarks(root / "parts")
    entries = [
        Entry(f"images/{path}", labels[image], splits[image], boxes.get(image), tuple(landmarks.get(image, ())))
        for image, path in images.items()
    ]
    return entries, names


def _of_images(file: Path, images: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """(place, value) by image, of a file with exactly one line per image."""
    values: dict[str, tuple[str, str]] = {}
    for number, (image, value) in read_fields(file, 2):
        if image not in images:
            raise damaged(file, f"line {number}", f"image {image} is not in images.txt")
        if image in values:
            raise damaged(file, f"line {number}", f"image {image} already has a line")
        values[image] = (f"line {number}", value)
    if missing := [image for image in images if image not in values]:
        raise damaged(file, "", f"no line for image {missing[0]} ({images[missing[0]]}), missing: {len(missing)}")
    return values


def _labels(file: Path, images: Mapping[str, str], names: Mapping[int, str]) -> dict[str, int]:
    labels: dict[str, int] = {}
    for image, (place, value) in _of_images(file, images).items():
        labels[image] = read_whole(file, place, value)
        if labels[image] not in names:
            raise damaged(file, place, f"class {value} is not in classes.txt")
    return labels


def _splits(file: Path, images: Mapping[str, str]) -> dict[str, str]:
    words = {"0": "test", "1": "train"}
    splits: dict[str, str] = {}
    for image, (place, value) in _of_images(file, images).items():
        if value not in words:
            raise damaged(file, place, f"'{value}' must be 1 (training) or 0 (test)")
        splits[image] = words[value]
    return splits


def _boxes(file: Path) -> dict[str, Box]:
    """Boxes by image, as x, y, width, height; a dataset without the file has no boxes (the reader notes it)."""
    if not file.is_file():
        return {}
    lines = read_fields(file, 5)
    return {image: Box(*read_numbers(file, f"line {number}", values)) for number, (image, *values) in lines}


def _landmarks(folder: Path) -> dict[str, list[Landmark]]:
    file = folder / "part_locs.txt"
    if not file.is_file():
        return {}
    parts = {part: name for _, (part, name) in read_fields(folder / "parts.txt", 2)}
    landmarks: dict[str, list[Landmark]] = {}
    for number, (image, part, *values) in read_fields(file, 5):
        if part not in parts:
            raise damaged(file, f"line {number}", f"part {part} is not in parts.txt")
        x, y, visible = read_numbers(file, f"line {number}", values)
        landmarks.setdefault(image, []).append(Landmark(parts[part], x, y, visible != 0))
    return landmarks


def _paths(file: Path, names: Mapping[int, str], *, classes: Iterable[int]) -> dict[int, list[int]]:
    """For each class, the nodes of a hierarchy from below its root down to the class; a line is a node and its parent.

    A class that no line names stands alone.
    """
    parents: dict[int, int] = {}
    for number, texts in read_fields(file, 2):
        place = f"line {number}"
        child, parent = (read_whole(file, place, text) for text in texts)
        if unknown := {child, parent} - names.keys():
            raise damaged(file, place, f"class {min(unknown)} is not in classes.txt")
        if parents.setdefault(child, parent) != parent:
            raise damaged(file, place, f"class {child} already has another parent, {parents[child]}")
    paths: dict[int, list[int]] = {}
    for node in classes:
        path = [node]
        while path[0] in parents:
            path.insert(0, parents[path[0]])
            if len(path) > len(names):
                raise damaged(file, "", f"class {node} lies in a circle of parents")
        paths[node] = path[1:] or path
    return paths


def _aircraft_levels(base: Path, annotation: str, dataset: Dataset) -> PhotoLevels:
    """The annotations above the one that gives the classes; one whose lists are missing is no level."""
    labels = {photo.path.stem: photo.label for photo in dataset.photos if photo.label is not None}
    found = PhotoLevels(dataset.classes, labels)
    order = list(AIRCRAFT_LEVELS)
    for level in order[order.index(annotation) + 1 :]:
        files = [base / f"images_{level}_{split}.txt" for split in ("train", "val", "test")]
        if all(file.is_file() for file in files):
            found.add(level, {image: name for file in files for _, (image, name) in read_fields(file, 2)})
    return found


def _aircraft_base(root: Path) -> Path:
    return root / "data" if (root / "data" / "images").is_dir() else root


def _aircraft_boxes(file: Path) -> dict[str, Box]:
    if not file.is_file():
        return {}
    boxes: dict[str, Box] = {}
    for number, (image, *corners) in read_fields(file, 5):
        left, top, right, bottom = read_numbers(file, f"line {number}", corners)
        boxes[image] = Box(left - 1, top - 1, right - left + 1, bottom - top + 1)
    return boxes
