"""Orientation, time and camera as Pillow writes them, and silence about damage."""

import io
from datetime import UTC, datetime

import pytest
from PIL import Image

from fieldmark.images.exif import Exif, read_exif, read_exif_stream


def block(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = orientation, "Maker", "Model 1"
    inner = exif.get_ifd(0x8769)
    inner[0x9003], inner[0x9291] = "2024:05:06 07:08:09", "25"
    return exif.tobytes()


def test_the_three_things_are_read() -> None:
    exif = read_exif(block())
    assert exif.orientation == 6
    assert exif.taken == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC).timestamp() + 0.25
    assert "Model 1" in exif.camera


@pytest.mark.parametrize("orientation", [0, 9, 4711])
def test_an_invalid_orientation_means_upright(orientation: int) -> None:
    assert read_exif(block(orientation)).orientation == 1


def test_a_stream_without_exif_is_upright_and_timeless() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "TIFF")
    assert read_exif_stream(stream).orientation == 1
    assert read_exif_stream(stream).taken is None


def test_every_cut_and_every_flipped_byte_is_survived() -> None:
    whole = block()
    for at in range(len(whole)):
        assert isinstance(read_exif(whole[:at]), Exif)
        assert read_exif(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]).orientation in range(1, 9)
