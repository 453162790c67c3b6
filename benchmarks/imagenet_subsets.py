"""ImageNet-Dogs and -Random, 117 of ImageNet's 1,000 classes (Pairwise Confusion, Section 5.2), as tables of photos.

    python benchmarks/imagenet_subsets.py ILSVRC2012 imagenet-dogs.csv --dogs
    python benchmarks/imagenet_subsets.py ILSVRC2012 imagenet-random-0.csv --random 0
    python benchmarks/imagenet_subsets.py ILSVRC2012 mine.csv --classes wnids.txt
    fieldmark train imagenet-dogs.csv --recipe pc/imagenet-dogs-resnet50

The folder holds ``train`` and ``val`` with a folder for each WordNet id, such as n02085620, which is how
torchvision.datasets.ImageNet unpacks the archives. Where the photos of ``val`` lie side by side, ``--val-labels`` names
Kaggle's LOC_val_solution.csv. The validation photos are the test split of a table, as in the paper; no photo is copied.

The paper does not list its classes. ImageNet's breeds of dogs are n02085620 to n02113978, 118 of them; ``--dogs`` takes
all but the last. ``--random N`` draws 117 of all classes in the folder, others for each N; the paper has the mean of
three draws.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.reading import read_dataset
from fieldmark.data.spreadsheet import read_rows
from fieldmark.errors import UserError, printable
from fieldmark.files import write_csv

CLASSES = 117
DOGS = ("n02085620", "n02113978")
"""The first and the last of ImageNet's breeds, in the order of their ids: Chihuahua and Mexican hairless."""
_ID = re.compile(r"n\d{8}")


def dogs(classes: Sequence[str]) -> list[str]:
    """The breeds of dogs among ImageNet's ids, at most ``CLASSES``, in the order of the ids."""
    return [name for name in sorted(classes) if DOGS[0] <= name <= DOGS[1]][:CLASSES]


def drawn(classes: Sequence[str], draw: int) -> list[str]:
    """``CLASSES`` of the ids at random, others for each ``draw``; all of them where there are no more."""
    return sorted(np.random.default_rng(draw).permutation(sorted(classes))[:CLASSES].tolist())


def listed(file: Path) -> list[str]:
    """The ids of a list, one at the start of each line; what follows it, such as a name in words, is passed over."""
    lines = file.read_text("utf-8").split("\n")
    found = [match[0] for line in lines if (match := _ID.match(line.strip()))]
    if len(found) < 2:
        raise UserError(
            f"{printable(str(file))}: a list has an id such as n02085620 on each line, at least two of them"
        )
    return found


def validated(folder: Path, labels: Path, classes: Sequence[str]) -> list[Photo]:
    """The photos that lie side by side in ``folder``, with the classes that Kaggle's table has for them."""
    place, found = {name: label for label, name in enumerate(classes)}, []
    for row in read_rows(labels):
        name, said = (*row.cells, "", "")[:2]
        match = _ID.match(said)
        if match and match[0] in place:
            path = folder / f"{name}.JPEG"
            found.append(Photo(f"{folder.name}/{path.name}", path, place[match[0]], "val"))
    return found


def table_of(dataset: Dataset, chosen: Sequence[str]) -> list[list[str]]:
    """Path, class and split of the photos of some classes; validation photos are the test split.

    Raises:
        UserError: there are none to choose, or no training or validation photos of one.
    """
    shown = printable(str(dataset.root))
    if len(chosen) < 2:
        raise UserError(
            f"{shown}: no classes are called by their WordNet ids, such as n02085620; name ImageNet's folder"
        )
    splits = {"train": "train", "val": "test", "test": "test"}
    rows = [
        [str(photo.path.resolve()), dataset.classes[photo.label or 0], splits[photo.split]]
        for photo in dataset.photos
        if photo.label is not None and photo.split in splits and dataset.classes[photo.label] in {*chosen}
    ]
    there = {(name, split) for _, name, split in rows}
    for split, folder in (("train", "train"), ("test", "val")):
        lacking = [name for name in chosen if (name, split) not in there]
        if lacking:
            raise UserError(
                f"{shown}: {folder} has no photos of {lacking[0]}"
                + f" and {len(lacking) - 1} more of the classes" * (len(lacking) > 1)
                + "; a folder for each id is wanted there"
                + ", or --val-labels" * (folder == "val")
            )
    return rows


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imagenet", type=Path, help="the folder that holds train and val")
    parser.add_argument("table", type=Path, help="the CSV to write")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--dogs", action="store_true")
    which.add_argument("--random", type=int, metavar="DRAW")
    which.add_argument("--classes", type=Path, metavar="FILE", help="ids, one on each line")
    parser.add_argument("--val-labels", type=Path, metavar="FILE", help="Kaggle's LOC_val_solution.csv")
    said = parser.parse_args()
    try:
        dataset = read_dataset(said.imagenet)
        if said.val_labels:
            beside = validated(said.imagenet / "val", said.val_labels, dataset.classes)
            dataset = replace(dataset, photos=(*dataset.of(["train"]), *beside))
        if said.classes:
            chosen = listed(said.classes)
        else:
            ids = [name for name in dataset.classes if _ID.fullmatch(name)]
            chosen = dogs(ids) if said.dogs else drawn(ids, said.random)
        rows = table_of(dataset, chosen)
    except UserError as error:
        parser.exit(2, f"{error}\n")
    write_csv(said.table, [["path", "label", "split"], *rows])
    print(f"{said.table}: {len(rows):,} photos of {len({*chosen})} classes")


if __name__ == "__main__":
    main()
