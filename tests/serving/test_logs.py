"""Lines of JSON."""

import io
import json
import logging

from fieldmark.serving.logs import Log, ToLog


def test_a_line_for_each_event():
    stream = io.StringIO()
    Log(stream)("request", {"status": 200, "path": "/\n"})
    Log(stream)("failed", level="error")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["status"], first["path"]) == ("request", "info", 200, "/\n")
    assert second["level"] == "error"


def test_what_libraries_log_goes_there_without_tracebacks():
    stream = io.StringIO()
    logger = logging.getLogger("fieldmark-test-library")
    logger.addHandler(ToLog(Log(stream)))
    logger.propagate = False
    secret = "a secret"
    try:
        raise RuntimeError(secret)
    except RuntimeError:
        logger.exception("it failed")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["message"], line["error"]) == ("library", "it failed", "RuntimeError")
    assert secret not in stream.getvalue()
