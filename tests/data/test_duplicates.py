"""Copies are found, other photos are not, and flat pictures are left alone."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from fieldmark.data.duplicates import (
    BITS,
    THRESHOLD,
    clusters,
    exact_duplicates,
    join,
    join_all,
    near_duplicates,
    perceptual_hash,
)
from fieldmark.images.decode import inspect_image


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture with something at every scale, like a photograph."""
    random = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells in (3, 6, 12, 24):
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=float) / cells**0.5
    total = (total - total.min()) / (total.max() - total.min()) * 255
    return Image.fromarray(total.astype(np.uint8))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("RGB")


def different_bits(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


COPIES = {
    "encoded": lambda image: jpeg(image, 20),
    "smaller": lambda image: image.resize((image.width // 3, image.height // 3)),
    "larger": lambda image: image.resize((image.width * 2, image.height * 2)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "cropped": lambda image: image.crop((3, 2, image.width - 3, image.height - 2)),
    "mirrored": lambda image: jpeg(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 60),
}


@pytest.mark.parametrize("edit", COPIES)
def test_copies_are_found(edit: str) -> None:
    originals = [scene(seed) for seed in range(8)]
    hashes = [perceptual_hash(image) for image in (*originals, *map(COPIES[edit], originals))]
    assert near_duplicates(hashes) == [(index, index + 8) for index in range(8)]


def test_grey_scenes_are_told_apart_and_their_copies_found() -> None:
    grey = [scene(seed).convert("L").convert("RGB") for seed in range(30)]
    hashes = [perceptual_hash(image) for image in (*grey, jpeg(grey[4], 40))]
    assert all(hashes)
    assert near_duplicates(hashes) == [(4, 30)]


def test_flat_pictures_are_never_near_duplicates() -> None:
    flat = [Image.new("RGB", (64, 64), colour) for colour in ("white", "black", "red", "#808080")]
    gradient = Image.linear_gradient("L").convert("RGB")
    noisy = Image.fromarray(np.random.default_rng(0).integers(127, 130, (300, 300, 3), dtype=np.uint8))
    hashes = [perceptual_hash(image) for image in (*flat, gradient, gradient.rotate(90), noisy)]
    assert hashes == [""] * 7
    assert near_duplicates(hashes) == []


def test_mirroring_flips_exactly_the_odd_bits() -> None:
    image = scene(3, (64, 64))
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    apart = different_bits(perceptual_hash(image), perceptual_hash(mirrored))
    assert 100 < apart < 156
    assert near_duplicates([perceptual_hash(image), perceptual_hash(mirrored)], threshold=2) == [(0, 1)]


def test_threshold_is_inclusive_and_clusters_chain() -> None:
    base = np.random.default_rng(0).integers(0, 2, BITS).astype(np.uint8)
    steps = []
    for flipped in (0, 10, 20, 31):
        bits = base.copy()
        bits[:flipped] ^= 1
        steps.append(np.packbits(bits).tobytes().hex())
    assert near_duplicates(steps, threshold=10) == [(0, 1, 2)]
    assert near_duplicates(steps, threshold=11) == [(0, 1, 2, 3)]
    assert near_duplicates([], threshold=10) == []


def test_many_hashes_are_compared_in_tiles_as_by_brute_force() -> None:
    random = np.random.default_rng(1)
    packed = random.integers(0, 256, (5000, BITS // 8), dtype=np.uint8)
    packed[4999], packed[2050] = packed[0], packed[2049] ^ np.eye(1, 32, dtype=np.uint8)[0]
    started = time.process_time()
    found = near_duplicates([row.tobytes().hex() for row in packed])
    assert found == [(0, 4999), (2049, 2050)]
    assert time.process_time() - started < 10


def test_exact_duplicates_are_told_by_digest() -> None:
    assert exact_duplicates(["a", "b", "a", "", "", "b", "c", "a"]) == [(0, 2, 7), (1, 5)]


def test_join_is_the_closure_of_its_pairs() -> None:
    random = np.random.default_rng(2)
    for _ in range(50):
        left, right = random.integers(0, 40, (2, 25))
        expected = list(range(40))
        for a, b in zip(left, right, strict=True):
            low, high = sorted((expected[a], expected[b]))
            expected = [low if root == high else root for root in expected]
        assert join(np.arange(40), left, right).tolist() == expected
    assert clusters([5, 6, 7], join_all(np.arange(3), [(0, 2)])) == [(5, 7)]


def test_real_birds_meet_only_in_their_own_class(shared_data: Path) -> None:
    files = sorted((shared_data / "CUB_200_2011" / "images").glob("*/*.jpg"))
    found = near_duplicates([perceptual_hash(inspect_image(file).image) for file in files])
    assert THRESHOLD == 52
    names = [{files[at].name for at in cluster} for cluster in found]
    assert {"Bronzed_Cowbird_0025_796213.jpg", "Bronzed_Cowbird_0074_24045.jpg"} in names
    assert len(names) == 3
    assert all(len({files[at].parent for at in cluster}) == 1 for cluster in found)


def test_copies_of_real_photos_are_found(shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "flowers-102" / "jpg").glob("*.jpg"))[::150]
    hashes = [perceptual_hash(inspect_image(file).image) for file in files]
    for file in files:
        copy = Image.open(file).convert("RGB")
        copy = copy.resize((copy.width * 3 // 4, copy.height * 3 // 4)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        copy.save(tmp_path / file.name, quality=60)
        hashes.append(perceptual_hash(inspect_image(tmp_path / file.name).image))
    found = set(near_duplicates(hashes))
    assert found == {(index, index + len(files)) for index in range(len(files))}
