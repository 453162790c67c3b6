"""Opens a file that may be anything, and refuses it by its kind, bytes and size before a pixel is decoded."""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fieldmark.images.headers import Facts, Refusal

# Files up to this size are read at once; larger ones as the decoder asks, so that they are never in memory whole.
_WHOLE = 16 * 2**20
# A photograph of more than 16 megapixels takes more than one byte per 200 pixels, even a foggy one.
_BOMB_PIXELS, _BOMB_RATIO = 16_000_000, 200


@dataclass(frozen=True)
class Limits:
    """What is refused: more ``pixels``, more ``bytes``, a shorter ``side``, or sides beyond the ratio ``aspect``."""

    pixels: int = 64_000_000
    bytes: int = 512 * 2**20
    side: int = 8
    aspect: int = 100


DEFAULT = Limits()
ABOVE_LIMIT = "above the limit of"


def up_to(megapixels: float) -> Limits:
    """The default limits with another maximum of pixels, in millions."""
    return replace(DEFAULT, pixels=round(1e6 * megapixels))


class Source(NamedTuple):
    """A seekable stream of an image file's bytes, and their number."""

    stream: BinaryIO
    size: int


def system_reason(error: OSError) -> str:
    """Why the system would not open or read a file, in a few words."""
    reasons = {
        errno.ENOENT: "no such file",
        errno.ENOTDIR: "no such file",
        errno.ELOOP: "a link that leads in a circle",
        errno.EACCES: "no permission to read it",
        errno.EPERM: "no permission to read it",
        errno.ENAMETOOLONG: "its name is too long",
    }
    return reasons.get(error.errno or 0) or f"cannot be read ({error.strerror or type(error).__name__})"


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Source]:
    """A regular file's content as a seekable stream; nothing else is opened, as a pipe could block for ever."""
    try:
        _check_regular(os.stat(path).st_mode)
    except FileNotFoundError:
        raise Refusal("a link to nothing" if os.path.islink(path) else "no such file") from None
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())  # it may have been replaced since
        _check_regular(status.st_mode)
        check_bytes(status.st_size, limits)
        yield Source(io.BytesIO(file.read(status.st_size)) if status.st_size <= _WHOLE else file, status.st_size)


def _check_regular(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    raise Refusal(f"{kinds.get(stat.S_IFMT(mode), 'a device')}, not a file")


def check_bytes(size: int, limits: Limits) -> None:
    """Raises :class:`Refusal` for an empty file or one above the limit."""
    if not size:
        raise Refusal("an empty file")
    if size > limits.bytes:
        raise Refusal(f"{size / 2**20:,.0f} MB, above the limit of {limits.bytes / 2**20:,.0f} MB")


def check_size(facts: Facts, size: int, limits: Limits) -> None:
    """Raises :class:`Refusal` by what the header of a file of ``size`` bytes promises."""
    width, height = facts.width, facts.height
    pixels, short = width * height, min(width, height)
    if short < 1:
        raise Refusal(f"no pixels ({width} x {height})")
    if short < limits.side:
        raise Refusal(f"{width} x {height} pixels: a side is below {limits.side}")
    if max(width, height) > limits.aspect * short:
        raise Refusal(f"{width} x {height} pixels: longer than {limits.aspect} times its width")
    if pixels > limits.pixels:
        raise Refusal(f"{width} x {height} pixels, {ABOVE_LIMIT} {limits.pixels / 1e6:,g} megapixels")
    if pixels * facts.bits > limits.pixels * 32:
        raise Refusal(f"{width} x {height} pixels of {facts.bits} bits take too much memory")
    if pixels > _BOMB_PIXELS and size * _BOMB_RATIO < pixels:
        raise Refusal(f"{width} x {height} pixels in {size:,} bytes: not a photograph")
