"""Exported models made by hand: a network of a few multiplications, sealed as ``fieldmark export`` does."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fieldmark.confidence.taxonomy import Groups, Level
from fieldmark.recipe import Pixels
from fieldmark.ship.container import DIGEST, GALLERY, MANIFEST, UNSEALED, sealed
from fieldmark.ship.manifest import HeldOutScores, Manifest, Origin, manifest_to_json

CLASSES = ("redstart", "stonechat", "whinchat", "wheatear")
SIDE = 32
_CELL = 8  # pixels of a cell of the maps


def tiny_manifest(**changes: object) -> Manifest:
    """Of four classes in two groups, with maps."""
    values: dict[str, object] = {
        "classes": CLASSES,
        "pixels": Pixels(SIDE, SIDE),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "outputs": ("logits", "probabilities", "embedding", "maps"),
        "origin": Origin("Plain", "tiny", "0" * 64),
        "embedding": 6,
        "calibrated": True,
        "groups": Groups(CLASSES, (Level("genus", ("Phoenicurus", "Saxicola", "Saxicola", "Oenanthe")),)),
    }
    return Manifest(**(values | changes))  # type: ignore[arg-type]


def scores(count: int = 200) -> HeldOutScores:
    """Of made-up held-out photos."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, len(CLASSES), count).tolist()
    return HeldOutScores(
        tuple(labels), tuple(rng.random(count).tolist()), tuple(rng.normal(3, 1, count).tolist()),
        tuple(rng.uniform(0.5, 1, count).tolist()),
    )  # fmt: skip


def write_tiny(path: Path, manifest: Manifest | None = None, *, gallery: str = "") -> Path:
    """Writes the file and gives its path."""
    manifest = manifest or tiny_manifest()
    rng = np.random.default_rng(0)
    classes, width = len(manifest.classes), manifest.embedding
    weights = {
        "mix": rng.normal(size=(width, 3, 1, 1)).astype(np.float32),
        "head": (3 * rng.normal(size=(classes, width, 1, 1))).astype(np.float32),
        "temperature": np.array(manifest.temperature, np.float32),
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["small"], kernel_shape=[_CELL] * 2, strides=[_CELL] * 2),
        helper.make_node("Conv", ["small", "mix"], ["mixed"]),
        helper.make_node("Relu", ["mixed"], ["features"]),
        helper.make_node("Conv", ["features", "head"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["scored"]),
        helper.make_node("Flatten", ["scored"], ["logits"]),
        helper.make_node("Div", ["logits", "temperature"], ["cooled"]),
        helper.make_node("Softmax", ["cooled"], ["probabilities"], axis=1),
    ]
    side = manifest.pixels.eval_size
    shapes = {
        "logits": ["N", classes], "probabilities": ["N", classes], "embedding": ["N", width],
        "maps": ["N", classes, side // _CELL, side // _CELL],
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, side, side])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in manifest.outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    entries = {MANIFEST: manifest_to_json(manifest), DIGEST: UNSEALED} | ({GALLERY: gallery} if gallery else {})
    helper.set_model_props(model, entries)
    path.write_bytes(sealed(model.SerializeToString()))
    return path
