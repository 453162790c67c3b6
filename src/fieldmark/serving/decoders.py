"""The processes that decode photos, as the server sees them: each photo goes to one, and each that ends is replaced.

One that crashes, is killed or takes too long costs the photo that it was at; what it had not begun goes to others.
"""

import asyncio
import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import cast

import numpy as np

from fieldmark.errors import UserError
from fieldmark.plain import to_plain
from fieldmark.serving.decoder import HEAD, LENGTH, READY, SEEN, Assignment
from fieldmark.serving.logs import Report
from fieldmark.serving.photo import Photo

AHEAD = 2
"""Photos that a process has at a time: so it need not wait for the server between two."""
_BACK_OFF = 1.0  # seconds before another try where a process ends before it is ready
_START = 60.0  # seconds
_LATE = 3  # times the seconds of the processor, by the clock
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
_LONGEST_REASON = 4096


class _Decoder(asyncio.BufferedProtocol):
    """One process: ``photos`` are those that it has, the first of which it is at."""

    def __init__(self, pool: "Decoders") -> None:
        self._pool, self.photos = pool, deque[Photo]()
        self.ready, self.begun = False, 0.0
        self._transport: asyncio.Transport | None = None
        ours, theirs = socket.socketpair()
        self.connection = ours
        command = [sys.executable, "-m", "fieldmark.serving.decoder", str(theirs.fileno()), pool.assignment]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with theirs, contextlib.ExitStack() as stack:
            stack.enter_context(ours)  # closed where the process does not start
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            stack.pop_all()
        self._expect_head()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # which those of other event loops are in all but name

    def send(self, photo: Photo, now: float) -> None:
        """Gives the process a photo."""
        assert self._transport is not None
        if not self.photos:
            self.begun = now
        self.photos.append(photo)
        # the bytes stay until the answer: another process may need them
        self._transport.writelines((LENGTH.pack(len(photo.data)), photo.data))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._left

    def buffer_updated(self, nbytes: int) -> None:
        self._left = self._left[nbytes:]
        while not self._left:
            if self._head is None:
                self._take_head()
            else:
                head, content = self._head, self._content
                self._expect_head()
                self._pool.answered(self, head, content)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.lost(self)

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        if self._transport is not None:
            self._transport.close()

    def _expect_head(self) -> None:
        self._head: tuple[int, int, int, int] | None = None
        self._content = bytearray(HEAD.size)
        self._left = memoryview(self._content)

    def _take_head(self) -> None:
        outcome, _, _, length = head = HEAD.unpack(self._content)
        if length != self._pool.view_bytes if outcome == SEEN else length > _LONGEST_REASON:
            self.close()  # it is not itself any more
            return self._expect_head()
        self._head, self._content = head, bytearray(length)
        self._left = memoryview(self._content)
        return None


class Decoders:
    """Processes that turn bytes into views, and the photos that wait for one.

    Args:
        assignment: what each is to do.
        count: how many there are.
        seen: takes each photo that has a view.
        report: takes what should be logged: an event and details of it.
    """

    def __init__(
        self,
        assignment: Assignment,
        *,
        count: int,
        seen: Callable[[Photo], None],
        report: Report,
    ) -> None:
        self.assignment, self._seconds = json.dumps(to_plain(assignment)), assignment.seconds
        self.side = assignment.pixels.eval_size
        self.view_bytes = 3 * self.side**2
        self._count, self._seen, self._report = count, seen, report
        self._waiting, self._decoders = deque[Photo](), list[_Decoder]()
        self._closed, self._all_ready, self._adding = False, asyncio.Event(), set[asyncio.Future[None]]()
        self.replaced = 0
        self.missing: str = ""

    async def start(self) -> None:
        """Starts the processes and waits until they are ready.

        Raises:
            UserError: they do not start.
            OSError: the system has no room for one of them.
        """
        self._clock = asyncio.get_running_loop()
        for _ in range(self._count):
            await self._add()
        self._watch = asyncio.create_task(self._watch_over())
        try:
            await asyncio.wait_for(self._all_ready.wait(), _START)
        except TimeoutError:
            self.close()
            raise UserError("the processes that decode photos do not start; is the machine out of memory?") from None

    def put(self, photo: Photo) -> None:
        """Takes a photo on."""
        self._waiting.append(photo)
        self._hand_out()

    def close(self) -> None:
        """Ends all processes; photos that they have are left."""
        self._closed = True
        if hasattr(self, "_watch"):
            self._watch.cancel()
        for decoder in self._decoders:
            decoder.close()
            decoder.process.wait()

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes."""
        return [decoder.process.pid for decoder in self._decoders]

    @property
    def ready(self) -> int:
        """How many processes take photos."""
        return sum(decoder.ready for decoder in self._decoders)

    def answered(self, decoder: _Decoder, head: tuple[int, int, int, int], content: bytearray) -> None:
        """A process has answered."""
        outcome, width, height, _ = head
        if outcome == READY:
            decoder.ready, self.missing = True, content.decode("utf-8", "replace")
            if self.ready == self._count:
                self._all_ready.set()
        elif decoder.photos:
            photo = decoder.photos.popleft()
            decoder.begun = self._clock.time()
            if outcome == SEEN:
                photo.view = np.frombuffer(content, np.uint8).reshape(self.side, self.side, 3)
                photo.size = width, height
                self._seen(photo)
            else:
                photo.fail(content.decode("utf-8", "replace"))
        self._hand_out()

    def lost(self, decoder: _Decoder) -> None:
        """A process has ended, or is about to."""
        decoder.process.kill()
        code = decoder.process.wait()
        self._decoders.remove(decoder)
        if self._closed:
            return
        self.replaced += 1
        self._report("decoder ended", {"code": code, "photos": len(decoder.photos)})
        if decoder.photos:
            decoder.photos.popleft().fail("decoding it failed: it takes too long or too much memory, or is damaged")
        self._waiting.extendleft(reversed(decoder.photos))
        self._clock.call_later(0 if decoder.ready else _BACK_OFF, self._replace)
        self._hand_out()

    def _replace(self) -> None:
        adding = asyncio.ensure_future(self._add_sooner_or_later())
        self._adding.add(adding)
        adding.add_done_callback(self._adding.discard)

    async def _add_sooner_or_later(self) -> None:
        """Tries again later where the system has no files, processes or memory left for another process."""
        try:
            await self._add()
        except OSError as error:
            self._report("decoder not started", {"error": errno.errorcode.get(error.errno or 0, "")})
            self._clock.call_later(_BACK_OFF, self._replace)

    async def _add(self) -> None:
        if self._closed:
            return
        decoder = _Decoder(self)
        self._decoders.append(decoder)
        try:
            await self._clock.create_connection(lambda: decoder, sock=decoder.connection)
        except OSError:
            self._decoders.remove(decoder)
            decoder.connection.close()
            decoder.close()
            decoder.process.wait()
            raise

    def _hand_out(self) -> None:
        while self._waiting:
            free = [each for each in self._decoders if each.ready and len(each.photos) < AHEAD]
            if not free:
                return
            photo = self._waiting.popleft()
            if not photo.is_done:  # else nobody waits for it any more
                min(free, key=lambda each: len(each.photos)).send(photo, self._clock.time())

    async def _watch_over(self) -> None:
        """Ends processes that take too long by the clock: the system only counts what they compute."""
        while True:
            await asyncio.sleep(0.5)
            now = self._clock.time()
            for decoder in self._decoders:
                if decoder.photos and now - decoder.begun > _LATE * self._seconds:
                    decoder.process.kill()
