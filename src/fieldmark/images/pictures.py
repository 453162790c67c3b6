"""A picture in any form: a file, its bytes, an open file, a picture of Pillow's or an array of NumPy's."""

import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from fieldmark.errors import UserError
from fieldmark.images.decode import decode_image, opened_image, read_image
from fieldmark.images.guard import DEFAULT, Limits

Held = bytes | Image.Image | np.ndarray
"""A picture in memory: the bytes of an image file, a picture of Pillow's, or uint8 (H, W), (H, W, 3) or (H, W, 4)."""
Picture = str | os.PathLike[str] | bytearray | memoryview | IO[bytes] | Held
"""Anything that ``read_picture`` takes."""
_KINDS = "give a path, bytes, an open file, a picture of Pillow's or an array of NumPy's"


def read_picture(source: Picture, *, limits: Limits = DEFAULT) -> Image.Image:
    """Any picture as upright 8-bit RGB, with the same pixels and the same refusals as its file.

    Raises:
        UserError: neither a path nor a picture.
        UnreadableImage: a file or a picture that is damaged or beyond the limits.
    """
    if isinstance(source, str | os.PathLike):
        return read_image(Path(source), limits=limits)
    return picture_of(held(source, name="the picture"), name="the picture", limits=limits)


def held(source: Any, *, name: str) -> Held:
    """A picture in memory, after a look at its type; of an open file everything is read.

    Args:
        source: from a user, of any type.
        name: of it in messages.

    Raises:
        UserError: of a type or shape that is no picture.
    """
    if isinstance(source, np.ndarray):
        channels = source.shape[2:]
        if source.dtype != np.uint8 or source.ndim < 2 or channels not in ((), (3,), (4,)):
            raise UserError(
                f"{name} is an array of {source.dtype} and shape {source.shape}; "
                "it must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4): grey, RGB or RGBA"
            )
        return source
    if isinstance(source, bytes | Image.Image):
        return source
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if not callable(getattr(source, "read", None)):
        raise UserError(f"{name} is of type {type(source).__name__}; {_KINDS}")
    content = _content(source)
    if not isinstance(content, bytes):
        raise UserError(f"{name} is a file opened as text; open it with the mode 'rb'")
    return content


def _content(file: Any) -> Any:
    """All of an open file: what was just written into a buffer is left at its end."""
    if callable(getattr(file, "seekable", None)) and file.seekable():
        file.seek(0)
    return file.read()


def picture_of(source: Held, *, name: str, limits: Limits = DEFAULT) -> Image.Image:
    """A picture in memory as upright 8-bit RGB; raises ``UnreadableImage``, as ``read_image`` does for its file."""
    if isinstance(source, bytes):
        return decode_image(source, name=name, limits=limits)
    image = source if isinstance(source, Image.Image) else Image.fromarray(source)
    return opened_image(image, name=name, limits=limits)
