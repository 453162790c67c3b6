"""Sizes and formats from headers alone; what is refused by them is in test_guard."""

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
