"""The bytes of a file: operators of the default set, any number of images, and nothing of the machine."""

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, checker

from export_matrix import plain_manifest
from exported_networks import shipped
from fieldmark.building import build_learner
from fieldmark.errors import UserError
from fieldmark.exporting import onnx_file
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.onnx_file import OPSET, file_of, refuse_missing_libraries, traced, without_traces
from fieldmark.exporting.parity import session_of
from fieldmark.exporting.regions import is_in
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.ship.container import DIGEST, GALLERY, MANIFEST, contained
from fieldmark.ship.manifest import manifest_from_json

RECIPE = Recipe(Model(), pixels=Pixels(size=64, eval_size=64))


@pytest.mark.parametrize("which", ["graph", pytest.param("sampling_graph", marks=pytest.mark.slow)])
def test_operators_of_the_default_set_and_any_number_of_images(which: str, request: pytest.FixtureRequest):
    graph: ModelProto = request.getfixturevalue(which)
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", OPSET)]
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    assert not graph.functions
    (given,) = graph.graph.input
    sides = given.type.tensor_type.shape.dim
    assert (given.name, bool(sides[0].dim_param), [side.dim_value for side in sides[1:]]) == (
        "images",
        True,
        [3, 64, 64],
    )


def test_attention_and_sketches_take_any_number_of_images():
    """Exporters take no attention without heads, and a tensor's len() for a constant."""
    model = Model(backbone="test_resnet", weights="none", neck=Part("NonLocal"), pool=Part("CompactBilinearPool"))
    learner = build_learner(Recipe(model, pixels=RECIPE.pixels), classes=3)
    session = session_of(traced(shipped(learner), size=64))
    for count in (1, 3):
        (logits,) = session.run(["logits"], {"images": np.zeros((count, 3, 64, 64), np.float32)})
        assert np.asarray(logits).shape == (count, 3)


def test_norms_lie_in_the_convolutions_before_them(graph: ModelProto):
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}


def test_a_file_is_a_whole_model_under_one_digest(graph: ModelProto, network: Shipped):
    manifest = plain_manifest(network, RECIPE)
    content = file_of(graph, manifest, gallery="a gallery")
    read, model = contained(content), ModelProto.FromString(content)
    checker.check_model(model, full_check=True)
    assert read.digest == read.metadata[DIGEST]
    assert read.metadata[GALLERY] == "a gallery"
    assert manifest_from_json(read.metadata[MANIFEST], name="it") == manifest
    assert file_of(graph, manifest, gallery="a gallery") == content
    assert GALLERY not in contained(file_of(graph, manifest)).metadata


def test_what_the_exporter_noted_is_gone(graph: ModelProto):
    model = without_traces(graph)
    assert is_in(graph.graph.node[0], "backbone")
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        assert not part.metadata_props
        assert not part.doc_string
    content = model.SerializeToString()
    assert b"fieldmark.exporting" not in content
    assert str(Path(onnx_file.__file__).parent).encode() not in content
    assert b".py" not in content


def test_a_file_that_would_be_too_large_is_refused(
    graph: ModelProto, network: Shipped, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(onnx_file, "LARGEST", 1000)
    with pytest.raises(UserError, match="an ONNX file may have 1,000"):
        file_of(graph, plain_manifest(network, RECIPE))


def test_missing_libraries_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch):
    refuse_missing_libraries()
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name.startswith("onnx") else name)
    with pytest.raises(
        UserError, match=r"needs onnx and onnxscript and onnxruntime: pip install 'fieldmark\[export\]'"
    ):
        refuse_missing_libraries()
