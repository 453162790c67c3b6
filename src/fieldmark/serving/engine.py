"""From the bytes of photos to outputs of the network: what is taken on, how long it may take, and a way to try it."""

import asyncio
import io
import math
import time
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from PIL import Image

from fieldmark.errors import UserError
from fieldmark.serving.decoder import Assignment
from fieldmark.serving.decoders import Decoders
from fieldmark.serving.logs import Report
from fieldmark.serving.network import Network
from fieldmark.serving.photo import Photo
from fieldmark.serving.refused import Refused, Unanswered, busy
from fieldmark.serving.settings import Settings, processors
from fieldmark.ship.model import Model

GOLDEN_TOLERANCE = 1e-3  # of a probability: batches of other sizes round otherwise
_GOLDEN_SECONDS = 5.0
_GOLDEN_OUTPUTS = ("logits",)


class Left(Exception):
    """The client has gone away."""


class Engine:
    """Answers photos, with processes that decode them and one network.

    Args:
        model: that answers.
        settings: of the server.
        report: takes what should be logged: an event and details of it.
    """

    def __init__(self, model: Model, settings: Settings, *, report: Report) -> None:
        self.model, self._settings = model, settings
        assignment = Assignment(model.manifest.pixels, settings.decode_mb, settings.decode_s)
        self.decoders = Decoders(assignment, count=settings.decoders, seen=self._seen, report=report)
        self.network = Network(
            model, threads=settings.networks or processors(), batch=settings.batch, wait=settings.wait_ms / 1000,
            coming=lambda: self.decoding, report=report,
        )  # fmt: skip
        self.taken = self.decoding = 0
        self._golden = golden_picture()
        self._expected = np.zeros(0)
        self._trying, self._tried, self._is_well = asyncio.Lock(), -math.inf, False

    async def start(self) -> None:
        """Starts the processes, and answers the golden picture, which must come out as it does in this process.

        Raises:
            UserError: the processes do not start, or answer otherwise, or the model needs a box with each photo.
        """
        picture = self.model.prepared(self._golden)[None]
        self._expected = self.model.probabilities(self.model.outputs(picture, *_GOLDEN_OUTPUTS)["logits"])
        await self.decoders.start()
        if not await self.is_well():
            raise UserError("the server does not answer its own picture as the model does; is the machine overloaded?")

    def close(self) -> None:
        """Ends all of it."""
        self.decoders.close()
        self.network.close()

    async def is_well(self) -> bool:
        """Whether the golden picture is answered as at the start; asked again within a second, nothing is computed."""
        async with self._trying:
            if time.monotonic() - self._tried >= 1:
                self._is_well = await self._answers_golden()
                self._tried = time.monotonic()
            return self._is_well

    async def _answers_golden(self) -> bool:
        until = asyncio.get_running_loop().time() + _GOLDEN_SECONDS
        try:
            (photo,) = await self._looked([self._golden], _GOLDEN_OUTPUTS, until=until, gone=None)
            found = self.model.probabilities(photo.found()["logits"][None])
        except (Unanswered, Refused):
            return False
        return bool(np.abs(found - self._expected).max() <= GOLDEN_TOLERANCE)

    async def look(
        self, data: Sequence[bytes], names: tuple[str, ...], *, until: float, gone: Callable[[], Awaitable[None]]
    ) -> list[Photo]:
        """Photos with their outputs, or why they have none, in the order of ``data``, the bytes of their files.

        Args:
            data: of each photo.
            names: of outputs.
            until: when the answer is late, by the event loop's clock.
            gone: returns when the client has gone away; then what was not begun is dropped.

        Raises:
            Refused: there is no room, or it takes too long.
            Left: the client went away.
        """
        self.refuse_overflow(len(data))
        return await self._looked(data, names, until=until, gone=gone)

    def refuse_overflow(self, count: int = 1) -> None:
        """Raises ``Refused`` where there is no room for so many photos more."""
        if self.taken + count > self._settings.queue:
            raise busy(f"{self.taken} photos are being answered, and there is no room for more")

    async def _looked(
        self, data: Sequence[bytes], names: tuple[str, ...], *, until: float, gone: Callable[[], Awaitable[None]] | None
    ) -> list[Photo]:
        loop = asyncio.get_running_loop()
        finished, left = loop.create_future(), len(data)

        def end(photo: Photo) -> None:
            nonlocal left
            left -= 1
            self._decoded(photo)
            if not left and not finished.done():
                finished.set_result(None)

        photos = [Photo(each, names, end) for each in data]
        self.taken += len(photos)
        self.decoding += len(photos)
        watch = asyncio.ensure_future(gone()) if gone else None
        try:
            for photo in photos:
                self.decoders.put(photo)
            await asyncio.wait(
                [finished, watch] if watch else [finished],
                timeout=until - loop.time(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if finished.done():
                return photos
            if watch and watch.done():
                raise Left
            raise busy("no answer in time", retry_after=5)
        finally:
            if watch:
                watch.cancel()
            self.taken -= len(photos)
            for photo in photos:
                self._decoded(photo)
                photo.drop()

    def _seen(self, photo: Photo) -> None:
        if not photo.is_done:
            self._decoded(photo)
            self.network.put(photo)

    def _decoded(self, photo: Photo) -> None:
        """The photo is not, or not any more, on its way to the network."""
        self.decoding -= not photo.is_decoded
        photo.is_decoded = True


def golden_picture() -> bytes:
    """A PNG that looks like nothing in particular, always the same."""
    down, across = np.mgrid[0:160, 0:240]
    waves = [np.sin(across / 17 + down / 29), np.sin(across / 7 - down / 41), np.cos(across * down / 900)]
    pixels = np.rint(127.5 + 120 * np.stack(waves, 2)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
