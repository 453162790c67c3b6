"""HEIC (with its extra) and AVIF: read, upright, guarded; without what reads them, one line that names it."""

import io
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import photo
from PIL import Image, features

from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import scan_photos
from fieldmark.errors import UnreadableImage
from fieldmark.images.decode import Limits, decode_image, inspect_image, opened_image

TURNS = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes an orientation's
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400)


def heic(image: Image.Image, **options: object) -> bytes:
    module = pytest.importorskip("pillow_heif", reason="the extra [heic] is not installed")
    if not module.libheif_info()["HEIF"]:
        pytest.skip("this build of pillow-heif writes no HEIC")
    module.register_heif_opener()
    stream = io.BytesIO()
    image.save(stream, "HEIF", quality=-1, chroma=444, **options)
    return stream.getvalue()


def avif(image: Image.Image, **options: object) -> bytes:
    if not features.check("avif"):
        pytest.skip("this build of Pillow has no AVIF")
    stream = io.BytesIO()
    image.save(stream, "AVIF", quality=100, subsampling="4:4:4", **options)
    return stream.getvalue()


both = pytest.mark.parametrize("written", [heic, avif])
Writer = Callable[..., bytes]


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "camera"
    return block.tobytes()


def saved(written: Writer, image: Image.Image, orientation: int) -> bytes:
    """The file of an image whose container turns it, and whose EXIF says the same."""
    return written(image, exif=exif(orientation))


def near(first: Image.Image, second: Image.Image) -> bool:
    return first.size == second.size and np.abs(np.asarray(first, int) - np.asarray(second, int)).max() <= 12


@both
def test_pixels_of_every_mode(written: Writer, tmp_path: Path) -> None:
    upright = photo(48, 40)
    assert near(decode_image(written(upright), name="x"), upright)
    assert near(decode_image(written(upright.convert("L")), name="x"), upright.convert("L").convert("RGB"))
    clear = upright.copy()
    clear.putalpha(0)
    assert near(decode_image(written(clear), name="x"), Image.new("RGB", (48, 40), "white"))
    (tmp_path / "a.heic").write_bytes(saved(written, upright, 6))
    facts = inspect_image(tmp_path / "a.heic")
    assert (facts.width, facts.height, facts.format) == (40, 48, "HEIC" if written is heic else "AVIF")
    assert (facts.frames, facts.camera, facts.image.size) == (1, "camera", (40, 48))


@both
@pytest.mark.parametrize("orientation", TURNS)
def test_a_turn_is_applied_once(written: Writer, orientation: int) -> None:
    upright = photo(48, 40)
    turn = TURNS[orientation]
    stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
    data = saved(written, stored, orientation)
    assert near(decode_image(data, name="x"), upright)
    assert near(opened_image(Image.open(io.BytesIO(data))), upright)


def with_exif_of(data: bytes, before: int, after: int) -> bytes:
    """The file with another orientation in its EXIF, and the container as it was."""
    for order in "<>":
        entry = struct.pack(f"{order}HHIH", 0x0112, 3, 1, before)
        if data.count(entry) == 1:
            return data.replace(entry, struct.pack(f"{order}HHIH", 0x0112, 3, 1, after))
    raise AssertionError("the EXIF is not there once")


@pytest.mark.parametrize("after", [1, 3, 8])
def test_the_container_decides_where_the_exif_of_a_heic_says_otherwise(after: int) -> None:
    upright = photo(48, 40)
    data = saved(heic, upright.transpose(Image.Transpose.ROTATE_90), 6)
    assert b"irot" in data
    assert near(decode_image(with_exif_of(data, 6, after), name="x"), upright)
    plain = saved(heic, upright, 1)
    assert near(decode_image(with_exif_of(plain, 1, after), name="x"), upright)


@both
def test_the_size_is_guarded_before_a_pixel_is_decoded(written: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(photo(96, 64))
    with pytest.raises(UnreadableImage, match="above the limit of"):
        decode_image(data, name="x", limits=Limits(pixels=96 * 64 - 1))
    at = data.index(b"ispe") + 8
    for size in ((60_000, 60_000), (60_000, 8), (16, 16), (0, 0)):
        with pytest.raises(UnreadableImage) as caught:
            image = decode_image(data[:at] + struct.pack(">II", *size) + data[at + 8 :], name="x")
            assert written is avif  # its reader takes the part that the container names
            assert image.size == size
            raise UnreadableImage("x", "no more than was announced")
        assert len(caught.value.reason) < 140


@both
def test_what_is_cut_or_changed_is_damage(written: Writer) -> None:
    data, draw = written(photo(48, 40)), np.random.default_rng(0)
    for cut in (20, 60, len(data) // 2, len(data) - 3):
        with pytest.raises(UnreadableImage):
            decode_image(data[:cut], name="x")
    for _ in range(60):
        changed = bytearray(data)
        for at in draw.integers(12, len(data), 3):
            changed[at] = draw.integers(0, 256)
        with suppress(UnreadableImage):
            assert decode_image(bytes(changed), name="x").mode == "RGB"


def test_without_the_extra_a_heic_is_a_finding_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for name in ("ant/1.heic", "bee/2.HEIF"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(HEIC)
    scan = scan_photos(read_dataset(tmp_path).photos, workers=0)
    assert [facts.damage for facts in scan.facts] == [
        "HEIC content: pip install 'fieldmark[heic]', or convert it to JPEG"
    ] * 2


def test_without_avif_in_pillow_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    data = avif(photo())
    monkeypatch.setattr("fieldmark.images.decode.features.check", lambda name: False)
    with pytest.raises(UnreadableImage, match="AVIF content, which this build of Pillow cannot read"):
        decode_image(data, name="x")
