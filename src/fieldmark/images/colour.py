"""Turns any mode of image into upright 8-bit RGB (Pillow and numpy, no torch).

Alpha is drawn over white, 16-bit grey is scaled rather than clipped, CMYK goes through the embedded colour profile
if it is usable. RGB with a profile (Adobe RGB, Display P3) is taken as it is, as in every common training pipeline.
"""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BAND = 256


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """``image`` turned by an EXIF orientation 1 to 8; unchanged for any other number."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` of any Pillow mode as 8-bit RGB; the same object if it is 8-bit RGB already.

    May raise whatever Pillow raises for damaged palettes and the like.
    """
    if image.has_transparency_data and not image.mode.startswith("I"):
        return _over_white(image)
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _from_numbers(image)
    if image.mode == "CMYK":
        return _from_cmyk(image)
    if image.mode == "LAB":
        return _through_profiles(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return image.convert("RGB")


def is_opaque(image: Image.Image) -> bool:
    """Whether an image with transparency data shows nothing of what would lie behind it."""
    return _with_alpha(image).getchannel("A").getextrema() == (255, 255)


def _with_alpha(image: Image.Image) -> Image.Image:
    return image if image.mode in ("RGBA", "LA") else image.convert("LA" if image.mode == "La" else "RGBA")


def _over_white(image: Image.Image) -> Image.Image:
    image = _with_alpha(image)
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return image.convert("RGB")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=alpha)  # accepts RGBA and LA, so no third copy of a large image is made
    return canvas


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB")
    try:
        return _through_profiles(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):  # a damaged profile, or one that is not for CMYK
        return image.convert("RGB")


def _through_profiles(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:
        raise ValueError("Pillow gave no converted image")
    return converted


def _from_numbers(image: Image.Image) -> Image.Image:
    """16-bit grey, 32-bit integers and floats; band by band, as a float copy of a large image would not fit."""
    # Pillow reads PGM of more than 8 bits as 32-bit integers scaled to 0..65535.
    is_16_bit = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")
    low, scale = (0.0, 1 / 257) if is_16_bit else _range_of(image)
    grey = np.empty((image.height, image.width), np.uint8)
    for top, band in _bands(image):
        values = (np.nan_to_num(band, nan=low, posinf=np.inf, neginf=-np.inf) - low) * scale
        grey[top : top + len(band)] = np.clip(values + 0.5, 0, 255)
    return Image.fromarray(grey).convert("RGB")


def _bands(image: Image.Image) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, float32 ``(rows, W)``) from top to bottom."""
    for top in range(0, image.height, _BAND):
        rows = image.crop((0, top, image.width, min(top + _BAND, image.height)))
        yield top, np.asarray(rows).astype(np.float32)


def _range_of(image: Image.Image) -> tuple[float, float]:
    """(low, scale) that map the values to 0..255: by the usual ranges 1, 255 or 65535, else by the extremes."""
    low, high = np.inf, -np.inf
    for _, band in _bands(image):
        finite = band[np.isfinite(band)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low >= 0 and high <= 65535:
        top = 1 if high <= 1 else 255 if high <= 255 else 65535
        return 0.0, 255 / top
    return (low, 255 / (high - low)) if high > low else (0.0, 0.0)
