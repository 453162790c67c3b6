"""Sizes from headers alone, and strangers told by their first bytes."""

import io

import pytest
from PIL import Image

from fieldmark.images.headers import Refusal, examine, sniff

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")


def written(form: str, size: tuple[int, int] = (31, 17)) -> io.BytesIO:
    stream = io.BytesIO()
    Image.effect_noise(size, 40).convert("RGB").save(stream, form)
    stream.seek(0)
    return stream


@pytest.mark.parametrize("form", KINDS)
def test_the_size_is_known_before_a_pixel_is_decoded(form: str) -> None:
    stream = written(form)
    kind = sniff(stream)
    assert kind == form
    facts = examine(stream, kind)
    assert facts is not None
    assert (facts.width, facts.height) == (31, 17)


def test_the_header_is_enough() -> None:
    head = io.BytesIO(written("PNG", (300, 200)).getvalue()[:64])
    with pytest.raises(Refusal):
        examine(io.BytesIO(head.getvalue()[:20]), sniff(head))


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"%PDF-1.7\n" + bytes(40), "PDF"),
        (b"PK\x03\x04" + bytes(40), "ZIP"),
        (b"just some words, no image at all, in a file called .png", "text"),
    ],
)
def test_strangers_are_named(head: bytes, word: str) -> None:
    with pytest.raises(Refusal) as refused:
        sniff(io.BytesIO(head))
    assert word.lower() in str(refused.value).lower()


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 40).convert("RGB").save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    scan = data.rindex(b"\xff\xda")
    bomb = data[:scan] + data[scan:-2] * 200 + data[-2:]
    with pytest.raises(Refusal):
        examine(io.BytesIO(bomb), "JPEG")
