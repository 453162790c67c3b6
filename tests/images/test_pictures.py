"""A picture in any form has the pixels and the refusals of its file; what is no picture is refused by its type."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.errors import UnreadableImage, UserError
from fieldmark.images.decode import read_image
from fieldmark.images.guard import up_to
from fieldmark.images.pictures import held, read_picture


def write_picture(path: Path, *shape: int) -> np.ndarray:
    """A lossless file and its pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@contextmanager
def in_memory(path: Path) -> Iterator[dict[str, Any]]:
    """A file's picture in each form other than a path."""
    content, written = path.read_bytes(), io.BytesIO()
    written.write(content)  # and left at its end
    with path.open("rb") as file, Image.open(path) as opened:
        yield {
            "bytes": content,
            "bytearray": bytearray(content),
            "memoryview": memoryview(content),
            "open file": file,
            "written buffer": written,
            "opened picture": opened,
        }


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 3), (40, 30, 4)], ids=["grey", "RGB", "RGBA"])
def test_every_form_has_the_pixels_of_the_file(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = write_picture(path, *shape)
    wanted = np.asarray(read_image(path))
    strided = pixels[::-1].copy()[::-1]
    with in_memory(path) as forms:
        for form, picture in {"path": path, "text": str(path), "array": pixels, "view": strided, **forms}.items():
            np.testing.assert_array_equal(np.asarray(read_picture(picture)), wanted, err_msg=form)


@pytest.mark.parametrize("shape", [(40, 5, 3), (1100, 1000, 3)], ids=["small", "large"])
def test_every_form_has_the_refusals_of_the_file(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = write_picture(path, *shape)
    with in_memory(path) as forms:
        reasons = {reason_of(picture) for picture in (path, pixels, *forms.values())}
    assert len(reasons) == 1, reasons


def test_damage_is_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path, 40, 30, 3)
    with Image.open(path) as closed:
        pass
    path.write_bytes(path.read_bytes()[:2000])
    with in_memory(path) as forms:
        damaged = [path, closed, b"", b"text", *forms.values(), np.zeros((0, 9, 3), np.uint8), Image.new("RGB", (0, 0))]
        assert all(map(reason_of, damaged))


def reason_of(picture: Any) -> str:
    with pytest.raises(UnreadableImage) as error:
        read_picture(picture, limits=up_to(1))
    return error.value.reason


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "of type NoneType"),
        (3, "of type int"),
        ({"path": "a.jpg"}, "of type dict"),
        (["a.jpg"], "of type list"),
        (object, "of type type"),
        (io.StringIO("a"), "opened as text"),
        (np.zeros((9, 9, 3)), r"an array of float64 and shape \(9, 9, 3\)"),
        (np.zeros((3, 9, 9), np.uint8), r"shape \(3, 9, 9\)"),
        (np.zeros((2, 9, 9, 3), np.uint8), r"shape \(2, 9, 9, 3\)"),
        (np.zeros(9, np.uint8), r"shape \(9,\)"),
        (np.array(["a.jpg"]), "an array of <U5"),
    ],
)
def test_what_is_no_picture_is_named_in_a_line(source: Any, said: str) -> None:
    with pytest.raises(UserError, match=rf"^inputs\[2\] is .*{said}") as error:
        held(source, name="inputs[2]")
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(UserError, match=said):
        read_picture(source)
