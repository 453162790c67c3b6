"""Reads TIFF directories, which also hold EXIF: orientation, time and camera. Bounded, and silent about damage.

Not Pillow's ``Exif``: it takes seven times as long for each photo and warns of damage, and warnings belong to the whole
process.
"""

import io
import struct
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_ORIENTATION, _MAKE, _MODEL, _EXIF, _TAKEN, _SUBSECOND = 0x0112, 0x010F, 0x0110, 0x8769, 0x9003, 0x9291


class Exif(NamedTuple):
    """``orientation`` 1 to 8 (1: upright); ``taken`` seconds since 1970 by the camera's clock, or None; ``camera``."""

    orientation: int = 1
    taken: float | None = None
    camera: str = ""


class Tiff:
    """The first directory of a TIFF or EXIF stream, or the one at ``start``.

    Raises ``struct.error`` where the stream ends early or is not a TIFF.
    """

    def __init__(self, stream: BinaryIO, start: int | None = None) -> None:
        stream.seek(0)
        head = stream.read(16)
        self._stream = stream
        self._order = "<" if head.startswith(b"II") else ">"
        version, first = struct.unpack_from(self._order + "HI", head, 2)
        if version not in (42, 43) or head[:2] not in (b"II", b"MM"):
            raise struct.error("not a TIFF")
        self._big = version == 43
        if self._big:
            first = struct.unpack_from(self._order + "Q", head, 8)[0]
        self._first = first if start is None else start
        self._entries, self._next = self._directory(self._first)

    def _unpack(self, form: str, at: int) -> tuple[int, ...]:
        if at >= 2**62:
            raise struct.error("an offset beyond any file")
        self._stream.seek(at)
        form = self._order + form
        return struct.unpack(form, self._stream.read(struct.calcsize(form)))

    def _directory(self, at: int) -> tuple[dict[int, tuple[int, int, int]], int]:
        """Tag to (type, count, offset of its bytes), and the offset of the next directory (0: none)."""
        wide, narrow, room = ("Q", "Q", 8) if self._big else ("H", "I", 4)
        (length,) = self._unpack(wide, at)
        if length > 4096:
            raise struct.error("too many tags")
        step, at = 4 + 2 * room, at + struct.calcsize(wide)
        entries = {}
        fields = self._unpack(f"HH{narrow}{room}s" * length, at)
        for index in range(length):
            tag, kind, count, _ = fields[4 * index : 4 * index + 4]
            place = at + step * index + 4 + room
            if _SIZES.get(kind, 1) * count > room:
                (place,) = self._unpack(narrow, place)
            entries.setdefault(tag, (kind, count, place))
        return entries, self._unpack(narrow, at + step * length)[0]

    @property
    def is_big_endian(self) -> bool:
        """Whether numbers begin with their highest byte."""
        return self._order == ">"

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    @property
    def numbers_held(self) -> int:
        """How many numbers the tags promise, apart from text and plain bytes."""
        return sum(count for kind, count, _ in self._entries.values() if kind not in (1, 2, 6, 7))

    @property
    def bytes_held(self) -> int:
        """How many bytes the tags promise."""
        return sum(_SIZES.get(kind, 1) * count for kind, count, _ in self._entries.values())

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The whole numbers of ``tag``, at most 16; empty where there are none."""
        kind, count, place = self._entries.get(tag, (0, 0, 0))
        return self._unpack(_INTEGERS[kind] * min(count, 16), place) if kind in _INTEGERS and count else ()

    def number(self, tag: int, default: int) -> int:
        """The first number of ``tag``."""
        return (*self.numbers(tag), default)[0]

    def text(self, tag: int) -> str:
        """The text of ``tag``, at most 200 characters; empty where there is none."""
        kind, count, place = self._entries.get(tag, (0, 0, 0))
        if kind != 2 or not count:
            return ""
        length = min(count, 200)
        raw = bytes(self._unpack(f"{length}B", place))
        return raw.split(b"\0")[0].decode("utf-8", "replace").strip()

    def pages(self, most: int) -> int:
        """Directories in the chain, counted up to ``most``; a loop or a damaged link ends it."""
        visited, following = {self._first}, self._next
        while following and following not in visited and len(visited) < most:
            visited.add(following)
            try:
                following = self._directory(following)[1]
            except struct.error:
                return len(visited) - 1
        return len(visited)


def read_exif(block: bytes) -> Exif:
    """What the EXIF bytes ``block`` of an image say (with or without their "Exif" prefix); damage reads as absent."""
    if not block:
        return Exif()
    return read_exif_stream(io.BytesIO(block.removeprefix(b"Exif\0\0")))


def read_exif_stream(stream: BinaryIO) -> Exif:
    """``read_exif`` of a stream that begins with the TIFF header, such as a TIFF file."""
    try:
        first = Tiff(stream)
        orientation = first.number(_ORIENTATION, 1)
        make, model = first.text(_MAKE), first.text(_MODEL)
        camera = model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()
        exif = Exif(orientation if 1 <= orientation <= 8 else 1, None, camera)
    except (struct.error, ValueError, OSError, OverflowError):
        return Exif()
    try:
        inner = Tiff(stream, first.number(_EXIF, 0)) if _EXIF in first else first
        return exif._replace(taken=_seconds(inner.text(_TAKEN), inner.text(_SUBSECOND)))
    except (struct.error, ValueError, OSError, OverflowError):
        return exif


def _seconds(written: str, fraction: str) -> float | None:
    """Seconds since 1970 of "2024:05:31 12:00:59" and hundredths such as "25"; the camera's clock is taken as UTC."""
    if not written:
        return None
    moment = datetime.strptime(written[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    return moment.timestamp() + (float(f"0.{fraction}") if fraction.isdigit() and fraction.isascii() else 0.0)
