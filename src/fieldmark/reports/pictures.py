"""The photos of a report and their heatmaps, as small JPEGs: few enough, and small enough, for one file."""

import base64
import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from fieldmark.core.device import moved
from fieldmark.data.dataset import Photo
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import Evaluation
from fieldmark.evaluation.inference import in_eval_mode
from fieldmark.explanations.drawing import enlarged_to, lit
from fieldmark.explanations.heatmaps import Question, look
from fieldmark.images.guard import up_to
from fieldmark.input.loading import Packed, open_photo
from fieldmark.input.views import draw, evaluation_frame, evaluation_view
from fieldmark.reports.measured import Mistake, Pair, example_of, most_confident
from fieldmark.runs.folder import Opened

MOST = 300
"""Photos in a report."""
SURE = 6
"""Most confident mistakes that are shown."""
BYTES = 2_700_000
"""Of all JPEGs together at most; Base64 makes a third more of it."""
PAGE, WORDS, CLASS_WORDS = 5_000_000, 1_000_000, 600
"""Bytes of a whole page, and at most of what is in it besides pictures: in any, and for each class beside its name."""
SIDES = {80: 224, 160: 184, MOST: 160}
"""Pixels a side, by how many photos there are at most."""
BATCH = 16
PHOTO_QUALITY, HEATMAP_QUALITY = 74, 64
HALF = 0.5
"""Of a heatmap's maximum: where a line is drawn."""


class Wanted(NamedTuple):
    """A photo, by its row in the evaluation, and what to ask of it: why one class, and not another."""

    row: int
    of: int
    against: int


class Pictured(NamedTuple):
    """JPEGs in Base64; ``heatmap`` is "" where there is none."""

    photo: str
    heatmap: str


class Gallery(NamedTuple):
    """The pictures of a report, their side in pixels, and a remark where something was asked for and is not here."""

    pictures: dict[Wanted, Pictured]
    side: int
    remark: str


def asked_of(mistake: Mistake) -> Wanted:
    """Why the wrong answer, and not the true class."""
    return Wanted(mistake.row, mistake.predicted, mistake.true)


def examples_of(result: Evaluation, pair: Pair) -> list[Wanted]:
    """A photo of each class of a pair that has one, and why it is that class, and not the other."""
    both = ((pair.first, pair.second), (pair.second, pair.first))
    rows = ((example_of(result, of, against), of, against) for of, against in both)
    return [Wanted(row, of, against) for row, of, against in rows if row is not None]


def wanted_photos(result: Evaluation, pairs: Sequence[Pair], mistakes: Sequence[Mistake]) -> list[Wanted]:
    """At most ``MOST``: examples of look-alike pairs, the most confident mistakes, and the rest, worst first."""
    examples = (wanted for pair in pairs for wanted in examples_of(result, pair))
    ranked = (*most_confident(list(mistakes), SURE), *mistakes)
    return list(dict.fromkeys((*examples, *map(asked_of, ranked))))[:MOST]


def gallery_of(
    opened: Opened,
    result: Evaluation,
    wanted: Sequence[Wanted],
    *,
    packed: Packed | None = None,
    until: float | None = None,
    progress: Callable[[int], object] | None = None,
) -> Gallery:
    """Draws photos and heatmaps, as many as there is room and time for.

    Args:
        opened: the run, its learner on the device to use.
        result: what was measured.
        wanted: the photos, the most important first.
        packed: ``Dataset.pixels`` of data that keep photos in one file.
        until: the moment on the clock of ``time.perf_counter`` after which no further photo is drawn.
        progress: called with the number of photos just done.
    """
    side = next(side for count, side in SIDES.items() if len(wanted) <= count)
    pictures: dict[Wanted, Pictured] = {}
    room = room_for(result.classes)
    artist, size, remark = _Artist(opened, packed, side), 0, ""
    with in_eval_mode(opened.learner.method):
        for batch in (wanted[at : at + BATCH] for at in range(0, len(wanted), BATCH)):
            if until is not None and time.perf_counter() > until:
                remark = "There was no time for more photos."
                break
            for each, picture in artist.drawn([(each, result.photos[each.row]) for each in batch]):
                size += 3 * (len(picture.photo) + len(picture.heatmap)) // 4
                if size > room:
                    return Gallery(pictures, side, "More photos would make the file too large.")
                pictures[each] = picture
            if progress:
                progress(len(batch))
    return Gallery(pictures, side, remark or artist.remark)


def room_for(classes: Sequence[str]) -> int:
    """Bytes of pictures beside the tables of so many classes, whose names are written a few times each."""
    words = WORDS + sum(CLASS_WORDS + 4 * len(name.encode("utf-8", "backslashreplace")) for name in classes)
    return max(min(BYTES, 3 * (PAGE - words) // 4), 0)


class _Artist:
    """Draws photos with their heatmaps, or, where a network gives none, without."""

    def __init__(self, opened: Opened, packed: Packed | None, side: int) -> None:
        self.opened, self.packed, self.side, self.remark = opened, packed, side, ""

    def drawn(self, wanted: Iterable[tuple[Wanted, Photo]]) -> Iterator[tuple[Wanted, Pictured]]:
        """The pictures of a batch of photos, without those that cannot be read any more."""
        seen, views, asked = [], [], []
        pixels = self.opened.recipe.pixels
        for each, photo in wanted:
            try:
                image = open_photo(photo, packed=self.packed, limits=up_to(pixels.megapixels))
            except UserError as error:
                self.remark = f"Not all photos could be read again: {error}"
                continue
            seen.append(draw(image, evaluation_frame(image.size, pixels, photo.box), self.side))
            views.append(evaluation_view(image, pixels, photo.box))
            asked.append(each)
        heatmaps = self._heatmaps(np.stack(views), asked) if asked else []
        for each, picture, heatmap in zip(asked, seen, heatmaps, strict=True):
            shown = "" if heatmap is None else jpeg(outlined(picture, heatmap), HEATMAP_QUALITY)
            yield each, Pictured(jpeg(picture, PHOTO_QUALITY), shown)

    def _heatmaps(self, views: np.ndarray, asked: Sequence[Wanted]) -> Sequence[np.ndarray | None]:
        method = self.opened.learner.method
        backbone = method.classifier.backbone
        device = backbone.mean.device
        of, against = (torch.tensor([getattr(each, name) for each in asked], device=device) for name in _CLASSES)
        images = backbone.normalise(moved(torch.from_numpy(views), device))
        try:
            looked = look(method, images, lambda _: [Question(of, against)])
        except UserError as error:
            self.remark = f"There are no heatmaps: {error}"
            return [None] * len(asked)
        return list(looked.heatmaps[0].float().cpu().numpy())


_CLASSES = ("of", "against")


def outlined(picture: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """The picture uint8 (H, W, 3), lit where a heatmap (h, w) is high, with a line around what is above ``HALF``."""
    drawn, size = lit(picture, heatmap), picture.shape[:2]
    above = enlarged_to(heatmap, size) > HALF
    for grey, reach in ((0, 3), (255, 2)):  # a white line on a dark one, so that it shows on any photo
        drawn[_edge(above, reach)] = grey
    return drawn


def _edge(inside: np.ndarray, reach: int) -> np.ndarray:
    """The cells outside of a region (H, W) that are at most ``reach`` steps from it."""
    grown = inside
    for _ in range(reach):
        padded = np.pad(grown, 1)
        grown = grown | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return grown & ~inside


def jpeg(picture: np.ndarray, quality: int) -> str:
    """A picture uint8 (H, W, 3) as a JPEG in Base64, without any data of a camera."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality, optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")
