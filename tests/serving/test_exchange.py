"""Requests and answers over ASGI."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from fieldmark.serving.exchange import Answer, Call, Gone, in_json, of_refusal, sent
from fieldmark.serving.refused import Refused


def call(*messages: dict[str, Any], headers: tuple[tuple[bytes, bytes], ...] = ()) -> Call:
    left = list(messages)

    async def receive() -> MutableMapping[str, Any]:
        return left.pop(0)

    return Call({"method": "POST", "path": "/", "query_string": b"", "headers": [*headers]}, receive)


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def chunks_of(asked: Call) -> list[bytes]:
    return [chunk async for chunk in asked.chunks()]


def test_bodies_come_in_chunks():
    asked = call(part(b"a"), part(b""), part(b"b", more=False))
    assert asyncio.run(chunks_of(asked)) == [b"a", b"b"]
    assert asked.is_read


def test_a_client_may_go_away_before_the_end():
    with pytest.raises(Gone):
        asyncio.run(chunks_of(call(part(b"a"), {"type": "http.disconnect"})))


def test_what_is_left_of_a_body_is_skipped():
    asked = call(part(b"a"), part(b"b", more=False))
    asyncio.run(asked.skip_body())
    assert asked.is_read
    vast = call(*[part(bytes(10**7))] * 12)
    asyncio.run(vast.skip_body())
    assert not vast.is_read
    expecting = call(headers=((b"expect", b"100-continue"),))
    asyncio.run(expecting.skip_body())
    assert not expecting.is_read
    asyncio.run(call({"type": "http.disconnect"}).skip_body())


def test_ids():
    assert call(headers=((b"x-request-id", b"a-1"),)).id == "a-1"
    made = call()
    assert made.id == made.id != call().id


def test_answers_are_sent_in_full():
    messages: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    asyncio.run(sent(send, Answer(200, b"abc", headers={"A": "own"}), {"A": "around", "B": "2"}, with_body=False))
    start, body = messages
    assert dict(start["headers"]) == {
        b"content-type": b"application/json", b"content-length": b"3", b"a": b"own", b"b": b"2",
    }  # fmt: skip
    assert body["body"] == b""


def test_json_is_compact_and_takes_any_text():
    assert in_json({"é": ["\ud800", 1.5]}).body == '{"é":["\\ud800",1.5]}'.encode()
    answer = of_refusal(Refused(429, "too_often", "wait", retry_after=3), "id")
    assert answer.body == b'{"error":{"code":"too_often","message":"wait"},"request_id":"id"}'
    assert answer.headers == {"Retry-After": "3"}
