"""Logits of photos: in order, in eval mode, one batch size or another."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from fieldmark.data.dataset import Box, Photo
from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError
from fieldmark.evaluation import inference
from fieldmark.evaluation.inference import in_eval_mode, infer, stream
from fieldmark.input.loading import Photographs, batches_of, loader_of
from fieldmark.runs.folder import open_run


@pytest.fixture
def views(photos: Path, trained: Path) -> Photographs:
    return Photographs(read_dataset(photos).photos, open_run(trained).recipe.pixels)


def test_rows_are_in_order_whatever_the_batch(
    views: Photographs, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = open_run(trained).learner.method
    done: list[int] = []
    whole = infer(method, views, method=method, progress=done.append)
    assert whole.values.shape == (30, 3)
    assert whole.values.dtype == np.float32
    assert sum(done) == 30
    monkeypatch.setattr(inference, "BATCH", 7)
    parts = infer(method, views, method=method, workers=2)
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-5)
    assert parts.photos == whole.photos == views.photos
    assert parts.unread == whole.unread == ()
    assert whole.labels.tolist() == [photo.label for photo in views.photos]
    with in_eval_mode(method):
        sizes = [len(part.values) for part in stream(method, views, method=method, workers=0)]
    assert sizes == [7, 7, 7, 7, 2]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: no"), MemoryError()]
)
def test_batches_go_in_pieces_where_memory_is_short(views: Photographs, trained: Path, error: Exception) -> None:
    method = open_run(trained).learner.method
    whole = infer(method, views, method=method)
    asked: list[int] = []

    def narrow(images: torch.Tensor, *, most: int = 8) -> torch.Tensor:
        asked.append(len(images))
        if len(images) > most:
            raise error
        return method(images)

    parts = infer(narrow, views, method=method)
    assert asked == [30, 15, 8, 8, 8, 6]
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-5)
    with pytest.raises(UserError, match=r"out of memory \(cpu\) for a single image of 64 x 64 px"):
        infer(partial(narrow, most=0), views, method=method)


def test_other_errors_go_their_way(views: Photographs, trained: Path) -> None:
    def wrong(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        infer(wrong, views, method=open_run(trained).learner.method)


def test_modes_come_back(views: Photographs, trained: Path) -> None:
    method = open_run(trained).learner.method
    before = {name: value.clone() for name, value in method.state_dict().items()}
    for training in (True, False):
        method.train(training)
        infer(method, views, method=method)
        assert method.training == training
    with in_eval_mode(method.train()):
        assert not method.training
    assert method.training
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_what_a_worker_says_to_the_user_comes_without_its_traceback(photos: Path, trained: Path) -> None:
    opened = open_run(trained)
    boxed = replace(opened.recipe.pixels, fit="box")
    photo = replace(read_dataset(photos).photos[0], box=Box(500, 500, 9, 9))
    texts = []
    for workers in (0, 1):
        with pytest.raises(UserError) as error:
            list(batches_of(loader_of(Photographs([photo], boxed), [[(0, 0)]], workers=workers)))
        texts.append(str(error.value))
    assert texts[0] == texts[1]
    assert len(texts[0].splitlines()) == 1


def test_damaged_photos_have_no_row(photos: Path, trained: Path, tmp_path: Path) -> None:
    method = open_run(trained).learner.method
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    sound = read_dataset(photos).photos
    mixed = [sound[0], Photo("bad.jpg", tmp_path / "bad.jpg"), Photo("none.jpg", tmp_path / "none.jpg"), sound[1]]
    pixels = open_run(trained).recipe.pixels
    found = infer(method, Photographs(mixed, pixels), method=method)
    alone = infer(method, Photographs(sound[:2], pixels), method=method)
    np.testing.assert_allclose(found.values, alone.values, atol=1e-5)
    assert found.photos == (sound[0], sound[1])
    assert [photo for photo, _ in found.unread] == mixed[1:3]
    assert found.unread[1].line == "none.jpg: no such file"
    (places,) = (part.damaged for part in stream(method, Photographs(mixed, pixels), method=method, workers=0))
    assert sorted(places) == [1, 2]


def test_where_nothing_can_be_read_there_are_no_figures(trained: Path, tmp_path: Path) -> None:
    method, pixels = open_run(trained).learner.method, open_run(trained).recipe.pixels
    gone = [Photo(f"{number}.jpg", tmp_path / f"{number}.jpg") for number in range(7)]
    with pytest.raises(UserError) as error:
        infer(method, Photographs(gone, pixels), method=method)
    text = str(error.value)
    assert text.startswith("7 of 7 photos cannot be read: 0.jpg: no such file; 1.jpg: no such file; ")
    assert "; and 2 more.\n" in text
