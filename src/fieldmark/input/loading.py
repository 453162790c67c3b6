"""Photographs to batches: guarded decode, view, uint8 tensors.

Every random choice is a function of (seed, epoch, index).
"""

import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.util import Finalize
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fieldmark.batches import WholeRun
from fieldmark.data.dataset import Photo, labels_of
from fieldmark.errors import UnreadableImage, UserError
from fieldmark.images.decode import Side, read_image
from fieldmark.images.guard import DEFAULT, Limits, up_to
from fieldmark.input.views import GREY, Frame, RandomView, evaluation_view, place
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
    photo: Photo, *, packed: np.ndarray | None = None, limits: Limits = DEFAULT, reduce_to: Side | None = None
) -> Image.Image:
    """The upright RGB picture of a photo, its banner cut off.

    Args:
        photo: which.
        packed: ``Dataset.pixels``.
        limits: of the guarded decode.
        reduce_to: the shorter side that may be decoded to, in training.
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
    """

    def __init__(
        self, photos: Sequence[Photo], pixels: Pixels, *, seed: int = 0, packed: np.ndarray | None = None
    ) -> None:
        self.photos, self.pixels, self.seed, self.packed = tuple(photos), pixels, seed, packed
        self.limits = up_to(pixels.megapixels)

    def __len__(self) -> int:
        """Photos."""
        return len(self.photos)

    def __getitems__(self, keys: list[tuple[int, int]]) -> Batch:
        """A whole batch: PyTorch's fetcher calls this once instead of ``__getitem__`` for each."""
        damaged: list[tuple[int, str]] = []
        size = self.pixels.size if keys[0][0] >= 0 else self.pixels.eval_size
        views = np.empty((len(keys), size, size, 3), dtype=np.uint8)
        indices = [self._fill(view, key, damaged) for view, key in zip(views, keys, strict=True)]
        return Batch(
            torch.from_numpy(views),
            torch.tensor(labels_of(self.photos[index] for index in indices)),
            torch.tensor(indices),
            tuple(damaged),
        )

    def __getitem__(self, index: int) -> Batch:
        """One photo as evaluation sees it, as a batch of one."""
        return self.__getitems__([(-1, index)])

    def random_view(self, epoch: int, index: int) -> RandomView:
        """Where an epoch of training looks at a photo."""
        rng = np.random.default_rng((self.seed, 0, epoch, index))
        return RandomView(self.pixels, rng, self.photos[index].box)

    def _fill(self, view: np.ndarray, key: tuple[int, int], damaged: list[tuple[int, str]]) -> int:
        """Draws a photo into ``view`` and returns its index; one that has become unreadable gives way to another."""
        epoch, index = key
        try:
            self._draw(view, epoch, index)
            return index
        except UnreadableImage as error:
            damaged.append((index, str(error)))
        if epoch < 0:
            view[:] = GREY
            return index
        for other in range(index + 1, index + min(len(self.photos), 100)):
            try:
                self._draw(view, epoch, other % len(self.photos))
                return other % len(self.photos)
            except UnreadableImage:
                continue
        raise UserError(f"{damaged[-1][1]}\nand 99 photos after it cannot be read either: is the folder still there?")

    def _draw(self, view: np.ndarray, epoch: int, index: int) -> None:
        photo = self.photos[index]
        if epoch < 0:
            image = open_photo(photo, packed=self.packed, limits=self.limits)
            try:
                view[:] = evaluation_view(image, self.pixels, photo.box)
            except UserError as error:  # its box lies elsewhere: a row with a reason, like any other damage
                raise UnreadableImage(photo.name, str(error)) from error
            return
        random_view = self.random_view(epoch, index)
        image = open_photo(photo, packed=self.packed, limits=self.limits, reduce_to=random_view.side_needed)
        draw_into(view, image, random_view.area(image.size), mirrored=random_view.mirrored)


def draw_into(view: np.ndarray, image: Image.Image, area: Frame, *, mirrored: bool) -> None:
    """``views.draw`` by torch, in a quarter of its time: ``area``, from whole pixel to whole pixel, into ``view``.

    The pixels differ from Pillow's by rounding alone. For training: where torch is not installed nothing is trained.

    Args:
        view: uint8 (S, S, 3), filled.
        image: RGB.
        area: of the image.
        mirrored: left and right change places.
    """
    size = len(view)
    source, (x0, y0, x1, y1) = place(area, image.size, size)
    left, top = min(round(source[0]), image.width - 1), min(round(source[1]), image.height - 1)
    region = image.crop((left, top, max(round(source[2]), left + 1), max(round(source[3]), top + 1)))
    if mirrored:
        region, x0, x1 = region.transpose(Image.Transpose.FLIP_LEFT_RIGHT), size - x1, size - x0
    # torch adds the axis: with numpy's stride of 0 it would not see channels last, and take a kernel thrice as slow
    images = torch.from_numpy(np.array(region))[None].permute(0, 3, 1, 2)
    part = F.interpolate(images, (y1 - y0, x1 - x0), mode="bicubic", antialias=True)
    if (y1 - y0, x1 - x0) != (size, size):
        view[:] = GREY
    # numpy copies: so small a copy is not worth waking torch's threads
    view[y0:y1, x0:x1] = part[0].permute(1, 2, 0).numpy()


def _itself(batch: Batch) -> Batch:
    return batch


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C and others' SIGTERM reach a whole group; the parent decides when to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        os.setpgrp()


def _spawned_worker(number: int) -> None:
    _quiet_worker(number)
    # its last act: Python's own end would break off the thread that sends a batch in the midst of PyTorch, and abort
    Finalize(None, os._exit, args=(0,), exitpriority=-100)


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
    begin = _spawned_worker if context == "spawn" else _quiet_worker
    return DataLoader(
        photos,
        batch_sampler=batches,  # pyright: ignore[reportArgumentType] - any iterable of lists will do
        collate_fn=_itself,  # pyright: ignore[reportArgumentType] - a whole batch comes from __getitems__
        num_workers=workers,
        multiprocessing_context=context,
        worker_init_fn=begin if workers else None,
    )


def in_order(count: int, size: int, *, share: tuple[int, int] = (0, 1)) -> list[list[tuple[int, int]]]:
    """The batches of an evaluation: every photo once, in order; of several processes, each has its ``share``."""
    own = range(share[0], count, share[1])
    return [[(-1, index) for index in own[start : start + size]] for start in range(0, len(own), size)]
