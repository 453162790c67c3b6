"""Logits of photographs: the same code for validation, evaluation and prediction."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from fieldmark.confidence.gallery import Known
from fieldmark.confidence.novelty import nearest
from fieldmark.core import processes
from fieldmark.core.contract import Method
from fieldmark.core.device import moved
from fieldmark.core.draws import EVALUATION
from fieldmark.data.dataset import Photo, Unread, labels_of
from fieldmark.data.opening import unreadable
from fieldmark.errors import UserError, printable
from fieldmark.input.loading import Photographs, batches_of, in_order, loader_of
from fieldmark.ops.memory import is_out_of_memory, keep_freed_memory

BATCH = 32


class Logits(NamedTuple):
    """``values`` float32 (N, C) in the order of the photos; ``damaged`` a line per index of a photo with a void row."""

    values: np.ndarray
    damaged: dict[int, str]


class Inferred(NamedTuple):
    """``values`` float32 (N, K), a row for each of ``photos``, in order; ``unread`` are those that have none."""

    values: np.ndarray
    photos: tuple[Photo, ...]
    unread: tuple[Unread, ...]

    @property
    def labels(self) -> np.ndarray:
        """The photos' labels, int64 (N,)."""
        return np.array(labels_of(self.photos), dtype=np.int64)


def stream(
    function: Callable[[torch.Tensor], torch.Tensor],
    photos: Photographs,
    *,
    method: Method,
    workers: int,
    start: str | None = None,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Logits]:
    """What ``function`` returns for normalised images, batch by batch, in order and in float32.

    Args:
        function: (B, 3, S, S) to (B, K).
        photos: in evaluation's view.
        method: for its device and pixel statistics.
        workers: processes that read ahead.
        start: how they start, as for ``loader_of``.
        share: (number, count): every count-th photo, starting with number.

    Raises:
        UserError: memory runs out for a single image; larger batches are first split into smaller pieces.
    """
    keep_freed_memory()
    in_pieces = _InPieces(function)
    backbone = method.classifier.backbone
    device = backbone.mean.device
    for batch in batches_of(loader_of(photos, in_order(len(photos), BATCH, share=share), workers=workers, start=start)):
        with torch.inference_mode():
            values = in_pieces(backbone.normalise(moved(batch.pixels, device)))
        yield Logits(values.float().cpu().numpy(), dict(batch.damaged))


class _InPieces:
    """A function of images, computed in pieces, which are halved each time that memory runs out."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.function, self.size = function, BATCH

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(B, K) for images (B, 3, S, S)."""
        while True:
            try:
                return torch.cat([self.function(piece) for piece in images.split(self.size)])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.size == 1:
                    side, device = images.shape[-1], images.device.type
                    raise UserError(f"out of memory ({device}) for a single image of {side} x {side} px") from error
            self.size = (min(self.size, len(images)) + 1) // 2  # here, as the error holds on to the piece's memory


def scored(method: Method, images: torch.Tensor) -> torch.Tensor:
    """Logits (B, C) of images, followed by those of the method's scored views: (B, (1 + views) * C)."""
    if not method.scored_views:
        return method(images)
    encoded = method.encode(images, EVALUATION)
    return torch.cat([encoded.logits, *(encoded.views[name] for name in method.scored_views)], 1)


def with_embeddings(method: Method) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from images to their logits (B, C), followed by their embeddings (B, E): (B, C + E)."""

    def answers(images: torch.Tensor) -> torch.Tensor:
        encoded = method.encode(images, EVALUATION)
        return torch.cat([encoded.logits.float(), encoded.features.embedding.float()], 1)

    return answers


def with_neighbours(method: Method, gallery: Known) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from images to their logits (B, C), the place of the nearest photo in a gallery, and its cosine.

    All in one pass: (B, C + 2).
    """
    known = gallery.embeddings.astype(np.float32)

    def answers(images: torch.Tensor) -> torch.Tensor:
        encoded = method.encode(images, EVALUATION)
        places, cosines = nearest(encoded.features.embedding.float().cpu().numpy(), known)
        further = torch.from_numpy(np.hstack([places, cosines]).astype(np.float32))
        return torch.cat([encoded.logits.float().cpu(), further], 1)

    return answers


def infer(
    function: Callable[[torch.Tensor], torch.Tensor],
    photos: Photographs,
    *,
    method: Method,
    workers: int = 0,
    start: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> Inferred:
    """All of ``stream`` in one array, with the module in eval mode; ``progress`` gets the number of photos just done.

    Several processes share the photos, and all get the whole array.

    Raises:
        UserError: not one of the photos can be read, so that a figure would mean nothing.
    """
    values: list[np.ndarray] = []
    damaged: dict[int, str] = {}
    with in_eval_mode(method):
        for part in stream(function, photos, method=method, workers=workers, start=start, share=processes.world()):
            values.append(part.values)
            damaged |= part.damaged
            if progress:
                progress(len(part.values))
    own = np.concatenate(values) if values else np.zeros((0, 0), np.float32)
    return _read(_joined(processes.from_each(Logits(own, damaged)), len(photos)), photos.photos)


def _read(whole: Logits, photos: tuple[Photo, ...]) -> Inferred:
    """The rows of the photos that could be read."""
    assert photos, "no photos, of which nothing can be said"
    lines = sorted(whole.damaged.items())
    unread = tuple(Unread(photos[at], line.removeprefix(f"{printable(photos[at].name)}: ")) for at, line in lines)
    if len(unread) == len(photos):
        raise unreadable(unread, of=len(photos))
    rows = [at for at in range(len(photos)) if at not in whole.damaged]
    return Inferred(whole.values[rows], tuple(photos[at] for at in rows), unread)


def _joined(parts: list[Logits], count: int) -> Logits:
    """The shares of all processes in the order of the photos."""
    whole = np.empty((count, max(part.values.shape[1] for part in parts)), np.float32)
    for number, part in enumerate(parts):
        if len(part.values):
            whole[number :: len(parts)] = part.values
    return Logits(whole, {index: line for part in parts for index, line in part.damaged.items()})


@contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Puts a module in eval mode, and back into the mode it was in."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)
