"""``fieldmark evaluate --localization``: whether a method looks at the object, measured by boxes that people drew.

Pairwise Confusion, Table 4: the mean overlap (intersection over union, IoU) of the object's box with that around
Grad-CAM. Selective Sparse Sampling, Table 2: the top-1 localisation accuracy, the share of photos of which the class is
right and the overlap at least 0.5; Table 1 and Fig. 5: which peaks of its response map lie in the box; Fig. 6: which
part of the object is nearest to the strongest and to the weakest peak. ``sights.py`` says how a heatmap becomes a box.

The object's box is the part of it that the network sees. Where it sees none, or a heatmap is 0 throughout, nothing is
right: the overlap is 0 and no point is inside. A photo without peaks has no hit rate.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.data.opening import refuse_boxless
from fieldmark.evaluation.evaluate import Evaluation
from fieldmark.evaluation.statistics import Interval, seed_interval, share_interval
from fieldmark.explanations.annotations import Parts, extents_of, frames_of, objects_of, parts_of, to_pixels
from fieldmark.explanations.regions import clipped, overlap
from fieldmark.explanations.sights import Peaks, Sights, Source, sights_of
from fieldmark.input.loading import Packed, Photographs
from fieldmark.runs.folder import Opened

ENOUGH = 0.5
"""Overlap from which on an object is localised."""


class Agreement(NamedTuple):
    """How well boxes agree with the objects': the mean overlap, and shares of photos, with their 95 % intervals.

    ``localised`` is the share with an overlap of at least ``ENOUGH``, ``top1_localised`` that where the class is right,
    too.
    """

    mean_iou: Interval
    localised: Interval
    top1_localised: Interval


@dataclass(frozen=True, eq=False)
class Localization:
    """Where a run looks in N photos, and where the objects are.

    Args:
        sights: what the method shows of the photos, all of which have boxes.
        right: (N,) bool, whether the likeliest class is the true one.
        frames: (N, 4), what the network sees of each photo: left, top, width, height in its pixels.
        objects: (N, 4), the object's box within that: left, top, right, bottom as shares of the frame's sides.
        extents: (N, 4), the photo itself in the same shares: all, but with ``--fit pad``; no box reaches beyond it.
        parts: the objects' parts.
        boxless: photos of the evaluation that have no box, and are not among these.
        notes: remarks for the user.
    """

    sights: Sights
    right: np.ndarray
    frames: np.ndarray
    objects: np.ndarray
    extents: np.ndarray
    parts: Parts
    boxless: int = 0
    notes: tuple[str, ...] = ()

    @property
    def photos(self) -> tuple[Photo, ...]:
        """The photos, in order."""
        return self.sights.photos

    @property
    def covered(self) -> np.ndarray:
        """Which share of what the network sees is the object's box, (N,): 0 where it sees nothing of it."""
        return (self.objects[:, 2:] - self.objects[:, :2]).prod(1)

    @property
    def pointed(self) -> np.ndarray:
        """Whether Grad-CAM's maximum lies in the object's box, (N,)."""
        return inside(self.sights.point, self.objects)

    @property
    def pointing(self) -> Interval:
        """The share of photos with Grad-CAM's maximum in the box, and its interval."""
        return share_interval(int(self.pointed.sum()), len(self.photos))

    @property
    def overlaps(self) -> Mapping[Source, np.ndarray]:
        """The intersection over union of each photo's box with the object's, (N,), by where the box comes from."""
        return {source: overlap(boxes, self.objects) for source, boxes in self.sights.boxes.items()}

    @property
    def agreements(self) -> Mapping[Source, Agreement]:
        """The figures of each kind of box."""
        return {source: agreement(overlaps, self.right) for source, overlaps in self.overlaps.items()}

    @property
    def whole(self) -> Agreement:
        """The figures of a box around all of the photo that the network sees: what looking nowhere special gives."""
        return agreement(overlap(self.extents, self.objects), self.right)

    @property
    def hits(self) -> Mapping[str, np.ndarray]:
        """How many peaks of each heatmap lie in the object's box, (N,)."""
        return {name: hits(peaks.cells, self.objects) for name, peaks in self.sights.peaks.items()}

    def hit_rate(self, name: str) -> Interval | None:
        """The mean share of a photo's peaks that lie in the box, over the photos with peaks; None without any."""
        counts, found = self.sights.peaks[name].cells.sum((1, 2)), self.hits[name]
        some = counts > 0
        return seed_interval(found[some] / counts[some]) if some.any() else None

    def nearest_parts(self, peaks: Peaks) -> tuple[np.ndarray, np.ndarray]:
        """The parts nearest to each photo's strongest and weakest peak, two (N,) that index ``parts``; -1 for none."""
        points = (peaks.points(cells)[:, None] for cells in (peaks.strongest, peaks.weakest))
        strongest, weakest = (self.parts.nearest(to_pixels(each, self.frames)[:, 0]) for each in points)
        return strongest, weakest

    def part_counts(self, name: str) -> dict[str, dict[str, int]]:
        """How many photos have each part nearest to their "strongest" and "weakest" peak, the most frequent first."""
        found = zip(("strongest", "weakest"), self.nearest_parts(self.sights.peaks[name]), strict=True)
        return {
            word: dict(Counter(self.parts.names[part] for part in parts.tolist() if part >= 0).most_common())
            for word, parts in found
        }

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data; shares between 0 and 1, each interval the ends of the 95 % interval."""
        return {
            "n": len(self.photos),
            "n_without_box": self.boxless,
            "n_object_unseen": int((self.covered == 0).sum()),
            "box_share": float(self.covered.mean()),
            **_figures("pointing", self.pointing),
            "boxes": [
                {"heatmap": source.heatmap, "level": source.level, **_agreement_to_json(each)}
                for source, each in self.agreements.items()
            ],
            "whole_picture": _agreement_to_json(self.whole),
            "peaks": {name: self._peaks_to_json(name) for name in self.sights.peaks},
            "notes": list(self.notes),
        }

    def _peaks_to_json(self, name: str) -> dict[str, Any]:
        counts, rate = self.sights.peaks[name].cells.sum((1, 2)), self.hit_rate(name)
        return {
            "n_with_peaks": int((counts > 0).sum()),
            **({} if rate is None else _figures("hit_rate", rate)),
            "photos_by_peaks": histogram(counts),
            "photos_by_hits": histogram(self.hits[name]),
            **({"nearest_part": self.part_counts(name)} if self.parts.names else {}),
        }


def localize(
    opened: Opened,
    result: Evaluation,
    *,
    packed: Packed | None = None,
    workers: int = 1,
    progress: Callable[[int], object] | None = None,
) -> Localization:
    """Where a run looks in the photos that it was evaluated on and that have boxes: one more pass over them.

    Args:
        opened: the run, its learner on the device to use.
        result: its evaluation.
        packed: pixels of photos that are not in files, as ``Dataset.pixels``.
        workers: the number of processes that read photos ahead.
        progress: called with the number of photos just done.

    Raises:
        UserError: no photo has a box, or not one can be read.
    """
    refuse_boxless(result.photos)
    boxed = [photo for photo in result.photos if photo.box is not None]
    photos = Photographs(boxed, opened.recipe.pixels, packed=packed)
    sights = sights_of(opened.learner.method, photos, workers=workers, progress=progress)
    seen = Photographs(sights.photos, photos.pixels, packed=packed)
    frames = frames_of(seen)
    extents = extents_of(seen, frames)
    boxes = {source: clipped(each, extents) for source, each in sights.boxes.items()}
    is_right = dict(zip(result.names, result.logits.argmax(1) == result.labels, strict=True))
    return Localization(
        sights._replace(boxes=boxes),
        right=np.array([is_right[name] for name in (photo.name for photo in sights.photos)]),
        frames=frames,
        objects=objects_of(sights.photos, frames),
        extents=extents,
        parts=parts_of(sights.photos, frames),
        boxless=len(result.photos) - len(boxed),
        notes=_notes(opened, len(result.photos) - len(boxed)),
    )


def _notes(opened: Opened, boxless: int) -> tuple[str, ...]:
    cropped = "the network is shown the object's box and little more (--fit box), so these figures say little of it"
    return (
        *([f"{boxless:,} photos without a box are left out of the localisation"] if boxless else []),
        *([cropped] if opened.recipe.pixels.fit == "box" else []),
    )


def agreement(overlaps: np.ndarray, right: np.ndarray) -> Agreement:
    """The figures of N photos by their overlaps (N,), and by whether their class is right, (N,) bool."""
    found, count = overlaps >= ENOUGH, len(overlaps)
    localised, both = (share_interval(int(each.sum()), count) for each in (found, found & right))
    return Agreement(seed_interval(overlaps), localised, both)


def inside(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether each point (N, 2) lies in its box (N, 4), (N,); never in an empty one, and nan in none."""
    start, end = boxes[:, :2], boxes[:, 2:]
    return np.logical_and.reduce(np.concatenate([start <= points, points <= end, start < end], 1), axis=1)


def hits(cells: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How many of the cells that are set, bool (N, h, w), have their middle in the box (N, 4) of their row: (N,)."""
    _, height, width = cells.shape
    across, down = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    columns = (across >= boxes[:, :1]) & (across <= boxes[:, 2:3])
    rows = (down >= boxes[:, 1:2]) & (down <= boxes[:, 3:])
    return (cells & rows[:, :, None] & columns[:, None]).sum((1, 2))


def histogram(numbers: np.ndarray) -> dict[str, int]:
    """How many photos have each number (N,), from 0 to the largest."""
    return {str(number): count for number, count in enumerate(np.bincount(numbers).tolist())}


def _agreement_to_json(figures: Agreement) -> dict[str, Any]:
    return {key: value for name, each in figures._asdict().items() for key, value in _figures(name, each).items()}


def _figures(name: str, interval: Interval) -> dict[str, Any]:
    """A mean and its interval, whose ends are null where they are not known (one photo alone)."""
    ends = [None if np.isnan(end) else end for end in interval[1:]]
    return {name: interval.mean, f"{name}_interval": ends}
