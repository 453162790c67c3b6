"""Field-guide birds: pictures of invented look-alike species with known boxes of the marks that tell them apart.

Each species is a set of field marks; species come in pairs that differ in exactly one, and the box of that mark is
known in every picture. So explanations can be measured against the truth, and a demo needs no download.

    species = make_species(8, seed=0)
    write_birds(folder, species=species, images=60, seed=0, size=224)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fieldmark.birds.picture import Drawing, draw_bird
from fieldmark.birds.plumage import Marks, Species
from fieldmark.birds.species import make_species
from fieldmark.data.dataset import SPLITS
from fieldmark.errors import UserError
from fieldmark.files import write_csv

__all__ = ["SHARES", "Drawing", "Marks", "Species", "draw_bird", "make_species", "write_birds"]

SHARES: Mapping[str, float] = MappingProxyType({"train": 0.6, "val": 0.2, "test": 0.2})
COLUMNS = (
    "path", "species", "twin", "telling_mark", "value", "x", "y", "width", "height",
    "bird_x", "bird_y", "bird_width", "bird_height",
)  # fmt: skip
_QUALITY = 90


def write_birds(
    folder: Path | str,
    *,
    species: Sequence[Species],
    images: int,
    seed: int,
    size: int,
    splits: Mapping[str, float] | None = SHARES,
) -> Path:
    """Writes ``folder/SPLIT/SPECIES/0001.jpg`` ..., ``folder/marks.csv`` and ``folder/groups.csv``; returns the folder.

    ``images`` per species, ``size`` pixels a side. ``splits`` gives each split its share of a species' images, in
    order; None omits the split folders. ``marks.csv`` has a row for each picture: path, species, twin, the telling mark
    and its value here, that mark's box and the bird's (left, top, width, height in pixels; empty without a twin).
    ``groups.csv`` has a row for each species: class, its pair, and its family.
    A picture depends only on the seed, its species' position and its number, bit for bit.
    Raises ``UserError`` for a folder that is not empty, no images, or splits that do not add up to 1.
    """
    root = Path(folder)
    _refuse(root, species, images, splits)
    rows = []
    for place, bird in enumerate(species):
        for number in range(images):
            path = _path(bird, number, images, splits)
            drawing = draw_bird(bird, size=size, seed=[seed, place, number])
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            drawing.image.save(root / path, quality=_QUALITY)
            rows.append(_row(path, bird, drawing))
    write_csv(root / "marks.csv", [COLUMNS, *rows])
    write_csv(root / "groups.csv", [("class", "pair", "family"), *map(_groups, species)])
    return root


def _groups(bird: Species) -> tuple[str, str, str]:
    """Species, pair and family: "Band-tailed Cedar Thrush" is a Cedar Thrush, as its twin is, and a thrush."""
    _, _, pair = bird.name.partition(" ")
    return bird.name, pair, pair.rpartition(" ")[2]


def _refuse(root: Path, species: Sequence[Species], images: int, splits: Mapping[str, float] | None) -> None:
    if not species or images < 1:
        raise UserError("nothing to draw: give at least one species and one image")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f"{root} exists and is not an empty folder: name another or remove it")
    if len({bird.name for bird in species}) < len(species):
        raise UserError("two species have the same name: each becomes a folder, so names must differ")
    if splits is not None and (set(splits) - set(SPLITS) or min(splits.values(), default=-1.0) < 0):
        raise UserError(f"splits are shares of {', '.join(SPLITS)}, none below 0; got {dict(splits)}")
    if splits is not None and abs(sum(splits.values()) - 1) > 1e-6:
        raise UserError(f"the shares of the splits add up to {sum(splits.values()):g}: make it 1")


def _path(bird: Species, number: int, images: int, splits: Mapping[str, float] | None) -> str:
    file = f"{bird.name}/{number + 1:04d}.jpg"
    return file if splits is None else f"{_split_of(number, images, splits)}/{file}"


def _split_of(number: int, images: int, splits: Mapping[str, float]) -> str:
    """The split in whose share of 0 to ``images`` the middle of the number-th image lies."""
    upto = 0.0
    for split, share in splits.items():
        upto += share * images
        if number + 0.5 < upto:
            return split
    return [split for split, share in splits.items() if share][-1]


def _row(path: str, bird: Species, drawing: Drawing) -> list[str]:
    numbers = [f"{value:g}" for value in drawing.bird]
    if bird.telling_mark is None:
        return [path, bird.name, *[""] * 7, *numbers]
    telling = drawing.marks[bird.telling_mark]
    value = getattr(bird.marks, bird.telling_mark)
    return [path, bird.name, bird.twin or "", bird.telling_mark, value, *(f"{v:g}" for v in telling), *numbers]
