"""Draws the pictures of the server's page: `python benchmarks/page_pictures.py`, after a change to the drawn birds.

`birds.webp` is a plate of two look-alikes, for where there is no photo yet, and `bird.svg` the outline of a bird, which
marks the page in a browser's tabs and stands for photos that a browser cannot show. Where the telling mark lies in the
plate is printed: `index.html` draws its pointers there.
"""

from pathlib import Path

import numpy as np

import fieldmark
from fieldmark.birds.plate import draw_plate
from fieldmark.birds.shapes import Points, Pose, bill_shape, pose_bird, tail_feathers
from fieldmark.birds.species import make_species

FOLDER = Path(fieldmark.__file__).parent / "serving" / "page"
WIDTH, SEED, PAIR = 1280, 5, 2
INK = "#5d7f63"  # seen on light and on dark tabs


def path_of(points: Points) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points.tolist()) + "Z"


def outline() -> str:
    """A perched bird in a square of 64, a path for each part of it."""
    build = make_species(2, seed=1)[0].build
    bird = pose_bird(build, Pose(1, tilt=0.5, nod=0.0, tail=0.0, neck=0.02, fluff=1.0, fill=0.94, shift=(0, 0)), 64)
    x, y = np.split(bird.feet[[0, 2, 3, 5]], 2, axis=1)
    legs = " ".join(f"{'ML'[at % 2]}{x[at, 0]:.1f} {y[at, 0]:.1f}" for at in range(4))
    solid = [bird.outline[::4], *(feather[::3] for feather in tail_feathers(bird.tail, build.fork))]
    solid += [bird.head.at(part)[::3] for part in bill_shape("stout")]
    body = "".join(path_of(part) for part in solid)
    eye = bird.head.at([(0.36, -0.1)])[0]
    low, high = (
        np.floor(np.concatenate([*solid, bird.feet]).min(0)) - 1,
        np.ceil(np.concatenate([*solid, bird.feet]).max(0)) + 1,
    )
    box = f"{low[0]:.0f} {low[1]:.0f} {high[0] - low[0]:.0f} {high[1] - low[1]:.0f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">'
        f'<path fill="{INK}" d="{body}"/><path fill="none" stroke="{INK}" stroke-width="2" d="{legs}"/>'
        f'<circle cx="{eye[0]:.1f}" cy="{eye[1]:.1f}" r="2" fill="#fffdf6"/></svg>\n'
    )


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    species = make_species(2 * PAIR + 2, seed=SEED)[2 * PAIR :]
    plate = draw_plate(species, width=WIDTH, seed=3)
    plate.image.save(FOLDER / "birds.webp", quality=80, alpha_quality=80, method=6)
    (FOLDER / "bird.svg").write_text(outline(), "utf-8")
    print(f"{plate.image.size}, {(FOLDER / 'birds.webp').stat().st_size:,} bytes")
    for each, mark in zip(species, plate.marks, strict=True):
        print(f"{each.name}: {each.telling_mark} at {mark.x + mark.width / 2:.0f}, {mark.y + mark.height / 2:.0f}")


if __name__ == "__main__":
    main()
