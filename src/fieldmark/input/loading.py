"""From photographs to batches: guarded decode, view, uint8 tensors.

Every random choice is a function of (seed, epoch, index).
"""

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from multiprocessing.queues import Queue
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

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
from fieldmark.images.decode import Side, read_image, upright_size
from fieldmark.images.guard import DEFAULT, Limits, up_to
from fieldmark.images.pictures import Held, picture_of
from fieldmark.input.views import GREY, Frame, RandomView, evaluation_view, place
from fieldmark.recipe import Pixels

LOG = logging.getLogger(__name__)
Packed = np.ndarray | Sequence[Held]
MOMENT = 0.5
"""Seconds after which a killed process is certain to be reported as dead."""


class Batch(NamedTuple):
    """Images as they come from the loader.

    ``pixels`` uint8 (B, S, S, 3); ``labels`` (B,) long, -1 where unknown; ``indices`` (B,) long, the photo of each row;
    ``damaged`` the index and a one-line reason for each file that could not be read (in training another photo takes
    its row, in evaluation the row is grey).
    """

    pixels: Tensor
    labels: Tensor
    indices: Tensor
    damaged: tuple[tuple[int, str], ...]

    def __reduce__(self) -> tuple[Any, ...]:
        """How a batch is sent by another process: its pixels in shared memory if there is room, else with the rest."""
        return _arrived, (_shared(self.pixels), self.labels.numpy(), self.indices.numpy(), self.damaged)


def _shared(pixels: Tensor) -> Tensor | np.ndarray:
    try:
        return pixels.share_memory_()
    except RuntimeError as error:  # /dev/shm is full: containers often have 64 MB
        LOG.info("shared memory is full, so photos are sent through a pipe, which is a little slower (%s)", error)
        return pixels.numpy()


def _arrived(pixels: Tensor | np.ndarray, labels: np.ndarray, indices: np.ndarray, damaged: Any) -> Batch:
    return Batch(torch.as_tensor(pixels), torch.from_numpy(labels), torch.from_numpy(indices), damaged)


def open_photo(
    photo: Photo, *, packed: Packed | None = None, limits: Limits = DEFAULT, reduce_to: Side | None = None
) -> Image.Image:
    """The upright RGB image of a photo, without the banner of a camera trap.

    Args:
        photo: the photo to read.
        packed: ``Dataset.pixels``, or the pictures in memory that ``row`` of a photo indexes.
        limits: limits of the guarded decode.
        reduce_to: in training, the shorter side that a JPEG may be decoded down to.
    """
    if photo.row >= 0:
        assert packed is not None
        return picture_of(packed[photo.row], name=photo.name, limits=limits)
    image = read_image(photo.path, name=photo.name, limits=limits, reduce_to=None if photo.trim_bottom else reduce_to)
    return image.crop((0, 0, image.width, image.height - photo.trim_bottom)) if photo.trim_bottom else image


def size_of(photo: Photo, *, packed: Packed | None = None, limits: Limits = DEFAULT) -> tuple[int, int]:
    """(width, height) of the image that ``open_photo`` gives; of a file no pixel is decoded."""
    if photo.row >= 0:
        return open_photo(photo, packed=packed, limits=limits).size
    width, height = upright_size(photo.path, name=photo.name, limits=limits)
    return width, height - photo.trim_bottom


class Photographs(TorchDataset[Batch]):
    """Photos as a dataset for PyTorch's loader; a batch's key is a list of (epoch, index), epoch -1 for evaluation.

    Args:
        photos: the photos, in the order of their indices.
        pixels: settings of the views.
        seed: seed of the training views.
        packed: as for ``open_photo``.
    """

    def __init__(self, photos: Sequence[Photo], pixels: Pixels, *, seed: int = 0, packed: Packed | None = None) -> None:
        self.photos, self.pixels, self.seed, self.packed = tuple(photos), pixels, seed, packed
        self.limits = up_to(pixels.megapixels)

    def __len__(self) -> int:
        """The number of photos."""
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
        """A batch of one photo as evaluation sees it."""
        return self.__getitems__([(-1, index)])

    def random_view(self, epoch: int, index: int) -> RandomView:
        """The view of a photo in an epoch of training."""
        rng = np.random.default_rng((self.seed, 0, epoch, index))
        return RandomView(self.pixels, rng, self.photos[index].box)

    def _fill(self, view: np.ndarray, key: tuple[int, int], damaged: list[tuple[int, str]]) -> int:
        """Draws a photo into ``view`` and returns its index; in training an unreadable one is replaced by the next."""
        epoch, index = key
        tries = 1 if epoch < 0 else min(len(self.photos), 100)
        for candidate in range(index, index + tries):
            candidate %= len(self.photos)
            try:
                self._draw(view, epoch, candidate)
                return candidate
            except UnreadableImage as error:
                if candidate == index:
                    damaged.append((index, str(error)))
        if epoch >= 0:
            others = f"and {tries - 1} photos after it cannot be read either: is the folder still there?"
            raise UserError(f"{damaged[-1][1]}\n{others}")
        view[:] = GREY
        return index

    def _draw(self, view: np.ndarray, epoch: int, index: int) -> None:
        photo = self.photos[index]
        if epoch < 0:
            image = open_photo(photo, packed=self.packed, limits=self.limits)
            try:
                view[:] = evaluation_view(image, self.pixels, photo.box)
            except UserError as error:  # the box is outside the image: damage like any other
                raise UnreadableImage(photo.name, str(error)) from error
            return
        random_view = self.random_view(epoch, index)
        image = open_photo(photo, packed=self.packed, limits=self.limits, reduce_to=random_view.side_needed)
        draw_into(view, image, random_view.area(image.size), mirrored=random_view.mirrored)


def draw_into(view: np.ndarray, image: Image.Image, area: Frame, *, mirrored: bool) -> None:
    """``views.draw`` with torch, in a quarter of its time: ``area``, rounded to whole pixels, into ``view``.

    The pixels differ from Pillow's by rounding alone. Used in training, which needs torch anyway.

    Args:
        view: uint8 (S, S, 3), overwritten.
        image: the RGB image.
        area: the region of the image to draw.
        mirrored: swap left and right.
    """
    size = len(view)
    source, (x0, y0, x1, y1) = place(area, image.size, size)
    left, top = min(round(source[0]), image.width - 1), min(round(source[1]), image.height - 1)
    region = image.crop((left, top, max(round(source[2]), left + 1), max(round(source[3]), top + 1)))
    if mirrored:
        region, x0, x1 = region.transpose(Image.Transpose.FLIP_LEFT_RIGHT), size - x1, size - x0
    # torch adds the axis: with numpy's stride of 0 it would miss channels last and take a kernel three times as slow
    images = torch.from_numpy(np.array(region))[None].permute(0, 3, 1, 2)
    part = F.interpolate(images, (y1 - y0, x1 - x0), mode="bicubic", antialias=True)
    if (y1 - y0, x1 - x0) != (size, size):
        view[:] = GREY
    # copied by numpy: too small a copy to be worth waking torch's threads
    view[y0:y1, x0:x1] = part[0].permute(1, 2, 0).numpy()


def _itself(batch: Batch) -> Batch:
    return batch


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)
    # the sending thread would drop a batch that cannot be sent, and the parent would wait for it in vain
    Queue._on_queue_feeder_error = staticmethod(_end_process)  # pyright: ignore[reportAttributeAccessIssue]
    # Ctrl-C and SIGTERM reach the whole process group; the parent decides when to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        os.setpgrp()


def _end_process(error: BaseException, _: object) -> None:
    traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(1)


def _spawned_worker(number: int) -> None:
    _quiet_worker(number)
    # the last exit handler: Python's own exit would stop the sending thread in the middle of PyTorch's code and abort
    Finalize(None, os._exit, args=(0,), exitpriority=-100)


def loader_of(
    photos: Photographs, batches: WholeRun | Sequence[list[tuple[int, int]]], *, workers: int, start: str | None = None
) -> "DataLoader[Batch]":
    """A loader of the given batches in their order.

    Args:
        photos: the dataset.
        batches: lists of (epoch, index).
        workers: processes that read ahead; with 0, photos are read in this process.
        start: how they are started, "fork" or "spawn"; None is the platform's default.
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


class LostWorker(UserError):
    """A worker process that reads photos has died."""


class _Interrupted(BaseException):
    """Raised by the signal of a death; PyTorch, which handles every Exception while it waits, lets it pass."""


def batches_of(loader: "DataLoader[Batch]", *, advice: str = "end other programs and try again") -> Iterator[Batch]:
    """The loader's batches; photos are read in this process where no others can be started.

    Args:
        loader: from ``loader_of``.
        advice: a line on what the user can do if a worker process dies.

    Raises:
        UserError: raised in a worker process; without its traceback.
        LostWorker: a worker process has died for whatever reason; raised within seconds.
    """
    iterator, mark = _started(loader), f"{UserError.__module__}.{UserError.__qualname__}: "
    try:
        while (batch := _received(iterator, advice)) is not None:
            yield batch
    except LostWorker:
        raise
    except UserError as error:
        raise UserError(str(error).rpartition(mark)[2].strip()) from error
    finally:
        if _death(iterator):
            _abandon(iterator)


def _started(loader: "DataLoader[Batch]") -> Iterator[Batch]:
    try:
        with _own_signals():
            return iter(loader)
    except OSError as error:
        if not loader.num_workers:
            raise
        LOG.info("no further processes can be started, so photos are read in this one (%s)", error)
        return iter(loader_of(loader.dataset, loader.batch_sampler, workers=0))  # pyright: ignore[reportArgumentType]


def _received(iterator: Iterator[Batch], advice: str) -> Batch | None:
    """The next batch, None at the end; an error as soon as a worker process dies, even while it sends its batch."""
    try:
        with _own_signals() as signals:
            if signals:
                signal.signal(signal.SIGCHLD, lambda *_: _interrupt(iterator))
            _refuse_dead(iterator, advice)
            is_safe = signals or not hasattr(iterator, "_workers")
            return next(iterator, None) if is_safe else _received_in_a_thread(iterator, advice)
    except (_Interrupted, RuntimeError, ConnectionError, FileNotFoundError, EOFError):
        time.sleep(MOMENT)  # a broken transfer may show before the death of its process
        _refuse_dead(iterator, advice)
        raise


def _received_in_a_thread(iterator: Iterator[Batch], advice: str) -> Batch | None:
    """The same where signals do not arrive: one that waits for the rest of a batch in vain is left waiting."""
    future: Future[Batch | None] = Future()

    def receive() -> None:
        try:
            future.set_result(next(iterator, None))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=receive, daemon=True).start()
    while not wait([future], timeout=MOMENT).done:
        _refuse_dead(iterator, advice)
    return future.result()


@contextmanager
def _own_signals() -> Iterator[bool]:
    """Restores SIGCHLD, as PyTorch's handler would raise errors anywhere; yields whether it can be handled here."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        yield False
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield True
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None else before)  # None: not set from Python


def _interrupt(iterator: Iterator[Batch]) -> None:
    if _death(iterator):
        raise _Interrupted


def _refuse_dead(iterator: Iterator[Batch], advice: str) -> None:
    if reason := _death(iterator):
        raise LostWorker(f"a process that reads photos has died ({reason}): too little memory?\n{advice}")


def _death(iterator: Iterator[Batch]) -> str:
    """Why a worker process has died; empty if none has."""
    codes = [code for process in getattr(iterator, "_workers", ()) if (code := process.exitcode)]
    return "" if not codes else signal.Signals(-codes[0]).name if codes[0] < 0 else f"exit code {codes[0]}"


def _abandon(iterator: Iterator[Batch]) -> None:
    """Ends the other workers, as nobody reads what they send, so that the iterator can be closed without waiting.

    The dead one may hold the lock of the event by which PyTorch tells workers to stop: nobody may touch it again.
    """
    for process in getattr(iterator, "_workers", ()):
        process.kill()
    iterator._workers_done_event = threading.Event()  # pyright: ignore[reportAttributeAccessIssue]


def in_order(count: int, size: int, *, share: tuple[int, int] = (0, 1)) -> list[list[tuple[int, int]]]:
    """The batches of an evaluation: every photo once, in order; ``share``: (rank, processes) if there are several."""
    own = range(share[0], count, share[1])
    return [[(-1, index) for index in own[start : start + size]] for start in range(0, len(own), size)]
