"""The gallery in a file's metadata: there and back, and refused where it is none or does not fit."""

import base64
import io

import numpy as np
import pytest

from fieldmark.errors import UserError
from fieldmark.ship.gallery import ModelGallery, gallery_from_text, gallery_to_text
from tiny_models import WIDTH, gallery


def text_of(*, packed: bool = False, **changes: object) -> str:
    """A gallery's arrays with some in the place of others; None leaves one out."""
    whole = gallery()
    arrays = {"labels": whole.labels, "embeddings": whole.embeddings, "names": np.array(whole.names)}
    arrays |= {name: np.asarray(array) for name, array in changes.items() if array is not None}
    file = io.BytesIO()
    save = np.savez_compressed if packed else np.savez
    save(file, **{name: array for name, array in arrays.items() if changes.get(name, 0) is not None})
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("thumbnails", [False, True])
def test_there_and_back(thumbnails: bool) -> None:
    before = gallery(thumbnails=thumbnails)
    text = gallery_to_text(before)
    assert text.isascii()
    after = gallery_from_text(text, classes=3, embedding=WIDTH)
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_array_equal(after.embeddings, before.embeddings)
    assert (after.labels.dtype, after.embeddings.dtype) == (np.int64, np.float32)
    assert (after.names, after.thumbnails) == (before.names, before.thumbnails)
    assert len(after.thumbnails) == 9 * thumbnails


def test_names_in_any_script_and_a_single_photo() -> None:
    one = ModelGallery(np.zeros(1, np.int64), np.ones((1, 2), np.float16), ("鷺/\U0001f426 é.jpg",))
    assert gallery_from_text(gallery_to_text(one), classes=1, embedding=2).names == one.names


@pytest.mark.parametrize(
    "text",
    [
        "", "no Base64!", base64.b64encode(b"no archive").decode(), text_of()[:-400], text_of(packed=True),
        text_of(labels=None), text_of(names=np.array([None] * 9)),
    ],
)  # fmt: skip
def test_what_is_no_gallery(text: str) -> None:
    with pytest.raises(UserError, match=r"^its gallery cannot be read \(") as caught:
        gallery_from_text(text, classes=3, embedding=WIDTH)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        text_of(labels=np.full(9, 3)), text_of(labels=np.full(9, -1)), text_of(labels=np.zeros(8, np.int64)),
        text_of(labels=np.zeros((9, 1), np.int64)), text_of(labels=np.zeros(9)), text_of(names=np.array(["a"])),
        text_of(embeddings=np.zeros((9, WIDTH + 1), np.float16)), text_of(embeddings=np.zeros((9, WIDTH), np.float32)),
        text_of(embeddings=np.full((9, WIDTH), np.nan, np.float16)),
    ],
)  # fmt: skip
def test_what_does_not_fit(text: str) -> None:
    with pytest.raises(UserError, match=r"^its gallery does not fit its classes and its embedding$"):
        gallery_from_text(text, classes=3, embedding=WIDTH)


@pytest.mark.parametrize("ends", [None, range(1, 9), range(9), [5, *range(1, 9)], [*range(8), 11], np.ones(9)])
def test_pictures_that_do_not_fit(ends: object) -> None:
    text = text_of(thumbnails=np.zeros(10, np.uint8), thumbnail_ends=ends)
    with pytest.raises(UserError, match=r"^the pictures of its gallery do not fit its photos$"):
        gallery_from_text(text, classes=3, embedding=WIDTH)
