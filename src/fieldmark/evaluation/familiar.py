"""How near photos come to those that a run was trained on, by its own network: its gallery, and answers beside it."""

from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from torch import Tensor

from fieldmark.confidence.gallery import Gallery, chosen_for_gallery, gallery_of
from fieldmark.confidence.held_out import HeldOut
from fieldmark.console import counted
from fieldmark.core.contract import Method
from fieldmark.core.draws import EVALUATION
from fieldmark.data.dataset import Photo, labels_of
from fieldmark.data.opening import OpenedData
from fieldmark.evaluation.inference import Inferred, infer, with_neighbours
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import Opened, digest_of


def gallery_from(opened: Opened, data: OpenedData, *, console: Console) -> Gallery:
    """The gallery of a run's network, from the photos that it was trained on, some of each class.

    Raises:
        UserError: not one of them can be read.
    """
    chosen = gallery_photos(data.dataset.photos)
    views = Photographs(chosen, opened.recipe.pixels, packed=data.dataset.pixels)
    read = embedded(opened.learner.method, views, console=console)
    return gallery_of(digest_of(opened.path), [photo.name for photo in read.photos], read.labels, read.values)


def gallery_photos(photos: Sequence[Photo]) -> tuple[Photo, ...]:
    """Which of the training photos go into a gallery."""
    return tuple(photos[at] for at in chosen_for_gallery(np.array(labels_of(photos), np.int64)))


def embedded(
    method: Method, photos: Photographs, *, workers: int = 0, start: str | None = None, console: Console
) -> Inferred:
    """The embeddings of photos, (N, E).

    Args:
        method: the network.
        photos: those that go into its gallery.
        workers: the number of processes that read photos ahead.
        start: how they start, as for ``loader_of``.
        console: for progress.

    Raises:
        UserError: not one of them can be read.
    """

    def embedding(images: Tensor) -> Tensor:
        return method.encode(images, EVALUATION).features.embedding

    with counted(console, "embedding photos", len(photos)) as tick:
        return infer(embedding, photos, method=method, workers=workers, start=start, progress=tick)


def answers_beside(
    gallery: Gallery,
    method: Method,
    photos: Photographs,
    *,
    workers: int = 0,
    progress: Callable[[int], object] | None = None,
) -> HeldOut:
    """A network's answers to photos that it was not trained on, and how near they come to its gallery."""
    read = infer(with_neighbours(method, gallery), photos, method=method, workers=workers, progress=progress)
    names = tuple(photo.name for photo in read.photos)
    return HeldOut(names, read.labels, read.values[:, :-2], read.values[:, -1])
