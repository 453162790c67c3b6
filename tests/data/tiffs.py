"""Writes TIFF files number by number: any sample type, byte order, planes, strips, tiles and compression."""

import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

Tags = Mapping[int, Sequence[int]]


def tiff_of(
    samples: np.ndarray,
    *,
    photometric: int,
    order: str = "<",
    in_planes: bool = False,
    rows: int = 0,
    tile: int = 0,
    deflated: bool = False,
    predicted: bool = False,
    tags: Tags | None = None,
) -> bytes:
    """A TIFF of ``samples`` (H, W, S), written as they are.

    Args:
        samples: of an integer or floating type.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr.
        order: "<" or ">".
        in_planes: each channel by itself.
        rows: of a strip; 0 for all.
        tile: side of square tiles; 0 for strips.
        deflated: with zlib.
        predicted: deflated differences of neighbours.
        tags: more numbers, or others.
    """
    height, width, count = samples.shape
    bits, kind = 8 * samples.dtype.itemsize, {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    chunks = [_packed(part, order, deflated, predicted) for part in _parts(samples, in_planes, rows or height, tile)]
    entries: dict[int, Sequence[int]] = {256: [width], 257: [height], 258: [bits] * count, 259: [8 if deflated else 1]}
    entries |= {262: [photometric], 277: [count], 284: [1 + in_planes], 317: [1 + predicted], 339: [kind] * count}
    places, sizes = (324, 325) if tile else (273, 279)
    entries |= {322: [tile], 323: [tile]} if tile else {278: [rows or height]}
    entries |= {places: [0] * len(chunks), sizes: [len(chunk) for chunk in chunks], **(tags or {})}
    start = len(_head(entries, order))
    entries[places] = [start + sum(map(len, chunks[:at])) for at in range(len(chunks))]
    return _head(entries, order) + b"".join(chunks)


def _parts(samples: np.ndarray, in_planes: bool, rows: int, tile: int) -> list[np.ndarray]:
    planes = [samples[..., at : at + 1] for at in range(samples.shape[2])] if in_planes else [samples]
    height, width = samples.shape[:2]
    if not tile:
        return [plane[top : top + rows] for plane in planes for top in range(0, height, rows)]
    edge = ((0, -height % tile), (0, -width % tile), (0, 0))
    padded = [np.pad(plane, edge) for plane in planes]
    tops, lefts = range(0, height, tile), range(0, width, tile)
    return [plane[top : top + tile, left : left + tile] for plane in padded for top in tops for left in lefts]


def _packed(part: np.ndarray, order: str, deflated: bool, predicted: bool) -> bytes:
    if predicted:
        part = np.concatenate([part[:, :1], np.diff(part, axis=1)], axis=1)
    raw = np.ascontiguousarray(part.astype(part.dtype.newbyteorder(order))).tobytes()
    return zlib.compress(raw) if deflated else raw


def _head(entries: Tags, order: str) -> bytes:
    """The header and the directory, all numbers of 32 bits but those that Pillow wants of 16."""
    directory, tail, start = b"", b"", 8 + 2 + 12 * len(entries) + 4
    for tag, numbers in sorted(entries.items()):
        kind, letter = (4, "I") if tag in (256, 257, 273, 278, 279, 324, 325) else (3, "H")
        packed = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        field = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(f"{order}I", start + len(tail))
        directory += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + field
        tail += packed + bytes(len(packed) % 2) if len(packed) > 4 else b""
    magic = b"II" if order == "<" else b"MM"
    return magic + struct.pack(f"{order}HIH", 42, 8, len(entries)) + directory + bytes(4) + tail
