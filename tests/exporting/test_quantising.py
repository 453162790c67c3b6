"""A graph in 8 bits: a quarter of the size, weights scaled by channel, on photos nearly the same answers."""

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

import fieldmark
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.onnx_file import without_traces
from fieldmark.exporting.parity import session_of
from fieldmark.exporting.quantising import quantised


@pytest.fixture(scope="module")
def images(sure_run: Path, photos: Path) -> np.ndarray:
    transform = fieldmark.load(sure_run).transform
    return np.stack([transform(path).numpy() for path in sorted(photos.rglob("*.jpg"))])


@pytest.fixture(scope="module")
def small(graph: ModelProto, images: np.ndarray) -> ModelProto:
    return quantised(graph, iter([images[:8], images[8:16]]))


def test_a_quarter_of_the_size_and_nearly_the_same_answers(
    small: ModelProto, graph: ModelProto, network: Shipped, images: np.ndarray
):
    assert without_traces(small).ByteSize() < 0.35 * without_traces(graph).ByteSize()
    found, wanted = (session_of(each).run(["logits"], {"images": images})[0] for each in (small, graph))
    found, wanted = np.asarray(found), np.asarray(wanted)
    scale = float(np.abs(wanted - wanted.mean(0)).max())
    assert 0 < float(np.abs(found - wanted).max()) < 0.3 * scale
    assert (found.argmax(1) == wanted.argmax(1)).mean() > 0.9
    assert found.dtype == np.float32


def test_weights_have_seven_bits_and_a_scale_by_channel(small: ModelProto):
    tensors = {tensor.name: tensor for tensor in small.graph.initializer}
    weights = [
        node for node in small.graph.node
        if node.op_type == "DequantizeLinear" and tensors.get(node.input[0]) is not None
        and tensors[node.input[0]].data_type == TensorProto.INT8
    ]  # fmt: skip
    assert weights
    for node in weights:
        values, scale = (numpy_helper.to_array(tensors[name]) for name in node.input[:2])
        assert np.abs(values.astype(int)).max() <= 64
        assert scale.shape == (values.shape[0],)


def test_operators_are_those_of_the_default_set(small: ModelProto):
    assert {node.domain for node in small.graph.node} <= {"", "ai.onnx"}
    assert [(entry.domain, entry.version) for entry in small.opset_import] == [("", 18)]


def test_what_lies_behind_the_neck_stays_in_thirty_two_bits(small: ModelProto):
    made = {name: node for node in small.graph.node for name in node.output}
    head = next(node for node in small.graph.node if "logits" in node.output)
    assert head.op_type == "Gemm"
    assert all(made[name].op_type != "DequantizeLinear" for name in head.input if name in made)
