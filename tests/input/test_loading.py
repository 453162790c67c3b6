"""From files to batches: the same pixels whatever reads them, and damage that does not stop a run."""

import multiprocessing
import multiprocessing.synchronize
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from fieldmark.batches import Shuffled, WholeRun
from fieldmark.data.dataset import Box, Photo
from fieldmark.errors import UserError
from fieldmark.images.decode import read_image
from fieldmark.input.loading import (
    Batch,
    LostWorker,
    Photographs,
    batches_of,
    draw_into,
    in_order,
    loader_of,
    open_photo,
    size_of,
)
from fieldmark.input.views import GREY, Frame, draw, evaluation_view
from fieldmark.recipe import Pixels
from reference_views import training_view

PIXELS = Pixels(size=48, eval_size=40)
# newer Pythons warn of any fork beside threads, and torch has some
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
    # a signal may be handled while an object is deleted, where its error is only printed; the next look finds it again
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
]


def picture(seed: int, width: int = 96, height: int = 72) -> Image.Image:
    """A soft pattern, as compression and scaling change a photograph little."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Photo, ...]:
    """Twelve JPEG files of three classes."""
    folder = tmp_path_factory.mktemp("photos")
    made = []
    for index in range(12):
        path = folder / f"{index}.jpg"
        picture(index, 96 + index, 72).save(path, quality=95)
        made.append(Photo(path.name, path, label=index % 3))
    return tuple(made)


def same(first: list[Batch], second: list[Batch]) -> bool:
    """Whether two runs of batches are identical."""
    pairs = zip(first, second, strict=True)
    return all(
        all(torch.equal(x, y) for x, y in zip(a[:3], b[:3], strict=True)) and a.damaged == b.damaged for a, b in pairs
    )


def average_difference(first: np.ndarray, second: np.ndarray) -> float:
    """In levels."""
    return float(np.abs(first.astype(float) - second.astype(float)).mean())


def test_a_batch_has_pixels_labels_and_indices(photos):
    batch = Photographs(photos, PIXELS).__getitems__([(0, 5), (0, 2), (0, 9)])
    assert batch.pixels.shape == (3, 48, 48, 3)
    assert batch.pixels.dtype == torch.uint8
    assert batch.labels.tolist() == [2, 2, 0]
    assert batch.indices.tolist() == [5, 2, 9]
    assert batch.damaged == ()
    evaluated = Photographs(photos, PIXELS)[4]
    assert evaluated.pixels.shape == (1, 40, 40, 3)


def test_unlabelled_photos_have_label_minus_one(photos):
    unlabelled = [Photo(photo.name, photo.path) for photo in photos[:2]]
    assert Photographs(unlabelled, PIXELS).__getitems__([(-1, 0), (-1, 1)]).labels.tolist() == [-1, -1]


def test_a_view_depends_on_seed_epoch_and_index_alone(photos):
    data = Photographs(photos, PIXELS, seed=7)
    together = data.__getitems__([(3, 1), (3, 8), (3, 4)]).pixels
    alone = Photographs(photos, PIXELS, seed=7).__getitems__([(3, 8)]).pixels
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(alone, data.__getitems__([(4, 8)]).pixels)
    assert not torch.equal(alone, Photographs(photos, PIXELS, seed=8).__getitems__([(3, 8)]).pixels)
    more_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if more_threads == 1 else 1)
        assert torch.equal(together, data.__getitems__([(3, 1), (3, 8), (3, 4)]).pixels)
    finally:
        torch.set_num_threads(more_threads)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "box"])
def test_training_views_are_the_reference_views_but_for_rounding(photos, fit):
    boxed = [Photo(p.name, p.path, box=Box(10.5, 8.25, 60, 50)) for p in photos]
    data = Photographs(boxed, Pixels(size=64, fit=fit))
    for index in range(12):
        view = data.__getitems__([(0, index)]).pixels[0].numpy()
        rng = np.random.default_rng((0, 0, 0, index))
        expected = training_view(read_image(photos[index].path), data.pixels, rng, boxed[index].box)
        assert average_difference(view, expected) < 0.6


def test_torch_draws_what_pillow_draws():
    image = picture(3, 300, 200)
    for frame in (Frame(10, 20, 150, 120), Frame(0, 0, 300, 200), Frame(-50, 30, 200, 300), Frame(200, 100, 20, 30)):
        for size in (32, 100, 224):
            view = np.empty((size, size, 3), np.uint8)
            draw_into(view, image, frame, mirrored=False)
            assert average_difference(view, draw(image, frame, size)) < 0.5
            mirrored = np.empty_like(view)
            draw_into(mirrored, image, frame, mirrored=True)
            assert average_difference(mirrored[:, ::-1], view) < 0.1


def test_large_photos_decoded_smaller_give_nearly_the_same_views(tmp_path):
    picture(1, 901, 700).save(tmp_path / "large.jpg", quality=95)
    picture(1, 901, 700).save(tmp_path / "large.png")
    views = []
    for name in ("large.jpg", "large.png"):
        data = Photographs([Photo(name, tmp_path / name)], PIXELS)
        views.append(data.__getitems__([(epoch, 0) for epoch in range(10)]).pixels.numpy())
        view = data.random_view(0, 0)
        reduced = open_photo(data.photos[0], reduce_to=view.side_needed)
        assert (reduced.width < 500) == (name == "large.jpg")
    assert average_difference(*views) < 2


def test_turned_photos_are_drawn_upright_at_any_scale(tmp_path):
    upright = picture(2, 500, 800)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    upright.save(tmp_path / "upright.jpg", quality=95)
    data = Photographs([Photo(n, tmp_path / n) for n in ("turned.jpg", "upright.jpg")], PIXELS)
    for epoch in range(4):
        both = []
        for photo in data.photos:
            view = data.random_view(epoch, 0)
            image = open_photo(photo, reduce_to=view.side_needed)
            assert image.width < 300
            both.append(np.empty((48, 48, 3), np.uint8))
            draw_into(both[-1], image, view.area(image.size), mirrored=view.mirrored)
        assert average_difference(*both) < 2


def test_evaluation_is_the_plain_view(photos):
    batch = Photographs(photos, PIXELS).__getitems__([(-1, index) for index in range(4)])
    for index in range(4):
        expected = evaluation_view(read_image(photos[index].path), PIXELS)
        np.testing.assert_array_equal(batch.pixels[index].numpy(), expected)


def test_workers_change_nothing(photos):
    run = WholeRun(Shuffled(5), [p.label or 0 for p in photos], seed=1, epochs=2)
    data = Photographs(photos, PIXELS, seed=1)
    alone = list(batches_of(loader_of(data, run, workers=0)))
    assert len(alone) == 4
    for workers in (1, 2):
        assert same(alone, list(batches_of(loader_of(data, run, workers=workers, start="fork"))))
    rest = WholeRun(Shuffled(5), [p.label or 0 for p in photos], seed=1, epochs=2, first=3)
    assert same(alone[3:], list(batches_of(loader_of(data, rest, workers=0))))


def test_spawned_workers_give_the_same(photos):
    data = Photographs(photos, PIXELS)
    assert same(
        list(batches_of(loader_of(data, in_order(12, 8), workers=0))),
        list(batches_of(loader_of(data, in_order(12, 8), workers=1))),
    )
    spawned = list(batches_of(loader_of(data, [[(0, 3), (0, 4)]], workers=1, start="spawn")))
    assert same(spawned, [data.__getitems__([(0, 3), (0, 4)])])


@pytest.mark.slow
def test_spawned_workers_stopped_while_sending_exit_cleanly(photos, monkeypatch: pytest.MonkeyPatch):
    ended: list[int | None] = []
    stop = _MultiProcessingDataLoaderIter._shutdown_workers

    def watched(self: Any) -> None:
        stop(self)  # raises where one was aborted
        ended.extend(worker.exitcode for worker in self._workers)

    monkeypatch.setattr(_MultiProcessingDataLoaderIter, "_shutdown_workers", watched)
    large = Photographs(photos, Pixels(size=1600, eval_size=1600))  # as long in sending as can be
    for _ in range(6):
        batches = iter(loader_of(large, [[(0, 3), (0, 4)]] * 50, workers=2, start="spawn"))
        next(batches)
        batches._shutdown_workers()  # pyright: ignore[reportAttributeAccessIssue]
    assert ended[:12] == [0] * 12


def no_room(self: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")


def test_photos_come_through_a_pipe_where_shared_memory_is_full(photos, monkeypatch: pytest.MonkeyPatch):
    data, batches = Photographs(photos, Pixels(size=224, eval_size=224)), in_order(len(photos), 5)
    alone = list(batches_of(loader_of(data, batches, workers=0)))
    monkeypatch.setattr(torch.Tensor, "share_memory_", no_room)
    assert same(alone, list(batches_of(loader_of(data, batches, workers=2, start="fork"))))


def death(batches: Iterator[Batch], *, killed: int = 0) -> str:
    """The message, within a minute, about a worker that died; by the signal ``killed`` if it is given."""
    begun, others = time.monotonic(), {process.pid for process in multiprocessing.active_children()}
    with pytest.raises(LostWorker) as error:
        if killed:
            next(batches)
            os.kill(min({process.pid or 0 for process in multiprocessing.active_children()} - others), killed)
        list(batches)
    assert time.monotonic() - begun < 60
    first, second = str(error.value).splitlines()
    assert second == "do this"
    return first


def test_a_batch_that_cannot_be_sent_ends_the_wait_for_it(photos, monkeypatch: pytest.MonkeyPatch, capfd):
    def failing(self: Batch) -> tuple[object, ...]:
        raise MemoryError("no memory to send it")

    monkeypatch.setattr(Batch, "__reduce__", failing)
    loader = loader_of(Photographs(photos, PIXELS), in_order(12, 4), workers=2, start="fork")
    assert "(exit code 1)" in death(batches_of(loader, advice="do this"))
    assert "no memory to send it" in capfd.readouterr().err


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed by signals on POSIX")
@pytest.mark.parametrize(
    ("number", "start"), [("SIGKILL", "fork"), ("SIGSEGV", "fork"), ("SIGBUS", "fork"), ("SIGKILL", "spawn")]
)
def test_a_process_that_is_killed_ends_the_wait_for_it(photos, number: str, start: str):
    before = signal.getsignal(signal.SIGCHLD)
    loader = loader_of(Photographs(photos, PIXELS), in_order(12, 1) * 50, workers=2, start=start)
    words = death(batches_of(loader, advice="do this"), killed=getattr(signal, number))
    assert words == f"a process that reads photos has died ({number}): too little memory?"
    assert signal.getsignal(signal.SIGCHLD) is before


def test_a_process_that_is_killed_while_it_sends_ends_the_wait_for_it(photos, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.Tensor, "share_memory_", no_room)
    large = Photographs(photos, Pixels(size=1600, eval_size=1600))  # long in the pipe
    for _ in range(3):
        loader = loader_of(large, in_order(12, 1) * 50, workers=2, start="fork")
        assert death(batches_of(loader, advice="do this"), killed=signal.SIGKILL)


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Every worker waits at its first batch, the lock of the event that tells it to stop in its hands; kills them."""
    parent, is_set, pipe = os.getpid(), multiprocessing.synchronize.Event.is_set, os.pipe()

    def deadly(self: Any) -> bool:
        if os.getpid() != parent:
            self._cond.acquire(block=False)  # the second finds it taken
            os.read(pipe[0], 1)
            os.kill(os.getpid(), signal.SIGKILL)
        return is_set(self)

    monkeypatch.setattr(multiprocessing.synchronize.Event, "is_set", deadly)
    return lambda: (os.write(pipe[1], b"12"), None)[1]


def test_a_process_that_is_killed_with_a_lock_in_its_hands_stops_no_other(photos, kill):
    loader = loader_of(Photographs(photos, PIXELS), in_order(12, 1), workers=2, start="fork")
    threading.Timer(0.5, kill).start()
    assert "SIGKILL" in death(batches_of(loader, advice="do this"))
    kill()
    assert len(in_a_thread(lambda: death(batches_of(loader, advice="do this")))) == 1


def test_nor_does_it_where_no_more_batches_are_wanted(photos, kill, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_MultiProcessingDataLoaderIter, "_next_data", lambda _: "a batch")
    batches: Any = batches_of(loader_of(Photographs(photos, PIXELS), in_order(12, 1), workers=2, start="fork"))
    others = set(multiprocessing.active_children())
    assert next(batches) == "a batch"
    workers = set(multiprocessing.active_children()) - others
    kill()
    for process in workers:
        process.join()
    begun = time.monotonic()
    batches.close()
    assert time.monotonic() - begun < 30


def test_in_a_thread_a_process_that_is_killed_ends_the_wait_for_it(photos):
    loader = loader_of(Photographs(photos, PIXELS), in_order(12, 1) * 50, workers=2)
    assert len(in_a_thread(lambda: death(batches_of(loader, advice="do this"), killed=signal.SIGKILL))) == 1


def test_in_a_thread_too_while_it_sends(photos, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.Tensor, "share_memory_", no_room)
    large = Photographs(photos, Pixels(size=1600, eval_size=1600))
    before = set(multiprocessing.active_children())
    for _ in range(3):
        loader = loader_of(large, in_order(12, 1) * 50, workers=2, start="fork")
        assert len(in_a_thread(lambda it=loader: death(batches_of(it, advice="do this"), killed=signal.SIGKILL))) == 1
    for process in set(multiprocessing.active_children()) - before:
        process.join(60)
    assert set(multiprocessing.active_children()) <= before  # none of them reads on


def test_in_a_thread_batches_and_errors_are_the_same(photos, monkeypatch: pytest.MonkeyPatch):
    loader = loader_of(Photographs(photos, PIXELS), in_order(12, 5), workers=2, start="fork")
    assert in_a_thread(lambda: [len(batch.labels) for batch in batches_of(loader)]) == [[5, 5, 2]]

    def failing(*_: object) -> None:
        raise UserError("one line\nand another")

    monkeypatch.setattr(Photographs, "__getitems__", failing)
    loader = loader_of(Photographs(photos, PIXELS), in_order(12, 5), workers=1, start="fork")

    def refused() -> str:
        with pytest.raises(UserError) as error:
            list(batches_of(loader))
        return str(error.value)

    assert in_a_thread(refused) == ["one line\nand another"]


def in_a_thread(work: Callable[[], Any]) -> list[Any]:
    """What it returns in a thread of its own, within a minute."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(60)
    return results


def test_other_errors_are_raised_unchanged(photos, monkeypatch: pytest.MonkeyPatch):
    def failing(*_: object) -> None:
        raise RuntimeError("an ordinary error")

    monkeypatch.setattr(Photographs, "__getitems__", failing)
    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="an ordinary error"):
            list(batches_of(loader_of(Photographs(photos, PIXELS), in_order(4, 2), workers=workers)))


SMALL_SHM = """
import sys
from pathlib import Path
from fieldmark.data.dataset import Photo
from fieldmark.input.loading import Photographs, batches_of, in_order, loader_of
from fieldmark.recipe import Pixels
photos = [Photo(path.name, path) for path in sorted(Path(sys.argv[1]).glob("*.jpg"))]
loader = loader_of(Photographs(photos, Pixels(eval_size=448)), in_order(len(photos), 4) * 4, workers=2)
print(sum(int(batch.pixels.shape[0]) for batch in batches_of(loader)))
"""


@pytest.mark.parametrize("size", ["1m", "4k"])
def test_a_small_shared_memory_is_enough(photos, size: str):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this user may not mount a small /dev/shm of their own (unshare -rm)")
    script = f'mount -t tmpfs -o size={size} none /dev/shm && exec "$@"'
    words = ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-c", SMALL_SHM, str(photos[0].path.parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, env=environment)
    assert done.stdout == "48\n", done.stderr


def test_inference_takes_every_photo_once_in_order(photos):
    batches = list(batches_of(loader_of(Photographs(photos, PIXELS), in_order(len(photos), 5), workers=0)))
    assert [batch.indices.tolist() for batch in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    assert in_order(0, 5) == []


@pytest.fixture
def with_damage(photos: tuple[Photo, ...], tmp_path: Path) -> tuple[Photo, ...]:
    """The same photos, but 3 is cut short and 4 is gone."""
    (tmp_path / "short.jpg").write_bytes(photos[3].path.read_bytes()[:700])
    damaged = list(photos)
    damaged[3] = Photo("birds/short.jpg", tmp_path / "short.jpg", label=0)
    damaged[4] = Photo("gone.jpg", tmp_path / "gone.jpg", label=1)
    return tuple(damaged)


def test_in_training_another_photo_takes_the_place_of_a_damaged_one(with_damage):
    data = Photographs(with_damage, PIXELS)
    batch = data.__getitems__([(0, 2), (0, 3), (0, 4)])
    assert batch.indices.tolist() == [2, 5, 5]
    assert batch.labels.tolist() == [2, 2, 2]
    assert torch.equal(batch.pixels[1:2], data.__getitems__([(0, 5)]).pixels)
    assert batch.damaged == ((3, "birds/short.jpg: truncated JPEG"), (4, "gone.jpg: no such file"))


def test_in_evaluation_a_damaged_photo_is_grey(with_damage):
    batch = Photographs(with_damage, PIXELS).__getitems__([(-1, 3), (-1, 5)])
    assert batch.indices.tolist() == [3, 5]
    assert batch.labels.tolist() == [0, 2]
    assert (batch.pixels[0] == GREY).all()
    assert (batch.pixels[1] != GREY).any()
    assert batch.damaged == ((3, "birds/short.jpg: truncated JPEG"),)


def test_training_stops_where_nothing_can_be_read(tmp_path):
    gone = [Photo(f"{i}.jpg", tmp_path / f"{i}.jpg", label=0) for i in range(3)]
    with pytest.raises(UserError, match=r"1\.jpg: no such file\nand 2 photos after it .* is the folder still there"):
        Photographs(gone, PIXELS).__getitems__([(0, 1)])


def test_a_box_outside_the_image_stops_training_and_damages_a_row_in_evaluation(photos):
    outside = Photographs([Photo(photos[0].name, photos[0].path, box=Box(900, 900, 5, 5))], Pixels(fit="box"))
    with pytest.raises(UserError, match="outside the picture"):
        outside.__getitems__([(0, 0)])
    ((index, line),) = outside.__getitems__([(-1, 0)]).damaged
    assert index == 0
    assert line.startswith(photos[0].name)
    assert "outside the picture" in line


def test_a_banner_is_cut_off(tmp_path):
    image = Image.new("RGB", (300, 240), "white")
    image.paste("black", (0, 200, 300, 240))
    image.save(tmp_path / "trap.png")
    photo = Photo("trap.png", tmp_path / "trap.png", trim_bottom=40)
    assert open_photo(photo).size == size_of(photo) == (300, 200)
    data = Photographs([photo], Pixels(size=48, eval_size=48, eval_crop=1.0))
    batch = data.__getitems__([(epoch, 0) for epoch in range(30)])
    assert (batch.pixels == 255).all()
    assert (data[0].pixels == 255).all()


def test_packed_pixels_need_no_files(tmp_path):
    packed = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    members = [Photo(f"{i}", tmp_path, label=i, row=3 - i) for i in range(4)]
    data = Photographs(members, Pixels(size=32, eval_size=32, eval_crop=1.0), packed=packed)
    batch = data.__getitems__([(-1, 0), (-1, 3)])
    np.testing.assert_array_equal(batch.pixels.numpy(), packed[[3, 0]])
    assert data.__getitems__([(0, 1)]).pixels.shape == (1, 32, 32, 3)
    assert size_of(members[0], packed=packed) == (32, 32)


def test_real_photos_give_the_reference_views(shared_data):
    paths = sorted((shared_data / "CUB_200_2011" / "images").glob("*/*.jpg"))[:8]
    data = Photographs([Photo(path.name, path) for path in paths], Pixels())
    batch = data.__getitems__([(0, index) for index in range(8)])
    for index, path in enumerate(paths):
        expected = training_view(read_image(path), data.pixels, np.random.default_rng((0, 0, 0, index)))
        assert average_difference(batch.pixels[index].numpy(), expected) < 0.3
