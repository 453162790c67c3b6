"""Data on which starts are compared: Flowers-102 with few photos, and drawn birds that tell apart easily or hardly.

    python benchmarks/start_regimes.py flowers-102 runs/regimes
    fieldmark bench run benchmarks/start_regimes.toml --out runs/start_regimes

Three draws of each, all folders: ``flowers5-0`` to ``flowers10-2`` link to 5 or 10 photos per class of the official
training and validation splits and to all official test photos; ``birds-easy-10`` to ``birds-hard-12`` hold 20 species
in pairs, 30 training and 30 test pictures of each. The birds of a pair differ in one mark, large (a cap, spots on the
breast) or small (the ring round the eye, the colour of the bill). The same arguments always give the same data; on
birds drawn with the seeds 0 to 2 the defaults were chosen.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np

from fieldmark.birds.dataset import make_species, write_birds
from fieldmark.birds.plumage import Species
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.reading import read_dataset

DRAWS = {"flowers": (0, 1, 2), "birds": (10, 11, 12)}
"""Seeds."""
PHOTOS = (5, 10)
MARKS = {
    "easy": {"cap", "throat", "breast_spots", "nape", "tail_band"},
    "hard": {"eye_ring", "eyebrow", "whisker", "wing_bars", "crown_stripe", "bill", "legs"},
}
PAIRS, PICTURES, SIDE = 10, 60, 256
POOL = 900
"""Species that pairs are taken from."""


def thinned(dataset: Dataset, *, photos: int, seed: int) -> list[Photo]:
    """So many training photos of each class, at random."""
    generator = np.random.default_rng(seed)
    of_class: dict[int | None, list[Photo]] = {}
    for photo in dataset.of(["train", "val"]):
        of_class.setdefault(photo.label, []).append(photo)
    return [each[place] for each in of_class.values() for place in generator.permutation(len(each))[:photos]]


def link_thinned(folder: Path, dataset: Dataset, *, photos: int, seed: int) -> None:
    """A folder of links to the chosen training photos and to all test photos."""
    splits = {"train": thinned(dataset, photos=photos, seed=seed), "test": dataset.of(["test"])}
    for split, chosen in splits.items():
        for photo in chosen:
            link = folder / split / dataset.classes[photo.label or 0] / photo.path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(photo.path.resolve())


def pairs_told_by(marks: set[str], *, seed: int) -> list[Species]:
    """Pairs of invented species that one of the marks tells apart."""
    pool = make_species(POOL, seed=100 + seed)
    by_name = {species.name: species for species in pool}
    chosen: dict[str, Species] = {}
    for species in pool:
        if species.twin and species.telling_mark in marks and len(chosen) < 2 * PAIRS:
            chosen |= {each.name: each for each in (species, by_name[species.twin])}
    return list(chosen.values())


def main() -> None:
    """Writes the data, unless they are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flowers", type=Path, help="Flowers-102 as unpacked")
    parser.add_argument("folder", type=Path, help="where the data go")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    flowers = read_dataset(arguments.flowers)
    for seed, photos in product(DRAWS["flowers"], PHOTOS):
        if not (folder := arguments.folder / f"flowers{photos}-{seed}").exists():
            link_thinned(folder, flowers, photos=photos, seed=seed)
    for seed, kind in product(DRAWS["birds"], MARKS):
        if not (folder := arguments.folder / f"birds-{kind}-{seed}").exists():
            species, splits = pairs_told_by(MARKS[kind], seed=seed), {"train": 0.5, "test": 0.5}
            write_birds(folder, species=species, images=PICTURES, seed=seed, size=SIDE, splits=splits)


if __name__ == "__main__":
    main()
