"""The gallery in an exported model: what training photos look like to its network, and small pictures of them."""

import base64
import binascii
import io
import zipfile
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fieldmark.errors import UserError

_ARRAYS = ("labels", "embeddings", "names", "thumbnails", "thumbnail_ends")
_DAMAGE = (binascii.Error, OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, zipfile.BadZipFile)


@dataclass(frozen=True)
class ModelGallery:
    """Training photos: ``labels`` int64 (G,), ``embeddings`` (G, E) as ``novelty.directions`` has them.

    A file holds embeddings as float16; out of it they come as float32, so that no answer has to convert them.
    ``names`` are those of the photos, and ``thumbnails`` the bytes of a small JPEG for each, or none at all.
    """

    labels: np.ndarray
    embeddings: np.ndarray
    names: tuple[str, ...]
    thumbnails: tuple[bytes, ...] = ()


def gallery_to_text(gallery: ModelGallery) -> str:
    """A gallery as text for a file's metadata: Base64 of uncompressed NumPy arrays."""
    file = io.BytesIO()
    arrays = {
        "labels": gallery.labels.astype(np.int64),
        "embeddings": gallery.embeddings.astype(np.float16),
        "names": np.array(gallery.names, dtype=np.str_),
    }
    if gallery.thumbnails:
        arrays["thumbnails"] = np.frombuffer(b"".join(gallery.thumbnails), np.uint8)
        arrays["thumbnail_ends"] = np.cumsum([len(picture) for picture in gallery.thumbnails], dtype=np.int64)
    np.savez(file, allow_pickle=False, **arrays)
    return base64.b64encode(file.getvalue()).decode("ascii")


def gallery_from_text(text: str, *, classes: int, embedding: int) -> ModelGallery:
    """What ``gallery_to_text`` gave, for a network of so many classes and an embedding of so many numbers.

    Raises:
        UserError: no gallery, or one that does not fit.
    """
    arrays = _arrays(text)
    labels, values, names = (arrays[name] for name in _ARRAYS[:3])
    count = len(labels) if labels.ndim == 1 else 0
    fits = count and values.shape == (count, embedding) and names.shape == (count,) and names.dtype.kind == "U"
    fits = fits and labels.dtype.kind == "i" and values.dtype == np.float16 and np.isfinite(values).all()
    if not (fits and ((labels >= 0) & (labels < classes)).all()):
        raise UserError("its gallery does not fit its classes and its embedding")
    labels, values = labels.astype(np.int64), values.astype(np.float32)
    return ModelGallery(labels, values, tuple(map(str, names)), _thumbnails(arrays, count))


def _arrays(text: str) -> dict[str, np.ndarray]:
    try:
        content = base64.b64decode(text, validate=True)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:  # a compressed array may be of any size
            packed = any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist())
        if packed:
            raise ValueError("compressed")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _ARRAYS if name in stored}
    except _DAMAGE as error:
        raise UserError(f"its gallery cannot be read ({str(error)[:80]})") from None
    if missing := [name for name in _ARRAYS[:3] if name not in arrays]:
        raise UserError(f"its gallery cannot be read (it has no {missing[0]})")
    return arrays


def _thumbnails(arrays: dict[str, np.ndarray], count: int) -> tuple[bytes, ...]:
    """The pictures, of which each ends where the next one begins."""
    if "thumbnails" not in arrays:
        return ()
    pixels, ends = arrays["thumbnails"], arrays.get("thumbnail_ends", np.zeros(0, np.int64))
    fits = pixels.dtype == np.uint8 and pixels.ndim == 1 and ends.dtype.kind == "i" and ends.shape == (count,)
    if not (fits and (np.diff(ends, prepend=0) >= 0).all() and ends[-1] == len(pixels)):
        raise UserError("the pictures of its gallery do not fit its photos")
    content, places = pixels.tobytes(), [0, *ends.tolist()]
    return tuple(content[start:end] for start, end in pairwise(places))
