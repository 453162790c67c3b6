"""A request and its answer, over ASGI."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

from fieldmark.serving.refused import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_ID_SIGNS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_LONGEST_ID = 64
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_PROCESS, _NUMBERS = secrets.token_hex(8), count()
_LEFT_OVER, _LEFT_OVER_SECONDS = 100 * 10**6, 5.0


def new_id() -> str:
    """A request's id: the process's own, which is random, and a number."""
    return f"{_PROCESS}{next(_NUMBERS):08x}"


class Gone(Exception):
    """The client has closed the connection."""


@dataclass(frozen=True)
class Answer:
    """What is sent back: a ``body`` of a type, with further ``headers``."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def in_json(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(status, _ENCODER.encode(value).encode("utf-8", "backslashreplace"), headers=headers or {})


class Call:
    """A request: what its head says, and its body as it comes in."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive) -> None:
        self.method, self.path, self.query = scope["method"], scope["path"], scope["query_string"]
        self.client: str = (scope.get("client") or ("",))[0]
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self.is_read = False
        self.images = 0

    @cached_property
    def headers(self) -> dict[bytes, bytes]:
        """By name in small letters; the last of several."""
        return dict(self._headers)

    def header(self, name: bytes) -> str:
        """The header's text, "" where there is none."""
        return self.headers.get(name, b"").decode("latin-1")

    def how_often(self, name: bytes) -> int:
        """How many headers have this name."""
        return sum(key == name for key, _ in self._headers)

    @cached_property
    def id(self) -> str:
        """The request's own id, where it has a sane one; else a new one."""
        given = self.header(b"x-request-id")
        return given if 0 < len(given) <= _LONGEST_ID and _ID_SIGNS.issuperset(given) else new_id()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body; raises ``Gone`` where the client goes away before its end."""
        while not self.is_read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            self.is_read = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def gone(self) -> None:
        """Returns when the client has closed the connection; the body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def skip_body(self) -> None:
        """Takes what is left of the body, if it is not much: a connection with unread bytes may lose its answer."""
        if self.is_read or b"expect" in self.headers:
            return
        left = _LEFT_OVER
        try:
            async with asyncio.timeout(_LEFT_OVER_SECONDS):
                async for chunk in self.chunks():
                    left -= len(chunk)
                    if left < 0:
                        return
        except (TimeoutError, Gone):
            return


async def sent(send: Send, answer: Answer, headers: Mapping[str, str], *, with_body: bool) -> None:
    """Sends an answer."""
    said = {"content-type": answer.content_type, "content-length": str(len(answer.body)), **headers, **answer.headers}
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": lines})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})


def of_refusal(refused: Refused, request_id: str) -> Answer:
    """The answer that says what was refused, and why."""
    told = {"error": {"code": refused.code, "message": refused.message}, "request_id": request_id}
    return in_json(told, status=refused.status, headers=refused.headers)
