"""Clusters that are copies stay whole; those that swallow classes are parted but for what is the same."""

import numpy as np
import pytest
from PIL import Image

from fieldmark.data.lookalikes import LEAST, near_copies, thumbnail

LOOK = "ab" * 32
OTHER = "cd" * 32


def picture(seed: int, noise: int = 0) -> Image.Image:
    grey = np.random.default_rng(seed).integers(20, 230, (16, 16)).astype(np.int64)
    grey[0, :noise] += 15  # 16 levels in one place are one level over all 256
    return Image.fromarray(grey.astype(np.uint8))


def thumbs(count: int) -> list[str]:
    return [thumbnail(picture(seed)) for seed in range(count)]


def test_a_copy_under_a_wrong_label_stays_with_its_original() -> None:
    labels = [0] * 10 + [1] * 10
    hashes = [OTHER if at in (2, 13) else "" for at in range(20)]
    found = near_copies(hashes, thumbs(20), labels)
    assert (found.copies, found.alike) == (((2, 13),), ())


@pytest.mark.parametrize("held", [(LEAST - 1, 20), (LEAST, LEAST)])
def test_a_cluster_that_is_large_in_two_classes_is_parted(held: tuple[int, int]) -> None:
    labels = [0] * 20 + [1] * 20
    members = [*range(held[0]), *range(20, 20 + held[1])]
    hashes = [LOOK if at in members else "" for at in range(40)]
    found = near_copies(hashes, thumbs(40), labels)
    assert (found.copies, found.alike) == ((), (tuple(members),))


@pytest.mark.parametrize(("size", "alike"), [(8, 0), (9, 1), (10, 1)])
def test_a_cluster_in_one_class_is_parted_where_it_leaves_too_few(size: int, alike: int) -> None:
    hashes = [LOOK] * size + [""] * (20 - size)
    found = near_copies(hashes, thumbs(20), [0] * 10 + [1] * 10)
    assert (len(found.copies), len(found.alike)) == (1 - alike, alike)
    assert near_copies([LOOK] * 4, thumbs(4), [0] * 4).copies == ((0, 1, 2, 3),)


def test_within_look_alikes_copies_to_one_grey_level_stay_together_mirrored_ones_too() -> None:
    labels = [0] * 8 + [1] * 8
    known = thumbs(16)
    known[9] = thumbnail(picture(1, noise=1))
    known[10] = thumbnail(picture(2, noise=2))
    known[12] = thumbnail(picture(5).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    found = near_copies([LOOK] * 16, known, labels)
    assert sorted(found.copies) == [(1, 9), (5, 12)]
    known[3] = known[4] = ""
    assert sorted(near_copies([LOOK] * 16, known, labels).copies) == [(1, 9), (5, 12)]


def test_where_even_thumbnails_are_the_same_in_several_classes_they_say_nothing() -> None:
    steady = [thumbnail(picture(0))] * 16
    assert near_copies([LOOK] * 16, steady, [0] * 8 + [1] * 8).copies == ()
    assert near_copies([LOOK] * 16, steady, [0] * 16).copies == (tuple(range(16)),)
