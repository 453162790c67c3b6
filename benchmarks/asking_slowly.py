"""Clients that hardly send: connections that hold a server's attention for nothing.

    python benchmarks/asking_slowly.py URL COUNT        until it is ended

Half of them send the head of a request, a byte a second, the others the body. Where one is closed, another comes.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

_HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\nContent-Type: image/jpeg\r\n"
_PAUSE = 1.0


async def send_slowly(host: str, port: int, number: int) -> None:
    """One connection after the other."""
    await asyncio.sleep(_PAUSE * (number % 100) / 100)
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(_HEAD + (b"" if number % 2 else b"\r\n"))
            while not writer.is_closing():
                writer.write(b"X")
                await writer.drain()
                await asyncio.sleep(_PAUSE)
        await asyncio.sleep(_PAUSE)


async def main(url: str, count: int) -> None:
    """All of them; says so once they are there."""
    split = urlsplit(url)
    assert split.hostname
    assert split.port
    tasks = [asyncio.create_task(send_slowly(split.hostname, split.port, number)) for number in range(count)]
    await asyncio.sleep(3 * _PAUSE)
    print("sending", flush=True)
    await asyncio.gather(*tasks)


@contextlib.contextmanager
def slow_senders(url: str, count: int) -> Iterator[None]:
    """So many of them, in a process of their own, while the block runs."""
    process = subprocess.Popen([sys.executable, __file__, url, str(count)], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
