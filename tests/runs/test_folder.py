"""A run's folder: what it holds comes back, and what is not whole is said."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fieldmark.building import build_learner, classes_named
from fieldmark.core.networks import make_backbone
from fieldmark.data.dataset import Box, Photo
from fieldmark.errors import UserError
from fieldmark.images.decode import opened_image
from fieldmark.input.loading import Photographs
from fieldmark.input.views import evaluation_view
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.runs.checkpoint import save_model
from fieldmark.runs.folder import (
    ABOUT,
    CLASSES,
    RECIPE,
    About,
    Transform,
    digest_of,
    load,
    open_run,
    read_run,
    write_run,
)
from own_parts import own

MODEL = Model(backbone="test_resnet", weights="none")
ABOUT_VALUES = About(data="x", annotation="x", data_digest="x", headline="top1", cut=True)


class Mine(Plain):
    """A class from elsewhere."""


def test_a_stop_while_a_run_is_described_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, Recipe(MODEL), classes=("a", "b"), about=ABOUT_VALUES)

    def stopped(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            write_run(folder, Recipe(MODEL, seed=7), classes=("a", "b"), about=ABOUT_VALUES)
    assert read_run(tmp_path)[0] == Recipe(MODEL)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([RECIPE, CLASSES, ABOUT, "new"])


def test_a_description_comes_back(tmp_path: Path) -> None:
    names = ("ant", "鷺", "caf\udce9", 'quote"', "two\nlines")
    recipe = Recipe(MODEL, seed=7, train_on=("train", "caf\udce9"))
    write_run(tmp_path / "deep" / "run", recipe, classes=names, about=ABOUT_VALUES)
    found, classes, about = read_run(tmp_path / "deep" / "run")
    assert (found, classes) == (recipe, names)
    assert about == ABOUT_VALUES
    assert "鷺" in (tmp_path / "deep/run" / CLASSES).read_bytes().decode("utf-8")


def test_classes_from_elsewhere_are_named_again(tmp_path: Path) -> None:
    recipe = Recipe(replace(MODEL, method=own(Mine)))
    write_run(tmp_path, recipe, classes=("a", "b"), about=ABOUT_VALUES)
    assert read_run(tmp_path)[0] == recipe
    with pytest.raises(UserError, match=r"--external .*test_folder:Mine"):
        open_run(tmp_path)
    save_model(tmp_path, build_learner(recipe, classes=2, external=classes_named([Mine])))
    assert isinstance(open_run(tmp_path, external=[Mine]).learner.method, Mine)


@pytest.mark.parametrize("file", [RECIPE, CLASSES, ABOUT])
@pytest.mark.parametrize(
    "text", [b"", b"[]", b"3", b"{}", b"\xff\xfe", b'{"format_version": 99}', b'{"format_version": 1, "model": 3}']
)
def test_damaged_descriptions_are_said_in_a_line(file: str, text: bytes, tmp_path: Path) -> None:
    write_run(tmp_path, Recipe(MODEL), classes=("a", "b"), about=ABOUT_VALUES)
    (tmp_path / file).write_bytes(text)
    with pytest.raises(UserError) as error:
        read_run(tmp_path)
    assert 1 <= len(str(error.value).splitlines()) <= 3


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a Fieldmark run"):
        load(tmp_path)
    write_run(tmp_path, Recipe(MODEL), classes=("a", "b"), about=ABOUT_VALUES)
    with pytest.raises(UserError, match="no trained model"):
        load(tmp_path)
    (tmp_path / ABOUT).unlink()
    with pytest.raises(UserError, match="is the run complete"):
        open_run(tmp_path)


def test_opening_needs_no_weights_and_changes_nothing(trained: Path) -> None:
    recipe = json.loads((trained / RECIPE).read_text())
    assert recipe["model"]["weights"] == "none"
    one, other = open_run(trained), load(trained)
    assert one.classes == other.classes == ("ant", "bee", "cat")
    assert not one.learner.training
    for name, value in other.model.state_dict().items():
        assert torch.equal(value, one.learner.method.state_dict()[name])


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "box"])
def test_the_transform_is_evaluation_s(fit: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    backbone = make_backbone("test_resnet", weights="none", size=64)
    pixels = Pixels(64, 64, fit=fit)
    box = Box(10, 10, 30, 30) if fit == "box" else None
    found = Transform(pixels, mean=backbone.mean, std=backbone.std)(image, box)
    view = torch.from_numpy(evaluation_view(image, pixels, box).copy())
    assert torch.equal(found, backbone.normalise(view[None])[0])
    assert (found.shape, found.dtype) == ((3, 64, 64), torch.float32)
    grey = Transform(pixels, mean=backbone.mean, std=backbone.std)(image.convert("L"), box)
    assert grey.shape == found.shape


def test_the_transform_reads_files_and_opened_pictures_as_prediction_does(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 256, (50, 70, 4), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(numbers[..., :3]).save(tmp_path / "turned.jpg", exif=turned)
    Image.fromarray(numbers).save(tmp_path / "see-through.png")
    Image.fromarray(numbers[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(numbers[..., :3]).convert("CMYK").save(tmp_path / "print.jpg")
    Image.fromarray(numbers[..., :3]).save(tmp_path / "turned.tif", exif=turned)
    pixels = Pixels(64, 64, fit="stretch")
    transform = Transform(pixels, mean=torch.zeros(3), std=torch.ones(3))
    for path in sorted(tmp_path.iterdir()):
        seen = Photographs([Photo(path.name, path)], pixels)[0].pixels[0].permute(2, 0, 1) / 255
        opened = Image.open(path)
        array = np.asarray(opened_image(Image.open(path)))
        for given in (path, str(path), opened, opened_image(Image.open(path)), path.read_bytes(), array):
            assert torch.allclose(transform(given), seen, atol=1e-6), (path.name, given)
    with pytest.raises(UserError, match=r"nothing\.jpg: no such file"):
        transform(tmp_path / "nothing.jpg")
    with pytest.raises(UserError, match="the picture is of type NoneType"):
        transform(None)  # pyright: ignore[reportArgumentType]


def test_a_box_is_asked_for() -> None:
    transform = Transform(Pixels(64, 64, fit="box"), mean=torch.zeros(3), std=torch.ones(3))
    with pytest.raises(UserError, match="box"):
        transform(Image.new("RGB", (50, 50)))


def test_a_digest_is_that_of_the_tensors(trained: Path, own_run: Path):
    assert digest_of(trained) == digest_of(own_run)
    shutil.copy(own_run / "recipe.json", own_run / "model.safetensors")
    assert digest_of(trained) != digest_of(own_run)
