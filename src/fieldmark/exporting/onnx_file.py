"""From a network to the bytes of one ONNX file."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fieldmark.errors import UserError
from fieldmark.exporting.network import Shipped, example
from fieldmark.ship.container import DIGEST, GALLERY, LARGEST, MANIFEST, UNSEALED, sealed
from fieldmark.ship.manifest import Manifest, manifest_to_json

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def refuse_missing_libraries() -> None:
    """Raises ``UserError`` where a library is missing that exporting needs."""
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise UserError(f"exporting needs {' and '.join(missing)}: pip install 'fieldmark[export]'")


def traced(network: Shipped, *, size: int) -> "ModelProto":
    """The graph of a network, for any number of images; its nodes still say which module they come from."""
    network.method.classifier.keeps_refined = True
    batch = {0: torch.export.Dim("batch", min=1)}
    return to_onnx(network, example(network.method, size=size), inputs={"images": batch}, outputs=network.names)


def to_onnx(
    module: nn.Module, given: Tensor, *, inputs: Mapping[str, Mapping[int, Any]], outputs: Sequence[str]
) -> "ModelProto":
    """The graph of a module of one input.

    Args:
        module: in eval mode.
        given: an input to trace with.
        inputs: the input's name, and which of its sides may be of any length.
        outputs: names, in order.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                module,
                (given,),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes={name: dict(sides) for name, sides in inputs.items()},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        finally:
            logger.setLevel(level)
    assert program is not None
    return program.model_proto


def file_of(graph: "ModelProto", manifest: Manifest, *, gallery: str = "") -> bytes:
    """The bytes of the whole file: a graph, what it says of itself and, where there is one, its gallery, sealed.

    Raises:
        UserError: they are more than a file of this kind can have.
    """
    model = without_traces(graph)
    entries = {MANIFEST: manifest_to_json(manifest), DIGEST: UNSEALED} | ({GALLERY: gallery} if gallery else {})
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    if model.ByteSize() > LARGEST:
        raise UserError(f"the file would have {model.ByteSize():,} bytes; an ONNX file may have {LARGEST:,}")
    return sealed(model.SerializeToString())


def without_traces(graph: "ModelProto") -> "ModelProto":
    """A copy without what exporters note on it: modules, source lines, folders of the machine."""
    model = type(graph)()
    model.CopyFrom(graph)
    del model.metadata_props[:], model.graph.value_info[:], model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    return model
