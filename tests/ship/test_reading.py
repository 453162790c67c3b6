"""Photos read in other processes: in order, with the same pixels, and whatever becomes of the processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from fieldmark.data.dataset import Box, Photo
from fieldmark.errors import UserError
from fieldmark.recipe import Pixels
from fieldmark.ship import reading
from fieldmark.ship.reading import AHEAD, BATCH, Reader, Views, blank, in_batches, read_views, streamed
from small_runs import write_photo

PIXELS = Pixels(size=32, eval_size=32)
# What ends the process that reads a photo of this name, or holds it up; the others are read as ever.
TROUBLE = """
import os, signal, time
from fieldmark.ship import reading
whole = reading.read_image
def read_image(path, *, name, limits):
    if "segfault" in path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "raises" in path.name:
        raise RuntimeError("a decoder's own trouble")
    if "once" in path.name and not path.with_suffix(".seen").exists():
        path.with_suffix(".seen").touch()
        os._exit(3)
    if "endless" in path.name:
        while True:
            pass
    return whole(path, name=name, limits=limits)
reading.read_image = read_image
reading.SECONDS = 1
reading.serve()
"""


def photos_in(folder: Path, names: Sequence[str]) -> list[Photo]:
    paths = [write_photo(folder / f"{name}.jpg", label=0, number=number) for number, name in enumerate(names)]
    return [Photo(str(path), path) for path in paths]


@pytest.fixture
def reader() -> Iterator[Reader]:
    found = Reader(PIXELS)
    yield found
    found.close()


def test_pixels_and_reasons_are_those_of_this_process(reader: Reader, tmp_path: Path) -> None:
    photos = photos_in(tmp_path, ["a", "b\n", "caf\udce9 鷺"])
    photos += [Photo("bad", tmp_path / "bad.jpg"), photos[0]]
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    for _ in range(2):  # one process reads batch after batch
        found, expected = reader.read(photos), read_views(photos, PIXELS)
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        assert found.reasons == expected.reasons == {3: "text, not an image"}
    assert (found.pixels[3] == 128).all()
    assert not reader.read([]).reasons


def test_boxes_go_along(tmp_path: Path) -> None:
    (photo,) = photos_in(tmp_path, ["a"])
    boxed = Photo(photo.name, photo.path, box=Box(3.5, 4, 30, 20))
    pixels = Pixels(size=32, eval_size=32, fit="box")
    reader = Reader(pixels)
    np.testing.assert_array_equal(reader.read([boxed]).pixels, read_views([boxed], pixels).pixels)
    with pytest.raises(UserError, match="give the object's box"):
        reader.read([photo])
    np.testing.assert_array_equal(reader.read([boxed]).pixels, read_views([boxed], pixels).pixels)
    reader.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_photo_that_ends_its_reader_is_as_one_that_cannot_be_read(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PROGRAM", f"exec({TROUBLE!r})")
    photos = photos_in(tmp_path, ["a", "segfault", "b", "once", "raises", "endless", "c"])
    found, expected = reader.read(photos), read_views(photos, PIXELS)
    assert found.reasons == {
        1: "crashes the decoder (exit code -11)",
        4: "crashes the decoder (RuntimeError: a decoder's own trouble)",
        5: "takes too long to decode",
    }
    for row in (0, 2, 3, 6):
        np.testing.assert_array_equal(found.pixels[row], expected.pixels[row])
    assert (found.pixels[[1, 4, 5]] == 128).all()


def test_a_reader_that_was_stopped_starts_no_other(tmp_path: Path) -> None:
    reader = Reader(PIXELS)
    reader.stop()
    with pytest.raises(UserError, match="was stopped"):
        reader.read(photos_in(tmp_path, ["a"]))
    reader.close()


def named(count: int) -> Iterator[Photo]:
    for number in range(count):
        yield Photo(str(number), Path("nowhere") / str(number))


def test_answers_come_in_order_whoever_is_first() -> None:
    def answer(photos: Sequence[Photo], views: Views) -> list[str]:
        time.sleep(0.05 if photos[0].name == "0" else 0)
        assert set(views.reasons.values()) == {"no such file"}
        return [photo.name for photo in photos]

    count = 3 * BATCH + 1
    found = list(streamed(named(count), PIXELS, answer, workers=2))
    assert [name for names in found for name in names] == [str(number) for number in range(count)]
    assert [len(names) for names in found] == [BATCH] * 3 + [1]
    assert list(streamed([], PIXELS, answer, workers=1)) == []
    assert [len(batch) for batch in in_batches(named(BATCH + 1))] == [BATCH, 1]


def test_photos_are_taken_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, no more than a few batches are out."""
    monkeypatch.setattr(Reader, "read", lambda self, photos: Views(blank(len(photos), self._pixels), {}))
    taken = 0

    def endless() -> Iterator[Photo]:
        nonlocal taken
        while True:
            taken += 1
            yield Photo("a", Path("a"))

    stream = streamed(endless(), PIXELS, lambda photos, views: len(photos), workers=2)
    for batch in range(1, 20):
        assert next(stream) == BATCH
        assert taken <= (batch + 2 * AHEAD) * BATCH
    stream.close()


def test_it_ends_at_once_when_nobody_listens_or_an_answer_fails(tmp_path: Path) -> None:
    photos = photos_in(tmp_path, [str(number) for number in range(2 * BATCH)])
    before = threading.active_count()
    stream = streamed(photos * 50, PIXELS, lambda photos, views: len(photos), workers=2)
    assert next(stream) == BATCH
    stream.close()

    def fails(photos: Sequence[Photo], views: Views) -> int:
        raise UserError("onnxruntime cannot compute it")

    with pytest.raises(UserError, match="onnxruntime cannot compute it"):
        list(streamed(photos * 50, PIXELS, fails, workers=2))
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_readers_end_with_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import os, sys, signal\nfrom fieldmark.ship.reading import *\nfrom fieldmark.recipe import Pixels\n"
        "reader = Reader(Pixels(size=32, eval_size=32))\nreader.read([])\n"
        "print(reader._child.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    end = time.monotonic() + 20
    while time.monotonic() < end and _is_running(int(done.stdout)):
        time.sleep(0.05)
    assert not _is_running(int(done.stdout))


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        try:
            os.kill(process, 0)
        except OSError:
            return False
        return not Path("/proc/self/stat").exists()
    return state != "Z"
