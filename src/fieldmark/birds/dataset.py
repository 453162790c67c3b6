"""Field-guide birds: pictures of invented look-alike species whose telling marks have known boxes.

Each species is a set of field marks; species come in pairs that differ in exactly one, and the box of that mark is
known in every picture. So an explanation can be measured against the truth, and a demo needs no download.

    species = make_species(8, seed=0)
    write_birds(folder, species=species, images=60, seed=0, size=224)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from PIL import Image, ImageDraw, ImageFont

from fieldmark.birds.picture import Drawing, draw_bird
from fieldmark.birds.plumage import NONE, Marks, Species
from fieldmark.birds.species import make_species
from fieldmark.data.dataset import SPLITS, Box
from fieldmark.errors import UserError
from fieldmark.files import write_csv

__all__ = ["SHARES", "Drawing", "Marks", "Species", "contact_sheet", "draw_bird", "make_species", "write_birds"]

SHARES: Mapping[str, float] = MappingProxyType({"train": 0.6, "val": 0.2, "test": 0.2})
COLUMNS = (
    "path", "species", "twin", "telling_mark", "value", "x", "y", "width", "height",
    "bird_x", "bird_y", "bird_width", "bird_height",
)  # fmt: skip
_QUALITY = 90
_INK, _PAPER, _RING = (58, 52, 46), (250, 247, 240), (255, 255, 255)


def write_birds(
    folder: Path | str,
    *,
    species: Sequence[Species],
    images: int,
    seed: int,
    size: int,
    splits: Mapping[str, float] | None = SHARES,
) -> Path:
    """Writes ``folder/SPLIT/SPECIES/0001.jpg`` ... and ``folder/marks.csv``; returns the folder.

    ``images`` a species, ``size`` pixels a side. ``splits`` gives each split its share of a species' images, in order;
    None leaves the split folders out. ``marks.csv`` has a row for each picture: path, species, twin, the telling mark
    and its value here, that mark's box and the bird's (left, top, width, height in pixels; empty without a twin).
    A picture depends on the seed, the place of its species and its number alone, bit for bit.
    Raises ``UserError`` for a folder that holds something, no images, or splits that do not add up to 1.
    """
    root = Path(folder)
    _refuse(root, species, images, splits)
    rows = []
    for place, one in enumerate(species):
        for number in range(images):
            path = _path(one, number, images, splits)
            drawing = draw_bird(one, size=size, seed=[seed, place, number])
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            drawing.image.save(root / path, quality=_QUALITY)
            rows.append(_row(path, one, drawing))
    write_csv(root / "marks.csv", [COLUMNS, *rows])
    return root


def _refuse(root: Path, species: Sequence[Species], images: int, splits: Mapping[str, float] | None) -> None:
    if not species or images < 1:
        raise UserError("nothing to draw: give at least one species and one image")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f"{root} exists and is not an empty folder: name another or remove it")
    if len({one.name for one in species}) < len(species):
        raise UserError("two species bear one name: each becomes a folder, so names must differ")
    if splits is not None and (set(splits) - set(SPLITS) or min(splits.values(), default=-1.0) < 0):
        raise UserError(f"splits are shares of {', '.join(SPLITS)}, none below 0; got {dict(splits)}")
    if splits is not None and abs(sum(splits.values()) - 1) > 1e-6:
        raise UserError(f"the shares of the splits add up to {sum(splits.values()):g}: make it 1")


def _path(one: Species, number: int, images: int, splits: Mapping[str, float] | None) -> str:
    file = f"{one.name}/{number + 1:04d}.jpg"
    return file if splits is None else f"{_split_of(number, images, splits)}/{file}"


def _split_of(number: int, images: int, splits: Mapping[str, float]) -> str:
    """The split in whose share of 0 to ``images`` the middle of the number-th image lies."""
    upto = 0.0
    for split, share in splits.items():
        upto += share * images
        if number + 0.5 < upto:
            return split
    return [split for split, share in splits.items() if share][-1]


def _row(path: str, one: Species, drawing: Drawing) -> list[str]:
    numbers = [f"{value:g}" for value in drawing.bird]
    if one.telling_mark is None:
        return [path, one.name, *[""] * 7, *numbers]
    telling = drawing.marks[one.telling_mark]
    value = getattr(one.marks, one.telling_mark)
    return [path, one.name, one.twin or "", one.telling_mark, value, *(f"{v:g}" for v in telling), *numbers]


def contact_sheet(species: Sequence[Species], *, seed: int, size: int = 288, pairs: int = 2) -> Image.Image:
    """Look-alikes side by side, ``pairs`` of them a row, each with its name and a ring around the telling mark.

    ``size`` is the side of one picture in pixels. Twins are drawn with one seed: all that differs is the mark.
    Raises ``UserError`` where there are no species.
    """
    if not species:
        raise UserError("nothing to show: give at least one species")
    gap, text = max(size // 24, 2), max(size // 18, 8)
    cell, high, columns = size + gap // 3, size + 3 * text + gap, 2 * pairs
    rows = -(-len(species) // columns)
    sheet = Image.new("RGB", (pairs * (2 * cell + gap) + gap, rows * high + gap), _PAPER)
    for place, one in enumerate(species):
        row, column = divmod(place, columns)
        corner = (gap + column * cell + column // 2 * gap, gap + row * high)
        drawing = draw_bird(one, size=size, seed=[seed, place // 2])
        sheet.paste(_ringed(drawing, one), corner)
        _caption(sheet, one, (corner[0] + 2, corner[1] + size + text // 3), text)
    return sheet


def _ringed(drawing: Drawing, one: Species) -> Image.Image:
    """The picture with a thin ring around the telling mark."""
    if one.telling_mark is None:
        return drawing.image
    fine = 3  # Pillow's outlines are not smoothed: drawn larger
    picture = drawing.image.resize((drawing.image.width * fine, drawing.image.height * fine), Image.Resampling.BICUBIC)
    left, top, right, bottom = _around(drawing.marks[one.telling_mark], drawing.image.width)
    ring = tuple(fine * value for value in (left, top, right, bottom))
    pen = ImageDraw.Draw(picture)
    pen.ellipse(tuple(v + 1 for v in ring), outline=(90, 80, 72), width=fine + 1)
    pen.ellipse(ring, outline=_RING, width=fine)
    return picture.resize(drawing.image.size, Image.Resampling.LANCZOS)


def _around(box: Box, side: int) -> tuple[float, float, float, float]:
    """An ellipse around a box with some air, inside the picture."""
    wide, high = (max(length * 0.66, side * 0.045) + side * 0.012 for length in (box.width, box.height))
    x, y = box.x + box.width / 2, box.y + box.height / 2
    return max(x - wide, 1), max(y - high, 1), min(x + wide, side - 2), min(y + high, side - 2)


def _caption(sheet: Image.Image, one: Species, corner: tuple[int, int], text: int) -> None:
    pen = ImageDraw.Draw(sheet)
    pen.text(corner, one.name, fill=_INK, font=ImageFont.load_default(text))
    if one.telling_mark is not None:
        value = getattr(one.marks, one.telling_mark)
        told = f"{one.telling_mark.replace('_', ' ')}: {'none' if value == NONE else value}"
        pen.text(
            (corner[0], corner[1] + text * 1.25), told, fill=(140, 128, 116), font=ImageFont.load_default(text * 0.85)
        )
