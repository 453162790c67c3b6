"""A graph in 16 bits: half the size, nearly the same answers, and 32 bits where they are needed."""

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper, shape_inference

from fieldmark.exporting.halving import halved
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.onnx_file import without_traces
from fieldmark.exporting.parity import session_of
from fieldmark.exporting.regions import NOTE

NOTED = ": fieldmark.exporting.network.Shipped/method.classifier.{}: fieldmark.core.Part/conv: aten.conv"


def size_of(graph: ModelProto) -> int:
    return without_traces(graph).ByteSize()


def types_in(graph: ModelProto) -> dict[str, int]:
    """Types of all values by name."""
    inferred = shape_inference.infer_shapes(graph, strict_mode=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {value.name: value.type.tensor_type.elem_type for value in values} | {
        tensor.name: tensor.data_type for tensor in inferred.initializer
    }


@pytest.mark.parametrize("which", ["graph", pytest.param("sampling_graph", marks=pytest.mark.slow)])
def test_half_the_size_and_nearly_the_same_answers(which: str, request: pytest.FixtureRequest):
    graph: ModelProto = request.getfixturevalue(which)
    network: Shipped = request.getfixturevalue({"graph": "network", "sampling_graph": "sampling"}[which])
    half = halved(graph)
    assert size_of(half) < 0.55 * size_of(graph)
    images = torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = dict(zip(network.names, (values.numpy() for values in network(images)), strict=True))
    given = session_of(half).run(list(network.names), {"images": images.numpy()})
    found = {name: np.asarray(values) for name, values in zip(network.names, given, strict=True)}
    assert all(values.dtype == np.float32 for values in found.values())
    difference = float(np.median(np.abs(found["logits"] - wanted["logits"]).max(1)))
    assert 0 < difference < 0.02 * max(1.0, float(np.abs(wanted["logits"]).max()))


@pytest.mark.parametrize("which", ["graph", pytest.param("sampling_graph", marks=pytest.mark.slow)])
def test_what_needs_thirty_two_bits_has_them(which: str, request: pytest.FixtureRequest):
    half = halved(request.getfixturevalue(which))
    checker.check_model(half, full_check=True)
    types, seen = types_in(half), set()
    for node in half.graph.node:
        kinds = {types[name] for name in (*node.input, *node.output) if name}
        if node.op_type == "Conv":
            assert kinds == {TensorProto.FLOAT16}
        elif node.op_type != "Cast":
            assert len(kinds & {TensorProto.FLOAT, TensorProto.FLOAT16}) <= 1, node.op_type
        if node.op_type in ("Softmax", "Exp", "GridSample", "ReduceMean", "Gemm", "Div"):
            assert TensorProto.FLOAT16 not in kinds, node.op_type
            seen.add(node.op_type)
    assert {"Softmax", "Gemm"} <= seen
    assert {value.name: types[value.name] for value in half.graph.input} == {"images": TensorProto.FLOAT}
    large = [t for t in half.graph.initializer if t.data_type == TensorProto.FLOAT and np.prod(t.dims) >= 1024]
    assert not large


def test_the_given_graph_stays(graph: ModelProto):
    before = graph.SerializeToString(deterministic=True)
    halved(graph)
    assert graph.SerializeToString(deterministic=True) == before


def small_graph(weight: np.ndarray, part: str) -> ModelProto:
    """A convolution of a part of the classifier."""
    node = helper.make_node("Conv", ["images", "weight"], ["logits"], name="conv")
    note = node.metadata_props.add()
    note.key, note.value = NOTE, NOTED.format(part)
    sides = ["batch", weight.shape[1], 8, 8]
    body = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_what_is_beyond_sixteen_bits_becomes_their_largest_number():
    weight = np.array([1e6, -1e6, 1.0], np.float32).reshape(1, 3, 1, 1)
    tensors = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in halved(small_graph(weight, "neck")).graph.initializer
    }
    assert tensors["weight.half"].dtype == np.float16
    assert tensors["weight.half"].flatten().tolist() == [65504.0, -65504.0, 1.0]


def test_a_head_computes_in_thirty_two_bits_with_weights_kept_in_sixteen(random: np.random.Generator):
    weight = random.normal(size=(64, 32, 1, 1)).astype(np.float32)
    half = halved(small_graph(weight, "head"))
    assert [node.op_type for node in half.graph.node] == ["Cast", "Conv"]
    images = random.normal(size=(2, 32, 8, 8)).astype(np.float32)
    (found,) = session_of(half).run(None, {"images": images})
    wanted = np.einsum("oi,bihw->bohw", weight.astype(np.float16).astype(np.float64)[:, :, 0, 0], images)
    np.testing.assert_allclose(np.asarray(found), wanted, atol=1e-4)
    few = halved(small_graph(weight[:4], "head"))
    assert [node.op_type for node in few.graph.node] == ["Conv"]
