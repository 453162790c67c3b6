"""The page's files, read once: no path of a request ever reaches the file system."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable

from fieldmark.serving.exchange import Answer

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
_UNMODIFIED = Answer(304, b"")


def pages() -> Mapping[str, Answer]:
    """The answers by path; "/" is index.html."""
    found = {
        f"/{path}": _answer(path, file.read_bytes()) for path, file in _within(files("fieldmark.serving") / "page", "")
    }
    return found | ({"/": found["/index.html"]} if "/index.html" in found else {})


def unless_known(answer: Answer, known: str) -> Answer:
    """The answer, or that the client has it: ``known`` is its header If-None-Match."""
    if answer.headers["ETag"] not in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return answer
    return replace(_UNMODIFIED, content_type=answer.content_type, headers=answer.headers)


def _within(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.is_dir():
            yield from _within(each, f"{prefix}{each.name}/")
        elif each.name.rpartition(".")[2] in _TYPES:
            yield prefix + each.name, each


def _answer(path: str, content: bytes) -> Answer:
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    return Answer(200, content, _TYPES[path.rpartition(".")[2]], _HEADERS | {"ETag": tag})
