"""What a method shows of photographs, as plain numbers: where it sees the class that it predicts, and its peaks.

Boxes are of two kinds of heatmaps. "grad_cam" is plain Grad-CAM of the predicted class on the last maps, for any
method: what speaks for the class, enlarged to a quarter of the image's sides (``heatmaps.look``); for a method that
resamples the image it is put together from its views. The others are a method's own, which its evidence calls "class"
or "class/BRANCH", enlarged to the same size.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fieldmark.core.contract import Method
from fieldmark.core.evidence import Evidence
from fieldmark.core.recording import MAPS
from fieldmark.data.dataset import Photo
from fieldmark.evaluation.inference import in_eval_mode, infer
from fieldmark.explanations.heatmaps import Question, look
from fieldmark.explanations.maps import enlarged, peak
from fieldmark.explanations.regions import boxes_of
from fieldmark.input.loading import Photographs

GRAD_CAM, CLASS = "grad_cam", "class"
LEVELS = (0.5, 0.2)
"""Shares of a heatmap's maximum above which its largest region makes a box: that of Pairwise Confusion's Table 4, and
that of class activation maps (Zhou et al., CVPR 2016), with which top-1 localisation was first measured."""


class Source(NamedTuple):
    """Where a box comes from: a heatmap, by name, and the share of its maximum."""

    heatmap: str
    level: float


class Peaks(NamedTuple):
    """Of N photos: ``cells`` bool (N, h, w) of a heatmap; the flat index of its ``strongest`` and ``weakest`` peak.

    They are (N,), and -1 where there is no peak.
    """

    cells: np.ndarray
    strongest: np.ndarray
    weakest: np.ndarray

    def points(self, cells: np.ndarray) -> np.ndarray:
        """The middles of cells (N,), given by flat index: (N, 2), x and y as shares of the sides; nan for -1."""
        height, width = self.cells.shape[1:]
        middles = np.stack([(cells % width + 0.5) / width, (cells // width + 0.5) / height], 1)
        return np.where(cells[:, None] >= 0, middles, np.nan)


class Sights(NamedTuple):
    """What a method shows of N photos, as shares of the sides of what it saw.

    ``boxes`` by source, (N, 4): left, top, right, bottom; ``point`` (N, 2), the middle of Grad-CAM's maximum, nan where
    nothing speaks for the class; ``peaks`` by the name of the heatmap.
    """

    photos: tuple[Photo, ...]
    boxes: Mapping[Source, np.ndarray]
    point: np.ndarray
    peaks: Mapping[str, Peaks]


class _Shape(NamedTuple):
    """The names of a method's own class heatmaps, and (h, w) of the heatmaps that have peaks."""

    heatmaps: tuple[str, ...]
    peaks: Mapping[str, tuple[int, int]]

    @property
    def sources(self) -> list[Source]:
        return [Source(name, level) for name in (GRAD_CAM, *self.heatmaps) for level in LEVELS]

    def parted(self, values: np.ndarray, photos: tuple[Photo, ...]) -> Sights:
        """The rows of ``_row`` taken apart."""
        sizes = [height * width for height, width in self.peaks.values()]
        widths = [2, *(4 for _ in self.sources), *(each for size in sizes for each in (size, 1, 1))]
        point, *rest = np.split(values.astype(np.float64), np.cumsum(widths)[:-1], axis=1)
        count = len(self.sources)
        found = zip(self.peaks.items(), *(rest[count + at :: 3] for at in range(3)), strict=True)
        peaks = {
            name: Peaks(cells.reshape(-1, *size) > 0, strongest[:, 0].astype(np.int64), weakest[:, 0].astype(np.int64))
            for (name, size), cells, strongest, weakest in found
        }
        return Sights(photos, dict(zip(self.sources, rest[:count], strict=True)), point, peaks)


def sights_of(
    method: Method, photos: Photographs, *, workers: int = 0, progress: Callable[[int], object] | None = None
) -> Sights:
    """Looks at photos as evaluation sees them, in one pass and in batches; several processes share them.

    Args:
        method: on the device to use.
        photos: at least one.
        workers: the number of processes that read photos ahead.
        progress: called with the number of photos just done.

    Raises:
        UserError: not one photo can be read.
    """
    shape = _shape_of(method, photos.pixels.eval_size)
    read = infer(partial(_rows, method, shape), photos, method=method, workers=workers, progress=progress)
    return shape.parted(read.values, read.photos)


def _shape_of(method: Method, size: int) -> _Shape:
    """By what the method says of a blank image, so that processes without photos know it, too."""
    blank = method.classifier.backbone.mean.new_zeros(1, 3, size, size)
    with in_eval_mode(method), torch.no_grad():
        evidence = method.evidence(blank)
    own = tuple(name for name in evidence.heatmaps if name.partition("/")[0] == CLASS)
    peaks = {name: cells for name, cells in evidence.peaks.items() if name in evidence.heatmaps}
    return _Shape(own, {name: (cells.shape[1], cells.shape[2]) for name, cells in peaks.items()})


def _rows(method: Method, shape: _Shape, images: Tensor) -> Tensor:
    """Normalised images (B, 3, H, W) to the numbers of ``Sights``, a row for each image: float32 (B, K)."""
    looked = look(method, images, lambda logits: [Question(logits.argmax(1))], layer=MAPS)
    (grad_cam,), evidence = looked.heatmaps, looked.evidence
    size = (grad_cam.shape[1], grad_cam.shape[2])
    heatmaps = [grad_cam, *(enlarged(evidence.heatmaps[name].float(), size) for name in shape.heatmaps)]
    boxes = [boxes_of(heatmap.cpu().numpy(), level) for heatmap in heatmaps for level in LEVELS]
    peaks = [column for name in shape.peaks for column in _peak_columns(evidence, name)]
    point = torch.where(grad_cam.amax((1, 2))[:, None] > 0, peak(grad_cam), torch.nan)
    columns = [point, *map(torch.from_numpy, boxes), *peaks]
    return torch.cat([column.to("cpu", torch.float32) for column in columns], 1)


def _peak_columns(evidence: Evidence, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """All cells, whether they are peaks, (B, h * w), and the strongest and the weakest peak, (B, 1)."""
    cells, heatmap = evidence.peaks[name].flatten(1), evidence.heatmaps[name].flatten(1)
    some = cells.any(1, keepdim=True)
    strongest = torch.where(cells, heatmap, -torch.inf).argmax(1, keepdim=True)
    weakest = torch.where(cells, heatmap, torch.inf).argmin(1, keepdim=True)
    return cells, torch.where(some, strongest, -1), torch.where(some, weakest, -1)
