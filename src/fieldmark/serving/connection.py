"""Connections of clients, which may be slow, many and hostile: uvicorn's, with limits of time and number."""

import asyncio
import json
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

LONGEST_HEAD = 32 * 1024
"""Bytes of a request's head."""


class Limits(NamedTuple):
    """Seconds in which the head of a request must have come, and how many connections there may be."""

    head_s: float
    connections: int


def limited(limits: Limits) -> Callable[..., asyncio.Protocol]:
    """What makes connections that keep to limits, for uvicorn."""
    return partial(Limited, limits)


class Limited(H11Protocol):
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
        """Takes bytes."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Goes on to the next request."""
        super().on_response_complete()
        if self.conn.trailing_data[0]:  # else the connection is idle, which uvicorn watches
            self._watch()

    def send_400_response(self, msg: str) -> None:
        """Says that this is no HTTP, in the words of all other refusals."""
        request_id = secrets.token_hex(12)
        told = {"error": {"code": "bad_http", "message": "this is no HTTP request"}, "request_id": request_id}
        body = json.dumps(told).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-content-type-options": "nosniff",
            "x-request-id": request_id,
            "connection": "close",
        }
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = h11.Response(status_code=400, headers=[*headers.items()], reason=b"Bad Request")
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
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
