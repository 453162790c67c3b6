"""Connections of clients, which may be slow, many and hostile: uvicorn's, with limits of time and number."""

import asyncio
import json
import secrets
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

LONGEST_HEAD = 32 * 1024
"""Bytes of a request's head."""


def limited(*, head_s: float, connections: int) -> type[asyncio.Protocol]:
    """A protocol whose connections send each request's head within so many seconds, and of which there are so many."""

    class Limited(H11Protocol):
        """One connection."""

        def __init__(
            self,
            config: Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(config, server_state, app_state, _loop)
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore
            super().connection_made(transport)
            if len(self.connections) > connections:
                transport.abort()
            else:
                self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
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
                self._timer = self.loop.call_later(head_s, self.transport.abort)

        def _unwatch(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Limited
