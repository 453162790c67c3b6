"""Which photos a page shows, and how they are drawn."""

import base64
import io
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import Evaluation, evaluate, split_of_run
from fieldmark.explanations.drawing import DARKEST
from fieldmark.reports import pictures
from fieldmark.reports.measured import mistakes_of, most_confident, pairs_of
from fieldmark.reports.pictures import (
    MOST,
    SIDES,
    Wanted,
    asked_of,
    gallery_of,
    jpeg,
    outlined,
    wanted_photos,
)
from fieldmark.runs.folder import Opened, open_run
from made_up_pages import answers
from small_runs import write_photos


@pytest.fixture(scope="module")
def measured(trained: Path) -> tuple[Opened, Evaluation]:
    opened = open_run(trained)
    return opened, evaluate(opened, split_of_run(trained, None, "train"), split="train", workers=0)


def opened_jpeg(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_examples_of_pairs_come_first_then_the_surest_mistakes_then_the_worst() -> None:
    result = answers(["ant", "bee", "cat"], photos=90, easy=0.5)
    pairs, mistakes = pairs_of(result), mistakes_of(result)
    wanted = wanted_photos(result, pairs, mistakes)
    assert len(wanted) == len(set(wanted)) == 2 * len(pairs) + len(mistakes)
    examples = wanted[: 2 * len(pairs)]
    assert {(each.of, each.against) for each in examples[:2]} == {
        (pairs[0].first, pairs[0].second),
        (pairs[0].second, pairs[0].first),
    }
    assert all(result.labels[each.row] == each.of for each in examples)
    rest = wanted[2 * len(pairs) :]
    assert rest[:6] == [asked_of(mistake) for mistake in most_confident(mistakes, 6)]
    assert all(result.labels[each.row] == each.against for each in rest)


def test_there_are_never_more_than_the_most() -> None:
    result = answers([f"class {at}" for at in range(30)], photos=2000, easy=0.0)
    assert len(wanted_photos(result, pairs_of(result), mistakes_of(result))) == MOST


def test_photos_and_heatmaps_are_small_jpegs(measured: tuple[Opened, Evaluation]) -> None:
    opened, result = measured
    wanted = [Wanted(row, row % 3, (row + 1) % 3) for row in range(20)]
    done: list[int] = []
    gallery = gallery_of(opened, result, wanted, progress=done.append)
    assert list(gallery.pictures) == wanted
    assert (gallery.side, gallery.remark, done) == (224, "", [16, 4])
    for picture in gallery.pictures.values():
        for text in picture:
            image = opened_jpeg(text)
            assert (image.format, image.size) == ("JPEG", (224, 224))
            assert not image.getexif()
    with Image.open(result.photos[0].path) as photo:
        side = int(min(photo.size) * 0.875)
        left, top = (photo.width - side) / 2, (photo.height - side) / 2
        seen = photo.resize((224, 224), box=(left, top, left + side, top + side))
    first = next(iter(gallery.pictures.values()))
    difference = np.asarray(seen, np.float32) - np.asarray(opened_jpeg(first.photo), np.float32)
    assert np.abs(difference).mean() < 12


def test_the_more_photos_the_smaller() -> None:
    assert list(SIDES) == sorted(SIDES)
    assert max(SIDES) == MOST
    assert all(160 <= side <= 224 for side in SIDES.values())


def test_bytes_and_time_end_it(measured: tuple[Opened, Evaluation], monkeypatch: pytest.MonkeyPatch) -> None:
    opened, result = measured
    wanted = [Wanted(row, 0, 1) for row in range(20)]
    late = gallery_of(opened, result, wanted, until=time.perf_counter() - 1)
    assert (late.pictures, late.remark) == ({}, "There was no time for more photos.")
    monkeypatch.setattr(pictures, "BYTES", 40_000)
    full = gallery_of(opened, result, wanted)
    assert 0 < len(full.pictures) < 20
    assert "too large" in full.remark


def test_photos_that_are_gone_are_left_out(trained: Path, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    opened = open_run(run)
    result = evaluate(opened, split_of_run(run, photos, "all"), split="all", workers=0)
    result.photos[1].path.unlink()
    wanted = [Wanted(row, 0, 1) for row in range(3)]
    gallery = gallery_of(opened, result, wanted)
    assert list(gallery.pictures) == [wanted[0], wanted[2]]
    assert result.photos[1].name in gallery.remark


def test_a_network_without_heatmaps_still_has_photos(
    measured: tuple[Opened, Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise UserError("no maps here")

    monkeypatch.setattr(pictures, "look", refuse)
    gallery = gallery_of(*measured, [Wanted(0, 0, 1)])
    (picture,) = gallery.pictures.values()
    assert picture.photo
    assert picture.heatmap == ""
    assert gallery.remark == "There are no heatmaps: no maps here"


def test_the_line_lies_around_what_is_above_half() -> None:
    heatmap = np.zeros((20, 20), np.float32)
    heatmap[6:14, 6:14] = 1
    drawn = outlined(np.full((20, 20, 3), 90, np.uint8), heatmap)
    assert (drawn[4:6, 6:14] == 255).all()
    assert (drawn[3, 6:14] == 0).all()
    assert (drawn[9, 9] == 90).all()
    assert drawn[0, 0, 0] == round(DARKEST * 90)


def test_jpegs_hold_the_picture() -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, 16:] = (200, 30, 90)
    image = np.asarray(opened_jpeg(jpeg(picture, 90)))
    assert np.abs(image[4, 28].astype(int) - (200, 30, 90)).max() < 12
