"""What an exported file says of itself, from the run that it is made of."""

from importlib.metadata import version

import numpy as np
import torch

from fieldmark.confidence.held_out import read_held_out
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.core.contract import Method
from fieldmark.core.draws import EVALUATION
from fieldmark.exporting.network import Shipped, example
from fieldmark.runs.folder import HELD_OUT, Opened, digest_of, groups_of
from fieldmark.ship.manifest import HeldOutScores, Licences, Manifest, Origin


def manifest_of(opened: Opened, network: Shipped, *, licences: Licences) -> Manifest:
    """What the file says of itself, before it is compared with the network."""
    method, recipe = network.method, opened.recipe
    backbone, confidence = method.classifier.backbone, opened.confidence
    mean, std = (tuple(map(float, values.cpu().flatten())) for values in (backbone.mean, backbone.std))
    origin = Origin(
        method=type(method).__name__, backbone=recipe.model.backbone, run=digest_of(opened.path),
        fieldmark=version("fieldmark"), torch=torch.__version__, onnx=version("onnx"),
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
