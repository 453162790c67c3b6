"""The server's application: which path answers what, and what goes around every answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

from fieldmark.serving.answers import Answers
from fieldmark.serving.bodies import Allowed, Held, Upload, photos_of
from fieldmark.serving.engine import Engine, Left
from fieldmark.serving.exchange import Answer, Call, Gone, Receive, Send, in_json, of_refusal, sent
from fieldmark.serving.gate import Gate
from fieldmark.serving.logs import Log
from fieldmark.serving.metrics import Metrics
from fieldmark.serving.openapi import document
from fieldmark.serving.pages import pages, unless_known
from fieldmark.serving.photo import Photo
from fieldmark.serving.questions import Question, question_of
from fieldmark.serving.refused import Refused
from fieldmark.serving.settings import Settings
from fieldmark.ship.model import Model

_SLOW = 408
_LEFT = 499  # what nginx notes where the client went away
_AROUND = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_ELSEWHERE = "(other)"
Handler = Callable[[Call], Awaitable[Answer]]


class Route(NamedTuple):
    """What answers a path: with which ``method``, how, and whether a token is asked for."""

    method: str
    handler: Handler
    is_protected: bool = False


class Application:
    """An ASGI application.

    Args:
        engine: that answers photos; started and closed with the application.
        settings: of the server.
        token: that clients must send.
        log: takes an event for each request.
    """

    def __init__(self, engine: Engine, settings: Settings, *, token: str | None, log: Log) -> None:
        self._engine, self._settings, self._log = engine, settings, log
        self._gate, self._metrics = Gate(settings, token), Metrics(engine)
        self._answers = Answers(engine.model)
        self._held = Held(round(settings.uploads_mb * 1e6))
        self._allowed = Allowed(round(settings.megabytes * 1e6), settings.parts)
        self._pages = pages()
        self._document = in_json(document(engine.model, self._answers.offers, settings, has_token=token is not None))
        self._classes = in_json(_classes(engine.model, self._answers.offers, settings))
        self._routes: Mapping[str, Route] = {
            "/v1/predict": Route("POST", self._predict, True),
            "/v1/compare": Route("POST", self._compare, True),
            "/v1/classes": Route("GET", self._constant(self._classes), True),
            "/metrics": Route("GET", self._show_metrics, True),
            "/healthz": Route("GET", self._constant(in_json({"status": "alive"}))),
            "/readyz": Route("GET", self._ready),
            "/openapi.json": Route("GET", self._constant(self._document)),
            **dict.fromkeys(self._pages, Route("GET", self._page)),
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, or the lifespan of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._exchange(Call(scope, receive), send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _exchange(self, call: Call, send: Send) -> None:
        begun = time.perf_counter()
        answer = await self._answered(call)
        if answer.status != _LEFT:
            if not call.is_read and answer.status != _SLOW:
                await call.skip_body()
            around = _AROUND | {"X-Request-ID": call.id} | ({} if call.is_read else {"Connection": "close"})
            await sent(send, answer, around, with_body=call.method != "HEAD")
        seconds = time.perf_counter() - begun
        path = call.path if call.path in self._routes else _ELSEWHERE
        self._metrics.request(path, answer.status, seconds)
        told = {
            "request_id": call.id,
            "method": call.method[:10],
            "path": path,
            "status": answer.status,
            "ms": round(1000 * seconds, 1),
            "client": call.client,
            "images": call.images,
        }
        self._log("request", told)

    async def _answered(self, call: Call) -> Answer:
        """The answer, whatever happens."""
        try:
            self._gate.check_address(call)
            return await self._routed(call).handler(call)
        except Refused as refused:
            return of_refusal(refused, call.id)
        except (Gone, Left):
            return Answer(_LEFT, b"")
        except Exception as error:
            told = {"request_id": call.id, "error": type(error).__name__, "where": _place(error)}
            self._log("failed", told, level="error")
            return of_refusal(Refused(500, "failed", "the server failed; its log says where"), call.id)

    def _routed(self, call: Call) -> Route:
        route = self._routes.get(call.path)
        if route is None:
            raise Refused(404, "not_found", "there is nothing here")
        if call.method != route.method and (call.method, route.method) != ("HEAD", "GET"):
            allowed = "GET, HEAD" if route.method == "GET" else route.method
            raise Refused(405, "wrong_method", f"this path takes {allowed}", headers={"Allow": allowed})
        if route.is_protected:
            self._gate.check_token(call)
        return route

    async def _predict(self, call: Call) -> Answer:
        question = question_of(call.query)
        self._answers.refuse_unoffered(question)
        uploads, photos = await self._looked(call, question)
        if len(photos) == 1 and photos[0].failure:
            raise Refused(422, "unreadable_image", f"{uploads[0].name}: {photos[0].failure}")
        return in_json(self._head(call) | {"results": await self._told(question, uploads, photos)})

    async def _compare(self, call: Call) -> Answer:
        question = question_of(call.query)
        self._answers.refuse_unoffered(question)
        uploads, photos = await self._looked(call, question, exactly=2)
        for upload, photo in zip(uploads, photos, strict=True):
            if photo.failure:
                raise Refused(422, "unreadable_image", f"{upload.name}: {photo.failure}")
        told = {"results": await self._told(question, uploads, photos), "pair": self._answers.pair(photos)}
        return in_json(self._head(call) | told)

    async def _told(
        self, question: Question, uploads: Sequence[Upload], photos: Sequence[Photo]
    ) -> list[dict[str, Any]]:
        names = [upload.name for upload in uploads]
        if question.looks_around:  # others need not wait for that
            return await asyncio.to_thread(self._answers.results, question, names, photos)
        return self._answers.results(question, names, photos)

    async def _looked(
        self, call: Call, question: Question, *, exactly: int | None = None
    ) -> tuple[list[Upload], list[Photo]]:
        """The photos of a request, and what the network makes of them."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.deadline_s
        self._gate.count(call)
        self._refuse_coded(call)
        self._engine.refuse_overflow()  # before the body is taken apart, which is most of what a refusal costs
        with self._held.share() as take:
            uploads = await self._uploads(call, take)
            call.images = len(uploads)
            self._gate.owe(call, len(uploads) - 1)
            if exactly and len(uploads) != exactly:
                raise Refused(422, "wrong_count", f"send {exactly} photos; there are {len(uploads)}")
            data = [upload.data for upload in uploads]
            photos = await self._engine.look(data, self._outputs(question, exactly), until=until, gone=call.gone)
        unreadable = sum(bool(photo.failure) for photo in photos)
        self._metrics.photos(len(photos) - unreadable, unreadable)
        return uploads, photos

    def _outputs(self, question: Question, exactly: int | None) -> tuple[str, ...]:
        """What the network must give: to compare two photos, also maps, where it has them."""
        names = question.outputs
        wanted = exactly is not None and "maps" in self._engine.model.manifest.outputs and "maps" not in names
        return (*names, "maps") if wanted else names

    async def _uploads(self, call: Call, take: Callable[[int], None]) -> list[Upload]:
        try:
            async with asyncio.timeout(self._settings.body_s):
                return await photos_of(call.chunks(), call.header(b"content-type"), allowed=self._allowed, take=take)
        except TimeoutError:
            raise Refused(_SLOW, "too_slow", "the body did not come in time") from None

    def _refuse_coded(self, call: Call) -> None:
        codings = call.header(b"content-encoding").lower(), call.header(b"transfer-encoding").lower()
        if codings[0] not in ("", "identity") or codings[1] not in ("", "chunked"):
            raise Refused(415, "compressed", "bodies are sent as they are, not compressed")
        length = call.header(b"content-length")
        if length.isdecimal() and int(length[:20]) > self._allowed.bytes:
            raise Refused(413, "too_large", f"a request has {self._allowed.bytes / 1e6:g} MB at most")

    def _head(self, call: Call) -> dict[str, Any]:
        return {"model": self._engine.model.digest, "request_id": call.id}

    async def _ready(self, call: Call) -> Answer:
        if await self._engine.is_well():
            return in_json({"status": "ready"})
        raise Refused(503, "not_ready", "the server does not answer its own picture as it should", retry_after=5)

    async def _show_metrics(self, call: Call) -> Answer:
        return self._metrics.page()

    async def _page(self, call: Call) -> Answer:
        return unless_known(self._pages[call.path], call.header(b"if-none-match"))

    def _constant(self, answer: Answer) -> Handler:
        async def give(call: Call) -> Answer:
            return answer

        return give


def _classes(model: Model, offers: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    manifest = model.manifest
    groups = {level.name: list(level.groups) for level in manifest.groups.levels} if manifest.groups else None
    return {
        "model": model.digest,
        "classes": list(manifest.classes),
        "groups": groups,
        "calibrated": manifest.calibrated,
        "offers": offers,
        "limits": {"megabytes": settings.megabytes, "photos": settings.parts},
    }


def _place(error: Exception) -> str:
    """The file and line where an error arose: no values, which may be a client's."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('fieldmark/')[2]}:{trace.tb_lineno}" if trace else ""
