"""The bytes of an exported model: every one is under the digest, and what a parser sees is what was looked through.

The reference is onnx's own parser: whatever it reads of bytes that pass holds nothing that an exported model never has,
even where the digest was made to fit again.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    helper,
    numpy_helper,
)

from fieldmark.errors import UserError
from fieldmark.ship import container
from fieldmark.ship.container import DIGEST, GALLERY, MANIFEST, UNSEALED, Damaged, contained, opened, sealed

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def graph_of(nodes: Iterable[NodeProto], *tensors: TensorProto) -> GraphProto:
    given = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 4])]
    answers = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)]
    return helper.make_graph(list(nodes), "graph", given, answers, list(tensors))


def model_of(graph: GraphProto | None = None, **metadata: str) -> ModelProto:
    """A model with a manifest and a place for the digest; with nodes, a constant and a graph within a node."""
    weight = numpy_helper.from_array(VALUES, "weight")
    inner = graph_of([helper.make_node("Identity", ["images"], ["logits"])])
    inner.ClearField("input")
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["yes"], ["chosen"], then_branch=inner, else_branch=inner),
        helper.make_node("Gemm", ["chosen", "weight"], ["logits"], transB=1),
    ]
    model = helper.make_model(graph or graph_of(nodes, weight), opset_imports=[helper.make_opsetid("", 18)])
    entries = {MANIFEST: '{"format_version": 1}', DIGEST: UNSEALED} | metadata
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model


def content_of(model: ModelProto) -> bytes:
    return sealed(model.SerializeToString())


CONTENT = content_of(model_of(**{GALLERY: "R2FsbGVyeQ=="}))


def refused(content: bytes, folder: Path) -> str:
    path = folder / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        opened(path)
    said = str(caught.value)
    assert str(path) in said
    assert len(said.splitlines()) == 1
    return said


def test_what_was_sealed_is_read(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(CONTENT)
    read = opened(tmp_path / "model.onnx")
    parsed = {entry.key: entry.value for entry in ModelProto.FromString(CONTENT).metadata_props}
    assert dict(read.metadata) == parsed
    assert read.metadata[DIGEST] == read.digest != UNSEALED
    assert CONTENT[read.digest_at : read.digest_at + 64].decode() == read.digest
    assert read.metadata[GALLERY] == "R2FsbGVyeQ=="


def test_a_change_of_any_byte_is_refused():
    """Each byte of the file, changed in its lowest and in its highest bit."""
    for at in range(len(CONTENT)):
        for bit in (1, 128):
            changed = bytearray(CONTENT)
            changed[at] ^= bit
            try:
                read = contained(bytes(changed))
            except Damaged:
                continue
            assert read.digest != read.metadata[DIGEST], f"byte {at:,}"


def test_a_file_cut_short_or_with_more_behind_it_is_refused(tmp_path: Path):
    for end in {*range(0, len(CONTENT), 7), len(CONTENT) - 1}:
        refused(CONTENT[:end], tmp_path)
    for more in (b"\0", b"\x08\x01", b"model", CONTENT):
        refused(CONTENT + more, tmp_path)


def test_messages_say_what_is_wrong(tmp_path: Path):
    changed = CONTENT.replace(b'"format_version": 1', b'"format_version": 2')
    assert "was changed or damaged after it was exported" in refused(changed, tmp_path)
    assert "not a model that fieldmark export wrote" in refused(b"", tmp_path)
    assert "not a model that fieldmark export wrote" in refused(b"PK\3\4 an archive", tmp_path)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        opened(tmp_path / "none.onnx")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        opened(tmp_path)
    with pytest.raises(UserError, match=r"has 1,024 bytes; at most 100 are read"):
        (tmp_path / "large.onnx").write_bytes(b"0" * 1024)
        opened(tmp_path / "large.onnx", largest=100)


def external(tensor: TensorProto) -> TensorProto:
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


def deep(levels: int) -> GraphProto:
    graph = graph_of([helper.make_node("Identity", ["images"], ["logits"])])
    for _ in range(levels):
        graph = graph_of([helper.make_node("If", ["yes"], ["logits"], then_branch=graph)])
    return graph


def forbidden() -> Iterator[tuple[str, ModelProto]]:
    """What no exported model has, by a word of the message."""
    node = helper.make_node("Identity", ["images"], ["logits"])
    weight = numpy_helper.from_array(VALUES, "weight")
    outside = external(numpy_helper.from_array(VALUES, "weight"))
    elsewhere = numpy_helper.from_array(VALUES, "weight")
    elsewhere.data_location = TensorProto.EXTERNAL
    foreign = helper.make_node("Script", ["images"], ["logits"], domain="com.example")
    sparse = SparseTensorProto()
    sparse.values.CopyFrom(weight)
    with_sparse = graph_of([node])
    with_sparse.sparse_initializer.append(sparse)
    holder = helper.make_node("Constant", [], ["logits"])
    holder.attribute.append(AttributeProto(name="s", type=AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse))
    lists = helper.make_node("Constant", [], ["logits"])
    lists.attribute.append(AttributeProto(name="t", type=AttributeProto.TENSORS, tensors=[weight, outside]))
    yield "another file", model_of(graph_of([node], outside))
    yield "another file", model_of(graph_of([node], elsewhere))
    yield "another file", model_of(graph_of([helper.make_node("Constant", [], ["logits"], value=outside)]))
    yield "another file", model_of(graph_of([lists]))
    yield "operators of 'com.example'", model_of(graph_of([foreign]))
    inner = helper.make_node("If", ["yes"], ["logits"], then_branch=graph_of([node]), else_branch=graph_of([foreign]))
    yield "operators of 'com.example'", model_of(graph_of([inner]))
    yield "sparse", model_of(with_sparse)
    yield "sparse", model_of(graph_of([holder]))
    yield "too deep", model_of(deep(12))
    with_function = model_of()
    with_function.functions.append(
        helper.make_function("own", "F", ["x"], ["y"], [node], [helper.make_opsetid("", 18)])
    )
    yield "functions", with_function
    trained = model_of()
    trained.training_info.add().algorithm.CopyFrom(graph_of([node]))
    yield "functions", trained
    twice = model_of()
    entry = twice.metadata_props.add()
    entry.key, entry.value = DIGEST, UNSEALED
    yield "two entries", twice
    nothing = model_of()
    del nothing.metadata_props[:]
    yield "no manifest", nothing
    short = model_of(**{DIGEST: "0" * 63})
    yield "no manifest", short
    empty = model_of()
    empty.ClearField("graph")
    yield "no manifest", empty


@pytest.mark.parametrize(
    ("said", "model"), [pytest.param(*each, id=f"{at} {each[0]}") for at, each in enumerate(forbidden())]
)
def test_what_an_exported_model_never_has_is_refused(said: str, model: ModelProto, tmp_path: Path):
    with pytest.raises(Damaged, match=said):
        sealed(model.SerializeToString())
    assert said in refused(model.SerializeToString(), tmp_path)


def test_graphs_in_graphs_are_read_where_they_are_few():
    contained(content_of(model_of(deep(3))))


def field(number: int, content: bytes, *, upper: int = 0) -> bytes:
    """A field as a writer with its own ideas encodes it: ``upper`` are bits of the key beyond the 32nd."""
    return varint((number << 3 | 2) + (upper << 32)) + varint(len(content)) + content


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def test_parts_in_disguise_are_refused():
    """A second graph, which parsers merge with the first; keys of which they drop bits; groups; huge lengths."""
    node = helper.make_node("Script", ["images"], ["logits"], domain="com.example").SerializeToString()
    tail = CONTENT
    for disguised in (
        tail + field(7, b""),
        tail + field(7, field(1, node)),
        tail + field(7, field(1, node), upper=1),
        tail + field(25, b"", upper=4),
        tail + varint(99 << 3 | 3) + field(7, field(1, node)) + varint(99 << 3 | 4),
        tail + varint(99 << 3 | 2) + varint(2**63),
        tail + varint(99 << 3 | 2) + varint(2**64 + 1) + b"0",
        tail + b"\xff" * 11,
        tail + b"\x00",
        tail + varint(99 << 3 | 5) + b"123",
        tail + varint(99 << 3 | 6),
        tail + field(14, field(1, b"\xff\xfe") + field(2, b"")),
        tail + field(14, field(1, b"only a key")),
    ):
        with pytest.raises(Damaged):
            contained(disguised)
    contained(tail + field(99, b"anything"))  # unknown to all, and under the digest


def tensors_of(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from tensors_of(inner)


def nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes_of(inner)


def is_harmless(model: ModelProto) -> bool:
    """Whether onnx's parser sees nothing in a model that an exported one never has."""
    graphs_are_plain = not model.graph.sparse_initializer and not model.functions and not model.training_info
    tensors = list(tensors_of(model.graph))
    is_inside = not any(tensor.external_data or tensor.data_location for tensor in tensors)
    nodes = list(nodes_of(model.graph))
    no_sparse = not any(
        attribute.HasField("sparse_tensor") or attribute.sparse_tensors
        for node in nodes
        for attribute in node.attribute
    )
    return graphs_are_plain and is_inside and no_sparse and all(node.domain in ("", "ai.onnx") for node in nodes)


KINDS = (CONTENT, *(model.SerializeToString() for _, model in forbidden()))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_passes_is_harmless_to_a_parser(data: st.DataObject):
    """Models of all kinds with some bytes changed, and the digest made to fit: who changes a file can do so, too."""
    content = bytearray(data.draw(st.sampled_from(KINDS)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["set", "insert", "delete", "copy"])):
            case "set":
                content[at] = data.draw(st.integers(0, 255))
            case "insert":
                content[at:at] = data.draw(st.binary(max_size=6))
            case "delete":
                del content[at : at + data.draw(st.integers(0, 9))]
            case "copy":
                end = at + data.draw(st.integers(0, 60))
                content[at:at] = content[at:end]
    try:
        contained(bytes(content))
    except Damaged:
        return
    try:
        model = ModelProto.FromString(bytes(content))
    except DecodeError:
        return
    assert is_harmless(model)


def test_the_largest_file_is_that_of_a_protocol_buffer():
    assert container.LARGEST == 2**31 - 1
