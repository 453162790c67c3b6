"""Who may ask: the name that a request is addressed to, the page that it comes from, its token, and how often."""

import hashlib
import hmac
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from fieldmark.serving.exchange import Call
from fieldmark.serving.refused import Refused
from fieldmark.serving.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MOST_CLIENTS = 10_000
_NO_HOST = frozenset("/\\?#@ \t")


class Gate:
    """Lets requests in, or refuses them.

    Args:
        settings: of the server.
        token: that must be sent for what is protected; None where none is asked for.
    """

    def __init__(self, settings: Settings, token: str | None) -> None:
        self._hosts, self._is_everywhere = frozenset(allowed_hosts(settings)), settings.is_everywhere
        self._token = None if token is None else _hashed(token.encode())
        self._rates = Rates(settings.rate, settings.burst) if settings.rate else None

    def check_address(self, call: Call) -> None:
        """Refuses requests addressed to a name that is not this server's, or sent by the page of another site.

        So a page from elsewhere cannot ask by way of its visitor's browser, not even under a name of its own that leads
        to this address. Where the server listens at all addresses, requests may be addressed to any: a page elsewhere
        would need a name.
        """
        if call.how_often(b"host") != 1:
            raise Refused(400, "bad_host", "a request has one header Host")
        host = host_of(call.header(b"host"))
        if not self._knows(host) and not (self._is_everywhere and _is_address(host)):
            raise Refused(421, "unknown_host", "this server does not go by that name; --allow-host adds names")
        origin = call.header(b"origin")
        if origin and origin_host(origin) != host and not self._knows(origin_host(origin)):
            raise Refused(403, "foreign_page", "pages of other sites may not ask this server")

    def check_token(self, call: Call) -> None:
        """Refuses requests without the token."""
        if self._token is None:
            return
        kind, _, given = call.header(b"authorization").partition(" ")
        fits = hmac.compare_digest(_hashed(given.strip().encode("latin-1")), self._token)
        if kind.lower() != "bearer" or not fits:
            raise Refused(
                401, "no_token", "send the header Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
            )

    def count(self, call: Call) -> None:
        """Counts a photo of a client, and refuses it where there were too many."""
        if self._rates is not None and (wait := self._rates.taken(client_of(call.client))):
            raise Refused(429, "too_often", "too many photos in too short a time", retry_after=math.ceil(wait))

    def owe(self, call: Call, photos: int) -> None:
        """Counts further photos of a request that was let in: the next one waits for them."""
        if self._rates is not None and photos > 0:
            self._rates.owe(client_of(call.client), photos)

    def _knows(self, host: str) -> bool:
        return "*" in self._hosts or host in self._hosts


class Rates:
    """A bucket of tokens for each client: ``burst`` at most, ``rate`` more each second; those seen last are kept."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._clients = OrderedDict[str, tuple[float, float]]()

    def taken(self, client: str) -> float:
        """Takes a token; 0, or the seconds until there is one."""
        now = self._clock()
        before, seen = self._clients.pop(client, (float(self._burst), now))
        tokens = min(self._burst, before + (now - seen) * self._rate)
        wait = max(0.0, 1 - tokens) / self._rate
        self._clients[client] = (tokens if wait else tokens - 1, now)
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        return wait

    def owe(self, client: str, count: int) -> None:
        """Takes tokens that may not be there yet, from a client that has just taken one."""
        tokens, seen = self._clients[client]
        self._clients[client] = (tokens - count, seen)


def allowed_hosts(settings: Settings) -> Sequence[str]:
    """Names and addresses that requests may be addressed to; any address beside, where the server listens at all."""
    here = settings.is_loopback or settings.is_everywhere
    own = [*(_LOOPBACK if here else ()), *([] if settings.is_everywhere else [settings.host.lower()])]
    return list(dict.fromkeys([*own, *(name.lower().strip("[]") for name in settings.allow_host)]))


def hosts_in_words(settings: Settings) -> str:
    """Whom requests may be addressed to, for people."""
    hosts = allowed_hosts(settings)
    return "any name" if "*" in hosts else ", ".join([*hosts, *(["any IP address"] if settings.is_everywhere else [])])


def host_of(header: str) -> str:
    """The name or address in a header Host, in small letters, without the port; "" if it is none."""
    try:
        split = urlsplit(f"//{header}")
        _ = split.port
    except ValueError:
        return ""
    return "" if _NO_HOST & {*header} else split.hostname or ""


def origin_host(header: str) -> str:
    """The name in a header Origin; "" if it has none, as where the page is a file."""
    scheme, _, rest = header.partition("://")
    return host_of(rest) if scheme in ("http", "https") else ""


def client_of(address: str) -> str:
    """Whom an address stands for: in IPv6 a household has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _hashed(token: bytes) -> bytes:
    """Of one length for all tokens, so that comparing tells nothing of it."""
    return hashlib.sha256(token).digest()
