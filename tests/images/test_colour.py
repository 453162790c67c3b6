"""Every mode of pixel becomes the RGB that a viewer would show."""

import io
import struct

import numpy as np
import pytest
from bad_inputs import encoded, photo
from PIL import Image, ImageCms

from fieldmark.images.colour import to_rgb, upright
from fieldmark.images.decode import decode_image


def colour(image: Image.Image) -> tuple[int, ...]:
    return to_rgb(image).getpixel((3, 3))


def grey(values: object, dtype: type) -> Image.Image:
    return Image.fromarray(np.resize(np.asarray(values, dtype), (16, 16)))


def test_rgb_stays_the_same_object():
    image = photo()
    assert to_rgb(image) is image


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    assert (np.asarray(to_rgb(Image.fromarray(ramp)))[..., 0] == ramp // 257).all()
    assert colour(grey(32768, np.uint16)) == (128, 128, 128)
    assert colour(grey(65535, np.uint16)) == (255, 255, 255)
    big = Image.frombytes("I;16B", (16, 16), struct.pack(">H", 0x8000) * 256)
    assert colour(big) == (128, 128, 128)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0.0, 0.5, 1.0], np.float32, [0, 128, 255]),
        ([0.0, 100.0, 255.0], np.float32, [0, 100, 255]),
        ([0.0, 25700.0, 65535.0], np.float32, [0, 100, 255]),
        ([-1.0, 0.0, 1.0], np.float32, [0, 128, 255]),
        ([1e6, 3e6, 1.8e6], np.float32, [0, 255, 102]),
        ([0, 100, 200], np.int32, [0, 100, 200]),
        ([0, 257, 65535], np.int32, [0, 1, 255]),
        ([-500, 0, 500], np.int32, [0, 128, 255]),
        ([np.nan, np.inf, 0.5], np.float32, [0, 255, 128]),
        ([-np.inf, 1.0, 0.25], np.float32, [0, 255, 64]),
        ([np.nan, np.nan, np.nan], np.float32, [0, 0, 0]),
        ([7e9, 7e9, 7e9], np.float32, [0, 0, 0]),
    ],
)
def test_numbers_take_the_range_that_they_seem_to_have(values: list, dtype: type, expected: list):
    assert np.asarray(to_rgb(grey(values, dtype)))[0, :3, 0].tolist() == expected


def test_numbers_in_a_tall_image_share_one_range():
    ramp = np.linspace(-3, 5, 1000, dtype=np.float32)[:, None].repeat(8, 1)
    rows = np.asarray(to_rgb(Image.fromarray(ramp)))[:, 0, 0].astype(int)
    assert rows[0] == 0
    assert rows[-1] == 255
    assert set(np.diff(rows)) <= {0, 1}


def test_a_dark_sixteen_bit_pgm_stays_dark():
    data = b"P5 16 16 65535\n" + struct.pack(">H", 200) * 256
    assert decode_image(data, name="x").getpixel((3, 3)) == (1, 1, 1)


def test_alpha_is_drawn_over_white():
    half = Image.new("RGBA", (16, 16), (0, 0, 0, 128))
    assert colour(half) == (127, 127, 127)
    assert colour(half.convert("RGBa")) == (127, 127, 127)
    assert colour(Image.new("LA", (16, 16), (0, 128))) == (127, 127, 127)
    assert colour(Image.new("RGBA", (16, 16), (9, 8, 7, 0))) == (255, 255, 255)
    assert colour(Image.new("RGBA", (16, 16), (9, 8, 7, 255))) == (9, 8, 7)


def test_palettes_with_and_without_transparency():
    flat = Image.new("P", (16, 16), 1)
    flat.putpalette([0, 0, 0, 10, 200, 30, 50, 50, 50])
    assert colour(flat) == (10, 200, 30)
    for transparency in (1, bytes([255, 0, 255])):
        data = encoded(flat, "PNG", transparency=transparency)
        assert decode_image(data, name="x").getpixel((3, 3)) == (255, 255, 255)
    assert decode_image(encoded(flat, "GIF", transparency=1), name="x").getpixel((3, 3)) == (255, 255, 255)


def test_a_transparent_colour_of_rgb_and_grey():
    for image, key in ((Image.new("RGB", (16, 16), (1, 2, 3)), (1, 2, 3)), (Image.new("L", (16, 16), 7), 7)):
        assert decode_image(encoded(image, "PNG", transparency=key), name="x").getpixel((3, 3)) == (255, 255, 255)


def test_one_bit_grey_hsv_and_ycbcr():
    assert colour(Image.new("1", (16, 16), 1)) == (255, 255, 255)
    assert colour(Image.new("L", (16, 16), 77)) == (77, 77, 77)
    for mode in ("HSV", "YCbCr"):
        converted = colour(Image.new("RGB", (16, 16), (200, 30, 60)).convert(mode))
        assert np.abs(np.subtract(converted, (200, 30, 60))).max() <= 4


def test_lab_goes_through_its_colour_space():
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.new("RGB", (16, 16), (200, 30, 60)), *profiles, outputMode="LAB")
    for image in (to_rgb(lab), decode_image(encoded(lab, "TIFF"), name="x")):
        assert np.abs(np.subtract(image.getpixel((3, 3)), (200, 30, 60))).max() <= 4


def cmyk_profile(lab: tuple[int, int, int]) -> bytes:
    """A colour profile for CMYK that shows every ink as one colour (8-bit L, a + 128, b + 128)."""
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table += bytes(range(256)) * 4 + bytes(lab) * 16 + bytes(range(256)) * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    blocks, tags, at = [table, white], b"", 128 + 4 + 24
    for name, block in zip((b"A2B0", b"wtpt"), blocks, strict=True):
        tags += name + struct.pack(">II", at, len(block))
        at += len(block)
    head = struct.pack(">I4sI4s4s4s12x4s", at, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp").ljust(68, b"\0")
    head = (head + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0")
    return head + struct.pack(">I", 2) + tags + table + white


def test_cmyk_uses_its_profile_where_that_is_usable():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert colour(red) == (255, 0, 0)
    usable = cmyk_profile((128, 128, 128))
    assert ImageCms.ImageCmsProfile(io.BytesIO(usable)).profile.xcolor_space.strip() == "CMYK"
    shown = decode_image(encoded(red, "JPEG", icc_profile=usable), name="x").getpixel((3, 3))
    assert np.abs(np.subtract(shown, (119, 119, 119))).max() <= 6
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for useless in (b"rubbish" * 50, srgb, usable[:300]):
        shown = decode_image(encoded(red, "JPEG", icc_profile=useless, quality=95), name="x").getpixel((3, 3))
        assert np.abs(np.subtract(shown, (255, 0, 0))).max() <= 6


def test_upright_ignores_orientations_that_do_not_exist():
    image = photo()
    assert upright(image, 0) is image
    assert upright(image, 9) is image
    assert upright(image, 6).size == (64, 96)
