"""What a file says of itself: there and back again, and nothing that does not fit."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.dataset import Level
from fieldmark.errors import UserError
from fieldmark.recipe import Pixels
from fieldmark.runs.folder import Transform
from fieldmark.ship.manifest import (
    FORMAT_VERSION,
    HeldOutScores,
    Licences,
    Manifest,
    Origin,
    manifest_from_json,
    manifest_to_json,
)
from fieldmark.ship.parity import OnPhotos, Parity

PARITY = Parity(
    batches=(1, 2, 7), largest=9.5, logits=1e-6, typical=5e-7, probabilities=1e-7, embedding=2e-6, maps=1e-6,
    summed=3e-7, on_photos=OnPhotos("val", 30, 30, 0.0, 1.0, 30, 2e-6, 8.0, 25, 25),
)  # fmt: skip
WHOLE = Manifest(
    classes=("Band-tailed Redstart", 'Ä\u2028\n"]', "crow"),
    pixels=Pixels(size=64, eval_size=80, eval_crop=0.9, fit="pad"),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    outputs=("logits", "probabilities", "embedding", "maps"),
    origin=Origin("Plain", "resnet18", "0123456789abcdef", "0.1.0", "2.15", "1.23"),
    embedding=512,
    temperature=1.7,
    calibrated=True,
    groups=Groups(("Band-tailed Redstart", 'Ä\u2028\n"]', "crow"), (Level("family", ("a", "a", "b")),)),
    held_out=HeldOutScores((0, 2), (0.25, 0.5), (3.0, 4.5), (0.9, 0.1)),
    licences=Licences("CC BY 4.0", "none"),
    precision="int8",
    takes="pixels",
    no_maps="the pool Maximum is no average",
    parity=PARITY,
)
LEAST = Manifest(
    ("a", "b"), Pixels(), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), ("logits",), Origin("Plain", "x", "y"), embedding=1
)


def changed(**change: Any) -> str:
    return json.dumps(json.loads(manifest_to_json(WHOLE)) | change)


@pytest.mark.parametrize("manifest", [WHOLE, LEAST])
def test_there_and_back_again(manifest: Manifest):
    text = manifest_to_json(manifest)
    assert text.isascii()
    assert len(text.splitlines()) == 1
    assert json.loads(text)["format_version"] == FORMAT_VERSION
    assert manifest_from_json(text, name="it") == manifest


def test_what_has_a_default_may_be_missing():
    value = json.loads(manifest_to_json(WHOLE))
    for key in ("parity", "held_out", "groups", "licences"):
        del value[key]
    read = manifest_from_json(json.dumps(value), name="it")
    assert (read.parity, read.held_out, read.groups, read.licences) == (None, None, None, Licences())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "has format None"),
        ("1", "has format None"),
        (changed(format_version=2), "has format 2; this version of Fieldmark reads 1"),
        (changed(format_version="1"), "has format '1'"),
        (changed(classes=["a"]), "classes"),
        (changed(classes=["a", "a"]), "classes must be two or more, each once"),
        (changed(classes="ab"), "classes"),
        (changed(classes=["a", "b"]), "groups are of other classes"),
        (changed(mean=[0.5]), "three numbers"),
        (changed(std=[0.2, 0.0, 0.2]), "above 0"),
        (changed(mean=[0.5, "NaN", 0.5]), "number"),
        (changed(temperature=0), "above 0"),
        (changed(temperature=1e999), "above 0"),
        (changed(embedding=0), "at least 1"),
        (changed(precision="fp8"), "precision"),
        (changed(takes="video"), "takes"),
        (changed(surprise=1), "surprise"),
        (changed(pixels={"fit": "squash"}), "fit"),
        (changed(held_out={"labels": [7], "doubts": [0.1], "logits": [1.0]}), "held-out photos are of other classes"),
        (changed(held_out={"labels": [0, 1], "doubts": [0.1], "logits": [1.0]}), "different lengths"),
        (changed(held_out={"labels": [0], "doubts": [0.1], "logits": [1.0], "cosines": [1, 1]}), "different lengths"),
        (changed(parity={"batches": [0]}), "parity"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(text: str, said: str):
    with pytest.raises(UserError, match=said) as caught:
        manifest_from_json(text, name="birds.onnx")
    assert str(caught.value).startswith("birds.onnx")
    assert len(str(caught.value).splitlines()) <= 3


def test_pixels_become_inputs_as_in_evaluation():
    """Bit for bit, for every level of every channel."""
    views = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    found = (views.astype(np.float32) - WHOLE.shift) * WHOLE.scale
    transform = Transform(
        Pixels(eval_size=16, eval_crop=1.0), mean=torch.tensor(WHOLE.mean), std=torch.tensor(WHOLE.std)
    )
    assert np.array_equal(found[0].transpose(2, 0, 1), transform(views[0]).numpy())
    other = replace(WHOLE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert np.array_equal(other.shift, np.full(3, 127.5, np.float32))
