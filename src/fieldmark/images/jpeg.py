"""Pillow's JPEG reader, which also takes a file that lacks nothing but its end marker."""

import hashlib
import io
import re
import struct
from typing import IO

from PIL.JpegImagePlugin import JpegImageFile

from fieldmark.images.headers import is_frame

END = b"\xff\xd9"
# Some cameras and transfers lose the last bytes of a photograph; larger files are none.
_MOST_BYTES = 2**26
# Bits that can follow the data that are there; they hold no marker.
_GUESSES = (b"\x55" * 64, b"\xaa" * 64)
_BAND = 256


class Jpeg(JpegImageFile):
    """Reads on where only the end marker is missing, as browsers do; a file that lacks pixels stays truncated.

    Without Pillow's search of the EXIF for a resolution, which costs time and warns of damage.
    """

    ended = False

    def _read_dpi_from_exif(self) -> None:
        return

    def load_read(self, read_bytes: int) -> bytes:
        """The next bytes of the file for the decoder."""
        stream = self.fp
        assert stream is not None
        data = stream.read(read_bytes)
        if data or self.ended:
            return data
        self.ended = True
        return END if _lacks_only_its_end(stream) else b""


def _lacks_only_its_end(stream: IO[bytes]) -> bool:
    """Whether a JPEG that stops before its end marker holds all of its pixels.

    If it does, no bit that follows can change them: so the picture is decoded with two different continuations.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    data = stream.read() if size <= _MOST_BYTES else b""
    stream.seek(size)
    try:
        if not _sends_every_coefficient(data):
            return False
        first, second = (_digest(data.rstrip(b"\xff") + guess + END) for guess in _GUESSES)
    except (OSError, ValueError, SyntaxError, struct.error, IndexError):
        return False
    return first == second


def _digest(data: bytes) -> bytes:
    """Of the pixels, band by band, as a copy of a large image would not fit."""
    image = Jpeg(io.BytesIO(data))
    image.ended = True
    image.load()
    digest = hashlib.sha256()
    for top in range(0, image.height, _BAND):
        digest.update(image.crop((0, top, image.width, min(top + _BAND, image.height))).tobytes())
    return digest.digest()


def _sends_every_coefficient(data: bytes) -> bool:
    """Whether the scans that begin in ``data`` are all that the picture needs: every component, to its last bit."""
    at, progressive, missing = 2, False, {0: {0}}
    while marker := re.compile(rb"\xff[\x01-\xfe]").search(data, at):
        at, code = marker.end(), marker[0][1]
        if code == 0x01 or 0xD0 <= code <= 0xD9:  # markers without a body
            continue
        body = data[at + 2 : at + struct.unpack_from(">H", data, at)[0]]
        at += 2 + len(body)
        if is_frame(code):
            progressive = code in (0xC2, 0xC6, 0xCA, 0xCE)
            missing = {component: set(range(64)) for component in body[6::3]}
        elif code == 0xDA:
            count = body[0]
            first, last, bits = body[1 + 2 * count : 4 + 2 * count]
            # Of a progressive picture, a scan sends some coefficients, without their last bits at first.
            sent = set(range(first, last + 1) if not bits & 15 else ()) if progressive else set(range(64))
            for component in body[1 : 1 + 2 * count : 2]:
                missing[component] -= sent
    return not any(missing.values())
