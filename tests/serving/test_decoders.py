"""Processes that decode photos: which gets what, and what happens when one ends."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bad_inputs import encoded, photo

from fieldmark.recipe import Pixels
from fieldmark.serving.decoder import Assignment
from fieldmark.serving.decoders import AHEAD, Decoders
from fieldmark.serving.photo import Photo

GOOD = encoded(photo(), "PNG")
LARGE = encoded(photo(3000, 3000), "PNG", compress_level=0)


def tried(
    work: Callable[[Decoders, list[Photo]], Awaitable[None]], *, count: int = 1, seconds: int = 5
) -> list[dict[str, Any]]:
    events = []

    async def run() -> None:
        seen: list[Photo] = []
        assignment = Assignment(Pixels(32, 32), megabytes=512, seconds=seconds)
        decoders = Decoders(
            assignment,
            count=count,
            seen=seen.append,
            report=lambda event, more: events.append({"event": event, **more}),
        )
        await decoders.start()
        try:
            await work(decoders, seen)
        finally:
            decoders.close()

    asyncio.run(run())
    return events


def photo_of(data: bytes, ended: list[Photo]) -> Photo:
    return Photo(data, ("logits",), ended.append)


async def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds
        await asyncio.sleep(0.01)


def test_each_photo_gets_its_own_view():
    async def work(decoders: Decoders, seen: list[Photo]) -> None:
        ended: list[Photo] = []
        photos = [photo_of(encoded(photo(40 + at, 90), "PNG"), ended) for at in range(20)]
        bad = photo_of(b"text", ended)
        for each in [*photos, bad]:
            decoders.put(each)
        await until(lambda: len(seen) == 20 and len(ended) == 1)
        assert [each.size for each in photos] == [(40 + at, 90) for at in range(20)]
        assert ended == [bad]
        assert "not an image" in bad.failure

    assert tried(work, count=2) == []


def test_a_killed_process_costs_one_photo_and_is_back_soon():
    async def work(decoders: Decoders, seen: list[Photo]) -> None:
        ended: list[Photo] = []
        (pid,) = decoders.processes
        os.kill(pid, signal.SIGSTOP)
        photos = [photo_of(GOOD, ended) for _ in range(AHEAD + 3)]
        for each in photos:
            decoders.put(each)
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: len(seen) == len(photos) - 1)
        assert time.monotonic() - killed < 5
        assert ended == photos[:1]
        assert seen == photos[1:]
        assert decoders.processes != [pid]

    (event,) = tried(work)
    assert (event["event"], event["code"]) == ("decoder ended", -signal.SIGKILL)


def test_a_process_that_hangs_is_ended(monkeypatch: Any):
    monkeypatch.setattr("fieldmark.serving.decoders._LATE", 0.2)

    async def work(decoders: Decoders, seen: list[Photo]) -> None:
        ended: list[Photo] = []
        os.kill(decoders.processes[0], signal.SIGSTOP)
        decoders.put(photo_of(GOOD, ended))
        await until(lambda: len(ended) == 1)
        decoders.put(photo_of(GOOD, ended))
        await until(lambda: len(seen) == 1)

    assert len(tried(work, seconds=1)) == 1


def test_what_nobody_waits_for_is_not_sent():
    async def work(decoders: Decoders, seen: list[Photo]) -> None:
        photos = [photo_of(LARGE, []) for _ in range(AHEAD)] + [photo_of(GOOD, []) for _ in range(10)]
        for each in photos:
            decoders.put(each)
        for each in photos[AHEAD:-1]:
            each.drop()
        await until(lambda: photos[-1] in seen)
        assert seen == [*photos[:AHEAD], photos[-1]]

    assert tried(work) == []


def test_processes_end_with_the_pool():
    pids: list[int] = []

    async def work(decoders: Decoders, seen: list[Photo]) -> None:
        pids.extend(decoders.processes)

    tried(work, count=2)
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("what", ["pair", "process", "connection"])
def test_a_process_that_cannot_be_started_at_once_is_started_later(monkeypatch: pytest.MonkeyPatch, what: str):
    """The system has no room for a file or process for a while: nothing stays open, and the pool is whole again."""
    monkeypatch.setattr("fieldmark.serving.decoders._BACK_OFF", 0.05)
    files: list[int] = []

    async def work(decoders: Decoders, seen: list[Photo]) -> None:
        left = 2

        def full(real: Callable[..., Any]) -> Callable[..., Any]:
            def begin(*given: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left >= 0:
                    raise OSError(errno.EMFILE, "Too many open files")
                return real(*given, **named)

            return begin

        place, name = {"pair": (socket, "socketpair"), "process": (subprocess, "Popen"),
                       "connection": (asyncio.get_running_loop(), "create_connection")}[what]  # fmt: skip
        files.append(len(os.listdir("/proc/self/fd")))
        monkeypatch.setattr(place, name, full(getattr(place, name)))
        os.kill(decoders.processes[0], signal.SIGKILL)
        await until(lambda: left < 0 and decoders.ready == 1)
        files.append(len(os.listdir("/proc/self/fd")))
        decoders.put(photo_of(GOOD, []))
        await until(lambda: len(seen) == 1)

    ended, *others = tried(work)
    assert ended["event"] == "decoder ended"
    assert others == [{"event": "decoder not started", "error": "EMFILE"}] * 2
    assert files[0] == files[1]


def test_a_process_that_cannot_be_started_at_first_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def full(*given: Any, **named: Any) -> Any:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    async def work(decoders: Decoders, seen: list[Photo]) -> None: ...

    monkeypatch.setattr(subprocess, "Popen", full)
    with pytest.raises(BlockingIOError):
        tried(work)
