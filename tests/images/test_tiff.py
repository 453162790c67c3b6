"""TIFF has many layouts: each is read as the picture that it holds, or refused in words; none as another picture."""

import itertools
import zlib

import numpy as np
import pytest
from PIL import Image
from tiffs import Tags, tiff_of

from fieldmark.errors import UnreadableImage
from fieldmark.images.decode import decode_image

H, W = 37, 53
ACROSS, DOWN = np.meshgrid(np.arange(W), np.arange(H))
GREY = ((4 * ACROSS + DOWN) % 256).astype(np.uint8)[..., None]
RGB = np.concatenate(
    [GREY, (6 * DOWN + 20).astype(np.uint8)[..., None], (250 - 4 * ACROSS).astype(np.uint8)[..., None]], 2
)
FULL, NONE = np.full_like(GREY, 255), np.zeros_like(GREY)
COLOURS = [*range(0, 65536, 257), *range(65535, -1, -257), *(257 * (3 * at % 256) for at in range(256))]
PALETTE = np.concatenate([GREY, 255 - GREY, 3 * GREY], 2)
YCBCR = np.asarray(Image.fromarray(RGB).convert("YCbCr"))

# What is stored, its photometric number, more tags, and the picture that it is.
Content = tuple[np.ndarray, int, Tags, np.ndarray]
CONTENTS: dict[str, Content] = {
    "grey": (GREY, 1, {}, GREY),
    "grey, white is zero": (255 - GREY, 0, {}, GREY),
    "RGB": (RGB, 2, {}, RGB),
    "palette": (GREY, 3, {320: COLOURS}, PALETTE),
    "CMYK": (np.concatenate([255 - RGB, NONE], 2), 5, {}, RGB),
    "YCbCr": (YCBCR, 6, {530: [1, 1]}, RGB),
    "grey and alpha": (np.concatenate([GREY, FULL], 2), 1, {338: [2]}, GREY),
    "RGB and alpha": (np.concatenate([RGB, FULL], 2), 2, {338: [2]}, RGB),
    "RGB and multiplied alpha": (np.concatenate([RGB, FULL], 2), 2, {338: [1]}, RGB),
    "RGB and something": (np.concatenate([RGB, GREY], 2), 2, {338: [0]}, RGB),
    "RGB, alpha and something": (np.concatenate([RGB, FULL, GREY], 2), 2, {338: [2, 0]}, RGB),
}


def stored_as(samples: np.ndarray, kind: str) -> np.ndarray:
    """8-bit samples as another type that shows the same."""
    match kind:
        case "uint16" | "uint32" | "uint64":
            return samples.astype(kind) * (np.iinfo(kind).max // 255)
        case "int8":
            return (samples.astype(int) - 128).astype(kind)
        case "int16" | "int32":
            return (samples.astype(int) * 257 - (samples.min() if kind == "int16" else 0)).astype(kind)
        case "float16" | "float32" | "float64":
            return (samples / 255).astype(kind)
    return samples


KINDS = ("uint8", "uint16", "uint32", "uint64", "int8", "int32", "float16", "float32", "float64")
# What people have is read, not refused.
READ = {("uint8", content) for content in CONTENTS}
READ |= {("uint16", content) for content in ("grey", "RGB", "CMYK", "RGB and alpha")} | {("float32", "grey")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", CONTENTS)
def test_every_layout_is_read_right_or_refused_in_words(content: str, kind: str) -> None:
    samples, photometric, tags, truth = CONTENTS[content]
    if content == "palette" and kind == "uint16":
        samples, tags = samples.astype("uint16"), {320: np.repeat(COLOURS, 256).tolist()}
    samples, outcomes = stored_as(samples, kind) if content != "palette" else samples.astype(kind), {}
    ways = itertools.product("<>", (False, True), ({}, {"rows": 5}, {"tile": 16}), (False, True), (False, True))
    for order, in_planes, shape, deflated, predicted in ways:
        if predicted and not (deflated and kind.startswith("uint") and kind != "uint64"):
            continue
        data = tiff_of(
            samples, photometric=photometric, order=order, in_planes=in_planes, deflated=deflated, predicted=predicted,
            tags=tags, **shape,
        )  # fmt: skip
        way = (order, in_planes, *shape, deflated, predicted)
        try:
            image = np.asarray(decode_image(data, name="x")).astype(int)
            assert np.abs(image - truth).max() <= (6 if content == "YCbCr" else 1), way
            outcomes[way] = "read"
        except UnreadableImage as error:
            outcomes[way] = error.reason
    usual = {reason for way, reason in outcomes.items() if not way[1] and way[0] == "<"}
    assert usual == {"read"} or (kind, content) not in READ, outcomes
    assert all(outcome == "read" or "TIFF" in outcome for outcome in outcomes.values()), outcomes


def test_planes_of_16_bits_are_refused_where_they_are_not_compressed() -> None:
    data = tiff_of(stored_as(RGB, "uint16"), photometric=2, in_planes=True)
    with pytest.raises(
        UnreadableImage, match="a TIFF of channels of 16 bits in separate planes, which is not read; save it again"
    ):
        decode_image(data, name="x")
    deflated = tiff_of(stored_as(RGB, "uint16"), photometric=2, in_planes=True, deflated=True)
    assert np.abs(np.asarray(decode_image(deflated, name="x")).astype(int) - RGB).max() <= 1


@pytest.mark.parametrize("order", "<>")
def test_signed_numbers_are_spread_over_the_range(order: str) -> None:
    numbers = (GREY.astype(int) * 200 - 20_000).astype(np.int16)
    image = np.asarray(decode_image(tiff_of(numbers, photometric=1, order=order), name="x"))[..., 0].astype(float)
    low, high = float(numbers.min()), float(numbers.max())
    spread = (numbers[..., 0] - low) / (high - low) * 255
    assert np.abs(image - spread).max() <= 0.51


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_odd_depths_are_refused(bits: int) -> None:
    with pytest.raises(UnreadableImage, match=f"a TIFF of {bits} bits a channel"):
        decode_image(tiff_of(stored_as(GREY, "uint16"), photometric=1, tags={258: [bits]}), name="x")


def test_few_bits() -> None:
    grey = np.packbits((GREY[..., 0] > 127), axis=1)[..., None]
    image = np.asarray(decode_image(tiff_of(grey, photometric=1, tags={256: [W], 258: [1]}), name="x"))
    assert (image[..., 0] == 255 * (GREY[..., 0] > 127)).all()
    nibbles = (GREY[:, :52, 0] >> 4).reshape(H, 26, 2)
    packed = (nibbles[..., 0] << 4 | nibbles[..., 1])[..., None]
    image = np.asarray(decode_image(tiff_of(packed, photometric=1, tags={256: [52], 258: [4]}), name="x"))
    assert (image[..., 0] == 17 * (GREY[:, :52, 0] >> 4)).all()


def test_of_several_pages_the_first_is_read() -> None:
    first, second = tiff_of(RGB, photometric=2), tiff_of(255 - RGB, photometric=2)
    end = 8 + 2 + 12 * int.from_bytes(first[8:10], "little")
    chained = first[:end] + len(first).to_bytes(4, "little") + first[end + 4 :] + second[8:]
    assert (np.asarray(decode_image(chained, name="x")) == RGB).all()


def test_damaged_data_is_damage() -> None:
    data = tiff_of(RGB, photometric=2, deflated=True)
    at = data.index(zlib.compress(RGB.tobytes())[:8])
    for damaged in (data[: len(data) // 2], data[: at + 2] + bytes(200) + data[at + 202 :]):
        with pytest.raises(UnreadableImage):
            decode_image(damaged, name="x")
