"""Exported models of a few numbers, made by hand in milliseconds: no torch, no tracing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fieldmark.confidence.novelty import directions
from fieldmark.files import write_bytes
from fieldmark.recipe import Pixels
from fieldmark.ship.container import DIGEST, GALLERY, MANIFEST, UNSEALED, sealed
from fieldmark.ship.gallery import ModelGallery, gallery_to_text
from fieldmark.ship.manifest import HeldOutScores, Manifest, Origin, manifest_to_json

SIDE, CELLS, WIDTH = 32, 4, 6
CLASSES = ("ant", "bee", "cat")
OUTPUTS = ("logits", "probabilities", "embedding", "maps")
MANIFEST_OF_TINY = Manifest(
    classes=CLASSES,
    pixels=Pixels(size=SIDE, eval_size=SIDE),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    outputs=OUTPUTS,
    origin=Origin("Plain", "tiny", "0" * 16),
    embedding=WIDTH,
    temperature=1.25,
    calibrated=True,
)


def manifest(**changes: Any) -> Manifest:
    """That of a tiny model, with other values for some fields."""
    return replace(MANIFEST_OF_TINY, **changes)


def weights(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the layer before the embedding (E, 3), of the head (C, E), and the head's bias (C,)."""
    random = np.random.default_rng(0)
    shapes = ((WIDTH, 3), (classes, WIDTH), (classes,))
    first, head, bias = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    return first, head, bias


def answered(images: np.ndarray, told: Manifest = MANIFEST_OF_TINY) -> dict[str, np.ndarray]:
    """What the network makes of images (N, 3, S, S), in float64."""
    first, head, bias = (each.astype(np.float64) for each in weights(len(told.classes)))
    count, cells = len(images), images.shape[2] // CELLS
    pooled = images.astype(np.float64).reshape(count, 3, CELLS, cells, CELLS, cells).mean((3, 5))
    features = np.maximum(np.einsum("ed,ndhw->nehw", first, pooled), 0)
    embedding = features.mean((2, 3))
    logits = embedding @ head.T + bias
    shares = np.exp(logits / told.temperature)
    return {
        "logits": logits,
        "probabilities": shares / shares.sum(1, keepdims=True),
        "embedding": embedding,
        "maps": np.einsum("ce,nehw->nchw", head, features),
    }


def network(told: Manifest = MANIFEST_OF_TINY) -> onnx.ModelProto:
    """Averages of squares, a layer, its average as the embedding, and a head."""
    first, head, bias = weights(len(told.classes))
    side, classes = told.pixels.eval_size, len(told.classes)
    cell = side // CELLS
    constants = {"first": first[..., None, None], "head": head, "map": head[..., None, None], "bias": bias}
    constants["scale"] = np.float32(1 / told.temperature)
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[cell, cell], strides=[cell, cell]),
        helper.make_node("Conv", ["pooled", "first"], ["raw"]),
        helper.make_node("Relu", ["raw"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["average"]),
        helper.make_node("Flatten", ["average"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "head", "bias"], ["logits"], transB=1),
        helper.make_node("Mul", ["logits", "scale"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1),
        helper.make_node("Conv", ["features", "map"], ["maps"]),
    ]
    sizes = {
        "logits": [classes], "probabilities": [classes], "embedding": [WIDTH], "maps": [classes, CELLS, CELLS],
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("images", [3, side, side])],
        [value(name, sizes[name]) for name in told.outputs],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def value(name: str, shape: list[int], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """An input or an output of any number of rows."""
    return helper.make_tensor_value_info(name, kind, ["batch", *shape])


def write_model(
    path: Path,
    told: Manifest = MANIFEST_OF_TINY,
    *,
    gallery: ModelGallery | None = None,
    model: onnx.ModelProto | None = None,
    entries: dict[str, str] | None = None,
) -> Path:
    """Writes a model with its manifest under a digest; ``entries`` take the place of the right ones in the metadata."""
    model = model or network(told)
    metadata = {MANIFEST: manifest_to_json(told)} | ({GALLERY: gallery_to_text(gallery)} if gallery else {})
    for key, text in (metadata | (entries or {}) | {DIGEST: UNSEALED}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text
    write_bytes(path, sealed(model.SerializeToString()))
    return path


def held_out(photos: int = 60, classes: int = 3) -> HeldOutScores:
    """Scores of made-up photos."""
    random = np.random.default_rng(1)
    return HeldOutScores(
        tuple((np.arange(photos) % classes).tolist()),
        tuple(random.uniform(size=photos).tolist()),
        tuple(random.normal(size=photos).tolist()),
        tuple(random.uniform(size=photos).tolist()),
    )


def gallery(photos: int = 9, classes: int = 3, *, thumbnails: bool = True) -> ModelGallery:
    """Of made-up photos."""
    embeddings = directions(np.random.default_rng(2).normal(size=(photos, WIDTH))).astype(np.float16)
    names = tuple(f"{at}.jpg" for at in range(photos))
    pictures = tuple(b"\xff\xd8" + bytes(at) for at in range(photos)) if thumbnails else ()
    return ModelGallery(np.arange(photos) % classes, embeddings, names, pictures)
