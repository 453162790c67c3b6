"""Connections of clients, which may be slow, many and hostile: uvicorn's, with limits of time and number."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from fieldmark.serving.exchange import new_id

LONGEST_HEAD = 32 * 1024
"""Bytes of a request's head."""


class Limits(NamedTuple):
    """Seconds in which the head of a request must have come, and how many connections there may be."""

    head_s: float
    connections: int


def limited(limits: Limits) -> Callable[..., asyncio.Protocol]:
    """What makes connections that keep to limits, for uvicorn."""
    return partial(Limited, limits)


class Limited(HttpToolsProtocol):
    """One connection.

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
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        self._beside_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Has all of a request."""
        self._beside_body = self._headers = 0
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
