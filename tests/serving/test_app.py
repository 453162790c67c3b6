"""What each path answers, and what goes around every answer."""

import asyncio
import base64
import json
import re
from collections.abc import MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import FORM, QUIET, Inside, asked, form
from bad_inputs import encoded, photo
from PIL import Image

from fieldmark.ship.model import open_model
from tiny_models import CLASSES, manifest, write_model


def test_answers_are_those_of_the_model(inside: Inside, model_file: Path, jpeg: bytes):
    png = encoded(photo(50, 80), "PNG")
    (first, second) = open_model(model_file, device="cpu").predict([jpeg, png], top=3)
    told = inside.predict(jpeg, png, query="?top=3").told
    for prediction, result in zip((first, second), told["results"], strict=True):
        assert [each["class"] for each in result["classes"]] == list(prediction.classes)
        shares = [each["probability"] for each in result["classes"]]
        np.testing.assert_allclose(shares, prediction.probabilities, rtol=1e-6)
        assert result["error"] is None
    assert [result["name"] for result in told["results"]] == ["photo-0.jpg", "photo-1.jpg"]


def test_one_photo_may_be_the_body(inside: Inside, jpeg: bytes):
    reply = inside.ask("POST", "/v1/predict?top=1", [jpeg[:100], jpeg[100:]], {"Content-Type": "image/jpeg"})
    assert reply.status == 200
    (alone,), (within,) = reply.told["results"], inside.predict(jpeg, query="?top=1").told["results"]
    assert alone["classes"] == within["classes"]
    assert alone["name"] == "image"


def test_a_bad_photo_among_others_is_told_of(inside: Inside, jpeg: bytes):
    reply = inside.predict(jpeg, b"not a photo", jpeg)
    assert reply.status == 200
    good, bad, last = reply.told["results"]
    assert good["classes"] == last["classes"] != []
    assert bad["classes"] == []
    assert "not an image" in bad["error"]


def test_a_bad_photo_alone_is_refused(inside: Inside):
    reply = inside.predict(b"not a photo")
    assert (reply.status, reply.code) == (422, "unreadable_image")
    assert "photo-0.jpg" in reply.told["error"]["message"]


def test_heatmaps_are_those_of_the_answer(inside: Inside, model_file: Path, jpeg: bytes):
    (result,) = inside.predict(jpeg, query="?maps=1&rival=1").told["results"]
    model = open_model(model_file, device="cpu")
    maps = model.outputs(model.prepared(jpeg)[None], "maps")["maps"][0]
    first, second = (CLASSES.index(each["class"]) for each in result["classes"][:2])
    wanted_by_kind = {"class": model.heatmap(maps, first), "rival": model.heatmap(maps, first, against=second)}
    for kind, wanted in wanted_by_kind.items():
        heatmap = result["heatmaps"][kind]
        assert heatmap["of"] == CLASSES[first]
        shades = np.frombuffer(base64.b64decode(heatmap["values"]), np.uint8)
        found = shades.reshape(heatmap["height"], heatmap["width"]) / 255
        np.testing.assert_allclose(found, wanted, atol=0.5 / 255 + 1e-6)
    assert result["heatmaps"]["rival"]["against"] == CLASSES[second]
    assert result["heatmaps"]["class"]["frame"] == [16 + 4, 4, 56, 56]  # 7/8 of a square in 96 x 64


def test_answers_of_a_certainty_sets_and_refusals(inside: Inside, model_file: Path, jpeg: bytes):
    model = open_model(model_file, device="cpu")
    demands = model.demands(certainty=0.9, coverage=0.8, refuse=0.2)
    (wanted,) = model.predict(jpeg, demands=demands)
    (told,) = inside.predict(jpeg, query="?certainty=0.9&coverage=0.8&refuse=20%25").told["results"]
    assert (told["answer"] or "", told["level"]) == (wanted.answer, wanted.level)
    assert told["answer_probability"] == pytest.approx(wanted.answer_probability)
    assert (tuple(told["set"]), told["nearest"]) == (wanted.set, wanted.nearest)
    assert told["distance"] == pytest.approx(wanted.distance, abs=1e-6)


def test_neighbours(inside: Inside, jpeg: bytes):
    (told,) = inside.predict(jpeg, query="?neighbours=3").told["results"]
    similarities = [each["similarity"] for each in told["neighbours"]]
    assert similarities == sorted(similarities, reverse=True)
    assert len(similarities) == 3
    for each in told["neighbours"]:
        assert each["class"] in CLASSES
        assert base64.b64decode(each["thumbnail"].removeprefix("data:image/jpeg;base64,")).startswith(b"\xff\xd8")


def test_what_cannot_be_promised_is_refused(inside: Inside, jpeg: bytes):
    for query in ("coverage=0.999", "refuse=0.1%25"):
        reply = inside.predict(jpeg, query=f"?{query}")
        assert (reply.status, reply.code) == (400, "not_offered")
        assert "--" not in reply.told["error"]["message"]


def test_compare_says_what_tells_two_photos_apart(inside: Inside, jpeg: bytes):
    black = encoded(Image.new("RGB", photo().size), "PNG")
    told = inside.ask("POST", "/v1/compare", form(jpeg, black), {"Content-Type": FORM}).told
    best = [result["classes"][0]["class"] for result in told["results"]]
    assert told["pair"]["classes"] == best
    assert best[0] != best[1]
    assert [(each["of"], each["against"]) for each in told["pair"]["heatmaps"]] == [tuple(best), tuple(best[::-1])]


def test_two_photos_of_one_class_have_nothing_that_tells_them_apart(inside: Inside, jpeg: bytes):
    told = inside.ask("POST", "/v1/compare", form(jpeg, jpeg), {"Content-Type": FORM}).told["pair"]
    assert told["classes"][0] == told["classes"][1]
    assert told["heatmaps"] == []


@pytest.mark.parametrize("count", [1, 3])
def test_compare_takes_two_photos(inside: Inside, jpeg: bytes, count: int):
    reply = inside.ask("POST", "/v1/compare", form(*[jpeg] * count), {"Content-Type": FORM})
    assert (reply.status, reply.code) == (422, "wrong_count")


def test_classes_say_what_can_be_asked(inside: Inside):
    told = inside.ask("GET", "/v1/classes").told
    assert told["classes"] == list(CLASSES)
    assert told["groups"] == {"kind": ["insect", "insect", "mammal"]}
    assert told["calibrated"] is True
    assert told["offers"] == {"maps": True, "neighbours": True, "refuse": 0.017, "coverage": 0.983}  # 60 photos
    assert told["limits"] == {"megabytes": QUIET.megabytes, "photos": 16}


def test_what_a_model_does_not_offer_is_refused(tmp_path: Path, jpeg: bytes):
    told = manifest(
        outputs=("logits", "probabilities", "embedding"), no_maps="the pool is no average", calibrated=False
    )
    with Inside(QUIET, write_model(tmp_path / "bare.onnx", told)).started() as inside:
        reply = inside.predict(jpeg, query="?maps=1")
        assert (reply.status, reply.code) == (400, "no_maps")
        assert "the pool is no average" in reply.told["error"]["message"]
        assert (
            inside.ask("POST", "/v1/compare", form(jpeg, jpeg), {"Content-Type": FORM}).told["pair"]["heatmaps"] == []
        )
        for query in ("neighbours=1", "refuse=0.1", "coverage=0.9"):
            assert inside.predict(jpeg, query=f"?{query}").status == 400
        assert inside.predict(jpeg, query="?certainty=0.9").status == 200
        offers = {"maps": False, "neighbours": False, "refuse": None, "coverage": None}
        assert inside.ask("GET", "/v1/classes").told["offers"] == offers


def test_health_and_metrics(inside: Inside, jpeg: bytes):
    assert inside.ask("GET", "/healthz").told == {"status": "alive"}
    assert inside.ask("GET", "/readyz").told == {"status": "ready"}
    inside.predict(jpeg)
    page = inside.ask("GET", "/metrics").body.decode()
    assert float(re.findall(r'fieldmark_requests_total\{path="/v1/predict",status="200"\} (\S+)', page)[0]) >= 1
    assert "fieldmark_decoders 1.0" in page


def test_the_golden_answer_must_stay_the_same(inside: Inside):
    engine = inside.engine
    kept, engine._expected, engine._tried = engine._expected, engine._expected[:, ::-1].copy(), -1e9
    try:
        reply = inside.ask("GET", "/readyz")
    finally:
        engine._expected, engine._tried = kept, -1e9
    assert (reply.status, reply.code) == (503, "not_ready")
    assert reply.headers["retry-after"]


def test_heads_have_no_body(inside: Inside):
    reply = inside.ask("HEAD", "/healthz")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 0


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v1/predict", 405), ("POST", "/healthz", 405), ("OPTIONS", "/v1/predict", 405), ("TRACE", "/healthz", 405),
    ("GET", "/v1/nothing", 404), ("GET", "/page/index.html", 404), ("GET", "/../serving/app.py", 404),
])  # fmt: skip
def test_other_paths_and_methods(inside: Inside, method: str, path: str, status: int):
    reply = inside.ask(method, path)
    assert reply.status == status
    assert ("allow" in reply.headers) == (reply.status == 405)


def test_what_goes_around_every_answer(inside: Inside, jpeg: bytes):
    for reply in (
        inside.predict(jpeg),
        inside.predict(b"x"),
        inside.ask("GET", "/nothing"),
        inside.ask("GET", "/metrics"),
    ):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "server" not in reply.headers
        assert int(reply.headers["content-length"]) == len(reply.body)


def test_ids_of_requests(inside: Inside, jpeg: bytes):
    assert inside.predict(jpeg, headers={"X-Request-ID": "abc.1-2_3"}).headers["x-request-id"] == "abc.1-2_3"
    for wrong in ("a b", "x" * 65, "é", 'a"b', "a\tb"):
        reply = inside.predict(jpeg, headers={"X-Request-ID": wrong})
        assert re.fullmatch("[0-9a-f]{24}", reply.headers["x-request-id"])
        assert reply.told["request_id"] == reply.headers["x-request-id"]


def test_logs_say_nothing_of_photos(inside: Inside):
    secret = encoded(photo(), "JPEG", exif=b"Exif\0\0GPS 51.4779 N")
    inside.ask(
        "POST",
        "/v1/predict",
        form(secret, names=["at-home.jpg"]),
        {"Content-Type": FORM, "Authorization": "Bearer t0ken"},
    )
    event = inside.events[-1]
    assert (event["event"], event["path"], event["status"], event["images"]) == ("request", "/v1/predict", 200, 1)
    text = json.dumps(inside.events, default=str)
    for word in ("at-home", "51.4779", "t0ken", "JFIF"):
        assert word not in text


def test_a_failure_of_the_server_is_told_without_details(inside: Inside, monkeypatch: pytest.MonkeyPatch, jpeg: bytes):
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("fieldmark.serving.answers.Answers.results", fail)
    reply = inside.predict(jpeg)
    assert (reply.status, reply.code) == (500, "failed")
    assert b"secret" not in reply.body
    assert inside.events[-2]["error"] == "RuntimeError"
    assert "secret" not in json.dumps(inside.events, default=str)


def test_slow_bodies_are_refused(model_file: Path, jpeg: bytes):
    settings = replace(QUIET, body_s=0.2)
    with Inside(settings, model_file).started() as inside:

        async def never() -> MutableMapping[str, Any]:
            await asyncio.sleep(0.05)
            return {"type": "http.request", "body": b"\r\n", "more_body": True}

        reply = inside.run(asked(inside.app, "POST", "/v1/predict", [], {"Content-Type": FORM}, receive=never))
        assert (reply.status, reply.code) == (408, "too_slow")
        assert reply.headers["connection"] == "close"


def test_what_was_not_begun_is_dropped_when_the_client_leaves(inside: Inside, jpeg: bytes):
    body = form(*[jpeg] * 16)

    async def leave() -> tuple[int, int]:
        messages = [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]

        async def receive() -> MutableMapping[str, Any]:
            return messages.pop(0)

        before = inside.engine.network.photos
        await asked(inside.app, "POST", "/v1/predict", [], {"Content-Type": FORM}, receive=receive)
        taken = inside.engine.taken
        await asyncio.sleep(0.3)
        return taken, inside.engine.network.photos - before

    taken, computed = inside.run(leave())
    assert taken == 0
    assert computed <= 2  # what a process already had
    assert inside.events[-1]["status"] == 499
