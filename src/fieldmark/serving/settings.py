"""The server's settings, from the command line, the environment or a TOML file, in this order of precedence."""

import ipaddress
import os
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_origin

from fieldmark.errors import UserError, printable
from fieldmark.plain import Count, Natural, NotNegative, Positive, Range, did_you_mean, from_plain, value_of

PREFIX = "FIELDMARK_SERVE_"
_SHORTEST = 16  # characters of a token
_KUBERNETES = re.compile(r"SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True)
class Settings:
    """How a server behaves.

    Attributes:
        host: the address to listen on; any but the loopback needs a token.
        port: 0 takes a free one.
        token_file: holds the token that clients send as ``Authorization: Bearer TOKEN``.
        allow_host: further names that requests may be addressed to, beside ``host`` (and beside all addresses and
            localhost, where ``host`` is 0.0.0.0 or ::); "*" for any.
        proxies: addresses of balancers, whose X-Forwarded-For names the client.
        workers: processes that decode photos; 0 for as many as there are processors.
        networks: batches that are computed at a time; 0 for as many as there are processors, or one on a GPU.
        threads: for each of them.
        device: what computes: auto, cpu, cuda or cuda:N.
        batch: photos in one of them, at most.
        wait_ms: milliseconds that a free network waits for photos that are being decoded.
        queue: photos that are taken on and not yet answered, at most.
        deadline_s: seconds from the start of a request to its answer.
        head_s: seconds in which the head of a request must have come.
        body_s: seconds in which the body must have come.
        connections: at most, at a time.
        megabytes: of a request's body.
        uploads_mb: megabytes of all bodies that are held at a time.
        parts: photos in a request.
        rate: photos a second from one client, in the long run; 0 for any number.
        burst: photos at once from a client that was silent before.
        decode_s: seconds of the processor for one photo.
        decode_mb: megabytes that decoding a photo may take.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Range(least=0, most=65535)] = 8000
    token_file: Path | None = None
    allow_host: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    workers: Natural = 0
    networks: Natural = 0
    threads: Count = 1
    device: str = "auto"
    batch: Count = 8
    wait_ms: NotNegative = 1.0
    queue: Count = 64
    deadline_s: Positive = 30.0
    head_s: Positive = 10.0
    body_s: Positive = 30.0
    connections: Count = 4096
    megabytes: Positive = 10.0
    uploads_mb: Positive = 512.0
    parts: Annotated[int, Range(least=2, most=16)] = 16
    rate: NotNegative = 100.0
    burst: Count = 200
    decode_s: Count = 10
    decode_mb: Count = 1024

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_everywhere(self) -> bool:
        """Whether the server listens at all addresses of this machine."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    @property
    def decoders(self) -> int:
        """Processes that decode photos."""
        return self.workers or processors()


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settings_of(given: Mapping[str, Any], *, environment: Mapping[str, str], config: Path | None = None) -> Settings:
    """Settings, each from the first place that has it.

    Args:
        given: from the command line; None where nothing was said.
        environment: variables; those that begin with FIELDMARK_SERVE_ count, unless they are Kubernetes' own.
        config: a TOML file of settings.

    Raises:
        UserError: an unknown setting, a value of the wrong type or out of range, a file that cannot be read.
    """
    said = {name: value for name, value in given.items() if value is not None and value != ()}
    found = (from_file(config) if config else {}) | from_environment(environment) | said
    return from_plain(found, Settings)


def from_file(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, checked; paths in it are beside the file."""
    shown = printable(str(path))
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"--config {shown} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"--config {shown} is no TOML: {printable(str(error))}") from None
    try:
        settings = from_plain(found, Settings)
    except UserError as error:
        raise UserError(f"--config {shown}: {error}") from None
    if settings.token_file:
        found["token_file"] = path.parent / settings.token_file
    return found


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings among a process's variables, checked; lists are separated by commas.

    Kubernetes gives containers variables for each service, and those of one called fieldmark-serve have our prefix.
    """
    hints = typing.get_type_hints(Settings, include_extras=True)
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or _is_of_kubernetes(variable.removeprefix(PREFIX), text):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in hints:
            known = [PREFIX + each.name.upper() for each in fields(Settings)]
            raise UserError(f"there is no setting {printable(variable)}; {did_you_mean(variable, known)}")
        found[name] = _typed(text, hints[name])
        try:
            from_plain({name: found[name]}, Settings)
        except UserError as error:
            raise UserError(f"{variable}: {error}") from None
    return found


def _is_of_kubernetes(name: str, text: str) -> bool:
    return bool(_KUBERNETES.fullmatch(name)) or (name == "PORT" and bool(_ADDRESS.match(text)))


def _typed(text: str, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return [word.strip() for word in text.split(",") if word.strip()]
    return value_of(text) if get_origin(hint) is Annotated or hint in (int, float) else text


def token_of(settings: Settings) -> str | None:
    """The token that clients must send; None where none is asked for.

    Raises:
        UserError: the file cannot be read, the token is too short or cannot be sent in a header, or there is none and
            other machines can reach the server.
    """
    if settings.token_file is None:
        if not settings.is_loopback:
            raise UserError(
                f"--host {printable(settings.host)} lets other machines in: name a --token-file, whose token they must "
                "send, such as one made by: openssl rand -hex 32"
            )
        return None
    shown = printable(str(settings.token_file))
    try:
        token = settings.token_file.read_text("ascii").strip()
    except OSError as error:
        raise UserError(f"--token-file {shown} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UserError(f"--token-file {shown}: a token has letters, digits and signs of ASCII alone") from None
    if len(token) < _SHORTEST or not all("!" <= letter <= "~" for letter in token):
        raise UserError(f"--token-file {shown}: a token has {_SHORTEST} characters or more, and no spaces")
    return token
