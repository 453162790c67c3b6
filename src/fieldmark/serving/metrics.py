"""What the server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from fieldmark.serving.engine import Engine
from fieldmark.serving.exchange import Answer

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self, engine: Engine) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "fieldmark_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "fieldmark_request_seconds", "From a request's head to its answer.", ["path"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._photos = Counter("fieldmark_photos", "Photos by outcome.", ["outcome"], registry=registry)
        for name, text, value in (
            ("fieldmark_photos_taken", "Photos that are being answered.", lambda: engine.taken),
            ("fieldmark_decoders", "Processes that are ready to decode photos.", lambda: engine.decoders.ready),
            (
                "fieldmark_decoders_replaced",
                "Processes that ended and were replaced.",
                lambda: engine.decoders.replaced,
            ),
            ("fieldmark_batches", "Batches that went through the network.", lambda: engine.network.batches),
            ("fieldmark_batched_photos", "Photos in these batches.", lambda: engine.network.photos),
        ):
            Gauge(name, text, registry=registry).set_function(value)
        # by path and status: looking a label up costs more than counting
        self._known: dict[tuple[str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request; ``path`` is one of the server's own."""
        key = path, status
        if (counter := self._known.get(key)) is None:
            counter = self._known[key] = self._requests.labels(path, status)
            self._timers[path] = self._seconds.labels(path)
        counter.inc()
        self._timers[path].observe(seconds)

    def photos(self, answered: int, unreadable: int) -> None:
        """Counts photos."""
        if answered:
            self._photos.labels("answered").inc(answered)
        if unreadable:
            self._photos.labels("unreadable").inc(unreadable)

    def page(self) -> Answer:
        """All of it, in Prometheus' format."""
        return Answer(200, generate_latest(self._registry), CONTENT_TYPE_LATEST)
