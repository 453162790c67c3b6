"""Which photos go through the network together."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fieldmark.serving.network import Network
from fieldmark.serving.photo import Photo


class Slow:
    """A model that answers when it may, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], tuple[str, ...]]] = []
        self.may, self.fails = threading.Event(), False

    def normalised(self, views: np.ndarray) -> np.ndarray:
        return views.astype(np.float32)

    def outputs(self, images: np.ndarray, *names: str) -> dict[str, np.ndarray]:
        self.asked.append((images[:, 0, 0, 0].astype(int).tolist(), names))
        assert self.may.wait(10)
        if self.fails:
            raise RuntimeError
        return dict.fromkeys(names, images[:, 0, 0, :1])


def photos(numbers: Sequence[int], names: tuple[str, ...], ended: list[Photo]) -> list[Photo]:
    found = []
    for number in numbers:
        photo = Photo(b"", names, ended.append)
        photo.view = np.full((1, 1, 3), number, np.uint8)
        found.append(photo)
    return found


def tried(
    work: Callable[[Network, Slow, SimpleNamespace], Awaitable[None]], *, threads: int = 1, wait: float = 0
) -> list[Any]:
    events: list[Any] = []

    async def run() -> None:
        model, state = Slow(), SimpleNamespace(coming=0)
        network = Network(
            model, threads=threads, batch=4, wait=wait, coming=lambda: state.coming,  # type: ignore[arg-type]
            report=lambda event, more: events.append(event),
        )  # fmt: skip
        try:
            await work(network, model, state)
        finally:
            model.may.set()
            network.close()
            await asyncio.sleep(0.01)

    asyncio.run(run())
    return events


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.002)


def test_photos_gather_while_the_network_is_at_work():
    async def work(network: Network, model: Slow, state: SimpleNamespace) -> None:
        ended: list[Photo] = []
        for photo in photos(range(7), ("logits",), ended):
            network.put(photo)
        await until(lambda: len(model.asked) == 1)
        model.may.set()
        await until(lambda: len(ended) == 7)
        assert [numbers for numbers, _ in model.asked] == [[0], [1, 2, 3, 4], [5, 6]]
        assert [photo.found()["logits"].item() for photo in ended] == list(range(7))
        assert (network.batches, network.photos) == (3, 7)

    assert tried(work) == []


def test_only_those_that_ask_for_the_same_go_together():
    async def work(network: Network, model: Slow, state: SimpleNamespace) -> None:
        ended: list[Photo] = []
        plain, mapped = photos([0, 1, 2], ("logits",), ended), photos([10, 11], ("logits", "maps"), ended)
        for photo in (plain[0], mapped[0], plain[1], mapped[1], plain[2]):
            network.put(photo)
        await until(lambda: len(model.asked) == 1)
        model.may.set()
        await until(lambda: len(ended) == 5)
        assert model.asked == [([0], ("logits",)), ([10, 11], ("logits", "maps")), ([1, 2], ("logits",))]

    tried(work)


def test_threads_share_what_waits():
    async def work(network: Network, model: Slow, state: SimpleNamespace) -> None:
        ended: list[Photo] = []
        for photo in photos(range(2), ("logits",), ended):
            network.put(photo)
        await until(lambda: len(model.asked) == 2)
        for photo in photos(range(2, 6), ("logits",), ended):
            network.put(photo)
        model.may.set()
        await until(lambda: len(ended) == 6)
        assert sorted(len(numbers) for numbers, _ in model.asked)[:2] == [1, 1]
        assert len(model.asked) >= 3

    tried(work, threads=2)


def test_a_free_network_waits_a_little_for_photos_on_their_way():
    async def work(network: Network, model: Slow, state: SimpleNamespace) -> None:
        ended: list[Photo] = []
        model.may.set()
        state.coming = 1
        for photo in photos(range(2), ("logits",), ended):
            network.put(photo)
            await asyncio.sleep(0)
        await until(lambda: len(ended) == 2)
        state.coming = 0
        network.put(*photos([2], ("logits",), ended))
        await until(lambda: len(ended) == 3)
        assert [numbers for numbers, _ in model.asked] == [[0, 1], [2]]

    tried(work, wait=0.05)


def test_what_nobody_waits_for_is_left_out():
    async def work(network: Network, model: Slow, state: SimpleNamespace) -> None:
        ended: list[Photo] = []
        first, second, third = photos(range(3), ("logits",), ended)
        for photo in (first, second, third):
            network.put(photo)
        await until(lambda: len(model.asked) == 1)
        second.drop()
        model.may.set()
        await until(lambda: len(ended) == 2)
        assert [numbers for numbers, _ in model.asked] == [[0], [2]]

    tried(work)


def test_a_failure_ends_the_photos_of_its_batch_alone():
    async def work(network: Network, model: Slow, state: SimpleNamespace) -> None:
        ended: list[Photo] = []
        model.may.set()
        model.fails = True
        network.put(*photos([0], ("logits",), ended))
        await until(lambda: len(ended) == 1)
        model.fails = False
        network.put(*photos([1], ("logits",), ended))
        await until(lambda: len(ended) == 2)
        assert ended[0].failure
        assert ended[1].outputs is not None

    assert tried(work) == ["network failed"]


def test_a_thread_that_cannot_be_started_costs_its_photos_alone(monkeypatch: pytest.MonkeyPatch):
    async def work(network: Network, model: Slow, state: SimpleNamespace) -> None:
        def full(*given: Any) -> Any:
            raise RuntimeError("can't start new thread")

        model.may.set()
        ended: list[Photo] = []
        with monkeypatch.context() as patched:
            patched.setattr(network._threads, "submit", full)
            network.put(photos([1], ("logits",), ended)[0])
            await until(lambda: len(ended) == 1)
        network.put(photos([2], ("logits",), ended)[0])
        await until(lambda: len(ended) == 2)
        assert [bool(photo.failure) for photo in ended] == [True, False]

    assert tried(work) == ["network failed"]
