"""A server from its start to its end, as a process."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from asking import FORM, Reply, connected, form, raw, read_reply, request
from bad_inputs import encoded, photo

from fieldmark.errors import UserError
from fieldmark.recipe import Pixels
from fieldmark.serving.logs import Log
from fieldmark.serving.running import serve
from fieldmark.serving.settings import Settings
from server_process import Running, running
from tiny_models import manifest, write_model


def test_a_signal_ends_it_once_what_was_asked_is_answered(model_file: Path):
    """Requests that wait for a process that stands still are answered, with 200, after the signal; new ones are not."""
    slow = encoded(photo(1200, 1200), "PNG")
    extra = {"FIELDMARK_SERVE_WORKERS": "1", "FIELDMARK_SERVE_RATE": "0"}
    with running(["-m", "fieldmark", "serve", str(model_file), "--port", "0"], extra=extra) as server:
        replies: list[Reply] = []
        content = request("POST", "/v1/predict", form(slow), {"Content-Type": FORM})
        threads = [threading.Thread(target=lambda: replies.append(raw(server.url, content, 60))) for _ in range(12)]
        idle, half = connected(server.url), connected(server.url, 60)
        half.sendall(content[:5000])  # begun, and so to be answered too
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        time.sleep(0.5)
        half.sendall(content[5000:])
        for thread in threads:
            thread.join()
        assert read_reply(half).status == 200
        assert idle.recv(1) == b""
        assert server.process.wait(30) == 0
        assert time.monotonic() - begun < 30
        idle.close()
        half.close()
        assert [reply.status for reply in replies] == [200] * 12
        with pytest.raises(ConnectionError):
            connected(server.url)


STARTING = """
import asyncio, os, signal, sys, threading, time
from pathlib import Path
from fieldmark.serving import running
from fieldmark.serving.engine import Engine
from fieldmark.serving.settings import Settings

async def start(engine):
    kill()
    await asyncio.sleep(10)

def opened(path, **_):
    kill()
    time.sleep(10)

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
kill = threading.Timer(0.1, os.kill, (os.getpid(), int(sys.argv[2]))).start
Engine.start = start
if sys.argv[3] == "early":
    running.open_model = opened
try:
    running.serve(Path(sys.argv[1]), Settings(port=0), log=print, ready=print)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
@pytest.mark.parametrize("when", ["early", "late"])
def test_a_signal_ends_it_while_it_starts(model_file: Path, number: signal.Signals, code: int, when: str):
    """While the file is opened, and while the event loop waits for processes."""
    command = [sys.executable, "-c", STARTING, str(model_file), str(number.value), when]
    done = subprocess.run(command, capture_output=True, timeout=8)
    assert (done.returncode, done.stdout) == (code, b"")


def test_a_killed_process_is_back_within_five_seconds(server: Running, jpeg: bytes):
    content = request("POST", "/v1/predict", form(jpeg), {"Content-Type": FORM})
    before = server.family[1:]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    begun = time.monotonic()
    while raw(server.url, content).status != 200 or len(server.family) < 1 + len(before):
        assert time.monotonic() - begun < 5
        time.sleep(0.05)
    assert not {*before} & {*server.family}
    assert raw(server.url, request("GET", "/readyz")).status == 200


def test_logs_are_lines_of_json(model_file: Path, jpeg: bytes, tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    log = tmp_path / "log"
    command = ["-m", "fieldmark", "serve", str(model_file), "--port", "0", "--token-file", str(token)]
    with running(command, errors=log) as server:
        said = {"Content-Type": FORM, "Authorization": "Bearer 0123456789abcdef", "X-Request-ID": "mine"}
        content = form(jpeg, names=["at-home.jpg"])
        assert raw(server.url, request("POST", "/v1/predict", content, said)).status == 200
        assert raw(server.url, request("POST", "/v1/predict", content)).status == 401
        raw(server.url, b"\x16\x03\x01")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0
    text = log.read_text()
    events = [json.loads(line) for line in text.splitlines()]
    assert [event["event"] for event in events] == ["ready", "request", "request", "stopped"]
    assert (events[1]["request_id"], events[1]["status"], events[2]["status"]) == ("mine", 200, 401)
    assert events[0]["token"] is True
    assert events[0]["hosts"] == "localhost, 127.0.0.1, ::1"
    for secret in ("0123456789abcdef", "at-home", "JFIF"):
        assert secret not in text


def refusal(path: Path, settings: Settings) -> str:
    with pytest.raises(UserError) as caught:
        serve(path, settings, log=Log(), ready=lambda url: pytest.fail("it serves"))
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_what_cannot_be_served_is_refused(model_file: Path, tmp_path: Path):
    assert "--token-file" in refusal(model_file, Settings(host="0.0.0.0", port=0))
    assert "cannot be listened on" in refusal(
        model_file, Settings(host="192.0.2.1", port=0, token_file=_token(tmp_path))
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "--port" in refusal(model_file, Settings(port=taken.getsockname()[1]))
    boxed = write_model(tmp_path / "boxed.onnx", manifest(pixels=Pixels(32, 32, fit="box")))
    assert "box" in refusal(boxed, Settings(port=0))
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(model_file.read_bytes()[:-1])
    assert "damaged" in refusal(damaged, Settings(port=0))


def _token(folder: Path) -> Path:
    (folder / "token").write_text("0123456789abcdef")
    return folder / "token"
