"""Which part of the classifier a node belongs to."""

import pytest
from onnx import ModelProto, NodeProto

from fieldmark.exporting.regions import NOTE, is_in


@pytest.mark.parametrize(
    ("note", "parts", "found"),
    [
        (": Shipped/method.classifier.backbone: Backbone/conv: aten.conv", ("backbone",), True),
        (": Shipped/method.classifier.backbone: Backbone/conv: aten.conv", ("neck", "backbone"), True),
        (": Shipped/method.classifier.backbone: Backbone/conv: aten.conv", ("head",), False),
        (": Shipped/method.classifier.backbones: Backbone", ("backbone",), False),
        ("", ("backbone",), False),
    ],
)
def test_by_the_exporters_note(note: str, parts: tuple[str, ...], found: bool):
    node = NodeProto()
    entry = node.metadata_props.add()
    entry.key, entry.value = NOTE, note
    assert is_in(node, *parts) == found
    assert not is_in(NodeProto(), *parts)


def test_this_exporter_notes_it(graph: ModelProto):
    by_part = {
        part: {node.op_type for node in graph.graph.node if is_in(node, part)} for part in ("backbone", "pool", "head")
    }
    assert {"Conv", "Relu", "Add"} <= by_part["backbone"]
    assert "Softmax" not in by_part["backbone"]
    assert by_part["pool"] == {"ReduceMean"}
    assert by_part["head"] == {"Gemm"}
