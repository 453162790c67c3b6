"""Photos out of the body of a request, as it comes in: counted byte by byte, in memory, and never on a disk."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from fieldmark.errors import printable
from fieldmark.serving.refused import Refused, busy

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "image"
_LONGEST_NAME = 200
_PART_HEADERS, _HEADER_BYTES = 8, 2048
_FORM = "send multipart/form-data with photos in parts named image, or one photo as the body, with its type image/..."


class Upload(NamedTuple):
    """A photo as it came: its ``name``, for people, and the bytes of the file."""

    name: str
    data: bytes


class Held:
    """The bytes of all bodies that are being read or answered; ``most`` at a time."""

    def __init__(self, most: int) -> None:
        self.most, self.now = most, 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yields a function that takes so many bytes more, until the block ends; it refuses where there is no room."""
        taken = 0

        def take(more: int) -> None:
            nonlocal taken
            if self.now + more > self.most:
                raise busy("too many photos are being sent at a time")
            taken += more
            self.now += more

        try:
            yield take
        finally:
            self.now -= taken


@dataclass(frozen=True)
class Allowed:
    """What a body may have: so many ``bytes`` and ``parts``."""

    bytes: int
    parts: int


async def photos_of(
    chunks: AsyncIterator[bytes], content_type: str, *, allowed: Allowed, take: Callable[[int], None]
) -> list[Upload]:
    """The photos of a body.

    Args:
        chunks: of the body.
        content_type: as the header says.
        allowed: what the body may have.
        take: is told of each chunk's length before it is kept.

    Raises:
        Refused: 400 for a body that is no form, 413 for too many bytes, 415 for another type, 422 for no photo or
            too many.
    """
    kind, options = parse_options_header(content_type)
    kind = kind.lower()
    if kind.startswith(b"image/"):
        whole = bytearray()
        async for chunk in counted(chunks, allowed.bytes, take):
            whole += chunk
        if not whole:
            raise Refused(422, "no_image", "the body is empty: it must be a photo")
        return [Upload("image", bytes(whole))]
    if kind != b"multipart/form-data":
        raise Refused(415, "unsupported_type", _FORM)
    if not options.get(b"boundary"):
        raise Refused(400, "bad_form", "the type multipart/form-data lacks its boundary")
    return await _parts(counted(chunks, allowed.bytes, take), options[b"boundary"], allowed)


async def counted(chunks: AsyncIterator[bytes], most: int, take: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The chunks, as long as they are not too many bytes."""
    left = most
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise Refused(413, "too_large", f"a request has {most / 1e6:g} MB at most")
        take(len(chunk))
        yield chunk


async def _parts(chunks: AsyncIterator[bytes], boundary: bytes, allowed: Allowed) -> list[Upload]:
    form = _Form(allowed.parts)
    try:
        parser = MultipartParser(
            boundary, form.callbacks(), max_header_count=_PART_HEADERS, max_header_size=_HEADER_BYTES
        )
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except FormParserError:
        raise Refused(400, "bad_form", "the body is no multipart/form-data, or is damaged") from None
    if not form.is_whole:
        raise Refused(400, "bad_form", "the body ends before its last boundary")
    if not form.photos:
        raise Refused(422, "no_image", f"there is no part named {FIELD}")
    return form.photos


class _Form:
    """Takes the parts of a form from the parser."""

    def __init__(self, most: int) -> None:
        self._most, self.photos, self.is_whole = most, list[Upload](), False
        self._field, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._headers = dict[bytes, bytes]()

    def callbacks(self) -> "MultipartCallbacks":
        """The parser's names of them."""
        return {
            "on_part_begin": self._begin_part,
            "on_part_data": lambda data, start, end: self._content.extend(memoryview(data)[start:end]),
            "on_part_end": self._end_part,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._look_at_headers,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        if len(self.photos) == self._most:
            raise Refused(422, "too_many", f"a request has {self._most} photos at most")
        self._headers, self._content = {}, bytearray()

    def _end_header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _look_at_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field != FIELD:
            raise Refused(400, "bad_form", f"there is no field {printable(field)[:40]!r}: photos are sent as {FIELD}")
        coding = self._headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if coding not in (b"binary", b"8bit", b"7bit") or b"content-encoding" in self._headers:
            raise Refused(415, "compressed", "photos are sent as they are, not in another coding")
        self._name = name_of(options.get(b"filename", b""), len(self.photos) + 1)

    def _end_part(self) -> None:
        self.photos.append(Upload(self._name, bytes(self._content)))
        self._content = bytearray()

    def _end(self) -> None:
        self.is_whole = True


def name_of(given: bytes, number: int) -> str:
    """What a photo is called in answers: its file's name without folders, on one line and not too long."""
    name = given.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    return printable(name)[:_LONGEST_NAME] or f"image {number}"
