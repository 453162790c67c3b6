"""Writes image files as the world has them: damaged, absurd, hostile, mislabelled or merely odd."""

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, features

RED = (255, 0, 0)


def photo(width: int = 96, height: int = 64) -> Image.Image:
    """A small picture with some texture: red above, blue below, noise on green."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = 220
    pixels[height // 2 :, :, 2] = 220
    pixels[:, :, 1] = np.random.default_rng(0).integers(0, 60, (height, width))
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """``image`` as the bytes of a file of Pillow's format ``kind``."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(name: bytes, body: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, body: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG of any header over the compressed ``body``; ``extra`` chunks come before it."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(tags: dict[int, tuple[int, int, int]], tail: bytes = b"") -> bytes:
    """A TIFF of one directory ``tag: (type, count, value)`` at byte 8, then ``tail``."""
    entries = b"".join(
        struct.pack("<HHIHxx" if kind == 3 else "<HHII", tag, kind, count, value)
        for tag, (kind, count, value) in sorted(tags.items())
    )
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + tail


def flat_tiff(width: int, height: int, **more: tuple[int, int, int]) -> bytes:
    """An uncompressed grey TIFF that promises ``width`` x ``height``; ``more`` tags as ``t<number>``."""
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    tags |= {273: (4, 1, 512), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, width * height % 2**32)}
    tags |= {int(name[1:]): value for name, value in more.items()}
    return tiff(tags).ljust(512, b"\0") + bytes(4096)


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    at = next(jpeg.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in jpeg)
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def scan_bomb(scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    jpeg = encoded(photo(), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * scans + jpeg[-2:]


def ycck() -> bytes:
    """A red YCCK JPEG: a CMYK file of the transformed channels, marked as YCCK."""
    channels = Image.new("CMYK", (64, 64), (255 - 179, 255 - 171, 255 - 1, 0))
    jpeg = bytearray(encoded(channels, "JPEG", quality=95))
    jpeg[jpeg.index(b"Adobe") + 11] = 2
    return bytes(jpeg)


def with_exif(exif: bytes) -> bytes:
    """A JPEG of 96 x 64 with these EXIF bytes."""
    return encoded(photo(), "JPEG", exif=b"Exif\0\0" + exif)


def orientation(number: int) -> bytes:
    """EXIF bytes that hold an orientation alone."""
    return tiff({0x0112: (3, 1, number)})


def _damaged() -> dict[str, tuple[str, bytes, str]]:
    jpeg, plain, webp = encoded(photo(), "JPEG"), encoded(photo(), "PNG"), encoded(photo(), "WEBP")
    middle = len(jpeg) * 3 // 4
    return {
        "empty": ("empty.jpg", b"", "refused"),
        "one byte": ("one.jpg", b"\xff", "refused"),
        "only zeros": ("zeros.jpg", bytes(5000), "refused"),
        "truncated jpeg": ("cut.jpg", jpeg[:middle], "refused"),
        "jpeg without its end marker": ("end.jpg", jpeg[:-2], "read"),
        "jpeg cut in its header": ("head.jpg", jpeg[:60], "refused"),
        "truncated png": ("cut.png", plain[: len(plain) // 2], "refused"),
        "truncated webp": ("cut.webp", webp[: len(webp) // 2], "refused"),
        "truncated gif": ("cut.gif", encoded(photo(), "GIF")[:1200], "refused"),
        "truncated tiff": ("cut.tif", encoded(photo(), "TIFF")[:9000], "refused"),
        "truncated bmp": ("cut.bmp", encoded(photo(), "BMP")[:900], "refused"),
        "bit-flipped header": ("flip.jpg", b"\xff\xd9" + jpeg[2:], "refused"),
        "bit-flipped body": ("body.jpg", jpeg[:middle] + bytes([jpeg[middle] ^ 4]) + jpeg[middle + 1 :], "read"),
        "bit-flipped png body": ("body.png", plain[:900] + bytes([plain[900] ^ 4]) + plain[901:], "refused"),
        "png with wrong crc": ("crc.png", plain[:29] + bytes([plain[29] ^ 1]) + plain[30:], "refused"),
        "zero dimension": ("zero.jpg", with_size(jpeg, 0, 64), "refused"),
        "jpeg with trailing garbage": ("tail.jpg", jpeg + os.urandom(70_000), "read"),
        "jpeg of junk": ("junk.jpg", b"\xff\xd8\xff\xe0\0\x04ab" + b"j" * 3_000_000, "refused"),
        "broken exif": ("exif.jpg", with_exif(b"MM\0*\0\0\0\x08\xff\xff" + b"\xee" * 40), "read"),
        "icc garbage": ("icc.jpg", encoded(Image.new("CMYK", (64, 64)), "JPEG", icc_profile=b"rubbish" * 40), "read"),
    }


def _absurd() -> dict[str, tuple[str, bytes, str]]:
    jpeg = encoded(photo(), "JPEG")
    zeros = zlib.compress(bytes(3_000_000), 9)
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000), 1))
    texts = png_chunk(b"tEXt", b"Comment\0" + b"x" * 1_000_000) * 40
    level = zlib.compress(bytes(4501 * 4500), 9)
    gif = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(range(6))
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\0;"
    wide = b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + bytes(range(6)) + b"!\xf9\x04\x08\0\0\0\0" + frame
    vp8x = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16_382).to_bytes(3, "little") * 2 + bytes(64)
    return {
        "bomb png": ("bomb.png", png(30_000, 30_000, body=zeros), "refused"),
        "level bomb png": ("level.png", png(4500, 4500, colour=0, body=level), "refused"),
        "bomb gif": ("bomb.gif", gif + frame, "refused"),
        "gif whose frame is a bomb": ("frame.gif", wide, "refused"),
        "bomb tiff": ("bomb.tif", flat_tiff(30_000, 30_000), "refused"),
        "tiff of vast tiles": ("tile.tif", flat_tiff(64, 64, t322=(4, 1, 50_000), t323=(4, 1, 50_000)), "refused"),
        "tiff of absurd tags": ("tags.tif", flat_tiff(64, 64, t273=(4, 2**30, 512)), "refused"),
        "tiff of 60000 channels": ("many.tif", flat_tiff(64, 64, t277=(3, 1, 60_000)), "refused"),
        "bomb webp": ("bomb.webp", b"RIFF" + struct.pack("<I", len(vp8x) + 4) + b"WEBP" + vp8x, "refused"),
        "progressive scan bomb": ("scans.jpg", scan_bomb(3000), "refused"),
        "progressive": ("progressive.jpg", scan_bomb(0), "read"),
        "png text bomb": ("text.png", png(64, 64, extra=text), "refused"),
        "png of heavy texts": ("texts.png", png(64, 64, extra=texts), "refused"),
        "plain ppm bomb": ("plain.ppm", b"P3 7000 7000 255\n" + b"1 " * 200_000, "refused"),
        "1x1": ("dot.png", png(1, 1, body=zlib.compress(bytes(4))), "refused"),
        "60000x2": ("wide.png", png(60_000, 2, body=zlib.compress(bytes(360_002))), "refused"),
        "2x60000": ("tall.png", png(2, 60_000, body=zlib.compress(bytes(420_000))), "refused"),
        "2000x10": ("strip.png", encoded(photo(2000, 10), "PNG"), "refused"),
        "above the pixel limit": ("vast.jpg", with_size(jpeg, 40_000, 30_000), "refused"),
    }


def _foreign() -> dict[str, tuple[str, bytes, str]]:
    box = struct.pack(">I", 24) + b"ftyp"
    page = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
    return {
        "heic named jpg": ("heic.jpg", box + b"heic\0\0\0\0mif1heic" + bytes(400), "refused"),
        "avif named jpg": ("avif.jpg", encoded(photo(), "AVIF"), "read" if features.check("avif") else "refused"),
        "video named jpg": ("video.jpg", box + b"isom\0\0\2\0isomiso2" + bytes(400), "refused"),
        "text named png": ("text-file.png", b"Meeting notes: buy bird seed.\n" * 9, "refused"),
        "html named jpg": ("page.jpg", page, "refused"),
        "zip named jpg": ("zip.jpg", b"PK\x03\x04" + os.urandom(300), "refused"),
        "svg named png": ("svg.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "refused"),
        "pdf named jpg": ("pdf.jpg", b"%PDF-1.7\n" + os.urandom(300), "refused"),
        "lfs pointer": ("lfs.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "refused"),
        "random bytes": ("random.jpg", b"\x07\x91" + os.urandom(3000), "refused"),
    }


def _odd() -> dict[str, tuple[str, bytes, str]]:
    red = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    grey = Image.fromarray(np.full((64, 64), 32_768, np.uint16))
    deep = zlib.compress((b"\0" + b"\x80\0\x40\0\xff\xff" * 64) * 64)
    half = Image.fromarray(np.full((64, 64), 0.5, np.float32))
    frames = [photo(), Image.new("RGB", (96, 64), "green"), Image.new("RGB", (96, 64), "white")]
    several = {"save_all": True, "append_images": frames[1:]}
    jpeg = encoded(photo(), "JPEG")
    return {
        "cmyk jpeg": ("cmyk.jpg", encoded(red, "JPEG", quality=95), "read"),
        "ycck jpeg": ("ycck.jpg", ycck(), "read"),
        "16-bit grey png": ("grey16.png", encoded(grey, "PNG"), "read"),
        "16-bit rgb png": ("rgb16.png", png(64, 64, depth=16, body=deep), "read"),
        "float tiff": ("float.tif", encoded(half, "TIFF"), "read"),
        "half transparent png": ("alpha.png", encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 128)), "PNG"), "read"),
        "animated gif": ("moving.gif", encoded(photo(), "GIF", **several), "read"),
        "animated webp": ("moving.webp", encoded(photo(), "WEBP", **several), "read"),
        "animated png": ("moving.png", encoded(photo(), "PNG", **several), "read"),
        "tiff of three pages": ("pages.tif", encoded(photo(), "TIFF", **several), "read"),
        "multi-picture jpeg": ("pictures.jpg", encoded(photo(), "MPO", **several), "read"),
        "exif orientation 6": ("turned.jpg", with_exif(orientation(6)), "read"),
        "exif orientation 99": ("turned99.jpg", with_exif(orientation(99)), "read"),
        "png named jpg": ("really-png.jpg", encoded(photo(), "PNG"), "read"),
        "unicode name": ("鷺 Ægir – ☂.jpg", jpeg, "read"),
        "newline name": ("two\nlines.jpg", jpeg, "read"),
        "undecodable name": (os.fsdecode(b"caf\xe9.jpg"), jpeg, "read"),
        "very long name": ("n" * 251 + ".jpg", jpeg, "read"),
    }


_FILES = _damaged() | _absurd() | _foreign() | _odd()


def _socket(path: Path) -> None:
    # The address of a socket is short, whatever the folder's name.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _no_permission(path: Path) -> None:
    path.write_bytes(encoded(photo(), "JPEG"))
    path.chmod(0)


# "no permission" is readable to root, so tests decide by the user.
_MAKERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "fifo": ("pipe.jpg", lambda path: os.mkfifo(path)),
    "socket": ("socket.jpg", _socket),
    "directory": ("folder.jpg", lambda path: path.mkdir()),
    "symlink loop": ("loop.jpg", lambda path: path.symlink_to(path.name)),
    "dangling symlink": ("dangling.jpg", lambda path: path.symlink_to("nothing-here.jpg")),
    "link to a device": ("device.jpg", lambda path: path.symlink_to("/dev/zero")),
    "no permission": ("secret.jpg", _no_permission),
}

EXPECTED: dict[str, str] = {kind: outcome for kind, (_, _, outcome) in _FILES.items()} | dict.fromkeys(
    _MAKERS, "refused"
)


def write_bad_inputs(folder: Path) -> dict[str, Path]:
    """Writes one file of each kind into ``folder``; returns kind to path, less what this system cannot make."""
    paths = {}
    for kind, (name, content, _) in _FILES.items():
        try:
            (folder / name).write_bytes(content)
        except (OSError, UnicodeEncodeError):  # names that the file system does not take
            continue
        paths[kind] = folder / name
    for kind, (name, make) in _MAKERS.items():
        try:
            make(folder / name)
        except (OSError, AttributeError, NotImplementedError):
            continue
        paths[kind] = folder / name
    return paths
