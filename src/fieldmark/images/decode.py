"""The guarded decode: any file on disk becomes an upright 8-bit RGB image, or one line that says why not.

Training, evaluation, prediction and serving all get their pixels here; Pillow and numpy, no torch. Safe to call from
several threads: no setting of Pillow is read or changed.
"""

import hashlib
import io
import math
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from PIL import Image, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from fieldmark.errors import UnreadableImage, UserError, printable
from fieldmark.images.colour import is_opaque, to_rgb, upright
from fieldmark.images.exif import Exif, read_exif, read_exif_stream
from fieldmark.images.guard import DEFAULT, Limits, Source, check_bytes, check_size, opened, system_reason
from fieldmark.images.headers import FRAMES, Facts, Refusal, examine, sniff
from fieldmark.images.jpeg import Jpeg

S = TypeVar("S")
T = TypeVar("T")
Side = int | Callable[[tuple[int, int]], int]
"""A shorter side in pixels, or a function that gives it for the (width, height) of the upright image."""

# The most pixels for decoders that Pillow has in Python, which take microseconds per pixel.
_SLOW = {"ppm": 500_000, "ppm_plain": 1_000_000, "bmp_rle": 4_000_000}
_SMALL = 64
_THUMB = 16
_WARNING = threading.Lock()


@dataclass(frozen=True)
class Inspection:
    """What ``inspect_image`` returns.

    ``width`` and ``height`` of the upright image in pixels; ``format`` and ``mode`` as Pillow names them; ``frames``
    (at most 1000 are counted in GIF and TIFF); ``taken`` in seconds since 1970 by the camera's clock, None if unknown;
    ``remarks`` a few words each on what was converted; ``image`` upright RGB of at most 64 x 64 pixels; ``thumb``
    the whole image as upright RGB of 16 x 16 pixels; ``sha`` the SHA-256 of the file's bytes in hexadecimal.
    """

    width: int
    height: int
    format: str
    mode: str
    frames: int
    taken: float | None
    camera: str
    remarks: tuple[str, ...]
    image: Image.Image
    thumb: Image.Image
    sha: str


def _heic(stream: BinaryIO) -> ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise Refusal("HEIC content: pip install 'fieldmark[heic]', or convert it to JPEG") from None
    return HeifImageFile(stream)


def _avif(stream: BinaryIO) -> ImageFile:
    if not features.check("avif"):
        raise Refusal("AVIF content, which this build of Pillow cannot read; convert it to JPEG")
    return AvifImageFile(stream)


# Not ``Image.open``: its check for decompression bombs warns and refuses by a global setting.
# A multi-picture (MPO) file begins with its main picture as plain JPEG. HEIC and AVIF are turned by their container and
# not by their EXIF; the EXIF that these readers give agrees with what is left to turn.
_READERS: dict[str, Callable[[BinaryIO], ImageFile]] = {
    "JPEG": Jpeg,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "TIFF": TiffImageFile,
    "BMP": BmpImageFile,
    "PPM": PpmImageFile,
    "HEIC": _heic,
    "AVIF": _avif,
}


def read_image(
    path: Path, *, name: str | None = None, limits: Limits = DEFAULT, reduce_to: Side | None = None
) -> Image.Image:
    """The image file ``path`` as upright 8-bit RGB, fully decoded; the first of several frames.

    ``name`` stands for the file in messages (default: the path). ``reduce_to`` is for training: a JPEG may be decoded
    at 1/2, 1/4 or 1/8 of its size as long as its shorter side keeps ``reduce_to`` pixels. Raises
    :class:`~fieldmark.errors.UnreadableImage` and nothing else, except for a UserError raised by ``reduce_to``.
    """
    file = opened(path, limits)
    return _guarded(str(path) if name is None else name, file, lambda source: _decode(source, limits, reduce_to))


def decode_image(data: bytes, *, name: str, limits: Limits = DEFAULT, reduce_to: Side | None = None) -> Image.Image:
    """``read_image`` for the bytes of an image file in memory."""
    source = nullcontext(Source(io.BytesIO(data), len(data)))
    return _guarded(name, source, lambda source: _decode(source, limits, reduce_to))


def opened_image(image: Image.Image, *, name: str = "the picture", limits: Limits = DEFAULT) -> Image.Image:
    """An image opened with Pillow as ``read_image`` gives its file: upright 8-bit RGB.

    It is not turned where it is upright already or has lost its EXIF.
    """
    return _guarded(name, nullcontext(image), lambda image: _flattened(image, limits))


def inspect_image(path: Path, *, name: str | None = None, limits: Limits = DEFAULT) -> Inspection:
    """Examines a file at low cost: all coded data is read, so damage shows, but a JPEG only at 1/8 of its size.

    Refuses what ``read_image`` refuses, with :class:`~fieldmark.errors.UnreadableImage`.
    """
    return _guarded(str(path) if name is None else name, opened(path, limits), lambda source: _inspect(source, limits))


def upright_size(path: Path, *, name: str | None = None, limits: Limits = DEFAULT) -> tuple[int, int]:
    """(width, height) of what ``read_image`` gives, without a pixel decoded; raises as it does."""
    return _guarded(str(path) if name is None else name, opened(path, limits), lambda source: _size(source, limits))


def _guarded(name: str, source: AbstractContextManager[S], work: Callable[[S], T]) -> T:
    try:
        with source as content:
            return work(content)
    except UserError:  # raised by the caller's ``reduce_to``
        raise
    except Refusal as refusal:
        reason = str(refusal)
    except OSError as error:
        reason = system_reason(error)
    except ValueError:  # os.stat of a path with a zero byte, or one that the file system cannot encode
        reason = "no file can have this name"
    # Raised out here so that it does not keep the frames with the half-decoded image alive.
    raise UnreadableImage(name, reason)


@contextmanager
def _pillow(kind: str, facts: Facts | None) -> Iterator[None]:
    """Wraps all calls of Pillow: any failure becomes a :class:`Refusal`, and warnings are silenced.

    Only TIFF and animated PNG can warn. Warning filters belong to the whole process, so these decode one at a time.
    """
    try:
        if kind == "TIFF" or (kind == "PNG" and facts is not None and facts.frames != 1):
            with _WARNING, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        else:
            yield
    except (Refusal, UserError):
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything, even MemoryError and KeyError
        raise Refusal(_damage(kind, error)) from None


def _damage(kind: str, error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory to decode this {kind}"
    text = printable(" ".join(str(error).split()))[:80]
    if isinstance(error, EOFError) or re.search("truncated|end of file", text, re.IGNORECASE):
        return f"truncated {kind}"
    # The text of a KeyError would be a bare number.
    if isinstance(error, KeyError) or text in ("unknown pixel mode", "unknown data organization"):
        return f"an unknown variant of {kind}; save it again as JPEG or PNG"
    return f"damaged {kind} ({text or type(error).__name__})"


def _open_image(source: Source, kind: str, facts: Facts | None, limits: Limits) -> ImageFile:
    """The file opened by Pillow, its size checked, with no pixel decoded yet."""
    source.stream.seek(0)
    image = _READERS[kind](source.stream)
    bits = facts.bits if facts else 8 * (4 if image.mode in ("I", "F") else len(image.getbands()))
    check_size(Facts(*image.size, bits), source.size, limits)
    most = _SLOW.get(image.tile[0][0]) if image.tile else None
    if most and image.width * image.height > most:
        raise Refusal(f"more than {most / 1e6:g} megapixels in a variant of {kind} that is slow to read; convert it")
    return image


def _examined(source: Source, limits: Limits, *, count: bool = False) -> tuple[str, Facts | None]:
    """The format and the header's facts, refused by size before Pillow sees the file."""
    check_bytes(source.size, limits)
    kind = sniff(source.stream)
    facts = examine(source.stream, kind, count=count)
    if facts:
        check_size(facts, source.size, limits)
    return kind, facts


def _decode(source: Source, limits: Limits, reduce_to: Side | None) -> Image.Image:
    kind, facts = _examined(source, limits)
    with _pillow(kind, facts):
        image = _open_image(source, kind, facts, limits)
        orientation = _exif(kind, facts, image).orientation
        if reduce_to is not None and kind == "JPEG":
            size = (image.height, image.width) if orientation >= 5 else image.size
            least = reduce_to if isinstance(reduce_to, int) else reduce_to(size)
            image.draft(None, (least, least))
        image.load()
        decoded = upright(to_rgb(image), orientation)
        decoded.info = {}  # its EXIF is used up: read again, it would turn the image once more
        return decoded


def _size(source: Source, limits: Limits) -> tuple[int, int]:
    kind, facts = _examined(source, limits)
    with _pillow(kind, facts):
        image = _open_image(source, kind, facts, limits)
        width, height = image.size
        return (height, width) if _exif(kind, facts, image).orientation >= 5 else (width, height)


def _flattened(image: Image.Image, limits: Limits) -> Image.Image:
    kind = image.format or image.mode
    check_size(Facts(*image.size), 4 * image.width * image.height, limits)
    with _pillow(kind, None):
        image.load()
        flat = to_rgb(image)
        turned = upright(flat, _exif(kind, None, image).orientation)
        if turned is not flat:
            turned.info = {}  # its EXIF is used up
        return turned


def _exif(kind: str, facts: Facts | None, image: Image.Image) -> Exif:
    if kind == "TIFF":  # Pillow turns a TIFF itself
        return Exif()
    block = (facts.exif if facts else b"") or image.info.get("exif", b"")
    return read_exif(block if isinstance(block, bytes) else b"")


def _inspect(source: Source, limits: Limits) -> Inspection:
    sha = hashlib.file_digest(source.stream, "sha256").hexdigest()  # type: ignore[arg-type]
    kind, facts = _examined(source, limits, count=True)
    about = read_exif_stream(source.stream) if kind == "TIFF" else None
    with _pillow(kind, facts):
        image = _open_image(source, kind, facts, limits)
        facts = facts or Facts(*image.size)
        mode, (width, height) = image.mode, image.size
        if kind == "JPEG":
            image.draft(None, (_SMALL // 2, _SMALL // 2))
        image.load()
        about = about or _exif(kind, facts, image)
        frames = getattr(image, "n_frames", 1) if kind in ("WEBP", "AVIF", "HEIC") else facts.frames
        transparent = image.has_transparency_data and not is_opaque(image)
        turned = 1 if kind == "TIFF" else about.orientation
        small = to_rgb(image)
        thumb = upright(_thumbnail(small, (width, height) if kind == "JPEG" else small.size), turned)
        small.thumbnail((_SMALL, _SMALL))
        small = upright(small, turned).copy()
        small.info = {}
    if turned >= 5:
        width, height = height, width
    remarks = _remarks(kind, mode, frames, facts.depth)
    remarks += ("rotated by EXIF",) * (about.orientation > 1) + ("transparent: drawn over white",) * transparent
    return Inspection(width, height, kind, mode, frames, about.taken, about.camera, remarks, small, thumb, sha)


def _thumbnail(small: Image.Image, size: tuple[int, int]) -> Image.Image:
    """``small``, an image of ``size`` decoded at 1/1 to 1/8, as 16 x 16 pixels.

    Its size is rounded up to whole pixels; what lies beyond the image's edge is left out, so that copies of other
    sizes look the same.
    """
    scale = 2 ** round(math.log2(size[0] / small.width))
    return small.resize((_THUMB, _THUMB), Image.Resampling.BILINEAR, (0, 0, size[0] / scale, size[1] / scale))


def _remarks(kind: str, mode: str, frames: int, depth: int) -> tuple[str, ...]:
    remarks = []
    if frames > 1:
        many = f"more than {FRAMES}" if frames == FRAMES and kind in ("GIF", "TIFF") else str(frames)
        what = {"TIFF": "{} pages: the first is used", "JPEG": "{} pictures: the first is used"}
        what["HEIC"] = "{} pictures: the main one is used"
        remarks.append(what.get(kind, "animated: the first of {} frames is used").format(many))
    if mode in ("CMYK", "LAB", "YCbCr"):
        remarks.append(mode)
    if depth > 8 or mode.startswith("I"):
        remarks.append("32-bit" if mode == "F" or depth == 32 else "16-bit")
    return tuple(remarks)
