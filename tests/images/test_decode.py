"""The guarded decode: every bad file is refused in one line, every odd one becomes the right upright RGB."""

import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import EXPECTED, encoded, orientation, photo, tiff, with_exif
from PIL import Image

from fieldmark.errors import UnreadableImage
from fieldmark.images.decode import Limits, decode_image, inspect_image, read_image, upright_size


def outcome(kind: str, path: Path) -> str:
    # Root reads everything.
    return "read" if kind == "no permission" and os.access(path, os.R_OK) else EXPECTED[kind]


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_every_kind_is_read_or_refused_in_one_line(
    kind: str, path_of: Callable[[str], Path], capfd: pytest.CaptureFixture
):
    path = path_of(kind)
    for reader in (read_image, inspect_image):
        started = time.process_time()  # under load too
        if outcome(kind, path) == "read":
            result = reader(path)
            image = result if isinstance(result, Image.Image) else result.image
            assert image.mode == "RGB"
            assert min(image.size) >= 8
        else:
            with pytest.raises(UnreadableImage) as caught:
                reader(path)
            assert str(caught.value).isprintable()
            assert len(caught.value.reason) < 120
            assert caught.value.__context__ is None
        assert time.process_time() - started < 2
    assert capfd.readouterr() == ("", "")


def test_there_are_many_kinds():
    assert len(EXPECTED) >= 60
    assert set(EXPECTED.values()) == {"read", "refused"}


MEASURE = """
import json, pathlib, resource, sys
from fieldmark.images.decode import inspect_image, read_image
from fieldmark.errors import UnreadableImage

def held(key):
    return int(next(l for l in open("/proc/self/status") if l.startswith(key)).split()[1]) / 1024

rises = {}
for kind, path in json.load(sys.stdin).items():
    for reader in (read_image, inspect_image):
        open("/proc/self/clear_refs", "w").write("5")
        before = held("VmRSS")
        try:
            reader(pathlib.Path(path))
        except UnreadableImage:
            pass
        rises[kind] = max(rises.get(kind, 0), held("VmHWM") - before)
print(json.dumps(rises))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peak memory cannot be reset here")
def test_no_bad_file_takes_much_memory(bad: dict[str, Path]):
    paths = json.dumps({kind: str(path) for kind, path in bad.items()})
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], input=paths, capture_output=True, text=True, check=False, timeout=120
    )
    if "clear_refs" in done.stderr or "StopIteration" in done.stderr:
        pytest.skip("peak memory cannot be measured here")
    assert done.returncode == 0, done.stderr
    rises = json.loads(done.stdout)
    assert len(rises) == len(bad)
    assert {kind: rise for kind, rise in rises.items() if rise > 150} == {}


def test_a_photograph_of_50_megapixels_is_read(tmp_path: Path):
    tile = Image.fromarray(np.random.default_rng(1).integers(80, 170, (512, 512), np.uint8))
    large = Image.new("L", (8192, 6144))
    for left in range(0, 8192, 512):
        for top in range(0, 6144, 512):
            large.paste(tile, (left, top))
    large.save(tmp_path / "large.jpg", quality=60)
    assert read_image(tmp_path / "large.jpg").size == (8192, 6144)
    assert read_image(tmp_path / "large.jpg", reduce_to=1000).size == (2048, 1536)
    with pytest.raises(UnreadableImage, match="above the limit of 40 megapixels"):
        read_image(tmp_path / "large.jpg", limits=Limits(pixels=40_000_000))


def test_bytes_and_file_give_the_same_pixels(bad: dict[str, Path]):
    for kind in ("cmyk jpeg", "16-bit grey png", "animated webp", "tiff of three pages", "exif orientation 6"):
        data = bad[kind].read_bytes()
        assert decode_image(data, name="x").tobytes() == read_image(bad[kind]).tobytes()


def test_ordinary_files_give_exactly_pillows_pixels():
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF"):
        data = encoded(photo(), kind)
        assert decode_image(data, name="x").tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(kind: str, number: int):
    exif = Image.Exif()
    exif[0x0112] = number
    upright = photo(40, 24)
    stored = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(number)  # the inverse turn
    turns = dict(zip((2, 3, 4, 5, 6, 7, 8), (0, 3, 1, 5, 4, 6, 2), strict=True))
    image = upright.transpose(Image.Transpose(turns[stored])) if stored else upright
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    read = decode_image(encoded(image, kind, exif=exif, **options), name="x")
    assert read.size == (40, 24)
    assert np.abs(np.asarray(read, int) - np.asarray(upright, int)).max() < 12
    assert read.getexif().get(0x0112, 1) == 1


def test_reduce_to_keeps_the_shorter_side():
    data = encoded(photo(500, 375), "JPEG")
    sizes = [decode_image(data, name="x", reduce_to=n).size for n in (400, 376, 187, 93, 46, 8)]
    assert sizes == [(500, 375), (500, 375), (250, 188), (125, 94), (63, 47), (63, 47)]
    assert decode_image(encoded(photo(500, 375), "PNG"), name="x", reduce_to=50).size == (500, 375)


def test_inspect_tells_time_camera_size_and_digest(tmp_path: Path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "NIKON", "D850", 8
    exif.get_ifd(0x8769).update({0x9003: "2024:05:31 12:00:59", 0x9291: "25"})
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photo(500, 375), "JPEG", exif=exif))
    result = inspect_image(path)
    assert (result.width, result.height, result.format, result.mode, result.frames) == (375, 500, "JPEG", "RGB", 1)
    assert result.taken == 1717156859.25
    assert result.camera == "NIKON D850"
    assert result.remarks == ("rotated by EXIF",)
    assert result.image.size == (47, 63)
    assert result.sha == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("kind", "remark"),
    [
        ("animated gif", "animated: the first of 3 frames is used"),
        ("animated webp", "animated: the first of 3 frames is used"),
        ("animated png", "animated: the first of 3 frames is used"),
        ("tiff of three pages", "3 pages: the first is used"),
        ("multi-picture jpeg", "3 pictures: the first is used"),
        ("cmyk jpeg", "CMYK"),
        ("16-bit grey png", "16-bit"),
        ("16-bit rgb png", "16-bit"),
        ("float tiff", "32-bit"),
        ("exif orientation 6", "rotated by EXIF"),
        ("half transparent png", "transparent: drawn over white"),
    ],
)
def test_inspect_remarks_on_what_was_converted(kind: str, remark: str, bad: dict[str, Path]):
    assert inspect_image(bad[kind]).remarks == (remark,)


def test_sizes_are_those_of_the_upright_images(bad: dict[str, Path]):
    for kind, path in bad.items():
        if outcome(kind, path) == "read":
            assert upright_size(path) == read_image(path).size, kind
    with pytest.raises(UnreadableImage, match="a photo: no such file"):
        upright_size(Path("nowhere.jpg"), name="a photo")


def test_damaged_exif_is_absent_exif():
    loop = tiff({0x0112: (3, 1, 6), 0x8769: (4, 1, 8)})  # the inner directory is the outer one
    far = tiff({0x0112: (3, 1, 3), 0x8769: (4, 1, 2**32 - 1), 0x0110: (2, 2**31, 2**31)})
    for exif, size in ((loop, (64, 96)), (far, (96, 64)), (orientation(6)[:12], (96, 64)), (b"", (96, 64))):
        assert decode_image(with_exif(exif), name="x").size == size


def damaged(data: bytes, draw: np.random.Generator) -> bytes:
    """``data`` cut short, or with up to six bytes overwritten, mostly in its header."""
    if draw.random() < 0.25:
        return data[: draw.integers(0, len(data))]
    changed = bytearray(data)
    reach = min(len(data), 120) if draw.random() < 0.6 else len(data)
    for _ in range(draw.integers(1, 7)):
        changed[draw.integers(0, reach)] = draw.choice([0, 1, 0x7F, 0xFF, draw.integers(0, 256)])
    return bytes(changed)


def test_random_damage_never_raises_anything_else(tmp_path: Path, capfd: pytest.CaptureFixture):
    small = photo(24, 16)
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "camera", 5
    sources = [encoded(small, kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    sources += [encoded(small, "GIF"), encoded(small, "BMP"), encoded(small, "TIFF", compression="tiff_lzw")]
    sources += [encoded(small, "JPEG", progressive=True), encoded(small.convert("P"), "PNG"), encoded(small, "PPM")]
    draw, path, read = np.random.default_rng(7), tmp_path / "x.jpg", 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(600):
            data = damaged(sources[step % len(sources)], draw)
            path.write_bytes(data)
            try:
                read += decode_image(data, name="x").mode == "RGB"
                inspect_image(path)
            except UnreadableImage:
                continue
    assert caught == []
    printed = capfd.readouterr()  # libtiff itself writes lines such as "LZWDecode: Not enough data" to stderr
    assert printed.out == ""
    assert "Error" not in printed.err
    assert "Warning" not in printed.err
    assert 50 < read < 550


def test_threads_may_decode_at_once(bad: dict[str, Path]):
    kinds = ("tiff of three pages", "animated png", "cmyk jpeg", "truncated tiff", "float tiff")
    before, failures = list(warnings.filters), []

    def work(kind: str):
        for _ in range(20):
            try:
                read_image(bad[kind])
            except UnreadableImage:
                failures.append(kind)

    threads = [threading.Thread(target=work, args=(kind,)) for kind in kinds * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(failures) == {"truncated tiff"}
    assert warnings.filters == before


def test_decoding_needs_no_torch():
    code = "import sys, fieldmark.images.decode; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.slow
def test_an_ordinary_jpeg_costs_no_more_than_bare_pillow(shared_data: Path):
    paths = sorted((shared_data / "CUB_200_2011" / "images").glob("*/*.jpg"))[::150][:40]
    ratios = []
    for path in paths * 5:
        start = time.perf_counter()
        with Image.open(path) as image:
            image.convert("RGB")
        middle = time.perf_counter()
        read_image(path)
        ratios.append((time.perf_counter() - middle) / (middle - start))
    assert statistics.median(ratios) < 1.05


def test_an_opaque_picture_is_not_called_transparent(tmp_path: Path) -> None:
    for mode, colour in (("RGBA", (9, 99, 199, 255)), ("LA", (99, 255))):
        Image.new(mode, (20, 20), colour).save(tmp_path / "a.png")
        assert inspect_image(tmp_path / "a.png").remarks == ()
