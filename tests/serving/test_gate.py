"""Who may ask."""

from dataclasses import replace
from typing import Any

import pytest
from asking import FORM, QUIET, Inside, form

from fieldmark.serving.exchange import Call
from fieldmark.serving.gate import Gate, Rates, allowed_hosts, client_of, host_of, hosts_in_words, origin_host
from fieldmark.serving.refused import Refused
from fieldmark.serving.settings import Settings

TOKEN = "0123456789abcdef"


def call(*headers: tuple[str, str], client: str = "10.0.0.1") -> Call:
    async def receive() -> Any: ...

    lines = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"method": "GET", "path": "/", "query_string": b"", "client": (client, 1), "headers": lines}
    return Call(scope, receive)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1:1", "[::1]:8000"])
def test_own_names(host: str):
    Gate(QUIET, None).check_address(call(("host", host)))


@pytest.mark.parametrize("host", [
    "example.org", "localhost.example.org", "127.0.0.1.example.org", "user@localhost", "", "localhost/..", "[::1",
    "localhost:port", "0.0.0.0", "127.0.0.2", "localhost#", "\xe9",
])  # fmt: skip
def test_other_names_are_refused(host: str):
    with pytest.raises(Refused) as caught:
        Gate(QUIET, None).check_address(call(("host", host)))
    assert caught.value.status == 421


def test_no_name_and_two_names_are_refused():
    for headers in ([], [("host", "localhost"), ("host", "localhost")]):
        with pytest.raises(Refused) as caught:
            Gate(QUIET, None).check_address(call(*headers))
        assert caught.value.status == 400


def test_names_can_be_added():
    gate = Gate(Settings(host="10.1.2.3", allow_host=("birds.example.org", "[fd00::1]")), None)
    for host in ("10.1.2.3:8000", "birds.example.org", "[fd00::1]:8000"):
        gate.check_address(call(("host", host)))
    with pytest.raises(Refused):
        gate.check_address(call(("host", "localhost")))
    Gate(Settings(allow_host=("*",)), None).check_address(call(("host", "anything.example.org")))
    assert list(allowed_hosts(Settings(host="10.1.2.3"))) == ["10.1.2.3"]
    Gate(Settings(host="127.8.8.8"), None).check_address(call(("host", "127.8.8.8:8000")))


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_a_server_at_all_addresses_goes_by_each_of_them_and_by_no_name(everywhere: str):
    settings = Settings(host=everywhere, allow_host=("birds.example.org",))
    gate = Gate(settings, TOKEN)
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "192.168.1.20:8000", "[fd00::1]", "birds.example.org"):
        gate.check_address(call(("host", host)))
        gate.check_address(call(("host", host), ("origin", f"http://{host}")))
    for host in ("rebound.example.org", "localhost.example.org", "10.0.0.1.example.org", "0x7f.1", ""):
        with pytest.raises(Refused) as caught:
            gate.check_address(call(("host", host)))
        assert caught.value.status == 421
    for origin in ("http://10.6.6.6", "http://evil.example.org", "null"):
        with pytest.raises(Refused) as caught:
            gate.check_address(call(("host", "192.168.1.20"), ("origin", origin)))
        assert caught.value.status == 403
    assert hosts_in_words(settings) == "localhost, 127.0.0.1, ::1, birds.example.org, any IP address"
    assert hosts_in_words(Settings(allow_host=("*",))) == "any name"


@pytest.mark.parametrize(("origin", "passes"), [
    ("http://localhost:8000", True), ("https://127.0.0.1", True), ("https://example.org", False), ("null", False),
    ("file://", False), ("localhost", False),
])  # fmt: skip
def test_pages_of_other_sites_are_refused(origin: str, passes: bool):
    asked = call(("host", "localhost"), ("origin", origin))
    if passes:
        Gate(QUIET, None).check_address(asked)
        return
    with pytest.raises(Refused) as caught:
        Gate(QUIET, None).check_address(asked)
    assert caught.value.status == 403


@pytest.mark.parametrize(("given", "passes"), [
    (f"Bearer {TOKEN}", True), (f"bearer  {TOKEN} ", True), (f"Basic {TOKEN}", False), (TOKEN, False), ("", False),
    ("Bearer", False), (f"Bearer {TOKEN}x", False), (f"Bearer {TOKEN[:-1]}", False), ("Bearer \xff", False),
])  # fmt: skip
def test_tokens(given: str, passes: bool):
    gate = Gate(QUIET, TOKEN)
    if passes:
        gate.check_token(call(("authorization", given)))
        return
    with pytest.raises(Refused) as caught:
        gate.check_token(call(("authorization", given)))
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in caught.value.message


def test_rates():
    clock = [0.0]
    rates = Rates(2.0, 3, lambda: clock[0])
    assert [rates.taken("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert rates.taken("b") == 0
    clock[0] = 0.5
    assert rates.taken("a") == 0
    assert rates.taken("a") > 0
    clock[0] = 100
    assert rates.taken("a") == 0
    rates.owe("a", 15)  # a request of sixteen photos
    clock[0] = 106
    assert rates.taken("a") == pytest.approx(1)


def test_clients_that_were_seen_last_are_kept():
    rates = Rates(1.0, 1, lambda: 0.0)
    for number in range(10_050):
        rates.taken(str(number))
    assert len(rates._clients) == 10_000
    assert rates.taken("10049") > 0


def test_clients():
    assert client_of("10.0.0.1") == "10.0.0.1"
    assert client_of("2001:db8::1") == client_of("2001:db8::2:3") != client_of("2001:db8:0:1::1")
    assert client_of("") == ""


def test_hosts_of_headers():
    assert host_of("A.example.ORG:80") == "a.example.org"
    assert origin_host("http://a:1") == "a"
    assert origin_host("null") == ""


def test_over_http(model_file: Any, jpeg: bytes):
    """What is protected, and rates by client."""
    with Inside(replace(QUIET, rate=0.001, burst=2), model_file, TOKEN).started() as inside:
        said = {"Content-Type": FORM, "Authorization": f"Bearer {TOKEN}"}
        for path in ("/v1/classes", "/metrics"):
            assert inside.ask("GET", path).status == 401
            assert inside.ask("GET", path, headers=said).status == 200
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert inside.ask("GET", path).status == 200
        body = form(jpeg)
        assert inside.ask("POST", "/v1/predict", body, {"Content-Type": FORM}).status == 401
        replies = [inside.ask("POST", "/v1/predict", body, said, client="10.0.0.9") for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert int(replies[2].headers["retry-after"]) >= 1
        assert inside.ask("POST", "/v1/predict", body, said, client="10.0.0.8").status == 200
