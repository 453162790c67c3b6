"""The network of the server: photos that wait for it go through it together.

It computes a few batches at a time, each in a thread of its own. While all are at work, photos gather; those that ask
for the same outputs go next, at once. A thread that is free does not wait for company, except for photos that are being
decoded, and for those a few milliseconds.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from fieldmark.serving.decoder import NICE
from fieldmark.serving.logs import Report
from fieldmark.serving.photo import Photo
from fieldmark.ship.model import Model


class Network:
    """Gives photos their outputs.

    Args:
        model: that computes.
        threads: batches that are computed at a time.
        batch: photos in each, at most.
        wait: seconds that a free network waits for photos that are on their way.
        coming: how many are.
        report: takes what should be logged: an event and details of it.
    """

    def __init__(
        self, model: Model, *, threads: int, batch: int, wait: float, coming: Callable[[], int],
        report: Report,
    ) -> None:  # fmt: skip
        self._model, self._batch, self._wait, self._coming, self._report = model, batch, wait, coming, report
        self._waiting = deque[Photo]()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="network", initializer=_step_back)
        self._free, self._timer = threads, None
        self.batches = self.photos = 0

    def put(self, photo: Photo) -> None:
        """Takes on a photo that has a view."""
        self._waiting.append(photo)
        self._consider()

    def close(self) -> None:
        """Waits for what is being computed."""
        self._threads.shutdown()

    def _consider(self) -> None:
        """Begins, if a thread is free and there is nothing to wait for."""
        if not self._free or not self._waiting:
            return
        if len(self._waiting) < self._batch and self._wait and self._coming():
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._wait, self._begin)
            return
        self._begin()
        if self._free and self._waiting:
            self._consider()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._free or not (photos := self._next()):
            return
        self._free -= 1
        self.batches, self.photos = self.batches + 1, self.photos + len(photos)
        loop = asyncio.get_running_loop()
        views = [photo.view for photo in photos if photo.view is not None]
        try:
            work = self._threads.submit(_outputs, self._model, views, photos[0].names)
        except RuntimeError as error:  # the system has no room for a thread
            work = Future[dict[str, np.ndarray]]()
            work.set_exception(error)
        work.add_done_callback(lambda work: loop.call_soon_threadsafe(self._finish, photos, work))

    def _next(self) -> list[Photo]:
        """The photos that waited longest, among those that ask for the same as the first: a fair share of them."""
        chosen, others = list[Photo](), list[Photo]()
        share = min(self._batch, -(-len(self._waiting) // self._free))
        while self._waiting and len(chosen) < share:
            photo = self._waiting.popleft()
            if not photo.is_done:  # else nobody waits for it any more
                (chosen if not chosen or photo.names == chosen[0].names else others).append(photo)
        self._waiting.extendleft(reversed(others))
        return chosen

    def _finish(self, photos: Sequence[Photo], work: "Future[dict[str, np.ndarray]]") -> None:
        self._free += 1
        if (error := work.exception()) is not None:
            self._report("network failed", {"error": type(error).__name__, "photos": len(photos)})
            for photo in photos:
                photo.fail("the network failed")
        else:
            found = work.result()
            for row, photo in enumerate(photos):
                photo.answer({name: values[row] for name, values in found.items()})
        self._consider()


def _step_back() -> None:
    """Lets the event loop come first, so that refusals are quick also where all processors are busy."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _outputs(model: Model, views: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    return model.outputs(model.normalised(np.stack(views)), *names)
