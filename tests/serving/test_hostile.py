"""Hostile requests: paths that lead out, headers that lie, bodies that are damaged in every way.

python -m pytest -m slow tests/serving/test_hostile.py      (20,000 bodies and more)
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from asking import BOUNDARY, FORM, Reply, connected, form, raw, read_reply, request
from bad_inputs import encoded, photo

from server_process import Running, running

SECRETS = (
    "root:",
    "import ",
    "PRIVATE",
    "def ",
    "[project]",
    "Traceback",
    "site-packages",
    "fieldmark/",
    "/usr",
    "/home",
)
WAYS_OUT = (
    "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%252e%252e/etc/passwd",
    "//etc/passwd", "/./../../etc/passwd", "/....//....//etc/passwd", "/..\\..\\etc\\passwd", "/%5c..%5cetc",
    "/index.html/../../app.py", "/../app.py", "/page/../app.py", "/app.py", "/settings.py",
    "/__init__.py", "/.git/config",
    "/.env", "/index.html%00.txt", "/%00", "/index.html%2f..%2f..%2fapp.py", "/..;/app.py", "/v1/../../app.py",
    "/v1/predict/../../app.py", "/C:/windows/win.ini", "/file:///etc/passwd", "/proc/self/environ", "/proc/self/maps",
    "/%c0%ae%c0%ae/etc/passwd", "/%e0%80%ae%e0%80%ae/etc/passwd", "/\u00ff", "/*", "/~root",
    "/?file=/etc/passwd", "/v1/classes/../../../etc/passwd", "/" + "a/../" * 500 + "etc/passwd", "/" + "%2e" * 3000,
    "/server-status", "/debug", "/docs", "/redoc", "/admin", "/metrics/..%2f", "/openapi.json/", "/healthz/x",
)  # fmt: skip


def leaks(reply: Reply) -> list[str]:
    text = reply.body.decode("utf-8", "replace") + str(reply.headers)
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_no_path_leads_out(server: Running, method: str):
    wrong = {}
    for path in WAYS_OUT:
        reply = raw(server.url, request(method, path))
        page = path.startswith("/?") and method != "POST"
        if reply.status not in ((200, 404) if page else (400, 404, 405)) or (not page and leaks(reply)):
            wrong[path] = (reply.status, reply.body[:200])
    assert wrong == {}


HEADERS: tuple[dict[str, str], ...] = (
    {"Host": "example.org"}, {"Host": ""}, {"Host": "localhost\t"}, {"Host": "localhost@example.org"},
    {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-Host": "example.org"}, {"Forwarded": "for=::1;host=example.org"},
    {"X-Original-URL": "/metrics"}, {"X-Rewrite-URL": "/../app.py"}, {"X-HTTP-Method-Override": "DELETE"},
    {"Origin": "https://example.org"}, {"Origin": "null"}, {"Referer": "https://example.org"},
    {"X-Request-ID": "a\tb"}, {"X-Request-ID": "<script>alert(1)</script>"}, {"X-Request-ID": "x" * 10_000},
    {"Authorization": "Bearer " + "x" * 10_000}, {"Authorization": "Basic Og=="}, {"Cookie": "a=" + "b" * 8000},
    {"Range": "bytes=0-"}, {"Range": "bytes=-1,0-,1-2"}, {"If-None-Match": "*"}, {"If-None-Match": '"' + "x" * 5000},
    {"If-Modified-Since": "yesterday"}, {"Accept": "text/html"}, {"Accept-Encoding": "gzip"}, {"TE": "trailers"},
    {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "AA==", "Sec-WebSocket-Version": "13"},
    {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AA"}, {"Connection": "close, host"},
    {"Expect": "100-continue"}, {"Expect": "nothing"}, {"Transfer-Encoding": "chunked", "Content-Length": ""},
    {"Content-Type": "multipart/form-data; boundary=" + "x" * 70_000}, {"Content-Type": "\xff"},
)  # fmt: skip


def test_headers_change_nothing_that_they_should_not(server: Running):
    for headers in HEADERS:
        for method, path in (("GET", "/v1/classes"), ("GET", "/metrics"), ("GET", "/app.py")):
            content = request(method, path, headers=headers)
            content += b"0\r\n\r\n" if "chunked" in headers.values() else b""
            reply = raw(server.url, content)
            assert reply.status in (200, 400, 403, 404, 421), (headers, reply)
            assert path != "/app.py" or reply.status != 200
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert not {"server", "x-powered-by", "access-control-allow-origin", "set-cookie"} & set(reply.headers)
            assert "<script>" not in str(reply.headers)
            if reply.status != 200:
                assert leaks(reply) == [], headers


def damaged(body: bytes, rng: random.Random) -> bytes:
    """A body with one to four mistakes."""
    for _ in range(rng.randint(1, 4)):
        body = rng.choice(MISTAKES)(body, rng)
    return body


def at(body: bytes, rng: random.Random) -> int:
    """A place: half of the time near the beginning, where the form is."""
    return rng.randrange(min(len(body), 300) if rng.random() < 0.5 else len(body)) if body else 0


def _flip(body: bytes, rng: random.Random) -> bytes:
    place = at(body, rng)
    return body[:place] + bytes([rng.randrange(256)]) + body[place + 1 :]


def _cut(body: bytes, rng: random.Random) -> bytes:
    return body[: at(body, rng)]


def _remove(body: bytes, rng: random.Random) -> bytes:
    place = at(body, rng)
    return body[:place] + body[place + rng.randint(1, 40) :]


def _insert(body: bytes, rng: random.Random) -> bytes:
    words = (
        b"\r\n",
        b"--",
        f"--{BOUNDARY}".encode(),
        f"--{BOUNDARY}--".encode(),
        b"\0",
        b"name=",
        b"\xff\xd8",
        rng.randbytes(9),
    )
    place = at(body, rng)
    return body[:place] + rng.choice(words) * rng.choice((1, 1, 2, 30)) + body[place:]


def _repeat(body: bytes, rng: random.Random) -> bytes:
    place = at(body, rng)
    return body[:place] + body[place : place + 200] * rng.randint(2, 5) + body[place + 200 :]


MISTAKES: Sequence[Callable[[bytes, random.Random], bytes]] = (_flip, _flip, _cut, _remove, _insert, _repeat)


def sent_damaged(server: Running, count: int, seed: int) -> Counter[int]:
    """How often which status came; a connection is used as long as the server keeps it."""
    rng, statuses, connection = random.Random(seed), Counter[int](), connected(server.url)
    kinds = [encoded(photo(32, 24), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "PPM")]
    queries = ("", "?maps=1", "?rival=1&top=2", "?neighbours=2", "?refuse=0.2&coverage=0.8", "?certainty=0.9")
    for number in range(count):
        whole = form(*rng.choices(kinds, k=rng.choice((1, 1, 1, 2, 3))))
        path = rng.choice(("/v1/predict", "/v1/predict", "/v1/compare")) + rng.choice(queries)
        as_photo = path.startswith("/v1/predict") and rng.random() < 0.3
        body = damaged(rng.choice(kinds) if as_photo else whole, rng)
        connection.sendall(request("POST", path, body, {"Content-Type": "image/jpeg" if as_photo else FORM}))
        reply = read_reply(connection)
        statuses[reply.status] += 1
        assert reply.status, (number, path, body)
        if reply.headers.get("connection") == "close":
            connection.close()
            connection = connected(server.url)
    connection.close()
    return statuses


def test_damaged_bodies_are_refused_or_answered(server: Running, jpeg: bytes):
    processes = server.family
    assert set(sent_damaged(server, 300, seed=1)) <= {200, 400, 413, 415, 422}
    assert server.family == processes
    assert raw(server.url, request("POST", "/v1/predict", form(jpeg), {"Content-Type": FORM})).status == 200


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_many_damaged_bodies(server: Running):
    begun = time.monotonic()
    statuses = sent_damaged(server, 24_000, seed=int(begun))
    assert set(statuses) <= {200, 400, 413, 415, 422}, f"seed {int(begun)}"


def test_nothing_is_written_to_a_disk(tmp_path: Path, model_file: Path, jpeg: bytes):
    """Photos of ten megabytes, with the places for temporary files watched."""
    large = encoded(photo(1500, 1500), "PNG", compress_level=0)
    assert len(large) > 5 * 10**6
    extra = {name: str(tmp_path) for name in ("TMPDIR", "TEMP", "TMP")} | {"FIELDMARK_SERVE_WORKERS": "1"}
    with running(["-m", "fieldmark", "serve", str(model_file), "--port", "0"], extra=extra) as server:
        for data in (large, jpeg):
            assert raw(server.url, request("POST", "/v1/predict", form(data), {"Content-Type": FORM})).status == 200
        opened = [link.readlink() for pid in server.family for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert [name for name in opened if str(tmp_path) in str(name) or "(deleted)" in str(name)] == []
    assert list(tmp_path.iterdir()) == []
