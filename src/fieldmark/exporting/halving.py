"""A graph with 16-bit weights and activations, where that costs next to nothing: the layers of backbone and neck.

Inputs and outputs stay in 32 bits, and so does what computes exponentials, sums over many numbers, positions and
scores. Weights of these parts, too, are kept in 16 bits and widened as they are loaded, so that the file is half as
large whatever the method.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fieldmark.exporting.regions import is_in

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

LAYERS = frozenset(
    ["Conv", "Gemm", "MatMul", "Add", "Mul", "Clip", "Relu", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid",
     "MaxPool", "Concat", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Pad", "Slice", "Identity",
     "BatchNormalization"]
)  # fmt: skip
"""Operators that 16 bits suffice for."""
_NUMBERS = {"Reshape": (0,), "Squeeze": (0,), "Unsqueeze": (0,), "Slice": (0,), "Pad": (0, 2)}
"""Inputs of numbers, of operators that have others, too; of the rest all are."""
LARGE = 1024
"""Numbers of a tensor that is worth keeping in 16 bits for an operator that computes in 32."""


def halved(graph: "ModelProto") -> "ModelProto":
    """The same graph in 16 bits; node notes stay."""
    return _Halving(graph).done()


class _Halving:
    """The new graph as it is made, node by node, in the order that they are computed in."""

    def __init__(self, graph: "ModelProto") -> None:
        self.model = type(graph)()
        self.model.CopyFrom(graph)
        self.tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self.whole = _of_other_types(self.model)
        self.narrow: set[str] = set()
        self.wide: set[str] = set()
        self.made: dict[str, TensorProto] = {}
        self.nodes: list[NodeProto] = []

    def done(self) -> "ModelProto":
        """All nodes, then the tensors that are still used."""
        outputs = {value.name for value in self.model.graph.output}
        for node in self.model.graph.node:
            (self._layer if self._suits(node) else self._other)(node)
        for name in outputs & self.narrow:
            self._widen(name)
        used = {name for node in self.nodes for name in node.input}
        kept = [tensor for tensor in self.model.graph.initializer if tensor.name in used]
        graph = self.model.graph
        del graph.node[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        kept = [*kept, *(tensor for name, tensor in self.made.items() if name in used)]
        del graph.initializer[:]
        graph.initializer.extend(kept)
        return self.model

    def _suits(self, node: "NodeProto") -> bool:
        if node.op_type not in LAYERS or not is_in(node, "backbone", "neck"):
            return False
        return not any(name in self.whole for name in (*_numbers_of(node), *node.output))

    def _layer(self, node: "NodeProto") -> None:
        """A node that computes in 16 bits."""
        places = _NUMBERS.get(node.op_type, range(len(node.input)))
        for place in places:
            if place < len(node.input) and node.input[place]:
                node.input[place] = self._narrowed(node.input[place])
        for place, name in enumerate(node.output):
            self.narrow.add(name)
            node.output[place] = _half(name)
        self.nodes.append(node)

    def _other(self, node: "NodeProto") -> None:
        """A node that computes as before."""
        for place, name in enumerate(node.input):
            if name in self.narrow:
                self._widen(name)
            elif name in self.tensors and _is_large(self.tensors[name]):
                node.input[place] = self._widened_weight(name)
        self.nodes.append(node)

    def _narrowed(self, name: str) -> str:
        """The 16-bit form of a value, made if need be."""
        half = _half(name)
        if name in self.tensors:
            self.made.setdefault(half, _as_half(self.tensors[name], half))
        elif name not in self.narrow:
            self.narrow.add(name)
            self.wide.add(name)  # it was computed in 32 bits
            self.nodes.append(_cast(name, half, half=True))
        return half

    def _widen(self, name: str) -> None:
        if name not in self.wide:
            self.wide.add(name)
            self.nodes.append(_cast(_half(name), name, half=False))

    def _widened_weight(self, name: str) -> str:
        self._narrowed(name)
        wide = f"{name}.wide"
        if wide not in self.wide:
            self.wide.add(wide)
            self.nodes.append(_cast(_half(name), wide, half=False))
        return wide


def _numbers_of(node: "NodeProto") -> Iterator[str]:
    for place in _NUMBERS.get(node.op_type, range(len(node.input))):
        if place < len(node.input) and node.input[place]:
            yield node.input[place]


def _of_other_types(model: "ModelProto") -> set[str]:
    """Names of values that are no 32-bit numbers."""
    from onnx import TensorProto

    graph = model.graph
    values = {value.name for value in (*graph.value_info, *graph.output, *graph.input)
              if value.type.tensor_type.elem_type != TensorProto.FLOAT}  # fmt: skip
    return values | {tensor.name for tensor in graph.initializer if tensor.data_type != TensorProto.FLOAT}


def _half(name: str) -> str:
    return f"{name}.half"


def _cast(source: str, target: str, *, half: bool) -> "NodeProto":
    from onnx import TensorProto, helper

    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    return helper.make_node("Cast", [source], [target], name=f"cast.{target}", to=kind)


def _is_large(tensor: "TensorProto") -> bool:
    from onnx import TensorProto

    return tensor.data_type == TensorProto.FLOAT and int(np.prod(tensor.dims)) >= LARGE


def _as_half(tensor: "TensorProto", name: str) -> "TensorProto":
    """Rounded; what lies beyond 16 bits becomes their largest number."""
    from onnx import numpy_helper

    most = np.finfo(np.float16).max
    values = np.clip(numpy_helper.to_array(tensor), -most, most).astype(np.float16)
    return numpy_helper.from_array(values, name)
