"""Connections: slow ones, many, and what is no HTTP."""

import contextlib
import socket
import time

import pytest
from asking import FORM, connected, form, raw, read_reply, request

from server_process import Running


def test_a_connection_serves_one_request_after_the_other(server: Running, jpeg: bytes):
    with connected(server.url) as connection:
        for method, path, body in (
            ("GET", "/healthz", b""),
            ("POST", "/v1/predict", form(jpeg)),
            ("GET", "/nothing", b""),
        ):
            connection.sendall(request(method, path, body, {"Content-Type": FORM}))
            assert read_reply(connection).status in (200, 404)
        time.sleep(2.5)  # longer than a head may take: between requests, a connection may rest
        connection.sendall(request("GET", "/healthz"))
        assert read_reply(connection).status == 200


def test_a_refusal_leaves_the_connection_as_it_was(server: Running, jpeg: bytes):
    """Also where the body comes after it could have been refused."""
    with connected(server.url) as connection:
        for _ in range(2):
            connection.sendall(request("POST", "/v1/predict?top=0", form(jpeg * 200), {"Content-Type": FORM}))
            assert read_reply(connection).status == 400


def test_requests_may_come_at_once(server: Running):
    with connected(server.url) as connection:
        connection.sendall(request("GET", "/healthz") * 3)
        content = b""
        while content.count(b"alive") < 3:
            content += connection.recv(65536)


H2C = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA"}


@pytest.mark.parametrize("offer", [H2C, {"Connection": "keep-alive, Upgrade", "Upgrade": "websocket"}])
def test_offers_of_another_protocol_are_ignored(server: Running, jpeg: bytes, offer: dict[str, str]):
    """As of ``curl --http2`` and Java's HttpClient: bodies are read, whole, in pieces or in chunks."""
    body = form(jpeg)
    whole = request("POST", "/v1/predict", body, {"Content-Type": FORM, **offer})
    chunked = {"Content-Type": FORM, "Content-Length": "", "Transfer-Encoding": "chunked", **offer}
    chunks = request("POST", "/v1/predict", b"", chunked) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with connected(server.url) as connection:
        connection.sendall(whole)
        assert read_reply(connection).status == 200
        for part in (whole[:30], whole[30:300], whole[300 : len(whole) - 5], whole[-5:]):
            connection.sendall(part)
            time.sleep(0.05)
        assert read_reply(connection).status == 200
        connection.sendall(chunks + request("GET", "/healthz", b"", offer))
        content = b""
        while content.count(b"HTTP/1.1 200") < 2 or b"alive" not in content:
            content += connection.recv(65536)
    closing = {**offer, "Connection": offer["Connection"] + ", close"}
    with connected(server.url) as connection:
        connection.sendall(request("GET", "/healthz", b"", closing))
        assert read_reply(connection).headers["connection"] == "close"
    assert raw(server.url, request("GET", "/healthz", b"", {**offer, "X": "b" * 31_000})).status == 200
    assert raw(server.url, request("GET", "/healthz", b"", {**offer, "X": "b" * 33_000})).status == 400
    many = request("GET", "/healthz", b"", offer) * 500
    with connected(server.url) as connection:
        connection.sendall(many)
        content = b""
        while content.count(b"alive") < 500:
            content += connection.recv(65536)


def test_no_connections_are_passed_on(server: Running):
    assert raw(server.url, b"CONNECT example.org:80 HTTP/1.1\r\nHost: localhost\r\n\r\n").status in (0, 400, 421)


def test_what_does_not_come_ends_the_connection(server: Running):
    """Heads that stop anywhere, and a body, which is told."""
    body = request("POST", "/v1/predict", b"", {"Content-Type": FORM, "Content-Length": "1000"}) + b"--"
    starts = (b"", b"GET /hea", b"POST / HTTP/1.1\r\nX-A: ", body)
    connections = [connected(server.url) for _ in starts]
    begun = time.monotonic()
    for connection, start in zip(connections, starts, strict=True):
        connection.sendall(start)
    replies = [read_reply(connection) for connection in connections]
    assert 1 < time.monotonic() - begun < 10
    assert [reply.status for reply in replies] == [0, 0, 0, 408]
    assert replies[-1].code == "too_slow"
    for connection in connections:
        with connection, contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_slow_senders_do_not_hold_up_others(server: Running, jpeg: bytes):
    """The short form of ``benchmarks/serving.py slow``."""
    head = request("POST", "/v1/predict", b"", {"Content-Type": FORM, "Content-Length": "100000"})
    slow = [connected(server.url) for _ in range(60)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(head[:20] if number % 2 else head + b"\r\n")
        begun = time.monotonic()
        for _ in range(5):
            assert raw(server.url, request("POST", "/v1/predict", form(jpeg), {"Content-Type": FORM})).status == 200
        assert time.monotonic() - begun < 5
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize("start", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost : b\r\n\r\n", b"HELO\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000,
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
])  # fmt: skip
def test_what_is_no_http_is_refused(server: Running, start: bytes):
    reply = raw(server.url, start)
    assert reply.status in (400, 501)
    assert reply.code in ("bad_http", "bad_host")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "server" not in reply.headers


def test_both_lengths_at_once_are_no_way_to_smuggle_a_request(server: Running):
    smuggled = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = {"Content-Type": FORM, "Transfer-Encoding": "chunked", "Content-Length": str(len(smuggled))}
    with connected(server.url, 0.5) as connection:
        connection.sendall(request("POST", "/v1/predict", smuggled, head))
        first = read_reply(connection)
        assert first.status == 400
        try:
            rest = connection.recv(65536)
        except (TimeoutError, ConnectionResetError):
            rest = b""
        assert b"fieldmark_" not in rest or b"HTTP/1.1" in rest


def test_chunked_bodies_are_counted_as_they_come(server: Running, jpeg: bytes):
    head = {"Content-Type": FORM, "Content-Length": "", "Transfer-Encoding": "chunked"}
    body = form(jpeg)
    chunks = b"%x\r\n%s\r\n" % (len(body), body) + b"0\r\n\r\n"
    assert raw(server.url, request("POST", "/v1/predict", b"", head) + chunks).status == 200
    chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
    with connected(server.url) as connection:
        connection.sendall(request("POST", "/v1/predict", b"", {**head, "Content-Type": "image/jpeg"}))
        for _ in range(11):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        reply = read_reply(connection)
    assert (reply.status, reply.code) == (413, "too_large")


def test_what_is_said_to_be_too_large_is_refused(server: Running):
    with connected(server.url) as connection:
        connection.sendall(request("POST", "/v1/predict", b"", {"Content-Type": FORM, "Content-Length": "99999999"}))
        connection.shutdown(socket.SHUT_WR)
        assert read_reply(connection).status in (0, 413)
    expecting = {"Content-Type": FORM, "Content-Length": "99999999", "Expect": "100-continue"}
    with connected(server.url) as connection:
        connection.sendall(request("POST", "/v1/predict", b"", expecting))
        reply = read_reply(connection)
    assert (reply.status, reply.headers["connection"]) == (413, "close")


def test_compressed_transfers_are_refused(server: Running):
    head = {"Content-Type": FORM, "Content-Length": "", "Transfer-Encoding": "gzip, chunked"}
    reply = raw(server.url, request("POST", "/v1/predict", b"0\r\n\r\n", head))
    assert (reply.status, reply.code) == (415, "compressed")


def test_what_stands_beside_a_body_is_counted(server: Running):
    """Trailers, and chunks that are more frame than content."""
    head = request("POST", "/healthz", b"", {"Content-Length": "", "Transfer-Encoding": "chunked"})
    for content in (b"0\r\n" + b"X-A: b\r\n" * 20_000, b"1;" + b"x" * 600_000, b"0\r\nX-A: " + b"b" * 600_000):
        with connected(server.url) as connection:
            try:
                connection.sendall(head + content)
            except ConnectionError:
                continue
            assert read_reply(connection).status in (0, 400, 405)
            assert read_reply(connection).status == 0


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x"])
def test_compressed_bodies_are_refused(server: Running, jpeg: bytes, coding: str):
    head = {"Content-Type": FORM, "Content-Encoding": coding}
    reply = raw(server.url, request("POST", "/v1/predict", form(jpeg), head))
    assert (reply.status, reply.code) == (415, "compressed")
