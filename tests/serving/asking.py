"""Asking a server: within this process, over ASGI, or over a bare socket."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fieldmark.serving.app import Application
from fieldmark.serving.engine import Engine
from fieldmark.serving.settings import Settings
from fieldmark.ship.model import open_model

T = TypeVar("T")
BOUNDARY = "a-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
QUIET = Settings(rate=0, workers=1, networks=1)


@dataclass(frozen=True)
class Reply:
    """Status, headers by name in small letters, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the refusal."""
        return self.told["error"]["code"]


def form(*photos: bytes, field: str = "image", names: Sequence[str] = ()) -> bytes:
    """The body of a form."""
    parts = []
    for at, photo in enumerate(photos):
        name = names[at] if names else f"photo-{at}.jpg"
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + photo + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@dataclass
class Inside:
    """An application in this process, with an event loop in a thread of its own; ``events`` are what it has logged."""

    settings: Settings
    path: Path
    token: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def log(self, event: str, details: Mapping[str, Any], *, level: str = "info") -> None:
        self.events.append({"event": event, "level": level, **details})

    @contextlib.contextmanager
    def started(self) -> "Iterator[Inside]":
        self.loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self.loop.run_forever)
        thread.start()
        try:
            self.run(self._start())
            yield self
        finally:
            self.run(self._close())
            self.loop.call_soon_threadsafe(self.loop.stop)
            thread.join()
            self.loop.close()

    async def _start(self) -> None:
        model = open_model(self.path, device="cpu", threads=1)
        self.engine = Engine(model, self.settings, report=self.log)
        await self.engine.start()
        self.app = Application(self.engine, self.settings, token=self.token, log=self.log)  # type: ignore[arg-type]

    async def _close(self) -> None:
        self.engine.close()
        await asyncio.sleep(0.01)

    def run(self, work: Awaitable[T]) -> T:
        """What a coroutine gives, run in the loop."""

        async def wait() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self.loop).result(60)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        client: str = "127.0.0.1",
    ) -> Reply:
        """The answer to a request whose body comes in these chunks."""
        chunks = [body] if isinstance(body, bytes) else list(body)
        return self.run(asked(self.app, method, path, chunks, headers or {}, client=client))

    def predict(self, *photos: bytes, query: str = "", headers: Mapping[str, str] | None = None) -> Reply:
        """The answer to a form of photos."""
        return self.ask("POST", f"/v1/predict{query}", form(*photos), {"Content-Type": FORM} | dict(headers or {}))


async def asked(
    app: Application,
    method: str,
    path: str,
    chunks: Sequence[bytes],
    headers: Mapping[str, str],
    *,
    client: str = "127.0.0.1",
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]] | None = None,
) -> Reply:
    """One request over ASGI; after its body the client stays until it is answered."""
    left = list(chunks) or [b""]
    said = {"Host": "localhost"} | dict(headers)
    split = urlsplit(f"//host{path}")
    scope = {
        "type": "http", "method": method, "path": split.path, "query_string": split.query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in said.items() if value],
        "client": (client, 4000),
    }  # fmt: skip
    sent: list[MutableMapping[str, Any]] = []

    async def give() -> MutableMapping[str, Any]:
        if not left:
            await asyncio.Event().wait()
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive or give, send)
    if not sent:
        return Reply(0, {}, b"")
    found = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))


def connected(url: str, seconds: float = 20) -> socket.socket:
    """A connection to a server."""
    split = urlsplit(url)
    assert split.hostname
    return socket.create_connection((split.hostname, split.port or 80), timeout=seconds)


def raw(url: str, request: bytes, seconds: float = 20) -> Reply:
    """The answer to bytes over a connection of their own."""
    with connected(url, seconds) as connection:
        with contextlib.suppress(ConnectionError):  # it may be refused before its end
            connection.sendall(request)
        return read_reply(connection, with_body=not request.startswith(b"HEAD"))


def read_reply(connection: socket.socket, *, with_body: bool = True) -> Reply:
    """The next answer; status 0 where the server closes without one."""
    content = b""
    while b"\r\n\r\n" not in content:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            return Reply(0, {}, content)
        content += more
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0")) if with_body else 0
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return Reply(int(first.split()[1]), headers, body)


def request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A request as bytes."""
    said = {"Host": "localhost", "Content-Length": str(len(body))} | dict(headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body
