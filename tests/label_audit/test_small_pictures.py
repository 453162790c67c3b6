"""Photos as small JPEGs: without the camera's data, few enough, and those that cannot be read left out."""

import base64
import io
from pathlib import Path

import pytest
from made_up import audited, clouds
from PIL import Image

from fieldmark.data.dataset import Photo
from fieldmark.label_audit import small_pictures
from fieldmark.label_audit.small_pictures import pictures_of, wanted_rows
from fieldmark.recipe import Pixels

PIXELS = Pixels(size=32, eval_size=32)


def test_small_and_without_the_cameras_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    for at in range(3):
        Image.new("RGB", (300, 200), (40 * at, 80, 120)).save(tmp_path / f"{at}.jpg", exif=exif)
    photos = [Photo(f"{at}.jpg", tmp_path / f"{at}.jpg", 0) for at in range(4)]  # the last one is missing
    ticks = []
    made = pictures_of(photos, [2, 0, 3, 1], PIXELS, progress=ticks.append)
    assert list(made.by_row) == [2, 0, 1]
    assert "could be read again" in made.remark
    assert sum(ticks) == 3
    for text in made.by_row.values():
        image = Image.open(io.BytesIO(base64.b64decode(text)))
        assert (image.format, image.size) == ("JPEG", (made.side, made.side))
        assert not image.getexif()
    monkeypatch.setattr(small_pictures, "BYTES", 2 * len(base64.b64decode(made.by_row[2])))
    few = pictures_of(photos, [2, 0, 1], PIXELS)
    assert len(few.by_row) < 3
    assert "too large" in few.remark


def test_suspects_come_first_with_a_typical_photo_of_each_class() -> None:
    pytest.importorskip("cleanlab", reason="needs the extra [audit]")
    found = audited(clouds(apart=2.5))
    rows = wanted_rows(found)
    suspects = [each.row for each in found.suspects]
    assert rows[: len(suspects)] == suspects
    assert len(rows) == len(set(rows))
    labels = {found.labels[row] for row in suspects} | {each.suggested for each in found.suspects} - {None}
    assert {found.typical(int(label)) for label in labels} <= set(rows)
