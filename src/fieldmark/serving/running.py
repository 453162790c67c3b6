"""``fieldmark serve``: a model, its processes and the application under uvicorn, until a signal ends them."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from fieldmark.errors import UserError, printable
from fieldmark.serving.app import Application
from fieldmark.serving.confinement import hidden
from fieldmark.serving.connection import Limits, limited
from fieldmark.serving.engine import Engine
from fieldmark.serving.gate import hosts_in_words
from fieldmark.serving.logs import Log, ToLog
from fieldmark.serving.settings import Settings, token_of
from fieldmark.ship.model import Model, open_model

STOP_SECONDS = 30
_KEEP_ALIVE = 75


def serve(path: Path, settings: Settings, *, log: Log, ready: Callable[[str], object]) -> None:
    """Serves a model until a signal comes; then takes no more requests, and answers those that it has.

    SIGTERM while it starts ends the program with exit code 0; Ctrl-C then raises ``KeyboardInterrupt``.

    Args:
        path: of the model's file.
        settings: of the server.
        log: takes events.
        ready: is told the address, once requests are answered.

    Raises:
        UserError: no model, a token that is missing or unfit, an address that cannot be had, processes that do not
            start.
    """
    token = token_of(settings)
    with _ended_by_sigterm(), hidden(), _listener(settings) as listener:
        model = open_model(path, device=settings.device, threads=settings.threads)
        _refuse_unservable(model)
        engine = Engine(model, settings, report=log)
        _allow_many_connections()
        with asyncio.Runner(loop_factory=_event_loop) as runner:
            runner.run(_served(engine, settings, token, listener=listener, log=log, ready=ready))


def _event_loop() -> asyncio.AbstractEventLoop:
    """The faster one where it is installed: there is none for Windows."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _Server(uvicorn.Server):
    """Uvicorn's, which says when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens."""
        await super().startup(sockets)
        self._listening()


async def _served(
    engine: Engine,
    settings: Settings,
    token: str | None,
    *,
    listener: socket.socket,
    log: Log,
    ready: Callable[[str], object],
) -> None:
    url = _url(listener)

    def tell() -> None:
        told = {
            "url": url,
            "model": engine.model.digest,
            "decoders": engine.decoders.ready,
            "confinement": engine.decoders.missing or "complete",
            "token": token is not None,
            "hosts": hosts_in_words(settings),
        }
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look through it again and again
        log("ready", told)
        ready(url)

    with contextlib.ExitStack() as ending:
        try:
            await engine.start()
            server = _Server(_config(Application(engine, settings, token=token, log=log), settings), tell)
            _log_libraries(log)
            ending.enter_context(_signals_do_no_more())
            await server.serve(sockets=[listener])
            log("stopped")
        finally:
            engine.close()


def _refuse_unservable(model: Model) -> None:
    """Refuses what no bare photo can be answered with."""
    shown = printable(str(model.path))
    if model.manifest.pixels.fit == "box":
        raise UserError(f"{shown} was trained with --fit box and needs a box with each photo: it cannot be served")


def _config(application: Application, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        application,  # pyright: ignore[reportArgumentType]
        http=limited(Limits(settings.head_s, settings.connections)),  # pyright: ignore[reportArgumentType]
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def _listener(settings: Settings) -> socket.socket:
    """A socket that listens as soon as requests can be answered."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[
            0
        ]
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            stack.pop_all()
    except OSError as error:
        shown = f"{printable(settings.host)} port {settings.port}"
        raise UserError(f"{shown} cannot be listened on: {error.strerror}; --host and --port choose another") from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _allow_many_connections() -> None:
    """Each connection is an open file, of which systems allow few unless asked."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))


def _log_libraries(log: Log) -> None:
    for name in ("uvicorn", "asyncio", "python_multipart"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [ToLog(log)], False
        logger.setLevel(logging.ERROR)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it would log what clients sent


@contextlib.contextmanager
def _ended_by_sigterm():
    """SIGTERM ends the program with exit code 0, as it does later, until the server itself listens for signals.

    At once: an exception may arise anywhere, and inside libraries that are being loaded it would become another one.
    Processes that decode end with the server's.
    """
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _signals_do_no_more():
    """Uvicorn raises the signals that ended it once more when it is done, and the exit code should be 0."""
    before = {number: signal.signal(number, _ignored) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignored(number: int, frame: object) -> None:
    pass


def _end(number: int, frame: object) -> None:
    os._exit(0)
