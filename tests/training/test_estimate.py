"""What a run needs: the time that is told beforehand, and what is told where the memory does not suffice."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from loops import RECIPE, Noisy, differing, make_loop, with_method
from torch import nn

from fieldmark.core.contract import TrainOutput
from fieldmark.errors import UserError
from fieldmark.input.loading import Batch, Photographs
from fieldmark.papers.plain import Plain
from fieldmark.recipes.naming import part_of
from fieldmark.training import session
from fieldmark.training.estimate import Ahead, enough_memory, expected_seconds
from fieldmark.training.loop import Loop
from small_runs import SMALL, small, train_small

STEP, LOOK = 2.0, 0.5
TRAINING, EVALUATION = 0.25, 0.125
"""Seconds that the clock of ``timed`` gives a photo: in a step, in evaluation, and read for one or the other."""


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that moves with photos alone."""
    now = [0.0]
    objective, forward, read = Plain.objective, Plain.forward, Photographs.__getitems__

    def trained(self: Plain, encoded: Any, labels: torch.Tensor, draws: Any) -> TrainOutput:
        now[0] += STEP * len(labels)
        return objective(self, encoded, labels, draws)

    def looked(self: Plain, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        now[0] += LOOK * len(images)
        return forward(self, images)

    def opened(self: Photographs, keys: list[tuple[int, int]]) -> Batch:
        now[0] += sum(EVALUATION if epoch < 0 else TRAINING for epoch, _ in keys)
        return read(self, keys)

    with monkeypatch.context() as patch:
        patch.setattr(Plain, "objective", trained)
        patch.setattr(Plain, "forward", looked)
        patch.setattr(Photographs, "__getitems__", opened)
        patch.setattr(time, "perf_counter", lambda: now[0])
        patch.setattr(torch.multiprocessing, "cpu_count", lambda: 8)
        yield


def expected(loop: Loop, ahead: Ahead) -> float:
    return expected_seconds(loop.learner, loop.recipe, fabric=loop.fabric, photos=loop.photos, ahead=ahead)


def test_measuring_the_time_changes_nothing(photos: Path, tmp_path: Path) -> None:
    loop = make_loop(photos, tmp_path, with_method(Noisy))
    before = {name: value.clone() for name, value in loop.learner.state_dict().items()}
    random = torch.get_rng_state()
    assert 0 < expected(loop, Ahead(steps=10, per_batch=8, epochs=2, measured=5)) < 100
    assert differing(before, dict(loop.learner.state_dict())) == []
    assert torch.equal(random, torch.get_rng_state())
    assert all(p.grad is None for p in loop.learner.parameters())
    assert loop.learner.training


@pytest.mark.usefixtures("timed")
def test_steps_and_photos_measured_after_epochs_are_counted(photos: Path, tmp_path: Path) -> None:
    loop = make_loop(photos, tmp_path)
    for steps, epochs, measured in ((6, 2, 0), (6, 2, 5), (6, 2, 100), (6, 3, 100), (3, 1, 40)):
        ahead = Ahead(steps=steps, per_batch=8, epochs=epochs, measured=measured, workers=1)
        assert expected(loop, ahead) == pytest.approx(steps * 8 * STEP + epochs * measured * LOOK)
    in_pieces = make_loop(photos, tmp_path, replace(RECIPE, accumulate=4))
    assert expected(in_pieces, Ahead(steps=6, per_batch=8, workers=1)) == pytest.approx(6 * 8 * STEP)


@pytest.mark.usefixtures("timed")
def test_reading_counts_where_it_is_slower(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(photos, tmp_path)
    ahead = Ahead(steps=6, per_batch=8, epochs=2, measured=10)
    both = 6 * 8 * (STEP + TRAINING) + 20 * (LOOK + EVALUATION)
    assert expected(loop, ahead) == pytest.approx(both)  # one process does one after the other
    for name, seconds in (("TRAINING", 16.0), ("EVALUATION", 8.0)):
        monkeypatch.setitem(globals(), name, seconds)
    assert expected(loop, replace(ahead, workers=1)) == pytest.approx(6 * 8 * 16 + 20 * 8)
    assert expected(loop, replace(ahead, workers=4)) == pytest.approx(6 * 8 * 4 + 20 * 2)
    assert expected(loop, replace(ahead, workers=800)) == pytest.approx(6 * 8 * 2 + 20 * 1)  # on eight cores


def test_few_photos_are_read_for_it(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(photos, tmp_path)
    read: list[tuple[int, int]] = []
    get = Photographs.__getitems__
    monkeypatch.setattr(Photographs, "__getitems__", lambda self, keys: read.extend(keys) or get(self, keys))
    expected(loop, Ahead(steps=600, per_batch=8, epochs=20, measured=1000))
    assert 2 < len(read) <= 18
    assert {epoch for epoch, _ in read} == {0, -1}


def test_a_run_tells_all_that_is_before_it(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Ahead] = []

    def noted(*_: object, ahead: Ahead, **__: object) -> float:
        seen.append(ahead)
        return 1.0

    monkeypatch.setattr(session, "expected_seconds", noted)
    train_small(photos, tmp_path / "run", SMALL)
    train_small(photos, tmp_path / "all", small(epochs=1, train_on="train+val"))
    assert seen == [Ahead(steps=6, per_batch=8, epochs=2, measured=3), Ahead(steps=3, per_batch=8, epochs=1)]


class Failing(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize(
    ("error", "where"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), "out of memory on the GPU: "),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory: "),
        (RuntimeError("data. DefaultCPUAllocator: not enough memory: you tried to allocate"), "out of memory: "),
        (MemoryError(), "out of memory: "),
    ],
)
def test_too_little_memory_is_told_before_training(
    error: Exception, where: str, pair: bool, photos: Path, tmp_path: Path
) -> None:
    terms = (part_of("pairwise-confusion", option="--term"),) if pair else ()
    loop = make_loop(photos, tmp_path, replace(RECIPE, model=replace(RECIPE.model, terms=terms)))
    loop.learner.method.classifier.backbone.network = Failing(error)
    with pytest.raises(UserError) as caught:
        expected(loop, Ahead(steps=10, per_batch=8))
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{where}choose a smaller --batch (it is 8) or --size (it is 32)")
    assert ("--accumulate 2" in first) is not pair  # refused where images of a batch are compared
    assert "--overwrite" in second


def test_a_processor_that_has_too_little_memory(photos: Path, tmp_path: Path) -> None:
    loop = make_loop(photos, tmp_path)
    with pytest.raises(UserError, match="out of memory"), enough_memory(loop.learner, loop.recipe):
        torch.empty(1 << 50)


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), ValueError("memory"), KeyError("x")])
def test_other_errors_go_their_way(error: Exception, photos: Path, tmp_path: Path) -> None:
    loop = make_loop(photos, tmp_path)
    loop.learner.method.classifier.backbone.network = Failing(error)
    with pytest.raises(type(error)) as caught:
        expected(loop, Ahead(steps=10, per_batch=8))
    assert (type(caught.value), caught.value.args) == (type(error), error.args)  # a copy, as the network's is
