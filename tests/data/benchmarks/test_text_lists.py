"""Each benchmark's own layout: real folders where they lie here, else generated in the same layout."""

from pathlib import Path

import layouts
import pytest

from fieldmark.data.benchmarks import text_lists as benchmarks
from fieldmark.data.dataset import Box, Landmark
from fieldmark.data.reading import BENCHMARKS, read_dataset
from fieldmark.errors import UserError

BUILDERS = {
    "CUB-200-2011": layouts.cub,
    "NABirds": layouts.nabirds,
    "FGVC-Aircraft": layouts.aircraft,
    "Stanford Cars": layouts.cars,
    "Stanford Dogs": layouts.dogs,
    "Flowers-102": layouts.flowers,
    "CIFAR-10": layouts.cifar10,
    "CIFAR-100": layouts.cifar100,
}


def replace_line(file: Path, number: int, text: str) -> None:
    rows = file.read_text().splitlines()
    rows[number - 1] = text
    layouts.lines(file, rows)


@pytest.mark.parametrize("name", BUILDERS)
def test_each_layout_is_recognised_by_its_own_reader_alone(name: str, tmp_path: Path) -> None:
    root = tmp_path / "renamed"
    BUILDERS[name](root)
    assert [benchmark.name for benchmark in BENCHMARKS if benchmark.recognises(root)] == [name]
    dataset = read_dataset(root)
    names = [photo.name for photo in dataset.photos]
    assert len(set(names)) == len(names)
    assert {photo.label for photo in dataset.photos} == set(range(len(dataset.classes)))
    if dataset.pixels is None:
        assert all((dataset.root / photo.name).is_file() and photo.path.is_file() for photo in dataset.photos)


def test_the_real_cub(shared_data: Path) -> None:
    root = shared_data / "CUB_200_2011"
    dataset = read_dataset(root)
    assert (layouts.sizes(dataset), len(dataset.photos), len(dataset.classes)) == ((600, 0, 585), 1185, 20)
    assert dataset.classes[:2] == ("Groove billed Ani", "Brewer Blackbird")
    assert {photo.label for photo in dataset.photos} == set(range(20))
    assert min(dataset.counts("train")) >= 29
    photo = dataset.photos[0]
    assert photo.name == "images/004.Groove_billed_Ani/Groove_Billed_Ani_0068_1538.jpg"
    assert (photo.label, photo.split, photo.box) == (0, "test", Box(184.0, 25.8, 129.9, 281.3))
    assert photo.landmarks[6] == Landmark("left eye", 0.0, 0.0, False)
    assert photo.landmarks[1] == Landmark("beak", 296.7, 43.0, True)
    assert {len(photo.landmarks) for photo in dataset.photos} == {15}
    assert all(photo.path.is_file() for photo in dataset.photos)
    assert dataset.notes == ()


def test_cub(tmp_path: Path) -> None:
    dataset = benchmarks.read_cub(layouts.cub(tmp_path))
    assert dataset.classes == ("Black footed Albatross", "Groove billed Ani", "Common Yellowthroat")
    assert layouts.sizes(dataset) == (6, 0, 6)
    photo = dataset.photos[4]
    assert (photo.label, photo.split, photo.box) == (1, "train", Box(5, 5, 20.5, 30))
    assert photo.landmarks == (
        Landmark("back", 9, 8, True),
        Landmark("beak", 7.5, 6, True),
        Landmark("left eye", 0, 0, False),
    )


def test_cub_without_boxes_or_parts_and_with_an_unused_class(tmp_path: Path) -> None:
    root = layouts.cub(tmp_path)
    (root / "bounding_boxes.txt").unlink()
    (root / "parts" / "part_locs.txt").unlink()
    with (root / "classes.txt").open("a") as stream:
        stream.write("201 201.Dodo\n")
    dataset = read_dataset(root)
    assert {(photo.box, photo.landmarks) for photo in dataset.photos} == {(None, ())}
    assert len(dataset.classes) == 3
    assert dataset.notes == ("1 listed classes without an image left out, e.g. Dodo", "12 of 12 images have no box")


@pytest.mark.parametrize(
    ("file", "number", "text", "what"),
    [
        ("images.txt", 3, "3", "1 of 2 fields"),
        ("image_class_labels.txt", 2, "2", "1 of 2 fields"),
        ("image_class_labels.txt", 2, "99 1", "image 99 is not in images.txt"),
        ("image_class_labels.txt", 2, "1 1", "image 1 already has a line"),
        ("image_class_labels.txt", 5, "5 77", "class 77 is not in classes.txt"),
        ("image_class_labels.txt", 5, "5 x", "'x' must be a whole number"),
        ("train_test_split.txt", 4, "4 2", "must be 1 (training) or 0 (test)"),
        ("bounding_boxes.txt", 6, "6 1.0 2.0 3.0", "4 of 5 fields"),
        ("bounding_boxes.txt", 6, "6 1.0 2.0 nan 4", "must be numbers"),
        ("parts/part_locs.txt", 7, "4 9 1.0 2.0 1", "part 9 is not in parts.txt"),
    ],
)
def test_a_damaged_line_is_named(file: str, number: int, text: str, what: str, tmp_path: Path) -> None:
    root = layouts.cub(tmp_path)
    replace_line(root / file, number, text)
    with pytest.raises(UserError) as error:
        read_dataset(root)
    assert f"{file}, line {number}: " in str(error.value)
    assert what in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_a_missing_line_and_a_missing_file_are_named(tmp_path: Path) -> None:
    root = layouts.cub(tmp_path)
    rows = (root / "image_class_labels.txt").read_text().splitlines()
    layouts.lines(root / "image_class_labels.txt", rows[:-1])
    with pytest.raises(UserError, match=r"image_class_labels\.txt: no line for image 12 \(200\.Common"):
        read_dataset(root)
    (root / "train_test_split.txt").unlink()
    layouts.lines(root / "image_class_labels.txt", rows)
    with pytest.raises(UserError, match=r"train_test_split\.txt: the file cannot be read"):
        read_dataset(root)


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    root = layouts.cub(tmp_path)
    first = (root / "images.txt").read_text().splitlines()[0].split()[1]
    replace_line(root / "images.txt", 2, f"2 {first}")
    with pytest.raises(UserError, match="is listed 2 times"):
        read_dataset(root)


def test_nabirds(tmp_path: Path) -> None:
    dataset = benchmarks.read_nabirds(layouts.nabirds(tmp_path))
    assert dataset.classes == ("Snow Goose", "Oak Titmouse (817)", "Oak Titmouse (1010)")
    assert layouts.sizes(dataset) == (6, 0, 6)
    photo = dataset.photos[0]
    assert photo.name.startswith("images/0295/")
    assert photo.box == Box(3, 4, 20, 30)
    assert photo.landmarks[1:] == (Landmark("crown", -1, -1, False), Landmark("left eye", 7, 8, True))
    assert dataset.notes == ()


@pytest.mark.parametrize(
    ("annotation", "classes"),
    [
        ("variant", ("707-320", "F/A-18", "Saab 2000")),
        ("family", ("Boeing 707", "F/A-18", "Saab 2000")),
        ("manufacturer", ("Boeing", "Saab")),
    ],
)
def test_aircraft(annotation: str, classes: tuple[str, ...], tmp_path: Path) -> None:
    root = layouts.aircraft(tmp_path / "fgvc-aircraft-2013b")
    dataset = read_dataset(root, annotation=annotation)
    assert dataset.classes == classes
    assert layouts.sizes(dataset) == (6, 6, 6)
    assert {(photo.box, photo.trim_bottom) for photo in dataset.photos} == {(Box(2, 4, 48, 34), 20)}
    assert dataset.photos == read_dataset(root / "data", annotation=annotation).photos


@pytest.mark.parametrize("annotation", ["variant", "family", "manufacturer"])
def test_aircraft_is_as_torchvision_reads_it(annotation: str, tmp_path: Path) -> None:
    from torchvision.datasets import FGVCAircraft

    dataset = read_dataset(layouts.aircraft(tmp_path / "fgvc-aircraft-2013b"), annotation=annotation)
    for split in ("train", "val", "test"):
        reader = FGVCAircraft(tmp_path, split, annotation, loader=str)
        assert tuple(reader.classes) == dataset.classes
        theirs = [reader[at] for at in range(len(reader))]
        assert [(str(photo.path), photo.label) for photo in dataset.of([split])] == theirs


def test_damaged_aircraft_lists_are_named(tmp_path: Path) -> None:
    root = layouts.aircraft(tmp_path)
    replace_line(root / "data" / "images_variant_val.txt", 2, "1000077 Concorde")
    with pytest.raises(UserError, match=r"images_variant_val\.txt, line 2: Concorde is not in variants\.txt"):
        read_dataset(root)
    replace_line(root / "data" / "images_variant_val.txt", 2, "1000077")
    with pytest.raises(UserError, match=r"images_variant_val\.txt, line 2: 1 of 2 fields"):
        read_dataset(root)
