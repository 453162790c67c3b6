"""A plate of two look-alikes: transparent around them, alike but for the telling mark, the same each time."""

import numpy as np
import pytest

from fieldmark.birds.plate import Plate, draw_plate
from fieldmark.birds.species import make_species

PAIR = make_species(6, seed=5)[4:]


@pytest.fixture(scope="module")
def plate() -> Plate:
    return draw_plate(PAIR, width=240, seed=3)


def test_there_is_nothing_but_birds_and_branch(plate: Plate) -> None:
    alpha = np.asarray(plate.image)[..., 3]
    assert plate.image.mode == "RGBA"
    assert plate.image.height < plate.image.width <= 240
    assert (alpha == 0).mean() > 0.4
    assert (alpha == 255).mean() > 0.2
    assert alpha[:, 0].max() < 30
    assert alpha[0].max() > 0


def test_the_two_differ_at_the_mark_alone(plate: Plate) -> None:
    pixels, (first, second) = np.asarray(plate.image).astype(int), plate.marks
    assert 0.4 < (second.x - first.x) / plate.image.width < 0.5
    shift = round(second.x - first.x)
    top = int(first.y)
    left = pixels[:top, : plate.image.width - shift]
    right = pixels[:top, shift:]
    opaque = (left[..., 3] == 255) & (right[..., 3] == 255)
    assert np.abs(left - right)[opaque].mean() < 12  # the same head, half a pixel aside
    mark = (
        slice(int(first.y + 4), int(first.y + first.height - 4)),
        slice(int(first.x + 5), int(first.x + first.width - 5)),
    )
    here = pixels[mark][..., :3].mean((0, 1))
    there = pixels[mark[0], mark[1].start + shift : mark[1].stop + shift][..., :3].mean((0, 1))
    assert np.abs(here - there).max() > 25


def test_the_same_each_time(plate: Plate) -> None:
    again = draw_plate(PAIR, width=240, seed=3)
    assert again.marks == plate.marks
    assert again.image.tobytes() == plate.image.tobytes()
