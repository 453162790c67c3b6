"""Connections of clients, which may be slow, many and hostile: uvicorn's, with limits of time and number."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from fieldmark.serving.exchange import new_id

LONGEST_HEAD = 32 * 1024
"""Bytes of a request's head."""
_OF_OFFERS = (b"upgrade", b"http2-settings")


class Limits(NamedTuple):
    """Seconds in which the head of a request must have come, and how many connections there may be."""

    head_s: float
    connections: int


def limited(limits: Limits) -> Callable[..., asyncio.Protocol]:
    """What makes connections that keep to limits, for uvicorn."""
    return partial(Limited, limits)


class _Parser(httptools.HttpRequestParser):
    """Httptools' own, which ends where a client offers another protocol; ``rest`` is then what comes after the head."""

    rest: memoryview | None = None

    def feed_data(self, data: bytes | memoryview) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Takes bytes."""
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offered:
            if self.get_method() == b"CONNECT":
                raise
            self.rest = memoryview(data)[offered.args[0] :]


class Limited(HttpToolsProtocol):
    """One connection. Offers to go on in another protocol, such as HTTP/2, are ignored, as servers may.

    Args:
        limits: that it keeps to.
        config: uvicorn's, as all that follow.
        server_state: with all connections.
        app_state: of the application.
        _loop: that runs.
    """

    def __init__(
        self,
        limits: Limits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = self._new_parser()
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._beside_body = self._headers = 0  # bytes

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore
        """Begins, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            transport.abort()
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes; those that are no body are counted, be they heads, trailers or what stands between chunks."""
        self._beside_body = max(self._beside_body, 0) + len(data)
        super().data_received(data)
        while self.parser.rest is not None and not self.transport.is_closing():
            head, rest = self._head_without_offers(), self.parser.rest
            self.parser = self._new_parser()
            super().data_received(head)
            super().data_received(rest)  # pyright: ignore[reportArgumentType]
        if self._beside_body > LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("")
        self._watch()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a line of the head, or after the body."""
        self._headers += len(name) + len(value)
        if self._headers > LONGEST_HEAD:
            raise ValueError  # which the parser takes for an error of the client
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begins to answer."""
        self._beside_body = 0
        if not self._has_offer():  # else it is read once more, without
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        self._beside_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Has all of a request."""
        self._beside_body = self._headers = 0
        if not self._has_offer():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Goes on to the next request."""
        super().on_response_complete()
        if self._beside_body > 0:  # else the connection is idle, which uvicorn watches
            self._watch()

    def send_400_response(self, msg: str) -> None:
        """Says that this is no HTTP, in the words of all other refusals."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        request_id = new_id()
        told = {"error": {"code": "bad_http", "message": "this is no HTTP request"}, "request_id": request_id}
        body = json.dumps(told).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n"
            f"x-request-id: {request_id}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _new_parser(self) -> _Parser:
        parser = _Parser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        return parser

    def _has_offer(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _head_without_offers(self) -> bytes:
        """The head that was read last."""
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                words = (word.strip() for word in value.split(b","))
                value = b", ".join(word for word in words if word.lower() not in _OF_OFFERS)
            if name not in _OF_OFFERS:
                lines.append(b"%s: %s" % (name, value))
        return b"\r\n".join([*lines, b"\r\n"])

    def _watch(self) -> None:
        """Begins to count the time of a head, unless there is one; ends it where a request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self._limits.head_s, self.transport.abort)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
