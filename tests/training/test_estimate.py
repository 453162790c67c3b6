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

from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import TrainOutput
from fieldmark.errors import UserError
from fieldmark.input.loading import Batch, Photographs
from fieldmark.papers.plain import Plain
from fieldmark.recipes.naming import part_of
from fieldmark.training import estimate
from fieldmark.training.estimate import Budget, Expected, Work, enough_memory, expected_seconds
from fieldmark.training.loop import Loop

STEP, LOOK, GLANCE = 2.0, 0.5, 0.375
TRAINING, EVALUATION = 0.25, 0.125
"""Seconds that the clock of ``timed`` gives a photo: in a step, in evaluation, for its features; and to be read."""


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that moves with photos alone."""
    now = [0.0]
    objective, forward, pooled, read = Plain.objective, Plain.forward, Classifier.pooled, Photographs.__getitems__

    def trained(self: Plain, encoded: Any, labels: torch.Tensor, draws: Any) -> TrainOutput:
        now[0] += STEP * len(labels)
        return objective(self, encoded, labels, draws)

    def looked(self: Plain, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        now[0] += LOOK * len(images)
        return forward(self, images)

    def glanced(self: Classifier, images: torch.Tensor) -> torch.Tensor:
        now[0] += GLANCE * len(images)
        return pooled(self, images)

    def opened(self: Photographs, keys: list[tuple[int, int]]) -> Batch:
        now[0] += sum(EVALUATION if epoch < 0 else TRAINING for epoch, _ in keys)
        return read(self, keys)

    with monkeypatch.context() as patch:
        patch.setattr(Plain, "objective", trained)
        patch.setattr(Plain, "forward", looked)
        patch.setattr(Classifier, "pooled", glanced)
        patch.setattr(Photographs, "__getitems__", opened)
        patch.setattr(time, "perf_counter", lambda: now[0])
        patch.setattr(torch.multiprocessing, "cpu_count", lambda: 8)
        patch.setattr(torch, "get_num_threads", lambda: 1)
        yield


def expected(loop: Loop, work: Work) -> Expected:
    return expected_seconds(loop.learner, loop.recipe, fabric=loop.fabric, photos=loop.photos, work=work)


def test_measuring_the_time_changes_nothing(photos: Path, tmp_path: Path) -> None:
    loop = make_loop(photos, tmp_path, with_method(Noisy))
    before = {name: value.clone() for name, value in loop.learner.state_dict().items()}
    random = torch.get_rng_state()
    seconds = expected(loop, Work(per_batch=8, measured=5, features=30, closing=20))
    assert all(0 < part < 100 for part in seconds)
    assert differing(before, dict(loop.learner.state_dict())) == []
    assert torch.equal(random, torch.get_rng_state())
    assert all(p.grad is None for p in loop.learner.parameters())
    assert loop.learner.training


def test_the_parts_add_up() -> None:
    parts = Expected(start=100.0, step=2.0, validation=7.0)
    assert parts.of(steps=6, epochs=2) == 100 + 6 * 2 + 2 * 7
    assert parts.of(steps=0, epochs=0) == 100
    assert parts._replace(closing=9.0).of(steps=6, epochs=2) == 100 + 6 * 2 + 2 * 7 + 9


@pytest.mark.usefixtures("timed")
def test_steps_and_photos_measured_after_epochs_are_counted(photos: Path, tmp_path: Path) -> None:
    loop = make_loop(photos, tmp_path)
    for measured in (0, 5, 100):
        parts = expected(loop, Work(per_batch=8, measured=measured, workers=1))
        assert parts == (0.0, pytest.approx(8 * STEP), pytest.approx(measured * LOOK), 0.0)
    assert expected(loop, Work(per_batch=8, closing=30, workers=1))[2:] == (0.0, pytest.approx(30 * LOOK))
    in_pieces = make_loop(photos, tmp_path, replace(RECIPE, accumulate=4))
    assert expected(in_pieces, Work(per_batch=8, workers=1)).step == pytest.approx(8 * STEP)


@pytest.mark.usefixtures("timed")
@pytest.mark.parametrize("measured", [0, 10])
def test_a_start_as_the_probe_has_features_a_fit_and_a_validation(
    measured: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []

    def fit(*sizes: int) -> float:
        asked.append(sizes)
        return 40.0

    monkeypatch.setattr(estimate, "_regression_seconds", fit)
    parts = expected(
        make_loop(photos, tmp_path), Work(per_batch=8, measured=measured, features=15, fitted=70, workers=1)
    )
    assert parts.start == pytest.approx(15 * GLANCE + 40 + measured * LOOK)
    ((count, width, classes),) = asked
    assert (count, classes) == (70, 3)
    assert width == make_loop(photos, tmp_path).learner.method.classifier.head.in_features


def test_the_fit_grows_with_the_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def moved() -> float:
        now[0] += 0.5
        return now[0]

    monkeypatch.setattr(time, "perf_counter", moved)
    for photos, share in ((0, 0.0), (estimate.ROWS, 1.0), (3 * estimate.ROWS, 3.0)):
        seconds = 0.5 * estimate.PASSES * share + 0.5 * estimate.VECTOR_PASSES
        assert estimate._regression_seconds(photos, 16, 3) == pytest.approx(seconds)


@pytest.mark.usefixtures("timed")
def test_reading_counts_where_it_is_slower(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(photos, tmp_path)
    monkeypatch.setattr(estimate, "_regression_seconds", lambda *_: 0.0)
    work = Work(per_batch=8, measured=10, features=30, closing=20)

    def parts(step: float, look: float, glance: float) -> tuple[Any, ...]:
        return tuple(pytest.approx(seconds) for seconds in (30 * glance + 10 * look, 8 * step, 10 * look, 20 * look))

    both = parts(STEP + TRAINING, LOOK + EVALUATION, GLANCE + EVALUATION)  # one process does one after the other
    assert expected(loop, work) == both
    for name, seconds in (("TRAINING", 16.0), ("EVALUATION", 8.0)):
        monkeypatch.setitem(globals(), name, seconds)
    assert expected(loop, replace(work, workers=1)) == parts(16, 8, 8)
    assert expected(loop, replace(work, workers=4)) == parts(4, 2, 2)
    on_eight_cores = parts((STEP + 16) / 8, (LOOK + 8) / 8, (GLANCE + 8) / 8)
    assert expected(loop, replace(work, workers=800)) == on_eight_cores


@pytest.mark.usefixtures("timed")
def test_readers_share_the_cores(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.multiprocessing, "cpu_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    work = Work(per_batch=8, measured=10, workers=1)
    parts = expected(make_loop(photos, tmp_path), work)
    look = pytest.approx(10 * (LOOK + EVALUATION / 2))
    assert parts == (0.0, pytest.approx(8 * (STEP + TRAINING / 2)), look, 0.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert expected(make_loop(photos, tmp_path), work).step == pytest.approx(8 * STEP)


def test_few_photos_are_read_for_it(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    getitems = Photographs.__getitems__

    def noted(self: Photographs, keys: list[tuple[int, int]]) -> Batch:
        read.extend(keys)
        return getitems(self, keys)

    monkeypatch.setattr(Photographs, "__getitems__", noted)
    loop = make_loop(photos, tmp_path)
    expected(loop, Work(per_batch=8, measured=1000, features=30))
    assert 2 < len(read) <= 18
    assert {epoch for epoch, _ in read} == {0, -1}


def test_a_budget_counts_whole_and_broken_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 1000.0)
    budget = Budget("2m", 1120.0, epoch=20.0)
    assert budget.epochs_left() == pytest.approx(120 / 20)
    assert budget.epochs_left(before=50.0) == pytest.approx(70 / 20)
    assert budget.epochs_left(before=500.0) == 0
    assert Budget("2m", 1120.0).epochs_left() == 0


def test_a_budget_learns_what_an_epoch_takes_but_for_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    budget = Budget("2m", 1000.0, epoch=20.0)
    for epoch in range(2):
        for step in range(3):
            now[0] += 5.0 if epoch or step else 90.0
            budget.after_step()
        now[0] += 7.0 + 2 * epoch
        budget.after_epoch(3)
        assert budget.epoch == pytest.approx(3 * 5 + 7 + epoch)
    alone = Budget("2m", 1000.0, epoch=20.0)  # an epoch of a single step
    for epoch in range(3):
        now[0] += 5.0 if epoch else 90.0
        alone.after_step()
        now[0] += 2.0
        alone.after_epoch(1)
        assert alone.epoch == (7 if epoch else 20)


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
        expected(loop, Work(per_batch=8))
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{where}choose a smaller --batch (it is 8) or --size (it is 32)")
    assert first.endswith("or use --micro-batch 2")  # which goes with losses that compare images of a batch, too
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
        expected(loop, Work(per_batch=8))
    assert (type(caught.value), caught.value.args) == (type(error), error.args)  # a copy, as the network's is
