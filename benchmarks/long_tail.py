"""Flowers-102 with a long tail: 20 training photos of one class, one of another, and all counts between.

    python benchmarks/long_tail.py flowers-102 runs/long_tail
    fieldmark bench run benchmarks/long_tail.toml --out runs/long_tail_results --data flowers-tail=runs/long_tail
    fieldmark bench report runs/long_tail_results

The photos are the official training and validation ones, of which each class has 20; the classes are put in a random
order, and the count falls from 20 to 1 by the same factor from each to the next. All official test photos stay, so the
figure to look at is mean per-class accuracy. The same arguments always give the same data, as links.
"""

import argparse
from pathlib import Path

import numpy as np

from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.reading import read_dataset

MOST, LEAST, SEED = 20, 1, 0


def counts_of(classes: int, *, seed: int = SEED) -> np.ndarray:
    """(C,) training photos of each class."""
    falling = MOST * (LEAST / MOST) ** (np.arange(classes) / max(classes - 1, 1))
    return np.random.default_rng(seed).permutation(np.rint(falling).astype(int))


def long_tailed(dataset: Dataset, *, seed: int = SEED) -> list[Photo]:
    """As many training photos of each class as ``counts_of`` says, at random."""
    generator, photos = np.random.default_rng(seed + 1), dataset.of(["train", "val"])
    counts = counts_of(len(dataset.classes), seed=seed)
    chosen = []
    for label, count in enumerate(counts.tolist()):
        own = [photo for photo in photos if photo.label == label]
        chosen += [own[at] for at in generator.permutation(len(own))[:count]]
    return chosen


def main() -> None:
    """Links the photos, unless they are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flowers", type=Path, help="Flowers-102 as unpacked")
    parser.add_argument("folder", type=Path, help="where the data go")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        return
    dataset = read_dataset(arguments.flowers)
    for split, photos in {"train": long_tailed(dataset), "test": dataset.of(["test"])}.items():
        for photo in photos:
            link = arguments.folder / split / dataset.classes[photo.label or 0] / photo.path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(photo.path.resolve())


if __name__ == "__main__":
    main()
