"""An exported model in use: pixels equal to training's bit for bit, and answers equal to the run's.

The export of a real network takes a while: ``pytest -m slow tests/ship/test_model.py``.
"""

import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from bad_inputs import EXPECTED, write_bad_inputs
from PIL import Image

import fieldmark
from fieldmark import export
from fieldmark.data.dataset import Box, Photo
from fieldmark.errors import UserError
from fieldmark.evaluation.demands import demands_of as demands_of_run
from fieldmark.evaluation.predict import predict
from fieldmark.input.loading import Photographs, batches_of, in_order, loader_of
from fieldmark.recipe import Fit, Pixels
from fieldmark.runs.folder import Transform, open_run
from fieldmark.serving.logs import Log
from fieldmark.serving.running import serve
from fieldmark.serving.settings import Settings
from fieldmark.ship.container import LARGEST
from fieldmark.ship.model import Model, open_model
from fieldmark.ship.reading import BATCH
from sure_runs import random_answers, sure
from tiny_models import CLASSES, SIDE, WIDTH, answered, gallery, held_out, manifest, network, write_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model.onnx", manifest(held_out=held_out()), gallery=gallery())


@pytest.fixture
def model(path: Path) -> Model:
    return open_model(path, threads=1)


def fit(kind: str) -> Pixels:
    return Pixels(size=SIDE, eval_size=SIDE, eval_crop=0.875, fit=kind)  # pyright: ignore[reportArgumentType]


def model_of(kind: str) -> Model:
    """One that only prepares pictures."""
    return Model(Path("m.onnx"), manifest(pixels=fit(kind)), lambda names, images: [])


# Pixels


@pytest.mark.parametrize("kind", get_args(Fit))
def test_odd_photos_are_prepared_as_in_training_bit_for_bit(kind: str, tmp_path: Path) -> None:
    """16-bit, CMYK, rotated by EXIF, transparent, paletted, animated ...: all that is read at all."""
    paths = write_bad_inputs(tmp_path)
    own, told = model_of(kind), manifest()
    box = Box(3, 2, 30, 20) if kind == "box" else None
    transform = Transform(fit(kind), mean=torch.tensor(told.mean), std=torch.tensor(told.std))
    sound = [path for name, path in paths.items() if EXPECTED[name] != "refused"]
    same = 0
    for path in sound:
        try:
            expected = transform(path, box).numpy()
        except UserError as error:
            with pytest.raises(UserError, match=re.escape(str(error))):
                own.prepared(path, box)
            continue
        np.testing.assert_array_equal(own.prepared(path, box), expected)
        same += 1
    assert same >= 15
    assert expected.dtype == np.float32


@pytest.mark.parametrize("kind", get_args(Fit))
def test_real_photos_are_prepared_as_evaluation_sees_them_bit_for_bit(kind: str, shared_data: Path) -> None:
    """The whole way of evaluation: its loader, and the normalisation on the device."""
    from fieldmark.core.backbone import Backbone

    folder = shared_data / "CUB_200_2011" / "images"
    paths = sorted(folder.rglob("*.jpg"))[::150]
    boxes = [Box(20, 30, 150, 120) if kind == "box" else None] * len(paths)
    photos = [Photo(str(path), path, box=box) for path, box in zip(paths, boxes, strict=True)]
    views = Photographs(photos, fit(kind))
    told, own = manifest(), model_of(kind)
    backbone = Backbone.__new__(Backbone)
    torch.nn.Module.__init__(backbone)
    backbone.mean, backbone.std = (torch.tensor(each) for each in (told.mean, told.std))
    batches = batches_of(loader_of(views, in_order(len(views), 4), workers=0))
    seen = torch.cat([backbone.normalise(batch.pixels) for batch in batches]).numpy()
    for photo, expected in zip(photos, seen, strict=True):
        np.testing.assert_array_equal(own.prepared(photo.path, photo.box), expected)


# Answers


def test_it_answers_as_its_numbers_say(model: Model, photos: Path) -> None:
    paths = sorted(photos.rglob("*.jpg"))
    assert len(paths) > BATCH
    images = np.stack([model.prepared(path) for path in paths])
    expected = answered(images)
    for name, found in model.outputs(images, *model.manifest.outputs).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-3, atol=1e-4)
    found = model.predict(paths, top=2)
    for path, one, shares in zip(paths, found, expected["probabilities"], strict=True):
        order = np.argsort(-shares)[:2]
        assert (one.file, one.classes) == (str(path), tuple(CLASSES[label] for label in order))
        np.testing.assert_allclose(one.probabilities, shares[order], rtol=1e-3)
    assert model.predict(photos / "ant") == model.predict(sorted((photos / "ant").iterdir()))


def test_pictures_in_any_form(model: Model, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with Image.open(photos / "ant" / "0.jpg") as photo:
        photo.save(path)
    with Image.open(path) as picture, path.open("rb") as file:
        forms: list[Any] = [str(path), path, path.read_bytes(), file, picture, np.asarray(picture), b"no picture"]
        *found, bad = model.predict(forms)
        assert {one.probabilities for one in found} == {model.predict(path)[0].probabilities}
        np.testing.assert_array_equal(model.prepared(picture), model.prepared(path))
    assert (bad.classes, bad.reason) == ((), "text, not an image")
    assert len(model.predict(np.zeros((9, 9, 3), np.uint8))) == 1
    with pytest.raises(UserError, match="no such file or folder"):
        model.predict(tmp_path / "none.jpg")
    with pytest.raises(UserError, match="--top 0: at least 1"):
        model.predict(path, top=0)


def test_answers_sets_and_refusals(model: Model, photos: Path) -> None:
    demands = model.demands(certainty=0.5, coverage=0.8, refuse=0.2)
    assert demands is not None
    found = model.predict(photos, demands=demands)
    assert {one.level for one in found} <= {"class", "unsure", "none of these"}
    assert all(one.set is not None and one.distance is not None and one.nearest in CLASSES for one in found)
    images = np.stack([model.prepared(one.file) for one in found])
    expected = answered(images)
    directions = np.sqrt(np.abs(expected["embedding"])) * np.sign(expected["embedding"])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    photos_known = gallery()
    cosines = directions @ photos_known.embeddings.T.astype(np.float64)
    np.testing.assert_allclose([one.distance for one in found], 1 - cosines.max(1), atol=1e-4)
    scores = held_out()
    parts = [(expected["logits"].max(1), scores.logits), (cosines.max(1), scores.cosines)]
    own = [(values - np.mean(known)) / np.std(known) for values, known in parts]
    held = [(np.array(known) - np.mean(known)) / np.std(known) for _, known in parts]
    limit = np.sort(held[0] + held[1] / 2)[int(0.2 * 61) - 1]
    assert [one.level == "none of these" for one in found] == (own[0] + own[1] / 2 < limit).tolist()
    limits = model.demands(coverage=0.8)
    assert limits is not None
    assert [one.set for one in model.predict(photos, demands=limits)] == [one.set for one in found]


def test_neighbours_and_heatmaps(model: Model, photos: Path) -> None:
    outputs = model.outputs(model.prepared(photos / "ant" / "0.jpg")[None], "embedding", "maps")
    near = model.neighbours(outputs["embedding"][0], 4)
    known = gallery()
    assert [each.similarity for each in near] == sorted((each.similarity for each in near), reverse=True)
    assert len(near) == 4
    assert {each.thumbnail for each in near} <= {*known.thumbnails}
    places = [known.thumbnails.index(each.thumbnail) for each in near]
    assert [each.label for each in near] == [CLASSES[known.labels[place]] for place in places]
    assert len(model.neighbours(outputs["embedding"][0], 99)) == 9
    assert model.neighbours(outputs["embedding"][0], 0) == ()
    for against in (None, 1):
        found = model.heatmap(outputs["maps"][0], 0, against=against)
        assert found.shape == (SIDE // 4, SIDE // 4)
        assert 0 <= found.min() <= found.max() <= 1
    frame = model.frame((100, 50))
    assert (frame.left, frame.top, frame.width, frame.height) == (28.125, 3.125, 43.75, 43.75)


def test_without_a_gallery_or_maps(tmp_path: Path) -> None:
    told = manifest(outputs=("logits", "probabilities", "embedding"), no_maps="the pool Bilinear is no average")
    bare = open_model(write_model(tmp_path / "m.onnx", told))
    assert bare.gallery is None
    assert bare.neighbours(np.ones(WIDTH)) == ()
    with pytest.raises(UserError, match=r"m\.onnx has no output 'maps': the pool Bilinear is no average$"):
        bare.outputs(np.zeros((1, 3, SIDE, SIDE), np.float32), "maps")
    with pytest.raises(UserError, match=r"has no output 'map'$"):
        bare.outputs(np.zeros((1, 3, SIDE, SIDE), np.float32), "map")


def test_boxes_are_needed_where_it_was_trained_with_them(tmp_path: Path, photos: Path) -> None:
    boxed = open_model(write_model(tmp_path / "m.onnx", manifest(pixels=fit("box"))))
    photo = photos / "ant" / "0.jpg"
    with pytest.raises(UserError, match="1 of 1 photos have no box"):
        boxed.stream(photo)  # at once
    table = tmp_path / "boxes.csv"
    table.write_text(f"path,x,y,width,height\n{photo},0,0,80,64\n{photo},5,5,20,20\n")
    first, second = boxed.predict(table)
    assert first.probabilities != second.probabilities


# Files


def test_a_file_for_other_programs_is_refused(tmp_path: Path, photos: Path) -> None:
    graph = network()
    graph.graph.input[0].name = graph.graph.node[0].input[0] = "pixels"
    path = write_model(tmp_path / "m.onnx", manifest(takes="pixels"), model=graph)
    for opens in (lambda: open_model(path), lambda: list(fieldmark.predict(path, photos)),
                  lambda: serve(path, Settings(port=0), log=Log(), ready=print)):  # fmt: skip
        with pytest.raises(UserError, match=r"m\.onnx prepares its pictures itself, for other programs;\n") as caught:
            opens()
        assert len(str(caught.value).splitlines()) == 2


def test_every_way_in_looks_through_the_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed never reaches onnxruntime, whichever way it is opened."""
    from fieldmark.ship import model as module

    content = bytearray(path.read_bytes())
    content[content.index(b"ant")] ^= 1
    changed, empty = tmp_path / "changed.onnx", tmp_path / "empty.onnx"
    changed.write_bytes(content)
    empty.touch()

    def reached(*_: object, **__: object) -> None:
        raise AssertionError("onnxruntime saw it")

    monkeypatch.setattr(module, "computing", reached)
    for said, file in {
        "changed.onnx was changed or damaged after it was exported": changed,
        "none.onnx cannot be read: No such file": tmp_path / "none.onnx",
        "empty.onnx is not a model that fieldmark export wrote": empty,
        f"{tmp_path.name} cannot be read": tmp_path,
    }.items():
        for opens in (open_model, fieldmark.open_model):
            with pytest.raises(UserError) as caught:
                opens(file)
            assert said in str(caught.value)
            assert len(str(caught.value).splitlines()) == 1
        if file != tmp_path:
            with pytest.raises(UserError, match="onnx"):
                fieldmark.predict(file, file)
    with pytest.raises(UserError, match=r"bytes; at most 9 are read"):
        open_model(path, largest=9)
    assert path.stat().st_size < LARGEST


def test_a_manifest_of_another_version_or_none(tmp_path: Path) -> None:
    for text, said in {
        '{"format_version": 2}': "has format 2; this version of Fieldmark reads 1",
        "no JSON": "its manifest cannot be read",
        "[]": "has format None",
        '{"format_version": 1, "classes": ["ant"]}': "its manifest cannot be used",
    }.items():
        file = write_model(tmp_path / "m.onnx", entries={"fieldmark.manifest": text})
        with pytest.raises(UserError) as caught:
            open_model(file)
        assert str(caught.value).startswith(str(file))
        assert said in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 3


def test_a_gallery_that_cannot_be_read_is_told_when_it_is_needed(tmp_path: Path, photos: Path) -> None:
    told = manifest(held_out=held_out())
    broken = open_model(write_model(tmp_path / "m.onnx", told, entries={"fieldmark.gallery": "no gallery"}))
    assert len(broken.predict(photos)) == 30
    with pytest.raises(UserError, match=r"m\.onnx: its gallery cannot be read"):
        broken.demands(refuse=0.1)


@pytest.mark.slow
def test_a_run_and_its_export_answer_alike(own_run: Path, photos: Path, tmp_path: Path) -> None:
    """The whole way: a real network, its file, and what is asked beyond classes."""
    sure(own_run, 1.7, random_answers(60))
    opened = open_run(own_run)
    path = tmp_path / "m.onnx"
    export(own_run, path)
    model = open_model(path, threads=1)
    files = [Photo(str(file), file) for file in sorted(photos.rglob("*.jpg"))]
    asked = {"certainty": 0.6, "coverage": 0.8}
    expected = list(predict(opened, files, demands=demands_of_run(own_run, **asked)))
    found = list(model.answered(files, demands=model.demands(**asked)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        same = {"probabilities": (), "answer_probability": None}
        assert replace(one, **same) == replace(other, **same)


def test_the_public_name_needs_no_torch(path: Path, photos: Path) -> None:
    """From a photo to its classes without anything of the [train] extra, and without the command line."""
    program = (
        "import sys; from fieldmark import open_model\n"
        f"print(open_model({str(path)!r}).predict({str(photos / 'ant' / '0.jpg')!r})[0].classes)\n"
        "print(sorted({'torch', 'scipy', 'sklearn', 'onnx', 'matplotlib', 'cyclopts', 'jinja2', 'PIL.ImageFont'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    classes, heavy = done.stdout.splitlines()
    assert classes == str(open_model(path).predict(io.BytesIO((photos / "ant" / "0.jpg").read_bytes()))[0].classes)
    assert heavy == "[]"
