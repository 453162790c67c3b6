"""The server's page with canned answers, for a browser: its real files and policy, and no network behind them."""

import base64
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from PIL import Image

from fieldmark.confidence.refusal import NONE
from fieldmark.serving.pages import pages


def encoded_pixel() -> bytes:
    """The smallest picture."""
    held = io.BytesIO()
    Image.new("RGB", (1, 1), (90, 120, 80)).save(held, "PNG")
    return held.getvalue()


HOME = "http://localhost:9/"  # a secure context for browsers; nothing listens there
CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen")
EVERYTHING = {"maps": True, "neighbours": True, "refuse": 0.05, "coverage": 0.95}
PIXEL = "data:image/png;base64," + base64.b64encode(encoded_pixel()).decode()


def heatmap(of: str, against: str | None = None) -> dict[str, Any]:
    """A peak at the upper left of four by three numbers, over the middle of a picture of 80 x 60."""
    values = np.array([[255, 128, 0, 0], [128, 64, 0, 0], [0, 0, 0, 0]], np.uint8)
    words = {"of": of} if against is None else {"of": of, "against": against}
    encoded = base64.b64encode(values.tobytes()).decode()
    return words | {"width": 4, "height": 3, "values": encoded, "frame": [10, 0, 60, 60]}


def result(classes: Sequence[str] = CLASSES, **said: Any) -> dict[str, Any]:
    """An answer: the first class, all but certain."""
    shares = [0.8, *(0.2 / (len(classes) - 1) for _ in classes[1:])]
    first, second = classes[:2]
    return {
        "name": "photo",
        "classes": [{"class": name, "probability": share} for name, share in zip(classes, shares, strict=True)][:5],
        "answer": first, "level": "class", "answer_probability": 0.8, "nearest": second, "distance": 0.25, "set": None,
        "error": None,
        "heatmaps": {"class": heatmap(first), "rival": heatmap(first, second)},
        "neighbours": [
            {"class": first, "similarity": 0.9, "thumbnail": PIXEL},
            {"class": second, "similarity": 0.7, "thumbnail": None},
        ],
    } | said  # fmt: skip


REFUSED = {"answer": NONE, "level": NONE, "answer_probability": None, "nearest": "bee", "distance": 0.613}


class Canned:
    """Answers requests of a page, as a route of playwright's; ``asked`` are the paths and queries of its requests.

    ``answers`` are given one after the other, then the last one for ever; a dictionary with ``status`` is a refusal.
    ``lost`` is how many of the next photos do not reach the server; ``is_there`` is whether anything else does.
    """

    def __init__(
        self,
        *answers: dict[str, Any],
        classes: Sequence[str] = CLASSES,
        calibrated: bool = True,
        offers: dict[str, Any] | None = None,
        token: str = "",
        megabytes: float | None = None,
    ) -> None:
        self.answers, self.classes, self.token = [*answers] or [result(classes)], classes, token
        offered = EVERYTHING if offers is None else offers
        self.told = {
            "model": "c0ffee" * 8,
            "classes": [*classes],
            "groups": None,
            "calibrated": calibrated,
            "offers": offered,
        } | ({} if megabytes is None else {"limits": {"megabytes": megabytes, "photos": 16}})
        self.files = pages()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.lost, self.is_there = 0, True

    def __call__(self, route: Any) -> None:
        request, place = route.request, urlsplit(route.request.url)
        if place.path in self.files:
            file = self.files[place.path]
            route.fulfill(status=200, body=file.body, headers={**file.headers, "Content-Type": file.content_type})
            return
        self.asked.append((place.path, dict(parse_qsl(place.query))))
        if self.lost and place.path.startswith("/v1/"):
            self.lost -= 1
            route.abort("connectionrefused")
            return
        if not self.is_there:
            route.abort("connectionrefused")
            return
        status, headers, body = self._answer(place.path, request)
        route.fulfill(status=status, headers={"Content-Type": "application/json", **headers}, body=json.dumps(body))

    def _answer(self, path: str, request: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return refused(401, "this server wants a token")
        if path in ("/v1/classes", "/healthz"):
            return 200, {}, self.told
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if "status" in answer:
            return refused(answer["status"], answer.get("message", "no"), **answer.get("headers", {}))
        if path == "/v1/compare":
            return 200, {}, {"model": "c0ffee", "request_id": "1", **self._pair(answer)}
        return 200, {}, {"model": "c0ffee", "request_id": "1", "results": [answer]}

    def _pair(self, answer: dict[str, Any]) -> dict[str, Any]:
        first, second = (one["class"] for one in answer["classes"][:2])
        other = result([second, first, *self.classes[2:]])
        maps = [heatmap(first, second), heatmap(second, first)]
        return {"results": [answer, other], "pair": {"classes": [first, second], "heatmaps": maps}}


def refused(status: int, message: str, **headers: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """A refusal in the server's form; underscores in names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, {"error": {"code": "no", "message": message}, "request_id": "7f"}


def scripts(folder: Path) -> dict[str, str]:
    """The page's scripts by name."""
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.js"))}


def without_comments(script: str) -> str:
    """A script without its comments."""
    return re.sub(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", "", script, flags=re.DOTALL)
