"""A client that asks a server as fast as it can, or at a rate, and says what it saw as one line of JSON.

    python benchmarks/load.py URL FOLDER --connections 8 --seconds 10 [--requests N] [--rate 100] [--garbage 0.05]

A process of its own, so that its time is not the server's. It speaks HTTP over bare sockets, a request at a time on
each connection. With a rate, requests begin when they are due, whatever became of those before; the time of a request
counts from when it was due.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

_BOUNDARY = b"--a-boundary-that-no-photo-holds"
_PATIENCE = 60.0


@dataclass
class Seen:
    """What became of requests: seconds of each by status, when answers came, refusals that lack Retry-After."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    answered_at: list[float] = field(default_factory=list)
    silent: int = 0
    broken: Counter[str] = field(default_factory=Counter)

    def add(self, status: int, seconds: float, head: bytes) -> None:
        """Notes an answer."""
        self.seconds.setdefault(status, []).append(seconds)
        if status == 200:
            self.answered_at.append(time.perf_counter())
        elif status in (429, 503) and b"retry-after" not in head.lower():
            self.silent += 1

    def told(self, begun: float, ended: float) -> dict[str, object]:
        """As plain data."""
        spans = {str(status): _spread(values) for status, values in sorted(self.seconds.items())}
        by_second = np.bincount(np.asarray([int(at - begun) for at in self.answered_at], int)).tolist()
        return {
            "wall": ended - begun, "cpu": time.process_time(), "statuses": spans, "answered_by_second": by_second,
            "refused_without_retry_after": self.silent, "broken": dict(self.broken),
        }  # fmt: skip


def _spread(values: Sequence[float]) -> dict[str, float]:
    p50, p90, p99 = np.percentile(values, [50, 90, 99]).tolist()
    return {"n": len(values), "p50": p50, "p90": p90, "p99": p99, "max": max(values)}


def bodies(folder: Path, garbage: float) -> list[bytes]:
    """Requests' bodies: a form with a photo each, of which a share is damaged."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[::7]
    chosen, rng = files[:400], random.Random(0)
    return [_form(_damaged(path.read_bytes(), rng) if rng.random() < garbage else path.read_bytes()) for path in chosen]


def _damaged(data: bytes, rng: random.Random) -> bytes:
    return rng.choice([data[: len(data) // 2], rng.randbytes(2000), b"not a photo", data[:4] + rng.randbytes(5000)])


def _form(data: bytes) -> bytes:
    head = b'Content-Disposition: form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return b"--" + _BOUNDARY + b"\r\n" + head + data + b"\r\n--" + _BOUNDARY + b"--\r\n"


class Connection:
    """Sends one request after the other, and connects again where the server closes."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._address, self._host = (host, port), host
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Content-Type: multipart/form-data; boundary={_BOUNDARY.decode()}\r\nContent-Length: "
        ).encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        """Status and head of the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        try:
            writer.write(self._head + str(len(body)).encode() + b"\r\n\r\n" + body)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            small = head.lower()
            length = int(small.split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        except BaseException:
            self.close()
            raise
        if b"connection: close" in small:
            self.close()
        return int(head.split(b" ", 2)[1]), head

    def close(self) -> None:
        """Closes it, so that the next request connects again."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def closed_loop(
    connections: Sequence[Connection], forms: Sequence[bytes], until: float, requests: int, seen: Seen
) -> None:
    """Each connection asks as soon as it has its answer, until a time, or so many times all together."""
    left = requests

    async def run(connection: Connection, mine: Iterator[bytes]) -> None:
        nonlocal left
        while left > 0 if requests else time.perf_counter() < until:
            left -= 1
            await _asked(connection, next(mine), time.perf_counter(), seen)

    await asyncio.gather(*(run(each, endless(forms, at)) for at, each in enumerate(connections)))


async def open_loop(connection_of, forms: Sequence[bytes], rate: float, seconds: float, seen: Seen) -> None:
    """A request whenever one is due, on a connection that is free, or a new one."""
    free: list[Connection] = []
    mine, begun, tasks = endless(forms, 0), time.perf_counter(), set[asyncio.Task[None]]()

    async def run(due: float, body: bytes) -> None:
        connection = free.pop() if free else connection_of()
        await _asked(connection, body, due, seen)
        free.append(connection)

    for number in range(int(rate * seconds)):
        due = begun + number / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        tasks.add(task := asyncio.create_task(run(due, next(mine))))
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


def endless(forms: Sequence[bytes], first: int) -> Iterator[bytes]:
    """The bodies, again and again."""
    while True:
        yield forms[first % len(forms)]
        first += 13


async def _asked(connection: Connection, body: bytes, begun: float, seen: Seen) -> None:
    try:
        status, head = await connection.ask(body)
    except (OSError, EOFError, TimeoutError, ValueError, IndexError) as error:
        seen.broken[type(error).__name__] += 1
        return
    seen.add(status, time.perf_counter() - begun, head)


async def main(options: argparse.Namespace) -> None:
    """Asks, and prints what was seen."""
    url, seen = urlsplit(options.url), Seen()
    assert url.hostname
    assert url.port
    forms = bodies(options.folder, options.garbage)

    def connection() -> Connection:
        return Connection(url.hostname or "", url.port or 0, options.path)

    begun = time.perf_counter()
    if options.rate:
        await open_loop(connection, forms, options.rate, options.seconds, seen)
    else:
        many = [connection() for _ in range(options.connections)]
        await closed_loop(many, forms, begun + options.seconds, options.requests, seen)
    print(json.dumps(seen.told(begun, time.perf_counter())))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--garbage", type=float, default=0)
    parser.add_argument("--path", default="/v1/predict")
    sys.exit(asyncio.run(main(parser.parse_args())))
