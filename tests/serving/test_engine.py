"""What is taken on, and for how long."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from asking import QUIET, Inside
from bad_inputs import encoded, photo

from fieldmark.errors import UserError
from fieldmark.serving.engine import Engine, golden_picture
from fieldmark.ship.model import open_model


def test_no_more_is_taken_on_than_there_is_room_for(model_file: Path, jpeg: bytes):
    """Refused at once, while a process that stands still holds the others up."""
    with Inside(replace(QUIET, queue=3, deadline_s=1), model_file).started() as inside:
        (pid,) = inside.engine.decoders.processes
        os.kill(pid, signal.SIGSTOP)

        async def ask_all() -> list[int]:
            async def look(count: int) -> int:
                return (await asyncio.to_thread(inside.predict, *[jpeg] * count)).status

            first = asyncio.create_task(look(2))
            await asyncio.sleep(0.2)
            begun = asyncio.get_running_loop().time()
            second = await look(2)
            assert asyncio.get_running_loop().time() - begun < 0.5
            return [second, await first]

        assert asyncio.run(ask_all()) == [503, 503]  # no room, and late
        codes = [event["status"] for event in inside.events if event["event"] == "request"]
        assert codes == [503, 503]
        assert inside.engine.taken == inside.engine.decoding == 0
        os.kill(pid, signal.SIGCONT)
        assert inside.predict(jpeg, jpeg, jpeg).status == 200
        reply = inside.predict(*[jpeg] * 4)
        assert (reply.status, reply.code) == (503, "busy")
        assert int(reply.headers["retry-after"]) >= 1
        inside.engine.taken = 3
        reply = inside.ask("POST", "/v1/predict", b"no form", {"Content-Type": "multipart/form-data; boundary=x"})
        inside.engine.taken = 0
        assert (reply.status, reply.code) == (503, "busy"), "the body is not even taken apart"


def test_counts_return_to_nothing(inside: Inside, jpeg: bytes):
    for photos in ([jpeg], [b"x"], [jpeg, b"x", jpeg], [encoded(photo(), "GIF")]):
        inside.predict(*photos)
    assert inside.engine.taken == inside.engine.decoding == 0


def test_the_golden_picture_is_always_the_same():
    assert golden_picture() == golden_picture()


def test_an_engine_that_answers_otherwise_does_not_start(model_file: Path, monkeypatch: pytest.MonkeyPatch):
    model = open_model(model_file, device="cpu", threads=1)
    asked, outputs = [], model.outputs

    def drifting(images: np.ndarray, *names: str) -> dict[str, np.ndarray]:
        asked.append(names)
        return {name: values * len(asked) for name, values in outputs(images, *names).items()}

    async def start() -> None:
        monkeypatch.setattr(model, "outputs", drifting)
        engine = Engine(model, QUIET, report=lambda event, more: None)
        try:
            await engine.start()
        finally:
            engine.close()

    with pytest.raises(UserError, match="its own picture"):
        asyncio.run(start())
