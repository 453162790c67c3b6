"""Which part of a classifier a node of a graph comes from, by what the exporter notes on it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import NodeProto

NOTE = "namespace"
"""Of the exporter: the modules that a node lies in, each by its path, in order."""


def is_in(node: "NodeProto", *parts: str) -> bool:
    """Whether a node computes something of these parts of the classifier ("backbone", "neck", "pool", "head")."""
    modules = [module.partition(":")[0] for module in _noted(node).split("/")]
    return any(f"method.classifier.{part}" in modules for part in parts)


def _noted(node: "NodeProto") -> str:
    return next((note.value for note in node.metadata_props if note.key == NOTE), "")
