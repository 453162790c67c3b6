"""Bodies: forms in chunks of any size, names, and what is refused."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from asking import BOUNDARY, FORM, form

from fieldmark.serving.bodies import Allowed, Held, Upload, name_of, photos_of
from fieldmark.serving.refused import Refused

ALLOWED = Allowed(10_000, 4)
AS_BEFORE = bytes(range(256)) + b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\r"


def read(
    chunks: Sequence[bytes], kind: str = FORM, allowed: Allowed = ALLOWED, held: Held | None = None
) -> list[Upload]:
    async def give() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def work() -> list[Upload]:
        with (held or Held(10**6)).share() as take:
            return await photos_of(give(), kind, allowed=allowed, take=take)

    return asyncio.run(work())


def refusal(chunks: Sequence[bytes], kind: str = FORM, allowed: Allowed = ALLOWED) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        read(chunks, kind, allowed)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_photos_come_out_as_they_went_in(size: int):
    body = form(AS_BEFORE, b"", b"x")
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    assert [upload.data for upload in read(chunks)] == [AS_BEFORE, b"", b"x"]


def test_a_photo_as_the_body():
    assert read([b"ab", b"c"], "image/png") == [Upload("image", b"abc")]
    assert read([b"ab"], "IMAGE/anything; q=1")[0].data == b"ab"


def test_bytes_are_counted_as_they_come():
    assert refusal([b"x" * 6_000, b"y" * 6_000], "image/png") == (413, "too_large")
    assert refusal([form(bytes(11_000))]) == (413, "too_large")


def test_parts_are_counted():
    assert len(read([form(*[b"x"] * 4)])) == 4
    assert refusal([form(*[b"x"] * 5)]) == (422, "too_many")


def test_all_bodies_together_have_a_limit():
    held = Held(1000)
    with held.share() as take, pytest.raises(Refused) as caught:
        take(600)
        read([bytes(600)], "image/png", held=held)
    assert caught.value.status == 503
    assert caught.value.headers["Retry-After"]
    assert held.now == 0
    assert read([bytes(600)], "image/png", held=held)


@pytest.mark.parametrize(("kind", "wanted"), [
    ("", (415, "unsupported_type")), ("application/json", (415, "unsupported_type")),
    ("text/plain", (415, "unsupported_type")), ("multipart/mixed; boundary=x", (415, "unsupported_type")),
    ("multipart/form-data", (400, "bad_form")), ("multipart/form-data; boundary=", (400, "bad_form")),
    (f"multipart/form-data; boundary={'x' * 300}", (400, "bad_form")),
    ("multipart/form-data; boundary=other", (400, "bad_form")),
])  # fmt: skip
def test_types_that_are_refused(kind: str, wanted: tuple[int, str]):
    assert refusal([form(b"x")], kind) == wanted


HEAD = f"--{BOUNDARY}\r\n".encode()
NAMED = b'Content-Disposition: form-data; name="image"\r\n'


@pytest.mark.parametrize(("body", "wanted"), [
    (b"", (400, "bad_form")), (b"junk", (400, "bad_form")), (form(b"x")[:-8], (400, "bad_form")),
    (f"--{BOUNDARY}--\r\n".encode(), (422, "no_image")), (form(b"x", field="url"), (400, "bad_form")),
    (form(b"x", field=""), (400, "bad_form")), (HEAD + b"\r\nx", (400, "bad_form")),
    (HEAD + NAMED + b"Content-Encoding: gzip\r\n\r\nx", (415, "compressed")),
    (HEAD + NAMED + b"Content-Transfer-Encoding: base64\r\n\r\nx", (415, "compressed")),
    (HEAD + NAMED + b"A: b\r\n" * 9 + b"\r\nx", (400, "bad_form")),
    (HEAD + b"A: " + b"b" * 3000 + b"\r\n\r\nx", (400, "bad_form")),
    (HEAD + b"no header at all\r\n\r\nx", (400, "bad_form")),
])  # fmt: skip
def test_forms_that_are_refused(body: bytes, wanted: tuple[int, str]):
    assert refusal([body]) == wanted


def test_an_empty_body_is_no_photo():
    assert refusal([], "image/jpeg") == (422, "no_image")


@pytest.mark.parametrize(("given", "wanted"), [
    (b"bird.jpg", "bird.jpg"), (b"C:\\photos\\bird.jpg", "bird.jpg"), (b"../../etc/passwd", "passwd"), (b"", "image 3"),
    (b"folder/", "image 3"), ("héron ☂.jpg".encode(), "héron ☂.jpg"), (b"two\nlines", "two\\nlines"),
    (b"\xff.jpg", "\N{REPLACEMENT CHARACTER}.jpg"), (b"x" * 999, "x" * 200),
])  # fmt: skip
def test_names(given: bytes, wanted: str):
    assert name_of(given, 3) == wanted
