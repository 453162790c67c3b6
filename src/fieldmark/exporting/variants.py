"""Forms of a file other than images in 32 bits: fewer bits, and pixels in place of images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fieldmark.exporting.halving import halved
from fieldmark.exporting.photos import MOST, Tried, held_out_and_calibration, photos_to_try
from fieldmark.exporting.pixels import preparing_graph
from fieldmark.exporting.quantising import quantised
from fieldmark.runs.folder import Opened
from fieldmark.ship.manifest import Manifest, Precision

if TYPE_CHECKING:
    from onnx import ModelProto

SEVERAL = 20
"""Photos of a batch that says how large activations get."""


@dataclass(frozen=True)
class Photos:
    """Photos that a file is compared on, None where none can be opened; and those that scales of 8 bits come from."""

    compared: Tried | None
    calibration: Tried | None = None


def photos_for(opened: Opened, data: Path | None, *, precision: Precision) -> Photos:
    """The photos that a form of a file needs.

    Args:
        opened: the run.
        data: labelled photos; None for those that the run was trained on.
        precision: of the file.

    Raises:
        UserError: photos that were named, or that 8 bits need, cannot be used.
    """
    if precision == "int8":
        return Photos(*held_out_and_calibration(opened, data))
    tried = photos_to_try(opened, data)
    return Photos(tried.spread(MOST) if tried else None)


def in_fewer_bits(graph: "ModelProto", precision: Precision, photos: Photos, manifest: Manifest) -> "ModelProto":
    """The graph in 16 or 8 bits."""
    if precision == "fp16":
        return halved(graph)
    assert photos.calibration is not None, "as photos_for has it"
    return quantised(graph, _batches(photos.calibration, manifest))


def preparing_for(manifest: Manifest) -> "ModelProto":
    """The graph of the preprocessing that a manifest describes."""
    shift, scale = (torch.from_numpy(values) for values in (manifest.shift, manifest.scale))
    return preparing_graph(manifest.pixels, shift=shift, scale=scale)


def _batches(tried: Tried, manifest: Manifest) -> Iterator[np.ndarray]:
    """Images as the network takes them, batch by batch; photos that cannot be read are left out."""
    views = tried.views(manifest.pixels)
    for start in range(0, len(views), SEVERAL):
        batch = views.__getitems__([(-1, at) for at in range(start, min(start + SEVERAL, len(views)))])
        lost = {at for at, _ in batch.damaged}
        rows = [row for row, at in enumerate(batch.indices.tolist()) if at not in lost]
        values = batch.pixels[rows].numpy().astype(np.float32)
        if rows:
            yield ((values - manifest.shift) * manifest.scale).transpose(0, 3, 1, 2)
