"""What is refused before a pixel is decoded, and in which words."""

from collections.abc import Callable
from pathlib import Path

import pytest
from bad_inputs import encoded, photo

from fieldmark.errors import UnreadableImage
from fieldmark.images.decode import Limits, decode_image, read_image


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "an empty file"),
        ("truncated jpeg", "truncated JPEG"),
        ("truncated webp", "truncated WEBP"),
        ("bomb png", "30000 x 30000 pixels, above the limit of 64 megapixels"),
        ("level bomb png", "not a photograph"),
        ("progressive scan bomb", "more than 100 scans"),
        ("heic named jpg", "damaged HEIC|HEIC content: pip install"),
        ("text named png", "text, not an image"),
        ("html named jpg", "a web page"),
        ("zip named jpg", "a ZIP archive"),
        ("svg named png", "SVG"),
        ("pdf named jpg", "a PDF"),
        ("video named jpg", "a video"),
        ("lfs pointer", "git lfs pull"),
        ("fifo", "a pipe, not a file"),
        ("directory", "a folder, not a file"),
        ("link to a device", "a device, not a file"),
        ("symlink loop", "a link that leads in a circle"),
        ("dangling symlink", "a link to nothing"),
    ],
)
def test_the_reason_says_what_it_is(kind: str, reason: str, path_of: Callable[[str], Path]):
    with pytest.raises(UnreadableImage, match=reason):
        read_image(path_of(kind))


def test_names_that_no_file_can_have(tmp_path: Path):
    for name in ("missing.jpg", "n" * 300 + ".jpg", "a\0b.jpg", "missing/inside.jpg"):
        with pytest.raises(UnreadableImage) as caught:
            read_image(tmp_path / name, name="bird\n7.jpg")
        assert str(caught.value).startswith("bird\\n7.jpg: ")


def test_limits_hold_for_bytes_side_and_aspect():
    data = encoded(photo(), "PNG")
    for limits, reason in (
        (Limits(bytes=100), "above the limit of 0 MB"),
        (Limits(side=65), "a side is below 65"),
        (Limits(aspect=1), "longer than 1 times"),
        (Limits(pixels=96 * 64 - 1), "megapixels"),
    ):
        with pytest.raises(UnreadableImage, match=reason):
            decode_image(data, name="upload", limits=limits)
    exact = Limits(bytes=len(data), side=64, aspect=2, pixels=96 * 64)
    assert decode_image(data, name="upload", limits=exact).size == (96, 64)
