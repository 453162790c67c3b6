"""Boxes and parts that people marked, as the network sees them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldmark.data.dataset import Box, Landmark, Photo
from fieldmark.explanations.annotations import extents_of, frames_of, objects_of, parts_of, to_frame, to_pixels
from fieldmark.input.loading import Photographs
from fieldmark.input.views import evaluation_frame
from fieldmark.recipe import Pixels

SIZES = ((80, 64), (40, 100), (64, 64))


def photographs(folder: Path, pixels: Pixels, *, trim: int = 0) -> Photographs:
    photos = []
    for number, size in enumerate(SIZES):
        path = folder / f"{number}.png"
        Image.new("RGB", size).save(path)
        photos.append(Photo(path.name, path, box=Box(10, 5, 30, 40), trim_bottom=trim))
    return Photographs(photos, pixels)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "box"])
@pytest.mark.parametrize("trim", [0, 8])
def test_frames_are_those_of_evaluation(tmp_path: Path, fit: str, trim: int):
    pixels = Pixels(size=32, eval_size=32, fit=fit)  # pyright: ignore[reportArgumentType]
    photos = photographs(tmp_path, pixels, trim=trim)
    for row, (width, height), photo in zip(frames_of(photos), SIZES, photos.photos, strict=True):
        frame = evaluation_frame((width, height - trim), pixels, photo.box)
        assert row.tolist() == [frame.left, frame.top, frame.width, frame.height]


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_extents_are_what_the_photo_fills_of_its_frame(tmp_path: Path, fit: str):
    pixels = Pixels(size=100, eval_size=100, fit=fit)  # pyright: ignore[reportArgumentType]
    photos = photographs(tmp_path, pixels, trim=4)
    expected = np.tile([0.0, 0, 1, 1], (3, 1))
    if fit == "pad":  # 80 x 60 in 80 x 80, 40 x 96 in 96 x 96, 64 x 60 in 64 x 64
        expected[:, 1::2] = [[1 / 8, 7 / 8], [0, 1], [1 / 32, 31 / 32]]
        expected[1, ::2] = [28 / 96, 68 / 96]
    np.testing.assert_allclose(extents_of(photos, frames_of(photos)), expected)


def marked(box: Box | None, *landmarks: Landmark) -> Photo:
    return Photo("a.jpg", Path("a.jpg"), box=box, landmarks=landmarks)


def test_objects_are_what_the_frame_holds_of_the_boxes():
    frames = np.array([[10, 20, 40, 80.0]] * 4)
    boxes = (Box(20, 40, 20, 20), Box(0, 0, 20, 40), Box(45, 90, 100, 100), Box(60, 30, 5, 5))
    objects = objects_of([marked(box) for box in boxes], frames)
    expected = [[0.25, 0.25, 0.75, 0.5], [0, 0, 0.25, 0.25], [0.875, 0.875, 1, 1], [1, 0.125, 1, 0.1875]]
    np.testing.assert_allclose(objects, expected)
    whole = [[max(left, 0), max(top, 0), min(right, 1), min(bottom, 1)] for left, top, right, bottom in objects]
    np.testing.assert_allclose(objects, whole)


def test_parts_are_those_that_are_visible_and_seen():
    frames = np.array([[10, 20, 40, 80.0]] * 3)
    head, tail = Landmark("head", 12, 30, True), Landmark("tail", 40, 90, True)
    photos = [
        marked(None, head, tail),
        marked(None, head._replace(visible=False), tail),
        marked(None, head._replace(x=9), tail._replace(y=101)),
    ]
    parts = parts_of(photos, frames)
    assert parts.names == ("head", "tail")
    nan = [np.nan, np.nan]
    np.testing.assert_array_equal(parts.places, [[[12, 30], [40, 90]], [nan, [40, 90]], [nan, nan]])
    at_head = np.array([[13.0, 31.0]] * 3)
    assert parts.nearest(at_head).tolist() == [0, 1, -1]
    assert parts.nearest(np.full((3, 2), np.nan)).tolist() == [-1, -1, -1]


def test_the_nearest_part_is_that_of_a_search():
    rng = np.random.default_rng(0)
    frames = np.tile([0.0, 0, 50, 50], (20, 1))
    landmarks = [
        [Landmark(str(name), *rng.uniform(-10, 60, 2), bool(rng.random() < 0.7)) for name in range(6)]
        for _ in range(20)
    ]
    points = rng.uniform(0, 50, (20, 2))
    found = parts_of([marked(None, *each) for each in landmarks], frames).nearest(points)
    for point, marks, part in zip(points, landmarks, found, strict=True):
        seen = [mark for mark in marks if mark.visible and 0 <= mark.x <= 50 and 0 <= mark.y <= 50]
        away = {(mark.x - point[0]) ** 2 + (mark.y - point[1]) ** 2: int(mark.name) for mark in seen}
        assert part == (away[min(away)] if away else -1)


def test_without_parts_none_is_nearest():
    parts = parts_of([marked(None)] * 2, np.ones((2, 4)))
    assert parts.names == ()
    assert parts.nearest(np.zeros((2, 2))).tolist() == [-1, -1]


def test_shares_and_pixels_are_each_other_s_inverse():
    rng = np.random.default_rng(1)
    points, frames = rng.uniform(0, 9, (5, 3, 2)), rng.uniform(1, 9, (5, 4))
    np.testing.assert_allclose(to_pixels(to_frame(points, frames), frames), points)
