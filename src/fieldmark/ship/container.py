"""The bytes of an exported model: one ONNX file under one digest, looked through before anything computes with it.

An ONNX file is a protocol buffer: fields of a number, a kind and a content, which may hold fields in its turn. The walk
here reads which fields there are and never what tensors hold, so that a file can be refused before a library parses it.
Numbers of fields are those of ``onnx.proto``.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fieldmark.errors import UserError, printable

LARGEST = 2 * 1024**3 - 1
"""Bytes: a protocol buffer cannot be larger."""
MANIFEST, DIGEST, GALLERY = "fieldmark.manifest", "fieldmark.digest", "fieldmark.gallery"
"""Keys of the file's metadata."""
UNSEALED = "0" * 64
"""What stands in the place of the digest while it is computed."""
OWN_DOMAINS = ("", "ai.onnx")
_DEEPEST = 6  # graphs within nodes within graphs
_LARGEST_KEY = 2**32 - 1
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class Damaged(Exception):
    """Bytes that are no protocol buffer; the text says where."""


class Field(NamedTuple):
    """A field of a message: its number, and where its content lies; ``value`` is that of a number."""

    number: int
    start: int
    end: int
    value: int = 0


@dataclass(frozen=True)
class Container:
    """What lies in a model's file: its ``metadata``, and where the digest stands in ``content``."""

    content: bytes
    metadata: Mapping[str, str]
    digest_at: int

    @property
    def digest(self) -> str:
        """The SHA-256 of the file with zeros in the place of the digest: 64 hexadecimal digits."""
        hashed = hashlib.sha256(memoryview(self.content)[: self.digest_at])
        hashed.update(UNSEALED.encode())
        hashed.update(memoryview(self.content)[self.digest_at + len(UNSEALED) :])
        return hashed.hexdigest()


def opened(path: Path, *, largest: int = LARGEST) -> Container:
    """The bytes of an exported model, every one of them under its digest.

    Args:
        path: the file.
        largest: bytes that it may have.

    Raises:
        UserError: the file is missing, too large, not written by ``fieldmark export``, damaged or changed since, or it
            holds what an exported model never does: data in other files, operators of other domains, functions.
    """
    shown = printable(str(path))
    try:
        size = path.stat().st_size
        if size > min(largest, LARGEST):
            raise UserError(f"{shown} has {size:,} bytes; at most {min(largest, LARGEST):,} are read")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror}") from None
    try:
        container = contained(content)
    except Damaged as error:
        raise UserError(f"{shown} is not a model that fieldmark export wrote, or is damaged: {error}") from None
    if container.digest != container.metadata[DIGEST]:
        raise UserError(f"{shown} was changed or damaged after it was exported: its digest does not fit")
    return container


def contained(content: bytes) -> Container:
    """Looks through the bytes of a model; raises ``Damaged`` for any that an exported model does not have."""
    view, metadata, digest_at, graphs = memoryview(content), {}, -1, 0
    for field in _fields(view, 0, len(view)):
        if field.number == 14:  # metadata_props
            key, value = _entry(view, field)
            text = _text(view, value)
            if key in metadata:
                raise Damaged(f"two entries {key!r}")
            metadata[key] = text
            digest_at = value.start if key == DIGEST else digest_at
        elif field.number == 7:  # graph
            graphs += 1
            _look_through(view, field, depth=0)
        elif field.number in (20, 25):  # training_info, functions
            raise Damaged("it has functions of its own")
    if MANIFEST not in metadata or len(metadata.get(DIGEST, "")) != len(UNSEALED) or graphs != 1:
        raise Damaged("it has no manifest with a digest")
    return Container(content, metadata, digest_at)


def sealed(content: bytes) -> bytes:
    """The bytes of a model whose digest is still ``UNSEALED``, with the digest that they have."""
    container = contained(content)
    end = container.digest_at + len(UNSEALED)
    return content[: container.digest_at] + container.digest.encode() + content[end:]


def _look_through(view: memoryview, graph: Field, *, depth: int) -> None:
    """Refuses what no exported model has in a graph, or in those of its nodes."""
    if depth > _DEEPEST:
        raise Damaged("graphs lie too deep in each other")
    for field in _fields(view, graph.start, graph.end):
        if field.number == 1:  # node
            _look_through_node(view, field, depth=depth)
        elif field.number == 5:  # initializer
            _refuse_external(view, field)
        elif field.number == 15:  # sparse_initializer
            raise Damaged("it has sparse tensors")


def _look_through_node(view: memoryview, node: Field, *, depth: int) -> None:
    for field in _fields(view, node.start, node.end):
        if field.number == 7 and _text(view, field) not in OWN_DOMAINS:  # domain
            raise Damaged(f"it has operators of {_text(view, field)!r}")
        if field.number != 5:  # attribute
            continue
        for part in _fields(view, field.start, field.end):
            if part.number in (5, 10):  # a tensor, tensors
                _refuse_external(view, part)
            elif part.number in (6, 11):  # a graph, graphs
                _look_through(view, part, depth=depth + 1)
            elif part.number in (22, 23):  # sparse tensors
                raise Damaged("it has sparse tensors")


def _refuse_external(view: memoryview, tensor: Field) -> None:
    for field in _fields(view, tensor.start, tensor.end):
        if field.number == 13 or (field.number == 14 and field.value):  # external_data, data_location
            raise Damaged("its data lie in another file")


def _entry(view: memoryview, entry: Field) -> tuple[str, Field]:
    """A key of the metadata, and where its value lies."""
    found = {field.number: field for field in _fields(view, entry.start, entry.end)}
    if not {1, 2} <= found.keys():
        raise Damaged("an entry of its metadata has no key or no value")
    return _text(view, found[1]), found[2]


def _text(view: memoryview, field: Field) -> str:
    try:
        return str(view[field.start : field.end], "utf-8")
    except UnicodeDecodeError as error:
        raise Damaged(f"a text at byte {field.start:,} is not UTF-8") from error


def _fields(view: memoryview, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that lies between two places."""
    at = start
    while at < end:
        key, at = _varint(view, at, end)
        if key > _LARGEST_KEY:  # of which some parsers drop the upper bits: they would see another field
            raise Damaged(f"no field at byte {at:,}")
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            begun = at
            value, at = _varint(view, at, end)
            yield Field(number, begun, at, value)
            continue
        if kind == _LENGTH:
            length, at = _varint(view, at, end)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise Damaged(f"no field at byte {at:,}")
        if number == 0 or length > end - at:
            raise Damaged(f"a field at byte {at:,} is longer than what holds it")
        yield Field(number, at, at + length)
        at += length


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """A number of up to ten bytes, and where it ends."""
    value = 0
    for place in range(10):
        if at + place >= end:
            break
        byte = view[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise Damaged(f"no number at byte {at:,}")
