"""From a run to one ONNX file."""

import logging
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from fieldmark.confidence.held_out import read_held_out
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.core.contract import Method
from fieldmark.core.draws import EVALUATION
from fieldmark.errors import UserError
from fieldmark.exporting.network import Shipped, example
from fieldmark.files import write_bytes
from fieldmark.runs.folder import HELD_OUT, Opened, digest_of, groups_of
from fieldmark.ship.container import DIGEST, MANIFEST, UNSEALED, sealed
from fieldmark.ship.manifest import HeldOutScores, Licences, Manifest, Origin, manifest_to_json

OPSET = 18
UNSTATED = Licences()


def export_onnx(opened: Opened, path: Path, *, licences: Licences = UNSTATED) -> Manifest:
    """Writes a run's network, with all that its answers need, as one file.

    Raises:
        UserError: libraries are missing.
    """
    try:
        import onnx
    except ImportError:
        raise UserError("exporting needs onnx and onnxscript: pip install 'fieldmark[export]'") from None
    network = Shipped(opened.learner.method.eval(), temperature=opened.temperature).eval()
    manifest = manifest_of(opened, network, onnx_version=onnx.__version__, licences=licences)
    model = traced(network, size=opened.recipe.pixels.eval_size)
    for key, value in ((MANIFEST, manifest_to_json(manifest)), (DIGEST, UNSEALED)):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    write_bytes(path, sealed(model.SerializeToString()))
    return manifest


def traced(network: Shipped, *, size: int):
    """The graph of a network, for any number of images."""
    batch = torch.export.Dim("batch", min=1)
    network.method.classifier.keeps_refined = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            (example(network.method, size=size),),
            input_names=["images"],
            output_names=list(network.names),
            dynamic_shapes={"images": {0: batch}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def manifest_of(opened: Opened, network: Shipped, *, onnx_version: str, licences: Licences) -> Manifest:
    """What the file says of itself."""
    method, recipe = network.method, opened.recipe
    backbone = method.classifier.backbone
    confidence = opened.confidence
    mean, std = (tuple(map(float, values.cpu().flatten())) for values in (backbone.mean, backbone.std))
    origin = Origin(
        method=type(method).__name__, backbone=recipe.model.backbone, run=digest_of(opened.path),
        fieldmark=version("fieldmark"), torch=torch.__version__, onnx=onnx_version,
    )  # fmt: skip
    return Manifest(
        classes=opened.classes,
        pixels=recipe.pixels,
        mean=mean,
        std=std,
        outputs=network.names,
        origin=origin,
        embedding=width_of(method, size=recipe.pixels.eval_size),
        temperature=opened.temperature,
        calibrated=confidence is not None and confidence.temperature.is_known,
        groups=groups_of(opened.path),
        held_out=held_out_scores(opened),
        licences=licences,
        no_maps=network.no_maps,
    )


def width_of(method: Method, *, size: int) -> int:
    """E of the embedding."""
    with torch.inference_mode():
        return method.encode(example(method, size=size), EVALUATION).features.embedding.shape[1]


def held_out_scores(opened: Opened) -> HeldOutScores | None:
    """What the run's answers to held-out photos say, a number a photo; None where it has none."""
    if opened.confidence is None:
        return None
    held_out = read_held_out(opened.path / HELD_OUT, classes=len(opened.classes))
    probabilities = np.exp(log_probabilities(held_out.logits, opened.temperature))
    own = np.take_along_axis(probabilities, held_out.labels[:, None], 1)[:, 0]
    near = () if held_out.similarities is None else tuple(held_out.similarities.astype(float).tolist())
    logits = held_out.logits.max(1).astype(float).tolist()
    return HeldOutScores(tuple(held_out.labels.tolist()), tuple((1 - own).tolist()), tuple(logits), near)
