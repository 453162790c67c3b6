"""The OpenAPI document of a server: its paths as they are with its model and settings."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from fieldmark.serving.questions import MOST_NEIGHBOURS
from fieldmark.serving.settings import Settings
from fieldmark.ship.model import Model

_CODES = {
    400: "The request cannot be understood.",
    401: "The token is missing or wrong.",
    403: "The page of another site asked.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is of another type, or is compressed.",
    421: "The server does not go by the name that was asked for.",
    422: "The photo cannot be read, or there are none, or too many.",
    429: "This client asked too often.",
    503: "There is no room, or no answer in time.",
}
_LATER = (429, 503)
_EVERYWHERE = (400, 403, 421)
_PHOTOS = (408, 413, 415, 422, 429, 503)


def document(model: Model, offers: Mapping[str, Any], settings: Settings, *, has_token: bool) -> dict[str, Any]:
    """The document, as plain data.

    Args:
        model: that answers.
        offers: what can be asked of it beyond classes.
        settings: of the server.
        has_token: whether a token must be sent.
    """
    guarded = (401,) if has_token else ()
    paths = {
        "/v1/predict": {"post": _photo_call("predict", "The likeliest classes of photos.", offers, settings, guarded)},
        "/v1/compare": {"post": _photo_call("compare", "Two photos side by side.", offers, settings, guarded)},
        "/v1/classes": {"get": _call("classes", "The model's classes, and what can be asked.", "Classes", guarded)},
        "/healthz": {"get": _call("healthz", "Whether the server is alive.", "Status")},
        "/readyz": {"get": _call("readyz", "Whether it answers its own picture as it should.", "Status", (503,))},
        "/metrics": {"get": _text("metrics", "Counters for Prometheus.", "text/plain", guarded)},
        "/openapi.json": {"get": _text("openapi", "This document.", "application/json", ())},
    }
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Fieldmark", "version": version("fieldmark"), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": _schemas(len(model.classes)),
            "responses": {str(code): _refusal(code) for code in _CODES},
        },
    }
    if has_token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path in ("/v1/predict", "/v1/compare", "/v1/classes", "/metrics"):
            for call in paths[path].values():
                call["security"] = [{"token": []}]
    return found


_TEXT, _FLAG = {"type": "string"}, {"type": "boolean"}
_MAYBE_TEXT, _MAYBE_NUMBER = {"type": ["string", "null"]}, {"type": ["number", "null"]}
_HEATMAP = {
    "of": _TEXT,
    "width": {"type": "integer"},
    "height": {"type": "integer"},
    "values": {"type": "string", "contentEncoding": "base64", "description": "Bytes, row by row: 255 is strongest."},
    "frame": {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 4,
        "maxItems": 4,
        "description": "Left, top, width and height of the map, in pixels of the upright picture.",
    },
}
_ABOUT = "Classes of photographs, by a model that fieldmark export wrote. Photos are not kept."


def _photo_call(
    name: str, summary: str, offers: Mapping[str, Any], settings: Settings, guarded: Sequence[int]
) -> dict[str, Any]:
    least, most = (2, 2) if name == "compare" else (1, settings.parts)
    photo = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "required": ["image"],
        "additionalProperties": False,
        "properties": {"image": {"type": "array", "items": photo, "minItems": least, "maxItems": most}},
    }
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": form, "encoding": {"image": {"contentType": "image/*"}}}
    }
    if name == "predict":
        content |= {kind: {"schema": photo} for kind in ("image/jpeg", "image/png", "image/webp", "image/tiff")}
    told = "Predictions" if name == "predict" else "Comparison"
    return _call(name, summary, told, (*guarded, *_PHOTOS)) | {
        "parameters": _parameters(offers),
        "requestBody": {"required": True, "content": content},
    }


def _parameters(offers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The words of a query that this model knows."""
    count = {"type": "integer", "minimum": 1, "maximum": 10**6, "default": 5}
    certainty = {"type": "number", "minimum": 0.01, "maximum": 0.99}
    words: dict[str, tuple[dict[str, Any], str]] = {
        "top": (count, "Classes for each photo."),
        "certainty": (certainty, "How sure the answer must be, which may then be a group, or none."),
    }
    if offers["coverage"] is not None:
        covered = {"type": "number", "minimum": 0.01, "maximum": offers["coverage"]}
        words["coverage"] = (covered, "The share of photos whose class is in the set.")
    if offers["refuse"] is not None:
        refused = {"type": "number", "minimum": offers["refuse"], "maximum": 0.99}
        words["refuse"] = (refused, "The share of photos of the classes that may be answered with none of these.")
    if offers["maps"]:
        flag = {"type": "integer", "enum": [0, 1], "default": 0}
        words["maps"] = (flag, "A heatmap of the answer.")
        words["rival"] = (flag, "A heatmap of the answer less the runner-up.")
    if offers["neighbours"]:
        near = {"type": "integer", "minimum": 0, "maximum": MOST_NEIGHBOURS, "default": 0}
        words["neighbours"] = (near, "The most similar training photos.")
    return [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
        for name, (schema, text) in words.items()
    ]


def _call(name: str, summary: str, told: str, refusals: Sequence[int] = ()) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{told}"}
    return _answers(name, summary, {"application/json": {"schema": schema}}, refusals)


def _text(name: str, summary: str, kind: str, refusals: Sequence[int]) -> dict[str, Any]:
    schema = {"type": "object"} if kind.endswith("json") else {"type": "string"}
    return _answers(name, summary, {kind: {"schema": schema}}, refusals)


def _answers(name: str, summary: str, content: Mapping[str, Any], refusals: Sequence[int]) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": "The answer.", "headers": _ID, "content": content}}
    answers |= {str(code): {"$ref": f"#/components/responses/{code}"} for code in sorted({*_EVERYWHERE, *refusals})}
    return {"operationId": name, "summary": summary, "responses": answers}


_ID = {"X-Request-ID": {"schema": {"type": "string"}, "description": "The request's own id, or a new one."}}


def _refusal(code: int) -> dict[str, Any]:
    wait = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}} if code in _LATER else {}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": _CODES[code], "headers": _ID | wait, "content": content}


def _schemas(classes: int) -> dict[str, Any]:
    names = {"type": "array", "items": _TEXT}
    told = {"model": _TEXT, "request_id": _TEXT, "results": {"type": "array", "items": _ref("Result")}}
    pair = {"classes": names, "heatmaps": {"type": "array", "items": _ref("Rivalry"), "maxItems": 2}}
    offers = {"maps": _FLAG, "neighbours": _FLAG, "refuse": _MAYBE_NUMBER, "coverage": _MAYBE_NUMBER}
    about = {
        "model": _TEXT,
        "classes": {**names, "minItems": classes, "maxItems": classes},
        "groups": {"type": ["object", "null"], "additionalProperties": names},
        "calibrated": _FLAG,
        "offers": _table(offers),
        "limits": _table({"megabytes": {"type": "number"}, "photos": {"type": "integer"}}),
    }
    return {
        "Result": _result(),
        "Heatmap": _table(_HEATMAP),
        "Rivalry": _table(_HEATMAP | {"against": _TEXT}),
        "Neighbour": _table({"class": _TEXT, "similarity": {"type": "number"}, "thumbnail": _MAYBE_TEXT}),
        "Predictions": _table(told),
        "Comparison": _table(told | {"pair": _table(pair)}),
        "Classes": _table(about),
        "Status": _table({"status": _TEXT}),
        "Error": _table({"error": _table({"code": _TEXT, "message": _TEXT}), "request_id": _TEXT}),
    }


def _result() -> dict[str, Any]:
    """What is said of a photo; the last two only where they were asked for."""
    share = {"type": "number", "minimum": 0, "maximum": 1}
    likely = _table({"class": _TEXT, "probability": share})
    found = _table(
        {
            "name": _TEXT,
            "classes": {"type": "array", "items": likely},
            "answer": _MAYBE_TEXT,
            "level": _MAYBE_TEXT,
            "answer_probability": _MAYBE_NUMBER,
            "nearest": _MAYBE_TEXT,
            "distance": _MAYBE_NUMBER,
            "set": {"type": ["array", "null"], "items": _TEXT},
            "error": _MAYBE_TEXT,
        }
    )
    found["properties"] |= {
        "heatmaps": {"type": "object", "properties": {"class": _ref("Heatmap"), "rival": _ref("Rivalry")}},
        "neighbours": {"type": "array", "items": _ref("Neighbour"), "maxItems": MOST_NEIGHBOURS},
    }
    return found


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _table(columns: Mapping[str, Any]) -> dict[str, Any]:
    """An object that has all of these."""
    return {"type": "object", "required": list(columns), "properties": columns}
