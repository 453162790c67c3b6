"""A JPEG that lacks its end marker alone is read as it would be with it; one that lacks pixels is truncated."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import encoded, photo
from PIL import Image

from fieldmark.errors import UnreadableImage
from fieldmark.images import jpeg
from fieldmark.images.decode import Inspection, decode_image, inspect_image


def flat(level: int) -> Image.Image:
    image = photo(61, 47)
    image.paste((level, level, level), (0, 20, 61, 47))
    return image


KINDS = {
    "plain": (photo(61, 47), {}),
    "fine": (photo(61, 47), {"quality": 98, "subsampling": 0}),
    "grey": (photo(61, 47).convert("L"), {}),
    "CMYK": (photo(61, 47).convert("CMYK"), {}),
    "white below": (flat(255), {}),
    "black below": (flat(0), {"optimize": True}),
    "restarts": (photo(61, 47), {"restart_marker_rows": 1}),
    "progressive": (photo(61, 47), {"progressive": True}),
    "progressive grey": (photo(61, 47).convert("L"), {"progressive": True}),
    "larger than a block of Pillow's": (
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)),
        {"quality": 95},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_holds_all_pixels_is_read(kind: str, tmp_path: Path) -> None:
    image, options = KINDS[kind]
    data = encoded(image, "JPEG", **options)
    whole = decode_image(data, name="x").tobytes()
    step = max(1, len(data) // 40)
    cuts = [1, 2, *range(3, 12), *range(12, len(data) - 20, step)]
    read = []
    for cut in cuts:
        with suppress(UnreadableImage):
            assert decode_image(data[:-cut], name="x").tobytes() == whole
            read.append(cut)
    assert set(read) >= {1, 2}
    assert max(read) <= 4  # the last byte or two of the data may be padding
    (tmp_path / "x.jpg").write_bytes(data[:-2])
    assert inspect_image(tmp_path / "x.jpg").remarks == inspect_of(data, tmp_path).remarks
    least = decode_image(data, name="x", reduce_to=10)
    assert decode_image(data[:-2], name="x", reduce_to=10).tobytes() == least.tobytes()
    (tmp_path / "x.jpg").write_bytes(data[: -len(data) // 3])
    with pytest.raises(UnreadableImage, match="truncated JPEG"):  # though an eighth of the size might do without
        inspect_image(tmp_path / "x.jpg")


def inspect_of(data: bytes, folder: Path) -> Inspection:
    (folder / "whole.jpg").write_bytes(data)
    return inspect_image(folder / "whole.jpg")


def test_a_progressive_picture_that_lacks_whole_scans_is_truncated() -> None:
    data = encoded(photo(), "JPEG", progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for at in scans[1:]:
        start = max(data.rfind(b"\xff\xc4", 0, at), 0)  # the scan's own table comes before it
        for cut in (at, start if data[start - 2 : start] != b"\xff\xd8" else at):
            with pytest.raises(UnreadableImage, match="truncated JPEG"):
                decode_image(data[:cut], name="x")


def test_rubbish_after_the_pixels_in_place_of_the_end_is_no_damage() -> None:
    data = encoded(photo(), "JPEG")
    whole = decode_image(data, name="x").tobytes()
    for tail in (bytes(5000), b"\x12\x34" * 40_000, b"\xff"):
        assert decode_image(data[:-2] + tail, name="x").tobytes() == whole


def test_a_whole_picture_is_never_decoded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "_lacks_only_its_end", None)
    decode_image(encoded(photo(), "JPEG"), name="x")


def test_a_file_beyond_any_photograph_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "_MOST_BYTES", 100)
    stream = io.BytesIO(encoded(photo(), "JPEG")[:-2])
    with pytest.raises(OSError, match="truncated"):
        jpeg.Jpeg(stream).load()
