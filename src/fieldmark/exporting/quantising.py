"""A graph with 8-bit whole numbers: weights scaled by channel, activations by what training photos make of them.

Scales are fixed (static); dynamic ones, found anew for each picture, destroy small networks. Weights have seven bits,
so that processors without instructions for the purpose do not overflow: the file answers the same on all of them.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fieldmark.exporting.regions import is_in

if TYPE_CHECKING:
    from onnx import ModelProto

LAYERS = ("Conv", "Gemm", "MatMul", "Add", "Clip", "Relu", "MaxPool", "GlobalAveragePool", "Concat", "Mul")
"""Operators of backbone and neck that compute with whole numbers, or pass them on."""


def quantised(graph: "ModelProto", batches: Iterator[np.ndarray]) -> "ModelProto":
    """The same graph in 8 bits.

    Args:
        graph: in 32 bits, its nodes with what the exporter noted on them.
        batches: images float32 (N, 3, S, S), as evaluation sees training photos.
    """
    from onnx import load
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    chosen = [node.name for node in graph.graph.node if node.op_type in LAYERS and is_in(node, "backbone", "neck")]
    own = type(graph)()
    own.CopyFrom(graph)  # the library moves its weights into files that are gone afterwards
    root = logging.getLogger()
    level = root.level
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root.setLevel(logging.ERROR)  # which is where onnxruntime's advice goes
        try:
            quantize_static(
                own,
                str(Path(folder) / "model.onnx"),
                _Batches(batches),  # pyright: ignore[reportArgumentType] - the library asks for its method alone
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=chosen,
                op_types_to_quantize=list(LAYERS),
                calibrate_method=CalibrationMethod.MinMax,
            )
        finally:
            root.setLevel(level)
        model = load(str(Path(folder) / "model.onnx"))
    foreign = [entry for entry in model.opset_import if entry.domain not in ("", "ai.onnx")]
    for entry in foreign:  # which the library names, and no node uses
        model.opset_import.remove(entry)
    return model


class _Batches:
    """Batches of images as onnxruntime wants them, one after the other."""

    def __init__(self, batches: Iterator[np.ndarray]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next one by the input's name; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}
