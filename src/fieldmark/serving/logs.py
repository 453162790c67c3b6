"""Logs in JSON, a line for each event. They never hold a photo, its name or its place, nor a token."""

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

_ENCODER = json.JSONEncoder(ensure_ascii=True, default=str)
Report = Callable[[str, Mapping[str, Any]], None]
"""Takes an event and details of it."""


class Log:
    """Writes events to a stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def __call__(self, event: str, details: Mapping[str, Any] | None = None, *, level: str = "info") -> None:
        """Writes a line; ``details`` go into it by their names."""
        line = {"time": round(time.time(), 3), "level": level, "event": event, **(details or {})}
        self._stream.write(_ENCODER.encode(line) + "\n")
        self._stream.flush()


class ToLog(logging.Handler):
    """Sends what libraries log to a ``Log``."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record, without any traceback's values."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        details = {"error": error} if error else {}
        details |= {"source": record.name, "message": record.getMessage()[:500]}
        self._log("library", details, level=record.levelname.lower())
