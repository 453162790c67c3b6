"""Photographs to batches: guarded decode, view, uint8 tensors. Every random choice is a function of (seed, epoch, index)."""

import signal
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset as TorchDataset

from fieldmark.data.batches import WholeRun
from fieldmark.data.dataset import Photo
from fieldmark.data.decode import DEFAULT, Limits, read_image
from fieldmark.data.transforms import evaluation_view, smallest_useful_side, training_view
from fieldmark.errors import UnreadableImage, UserError
from fieldmark.recipe import Pixels


class Batch(NamedTuple):
    """Images as they come from the loader.

    ``pixels`` uint8 (B, S, S, 3); ``labels`` (B,) long, -1 where unknown; ``indices`` (B,) long, which photo each row
    is; ``damaged`` the index and one line for each file that could not be read (in training another photo of the set
    has taken its row, in evaluation the row is grey).
    """

    pixels: Tensor
    labels: Tensor
    indices: Tensor
    damaged: tuple[tuple[int, str], ...]


def open_photo(
    photo: Photo, *, packed: np.ndarray | None = None, limits: Limits = DEFAULT, reduce_to: int | None = None
) -> Image.Image:
    """The upright RGB picture of a photo, its banner cut off.

    Args:
        photo: which.
        packed: ``Dataset.pixels``.
        limits: of the guarded decode.
        reduce_to: a shorter side that may be decoded to, in training.
    """
    if photo.row >= 0:
        assert packed is not None
        return Image.fromarray(packed[photo.row])
    image = read_image(photo.path, name=photo.name, limits=limits, reduce_to=None if photo.trim_bottom else reduce_to)
    return image.crop((0, 0, image.width, image.height - photo.trim_bottom)) if photo.trim_bottom else image


class Photographs(TorchDataset[Batch]):
    """Photos as PyTorch's loaders take them; a batch is asked for as a list of (epoch, index), epoch -1 for evaluation.

    Args:
        photos: in the order that indices count.
        pixels: the view.
        seed: of the training views.
        packed: ``Dataset.pixels``.
        limits: of the guarded decode.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        pixels: Pixels,
        *,
        seed: int = 0,
        packed: np.ndarray | None = None,
        limits: Limits = DEFAULT,
    ) -> None:
        self.photos, self.pixels, self.seed, self.packed, self.limits = tuple(photos), pixels, seed, packed, limits
        self._reduce_to = smallest_useful_side(pixels)

    def __len__(self) -> int:
        """Photos."""
        return len(self.photos)

    def __getitems__(self, keys: list[tuple[int, int]]) -> Batch:
        """A whole batch: PyTorch's fetcher calls this once instead of ``__getitem__`` for each."""
        damaged: list[tuple[int, str]] = []
        views, indices = [], []
        for epoch, index in keys:
            view, used = self._view(epoch, index, damaged)
            views.append(view)
            indices.append(used)
        labels = [self.photos[index].label for index in indices]
        return Batch(
            torch.from_numpy(np.stack(views)),
            torch.tensor([-1 if label is None else label for label in labels]),
            torch.tensor(indices),
            tuple(damaged),
        )

    def __getitem__(self, index: int) -> Batch:
        """One photo as evaluation sees it, as a batch of one."""
        return self.__getitems__([(-1, index)])

    def _view(self, epoch: int, index: int, damaged: list[tuple[int, str]]) -> tuple[np.ndarray, int]:
        """The view of a photo and its index; one that has become unreadable since the first pass gives way."""
        try:
            return self._read(epoch, index), index
        except UnreadableImage as error:
            damaged.append((index, str(error)))
        if epoch < 0:
            return np.full((self.pixels.eval_size,) * 2 + (3,), 128, dtype=np.uint8), index
        for other in range(index + 1, index + min(len(self.photos), 100)):
            try:
                return self._read(epoch, other % len(self.photos)), other % len(self.photos)
            except UnreadableImage:
                continue
        raise UserError(f"{damaged[-1][1]}\nand 99 photos after it cannot be read either: is the folder still there?")

    def _read(self, epoch: int, index: int) -> np.ndarray:
        photo = self.photos[index]
        training = epoch >= 0
        image = open_photo(
            photo, packed=self.packed, limits=self.limits, reduce_to=self._reduce_to if training else None
        )
        if not training:
            return evaluation_view(image, self.pixels, photo.box)
        rng = np.random.default_rng((self.seed, 0, epoch, index))
        return training_view(image, self.pixels, rng, photo.box)


def _itself(batch: Batch) -> Batch:
    return batch


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C reaches the whole group; the parent decides when to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def loader_of(
    photos: Photographs, batches: WholeRun | Sequence[list[tuple[int, int]]], *, workers: int, start: str | None = None
) -> "DataLoader[Batch]":
    """A loader of the given batches in their order.

    Args:
        photos: the dataset.
        batches: lists of (epoch, index).
        workers: processes that read ahead; 0 reads in this one.
        start: how they start, "fork" or "spawn"; None is the platform's way.
    """
    context = (start or ("fork" if sys.platform == "linux" else "spawn")) if workers else None
    return DataLoader(
        photos,
        batch_sampler=batches,  # pyright: ignore[reportArgumentType] - any iterable of lists will do
        collate_fn=_itself,
        num_workers=workers,
        multiprocessing_context=context,
        worker_init_fn=_quiet_worker if workers else None,
    )


def in_order(count: int, size: int) -> list[list[tuple[int, int]]]:
    """The batches of an evaluation: every photo once, in order."""
    return [[(-1, index) for index in range(start, min(start + size, count))] for start in range(0, count, size)]


def inference_batches(photos: Photographs, *, size: int, workers: int) -> Iterator[Batch]:
    """All photos once, in order, as evaluation sees them."""
    return iter(loader_of(photos, in_order(len(photos), size), workers=workers))

