"""What a file's header says before anything is decoded: its format, size and EXIF, and whether it is absurd.

Plain Python on a seekable stream (no Pillow, no numpy, no torch). Every walk is bounded, so that no file can keep the
caller busy for long. A file that cannot be an image is refused with :class:`Refusal`.
"""

import io
import re
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from fieldmark.images.exif import Tiff

# Real photographs carry up to about 20 MB before the pixels (depth maps in XMP); Pillow reads all of it into memory.
HEADER_BYTES = 32 * 2**20
SCANS = 100
# Scans times pixels; mozjpeg writes some 15 scans, which is just within the limit at 64 megapixels.
SCAN_PIXELS = 10**9
STEPS = 200_000
FRAMES = 1000


class Refusal(Exception):
    """A file is refused; the text is the reason in a few words."""


class Facts(NamedTuple):
    """From the header: size in pixels as stored (EXIF not applied), bits per pixel, frames, raw EXIF bytes, and bits
    per channel (``depth``)."""

    width: int
    height: int
    bits: int = 24
    frames: int = 1
    exif: bytes = b""
    depth: int = 8


_FORMATS = (
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"RIFF.{4}WEBP", "WEBP"),
    (rb"GIF8[79]a", "GIF"),
    (rb"(?!II\*\0\x10\0\0\0CR)(II[*+]\0|MM\0[*+])", "TIFF"),  # Canon's raw files (CR2) begin as TIFF too
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0", "BMP"),
    (rb"P[1-6f]\s", "PPM"),
    (rb".{4}ftyp.{0,40}avi[fs]", "AVIF"),
    (rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", "HEIC"),
)
_STRANGERS = (
    (rb".{4}ftypcrx ", "a camera's raw file; convert it to JPEG"),
    (rb".{4}(ftyp|moov|mdat)|\x1aE\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xb3\xba]|OggS|FLV", "a video, not an image"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL content; convert it to JPEG"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000 content; convert it to JPEG"),
    (rb"II\*\0\x10\0\0\0CR|FUJIFILMCCD|II(RO|U\0)", "a camera's raw file; convert it to JPEG"),
    (rb"8BPS", "a Photoshop file; convert it to JPEG"),
    (rb"%PDF", "a PDF, not an image"),
    (rb"PK\x03\x04|PK\x05\x06", "a ZIP archive, not an image"),
    (rb"\x1f\x8b|Rar!|7z\xbc\xaf|BZh|\xfd7zXZ", "an archive, not an image"),
    (rb"\0\0[\x01\x02]\0", "an icon, not a photograph"),
    (rb"version https://git-lfs", "a Git LFS pointer; run 'git lfs pull'"),
    (rb"\0+$", "only zero bytes"),
    (rb"(?i)(\xef\xbb\xbf)?\s*(<!doctype html|<html|<head|<body)", "a web page (HTML), not an image"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(\?xml|!--|!doctype svg|svg).*", "SVG or XML, not a photograph; export it as PNG"),
)


def sniff(stream: BinaryIO) -> str:
    """The format by its first bytes: JPEG, PNG, WEBP, GIF, TIFF, BMP, PPM, HEIC or AVIF.

    Raises :class:`Refusal` for any other.
    """
    stream.seek(0)
    head = stream.read(64)
    for pattern, kind in _FORMATS:
        if re.match(pattern, head, re.DOTALL):
            return kind
    raise Refusal(_stranger(head + stream.read(448)))


def _stranger(head: bytes) -> str:
    for pattern, reason in _STRANGERS:
        if re.match(pattern, head, re.DOTALL):
            return reason
    printable = all(byte in b"\t\n\r\f\x1b" or 32 <= byte < 127 or byte > 127 for byte in head)
    is_text = printable and len(head) > 3 and head.decode("utf-8", "ignore").encode() in (head, head[:-1], head[:-2])
    return "text, not an image" if is_text else "not a known image format"


def examine(stream: BinaryIO, kind: str, *, count: bool = False) -> Facts | None:
    """The facts of a file of format ``kind``; None for BMP, PPM, HEIC and AVIF, whose opening decodes nothing.

    With ``count``, the frames of a GIF and the pages of a TIFF are counted too (up to ``FRAMES``). Raises
    :class:`Refusal`.
    """
    readers: dict[str, Callable[[BinaryIO, bool], Facts]] = {
        "JPEG": _jpeg,
        "PNG": _png,
        "WEBP": _webp,
        "GIF": _gif,
        "TIFF": _tiff,
    }
    if kind not in readers:
        return None
    try:
        return readers[kind](stream, count)
    except (struct.error, IndexError):
        raise Refusal(f"truncated {kind}") from None


def _jpeg(stream: BinaryIO, count: bool) -> Facts:
    stream.seek(2)
    width = height = layers = 0
    frames, exif, progressive = 1, b"", False
    for marker, length in _segments(stream):
        if marker == 0xDA:
            shared = stream.read(1)[0]
            if progressive or shared < layers:
                _check_scans(stream, width * height)
            return Facts(width, height, 8 * layers, frames, exif)
        body = stream.read(length) if marker in (0xE1, 0xE2) or is_frame(marker) else b""
        if is_frame(marker):
            height, width, layers = struct.unpack_from(">HHB", body, 1)
            progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
        elif not exif and body.startswith(b"Exif\0\0"):
            exif = body
        elif count and body.startswith(b"MPF\0"):
            frames = Tiff(io.BytesIO(body[4:])).number(0xB001, 1)
    raise Refusal("a JPEG without image data" if stream.read(1) else "truncated JPEG")


def is_frame(marker: int) -> bool:
    """Whether a JPEG's marker (its second byte) begins the frame header."""
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


def _segments(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Each (marker, length of its body) up to and including the first scan; the stream is at the body."""
    while stream.tell() < HEADER_BYTES:
        byte = stream.read(2)
        if len(byte) < 2:
            return
        if byte[0] != 0xFF or byte[1] in (0x00, 0xFF):
            _skip_junk(stream)
            continue
        marker = byte[1]
        if marker == 0xD9:
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        length = struct.unpack(">H", stream.read(2))[0] - 2
        body = stream.tell()
        yield marker, length
        stream.seek(body + max(length, 0))
    raise Refusal(f"more than {HEADER_BYTES // 2**20} MB before the image data")


def _skip_junk(stream: BinaryIO) -> None:
    """Moves to the next byte pair that looks like a marker: fill bytes and junk are legal, but not without end."""
    start = stream.tell() - 1
    stream.seek(start)
    marker = re.search(rb"\xff[\x01-\xfe]", stream.read(2**16))
    if not marker:
        raise Refusal("damaged JPEG (no marker found)")
    stream.seek(start + marker.start())


def _check_scans(stream: BinaryIO, pixels: int) -> None:
    """Refuses too many scans: each costs a pass over all pixels, and takes only a few bytes of the file."""
    most = min(SCANS, max(20, SCAN_PIXELS // max(pixels, 1)))
    data = stream.read(4 * HEADER_BYTES)
    if data.count(b"\xff\xda") < most:
        return
    at, scans = 0, 1
    while marker := re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]").search(data, at):
        if marker[0] == b"\xff\xd9":
            return
        scans += marker[0] == b"\xff\xda"
        if scans > most:
            raise Refusal(f"a JPEG of more than {most} scans; save it again")
        at = marker.end() + struct.unpack_from(">H", data, marker.end())[0]


def _png(stream: BinaryIO, count: bool) -> Facts:
    end = stream.seek(0, io.SEEK_END)
    stream.seek(8)
    length, name = struct.unpack(">I4s", stream.read(8))
    if name != b"IHDR" or length != 13:
        raise Refusal("damaged PNG (no header)")
    width, height, depth, colour = struct.unpack(">IIBB", stream.read(10))
    stream.seek(33)
    frames, exif, other = 1, b"", 0
    for _ in range(STEPS):
        head = stream.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            bits = depth * {2: 3, 4: 2, 6: 4}.get(colour, 1)
            return Facts(width, height, bits, frames, exif, depth)
        length, name = struct.unpack(">I4s", head)
        at = stream.tell()
        if at + length > end:
            raise Refusal("truncated PNG")
        if name == b"eXIf" and length <= 2**20:
            exif = stream.read(length)
        elif name == b"acTL":
            frames = struct.unpack(">I", stream.read(4))[0]
        # Pillow keeps everything but pixels in memory.
        other += 0 if name in (b"IDAT", b"fdAT") else length
        if other > HEADER_BYTES:
            break
        stream.seek(at + length + 4)
    raise Refusal("a PNG with absurdly much beside its pixels")


def _webp(stream: BinaryIO, count: bool) -> Facts:
    end = stream.seek(0, io.SEEK_END)
    stream.seek(4)
    size, head = struct.unpack("<I4x18s", stream.read(26))
    if end + 1 < size + 8:
        raise Refusal("truncated WEBP")
    if head.startswith(b"VP8X"):
        width, height = (low + (high << 16) + 1 for low, high in struct.iter_unpack("<HB", head[12:18]))
    elif head.startswith(b"VP8L"):
        packed = struct.unpack_from("<I", head, 9)[0]
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif head.startswith(b"VP8 "):
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", head, 14))
    else:
        raise Refusal("damaged WEBP (unknown content)")
    return Facts(width, height, 32)


def _gif(stream: BinaryIO, count: bool) -> Facts:
    stream.seek(6)
    width, height, flags = struct.unpack("<HHB", stream.read(5))
    stream.seek(13 + _palette(flags))
    frames, steps = 0, 0
    while frames < (FRAMES if count else 1) and steps < STEPS:
        steps += 1
        block = stream.read(1)
        if block in (b"", b";"):
            break
        if block == b"!":
            stream.read(1)
            steps += _skip_blocks(stream)
        elif block == b",":
            left, top, across, down, flags = struct.unpack("<HHHHB", stream.read(9))
            if not frames:  # Pillow widens the screen to hold the first frame
                width, height = max(width, left + across), max(height, top + down)
            frames += 1
            stream.seek(_palette(flags) + 1, io.SEEK_CUR)
            steps += _skip_blocks(stream) if count else 0
    if not frames:
        raise Refusal("a GIF without an image" if steps < STEPS else "a GIF with absurdly much before its image")
    return Facts(width, height, 8, frames)


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(stream: BinaryIO) -> int:
    """Skips a chain of sub-blocks and returns their number (at most ``STEPS``)."""
    steps = 0
    while steps < STEPS and (length := stream.read(1)) and length[0]:
        stream.seek(length[0], io.SEEK_CUR)
        steps += 1
    return steps


def _tiff(stream: BinaryIO, count: bool) -> Facts:
    tiff = Tiff(stream)
    if tiff.numbers_held > STEPS or tiff.bytes_held > HEADER_BYTES:
        raise Refusal("a TIFF with absurdly long tags")
    if 50706 in tiff or (330 in tiff and tiff.number(254, 0) & 1):  # DNG, or a preview before the raw data
        raise Refusal("a camera's raw file; convert it to JPEG")
    width, height, samples = tiff.number(256, 0), tiff.number(257, 0), tiff.number(277, 1)
    if not 1 <= samples <= 6:
        raise Refusal(f"a TIFF of {samples} channels")
    if tiff.number(322, 0) * tiff.number(323, 0) > max(4 * width * height, 2**22):
        raise Refusal("a TIFF whose tiles are absurdly larger than the image")
    depth = max(tiff.numbers(258) or (1,))
    _check_tiff(tiff, depth, samples)
    return Facts(width, height, depth * samples, tiff.pages(FRAMES) if count else 1, depth=depth)


def _check_tiff(tiff: Tiff, depth: int, samples: int) -> None:
    """Refuses what Pillow would read as another picture, without a word."""
    is_plain, number_type, white_is_zero = tiff.number(259, 1) == 1, tiff.number(339, 1), tiff.number(262, 1) == 0
    in_planes = tiff.number(284, 1) == 2
    reasons = {
        f"channels of {depth} bits in separate planes": in_planes
        and (samples == 2 or (is_plain and (depth != 8 or white_is_zero))),
        f"grey of {depth} bits whose zero is white": white_is_zero and depth > 8,
        f"{depth} bits a channel": depth not in (1, 2, 4, 8, 16, 32),
        "signed numbers of 8 bits": number_type == 2 and depth == 8,
        "unsigned numbers of 32 bits": number_type == 1 and depth == 32,
        "compressed numbers in big-endian order": number_type in (2, 3) and tiff.is_big_endian and not is_plain,
    }
    for what, is_so in reasons.items():
        if is_so:
            raise Refusal(f"a TIFF of {what}, which is not read; save it again with 8 bits a channel")
