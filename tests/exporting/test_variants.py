"""The forms of a file: which photos they need, and what becomes of the graph."""

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto

import fieldmark
from export_matrix import plain_manifest
from fieldmark.exporting import variants
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.photos import MOST, Tried
from fieldmark.exporting.variants import Photos, in_fewer_bits, photos_for
from fieldmark.runs.folder import Opened


def test_photos_for_each(opened: Opened):
    for precision in ("fp32", "fp16"):
        photos = photos_for(opened, None, precision=precision)
        assert photos.compared is not None
        assert (photos.compared.split, photos.calibration) == ("val", None)
        assert len(photos.compared.photos) <= MOST
    photos = photos_for(opened, None, precision="int8")
    assert photos.calibration is not None
    assert photos.calibration.split == "train"


def test_eight_bits_take_their_scales_from_photos_as_evaluation_sees_them(
    opened: Opened, network: Shipped, graph: ModelProto, monkeypatch, sure_run: Path
):
    photos, seen = photos_for(opened, None, precision="int8"), []
    monkeypatch.setattr(variants, "quantised", lambda graph, batches: seen.extend(batches) or graph)
    monkeypatch.setattr(variants, "SEVERAL", 7)
    manifest = plain_manifest(network, opened.recipe)
    in_fewer_bits(graph, "int8", photos, manifest)
    assert photos.calibration is not None
    assert [len(batch) for batch in seen][:2] == [7, 7]
    transform = fieldmark.load(sure_run).transform
    wanted = np.stack([transform(photo.path).numpy() for photo in photos.calibration.photos])
    assert np.array_equal(np.concatenate(seen), wanted)


def test_photos_that_cannot_be_read_give_no_scale(
    opened: Opened, network: Shipped, graph: ModelProto, monkeypatch, tmp_path: Path
):
    photos, seen = photos_for(opened, None, precision="int8"), []
    assert photos.calibration is not None
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no picture")
    first = photos.calibration.photos[0]
    tried = Tried("train", (type(first)("damaged", damaged, 0), first))
    monkeypatch.setattr(variants, "quantised", lambda graph, batches: seen.extend(batches) or graph)
    in_fewer_bits(graph, "int8", Photos(None, tried), plain_manifest(network, opened.recipe))
    assert [len(batch) for batch in seen] == [1]


def test_sixteen_bits_need_no_photos(opened: Opened, network: Shipped, graph: ModelProto):
    half = in_fewer_bits(graph, "fp16", Photos(None), plain_manifest(network, opened.recipe))
    assert TensorProto.FLOAT16 in {tensor.data_type for tensor in half.graph.initializer}
