"""Photos to the pixels that a network sees, in this process or in several that may crash: no torch.

A process reads lines of JSON, each a list of photos, and answers each with a line of JSON and the pixels. It is a fresh
one (never forked), imports nothing of the caller's program, and ends with its standard input.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import IO, NamedTuple, TypeVar

import numpy as np

from fieldmark.data.dataset import Box, Photo
from fieldmark.errors import UnreadableImage, UserError, printable
from fieldmark.images.decode import read_image
from fieldmark.images.guard import up_to
from fieldmark.images.pictures import Held, picture_of
from fieldmark.input.views import GREY, evaluation_view
from fieldmark.plain import from_plain, to_plain
from fieldmark.recipe import Pixels

BATCH = 16
AHEAD = 4
"""Batches for each process that may be done before the first of them is taken."""
SECONDS = 60
"""A photo that takes longer counts as damaged."""
PROGRAM = "from fieldmark.ship.reading import serve; serve()"
_QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # whoever only reads photos needs no threads
T = TypeVar("T")


class Views(NamedTuple):
    """``pixels`` uint8 (N, S, S, 3), grey where a photo cannot be read, and ``reasons`` why, by row."""

    pixels: np.ndarray
    reasons: dict[int, str]


def read_views(photos: Sequence[Photo], pixels: Pixels, pictures: Sequence[Held] = ()) -> Views:
    """Evaluation's views of photos.

    Args:
        photos: N.
        pixels: settings of the views.
        pictures: those in memory that ``row`` of a photo indexes.

    Raises:
        UserError: a photo without a box, where it needs one.
    """
    views, reasons = blank(len(photos), pixels), {}
    limits = up_to(pixels.megapixels)
    for row, photo in enumerate(photos):
        try:
            if photo.row < 0:
                image = read_image(photo.path, name=photo.name, limits=limits)
            else:
                image = picture_of(pictures[photo.row], name=photo.name, limits=limits)
            views[row] = evaluation_view(image, pixels, photo.box)
        except UnreadableImage as error:
            reasons[row] = error.reason
    return Views(views, reasons)


def blank(count: int, pixels: Pixels) -> np.ndarray:
    """Grey views uint8 (N, S, S, 3)."""
    return np.full((count, pixels.eval_size, pixels.eval_size, 3), GREY, np.uint8)


def in_batches(photos: Iterable[Photo]) -> Iterator[list[Photo]]:
    """Photos, some at a time."""
    waiting = iter(photos)
    while batch := list(islice(waiting, BATCH)):
        yield batch


def streamed(
    photos: Iterable[Photo], pixels: Pixels, answer: Callable[[Sequence[Photo], Views], T], *, workers: int
) -> Iterator[T]:
    """What ``answer`` says of each batch of photos, in order, while ``workers`` processes read those that follow.

    Each process has a thread of this one, which answers what it has read; so as many cores are busy as there are
    processes, each with reading or with answering.

    Args:
        photos: taken as they are needed.
        pixels: settings of the views.
        answer: called in several threads at once.
        workers: processes, at least 1.

    Raises:
        UserError: as ``answer`` and ``read_views`` do.
    """
    readers = [Reader(pixels) for _ in range(workers)]
    free: SimpleQueue[Reader] = SimpleQueue()
    for reader in readers:
        free.put(reader)

    def work(batch: Sequence[Photo]) -> T:
        reader = free.get()
        try:
            views = reader.read(batch)
            return answer(batch, views)
        finally:
            free.put(reader)

    threads = ThreadPoolExecutor(workers)
    waiting: deque[Future[T]] = deque()
    try:
        for batch in in_batches(photos):
            waiting.append(threads.submit(work, batch))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()
        for reader in readers:
            reader.stop()
        threads.shutdown()
        for reader in readers:
            reader.close()


class Reader:
    """A process that reads photos; another one takes its place if it ends.

    Args:
        pixels: settings of the views.
    """

    def __init__(self, pixels: Pixels) -> None:
        self._pixels, self._stopped, self._fate = pixels, False, ""
        self._child: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (what close is for)

    def read(self, photos: Sequence[Photo]) -> Views:
        """Evaluation's views of photos; one that ends its reader twice is as one that cannot be read.

        Raises:
            UserError: as ``read_views`` does.
        """
        if found := self._asked(photos):
            return found
        views, reasons = blank(len(photos), self._pixels), {}  # one of them ended it: which?
        for row, photo in enumerate(photos):
            if one := self._asked([photo]) or self._asked([photo]):
                views[row] = one.pixels[0]
                reasons.update((row, reason) for reason in one.reasons.values())
            else:
                reasons[row] = self._fate
        return Views(views, reasons)

    def _asked(self, photos: Sequence[Photo]) -> Views | None:
        """What a process answers; None if it ends before, and why is in ``_fate``."""
        child = self._child = self._child or self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        request = [[str(photo.path), photo.name, photo.box] for photo in photos]
        pixels = np.empty((len(photos), self._pixels.eval_size, self._pixels.eval_size, 3), np.uint8)
        try:
            child.stdin.write(f"{json.dumps(request)}\n".encode("ascii"))
            child.stdin.flush()
            head = child.stdout.readline()
            if head.endswith(b"\n"):
                answer = json.loads(head)
                if isinstance(answer, str):
                    raise UserError(answer)
                if child.stdout.readinto(pixels.reshape(-1)) == pixels.size:  # pyright: ignore[reportAttributeAccessIssue]
                    return Views(pixels, {int(row): reason for row, reason in answer.items()})
        except OSError:  # it has ended
            pass
        self._end(child)
        return None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._stopped:
            raise UserError("the reading of photos was stopped")
        # the search path is passed as arguments, not in the environment: empty entries and odd characters survive
        text = f"import sys; sys.path[:] = sys.argv[1:]; {PROGRAM}"
        child = subprocess.Popen(
            [sys.executable, "-c", text, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | _QUIET,
            start_new_session=True,  # Ctrl-C is for this process, which ends the others
        )
        assert child.stdin is not None
        with suppress(OSError):
            child.stdin.write(f"{json.dumps(to_plain(self._pixels))}\n".encode("ascii"))
        return child

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.communicate()
        self._child = None
        if child.returncode == -getattr(signal, "SIGALRM", 0):
            self._fate = "takes too long to decode"
            return
        self._errors.seek(0)
        lines = self._errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        self._errors.truncate(0)
        self._fate = printable(f"crashes the decoder ({lines[-1] if lines else f'exit code {child.returncode}'})")

    def stop(self) -> None:
        """From another thread: ends the process, and with it what ``read`` is waiting for; no other one is started."""
        self._stopped = True
        if child := self._child:
            child.kill()

    def close(self) -> None:
        """Ends the process, when nobody reads any more."""
        if child := self._child:
            self._end(child)
        self._errors.close()


def serve() -> None:
    """What the process of a ``Reader`` does."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr
    settings = from_plain(json.loads(sys.stdin.buffer.readline()), Pixels)
    for line in sys.stdin.buffer:
        photos = [Photo(name, Path(path), box=Box(*box) if box else None) for path, name, box in json.loads(line)]
        try:
            found = [_in_time(photo, settings) for photo in photos]
        except UserError as error:
            out.write(f"{json.dumps(str(error))}\n".encode("ascii"))
        else:
            reasons = {row: reason for row, views in enumerate(found) for reason in views.reasons.values()}
            out.write(f"{json.dumps(reasons)}\n".encode("ascii"))
            out.writelines(views.pixels.data for views in found)
        out.flush()


def _in_time(photo: Photo, pixels: Pixels) -> Views:
    """One view; a photo that takes too long ends this process, whatever it is doing, where the system has alarms."""
    alarm = getattr(signal, "alarm", None)
    if alarm:
        alarm(SECONDS)
    views = read_views([photo], pixels)
    if alarm:
        alarm(0)
    return views
