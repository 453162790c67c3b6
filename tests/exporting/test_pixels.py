"""Preprocessing as a graph: what Pillow does for evaluation, up to a level."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto
from PIL import Image

from fieldmark.errors import UserError
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.parity import session_of
from fieldmark.exporting.pixels import Preparing, preparing_graph, with_preparing
from fieldmark.input.views import evaluation_view
from fieldmark.recipe import Fit, Pixels

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
LEVELS = {"shift": torch.zeros(3), "scale": torch.ones(3)}


def picture(random: np.random.Generator, width: int, height: int) -> Image.Image:
    """Smooth, as photos are."""
    small = random.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def differences(image: Image.Image, pixels: Pixels) -> np.ndarray:
    found = Preparing(pixels, **LEVELS)(torch.from_numpy(np.array(image)))[0].numpy()
    return np.abs(found - evaluation_view(image, pixels).transpose(2, 0, 1))


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
@pytest.mark.parametrize(
    "size", [(80, 64), (64, 80), (33, 47), (200, 90), (90, 200), (640, 480), (500, 375), (900, 61), (7, 5), (2, 3)]
)
def test_the_view_is_pillows(fit: Fit, size: tuple[int, int], random: np.random.Generator):
    pixels = Pixels(size=48, eval_size=48, eval_crop=0.875, fit=fit)
    found = differences(picture(random, *size), pixels)
    width, height = size
    in_blocks = min(size) > 2 * 3 * 48 or (fit != "crop" and max(size) > 2 * 3 * 48)
    is_tall = height - 48 > 2 * (width - 48)  # some versions of Pillow then scale rows first, and round after that
    assert (found == 0).mean() > (0.6 if in_blocks or is_tall else 0.97)
    assert found.max() <= 3


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(2, 400), st.integers(2, 400), st.sampled_from(["crop", "stretch", "pad"]), st.floats(0.3, 1.0),
    st.integers(4, 64),
)  # fmt: skip
def test_the_view_is_pillows_for_any_size(width: int, height: int, fit: Fit, crop: float, side: int):
    pixels = Pixels(size=side, eval_size=side, eval_crop=crop, fit=fit)
    found = differences(picture(np.random.default_rng(0), width, height), pixels)
    assert found.max() <= 6, "clipping after one pass and then the other may differ by more than rounding"
    assert found.mean() < 0.5


def test_sharp_pictures_too(random: np.random.Generator):
    noise = Image.fromarray(random.integers(0, 256, (75, 100, 3), dtype=np.uint8))
    found = differences(noise, Pixels(size=32, eval_size=32))
    assert (found == 0).mean() > 0.97
    assert found.max() <= 1


def test_what_lies_beyond_the_picture_is_grey():
    white = Image.new("RGB", (40, 10), "white")
    view = Preparing(Pixels(size=20, eval_size=20, fit="pad"), **LEVELS)(torch.from_numpy(np.array(white)))[0]
    assert set(view[:, :7].flatten().tolist()) == {128.0}
    assert set(view[:, 8:12].flatten().tolist()) == {255.0}


def test_boxes_are_refused():
    with pytest.raises(UserError, match="no place for boxes"):
        Preparing(Pixels(size=32, eval_size=32, fit="box"), **LEVELS)


@pytest.fixture(scope="module")
def preparing() -> ModelProto:
    return preparing_graph(Pixels(size=64, eval_size=64), shift=255 * MEAN, scale=1 / (255 * STD))


def run(graph: ModelProto, names: Sequence[str], image: Image.Image) -> list[np.ndarray]:
    return [np.asarray(value) for value in session_of(graph).run(names, {"pixels": np.asarray(image)})]


@pytest.mark.parametrize("size", [(80, 64), (61, 90), (1300, 900), (2, 2)])
def test_the_graph_takes_pictures_of_any_size(
    preparing: ModelProto, size: tuple[int, int], random: np.random.Generator
):
    image, pixels = picture(random, *size), Pixels(size=64, eval_size=64)
    (found,) = run(preparing, ["images"], image)
    view = torch.from_numpy(evaluation_view(image, pixels).copy()).permute(2, 0, 1)
    wanted = (view / 255 - MEAN[:, None, None]) / STD[:, None, None]
    assert found.shape == (1, 3, 64, 64)
    assert float(np.abs(found[0] - wanted.numpy()).max()) < 3.01 / (255 * 0.2)


def test_one_graph_of_preprocessing_and_network(
    preparing: ModelProto, graph: ModelProto, network: Shipped, random: np.random.Generator
):
    image = picture(random, 90, 70)
    (images,) = run(preparing, ["images"], image)
    found = run(with_preparing(graph, preparing), network.names, image)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images))
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-5)
    assert [value.name for value in with_preparing(graph, preparing).graph.input] == ["pixels"]
