"""Look-alike birds, on which methods are compared: species in pairs that one mark of a known size tells apart.

    python benchmarks/lookalikes.py runs/lookalike_birds
    fieldmark bench run benchmarks/lookalikes.toml --out runs/lookalikes
    python benchmarks/lookalikes_report.py runs/lookalike_birds runs/lookalikes

``birds-small-30-0`` holds redraw 0 of 40 species in 20 pairs, with 30 training photos and 25 test photos per species.
Each redraw invents its own species and draws its own photos. With 10 training photos per species, these are the first
10 of the 30, and the test photos are the same. The same arguments always give the same data; ``marks.csv`` in each
folder describes every picture. Data that are there are not drawn again.

The size of a mark is measured: it is the area of its box, as a share of the picture, in the median over three sample
pictures of each twin, which are not in the data (in whose pictures the median may lie a little beyond). Small marks
take at most 0.5 % (a square of 16 pixels in a picture of 224), large ones at least 2 % (32 pixels, a cell of most
networks' last maps). The pairs are the first ones of a pool of invented species that are measured so. Small are mostly
the ring round the eye and the shape of the bill, large are spots on the breast, caps and the colour of the legs: a mark
of another size is another mark, too.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from fieldmark.birds.dataset import draw_bird, make_species, write_birds
from fieldmark.birds.plumage import Species
from fieldmark.data.dataset import Box
from fieldmark.errors import UserError

AREAS = {"small": (0.0, 0.005), "large": (0.02, 1.0)}
"""Least and largest share of the picture."""
PHOTOS = (30, 10)
"""Training photos per species."""
PAIRS, TEST_PHOTOS, REDRAWS, SIDE = 20, 25, 6, 256
POOL = 900
"""Species that pairs are taken from."""
SAMPLES = 3
SEED, SAMPLE_SEED = 200, 1200
"""Of the first redraw; other seeds than those on whose birds the defaults were chosen."""


def name_of(marks: str, photos: int, redraw: int) -> str:
    """The name of a data set."""
    return f"birds-{marks}-{photos}-{redraw}"


def share_of(box: Box) -> float:
    """The share of the picture that a box takes."""
    return box.width * box.height / SIDE**2


def mark_area(pair: Sequence[Species], *, seed: Sequence[int]) -> float:
    """The share of the picture that the telling mark's box takes, in the median over sample pictures of both twins."""
    shares = []
    for (place, bird), number in product(enumerate(pair), range(SAMPLES)):
        assert bird.telling_mark is not None
        drawing = draw_bird(bird, size=SIDE, seed=[*seed, place, number])
        shares.append(share_of(drawing.marks[bird.telling_mark]))
    return float(np.median(shares))


@cache
def pool_of(redraw: int) -> tuple[Species, ...]:
    """The species that a redraw's pairs are taken from."""
    return make_species(POOL, seed=SEED + redraw)


@cache
def area_in_pool(redraw: int, pair: int) -> float:
    """The measured area of the telling mark of the pool's pair of that number."""
    return mark_area(pool_of(redraw)[2 * pair : 2 * pair + 2], seed=[SAMPLE_SEED + redraw, pair])


def pairs_marked(marks: str, redraw: int, *, pairs: int = PAIRS) -> list[Species]:
    """The first pairs of a redraw's pool whose telling mark is ``marks``: small or large.

    Raises ``UserError`` where the pool has fewer.
    """
    least, most = AREAS[marks]
    chosen: list[Species] = []
    for pair in range(POOL // 2):
        if least <= area_in_pool(redraw, pair) <= most:
            chosen += pool_of(redraw)[2 * pair : 2 * pair + 2]
        if len(chosen) == 2 * pairs:
            return chosen
    raise UserError(f"the pool of redraw {redraw} has {len(chosen) // 2} pairs with {marks} marks: ask for fewer")


def draw(folder: Path, species: Sequence[Species], *, photos: int, redraw: int) -> None:
    """Draws a data set: the test photos, then the training photos, so that fewer of these are the first of more.

    Raises ``UserError`` where the folder holds anything.
    """
    images = TEST_PHOTOS + photos
    splits = {"test": TEST_PHOTOS / images, "train": photos / images}
    write_birds(folder, species=species, images=images, seed=SEED + redraw, size=SIDE, splits=splits)


def main(words: Sequence[str] | None = None) -> int:
    """Draws the data that are not there; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the data go")
    parser.add_argument("--marks", nargs="+", choices=AREAS, default=["small"], help="sizes of marks (small)")
    parser.add_argument("--photos", nargs="+", type=int, choices=PHOTOS, default=[30], help="per species (30)")
    parser.add_argument("--redraws", type=int, default=REDRAWS, help=f"how many, from 0 on ({REDRAWS})")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"of species; fewer to try it ({PAIRS})")
    said = parser.parse_args(words)
    try:
        for redraw in range(said.redraws):
            for marks, photos in product(said.marks, said.photos):
                folder = said.folder / name_of(marks, photos, redraw)
                if not (folder / "marks.csv").exists():
                    draw(folder, pairs_marked(marks, redraw, pairs=said.pairs), photos=photos, redraw=redraw)
                    print(folder, flush=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
