"""Signals become requests to stop; afterwards their handlers are what they were."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest
from loops import differing, make_loop, session

from fieldmark.data.reading import read_dataset
from fieldmark.errors import Interrupted
from fieldmark.input.loading import Batch, LostWorker, Photographs, batches_of, in_order, loader_of
from fieldmark.recipe import Pixels
from fieldmark.training.interrupts import stop_notice, stop_requests
from fieldmark.training.loop import Loop
from fieldmark.training.nonfinite import Watch


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_is_noted_and_handlers_come_back(number: signal.Signals):
    before = signal.getsignal(number)
    with stop_requests() as signals:
        assert signals == []
        signal.raise_signal(number)
        assert signals == [number]
    assert signal.getsignal(number) is before


def test_a_second_signal_interrupts():
    before = signal.getsignal(signal.SIGINT)  # a shell's background command ignores it
    with pytest.raises(KeyboardInterrupt), stop_requests():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_signals_alone():
    seen: list[object] = []

    def work() -> None:
        with stop_requests() as stopped:
            seen.append(stopped)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[]]


def test_a_stop_that_ends_the_readers_of_a_validation_too_loses_nothing(photos: Path, tmp_path: Path) -> None:
    calls: list[int] = []

    def validate() -> dict[str, float]:
        calls.append(loop.position.step)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGTERM)
            raise LostWorker("a process that reads photos is killed by signal: Terminated")
        return {"val_top1": 0.5}

    loop = make_loop(photos, tmp_path / "stopped")
    with pytest.raises(Interrupted):
        loop.train(workers=0, validate=validate)
    assert calls == [3, 3]
    whole, resumed = session(photos, tmp_path / "whole"), session(photos, tmp_path / "stopped")
    assert whole is not None
    assert resumed is not None
    assert differing(resumed.state(), whole.state()) == []
    assert [row["val_top1"] for row in resumed.position.rows] == [0.5, 0.5]


def test_a_step_that_fails_of_itself_fails(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Loop, batch: Batch, watch: Watch) -> None:
        raise RuntimeError("of itself")

    monkeypatch.setattr(Loop, "_step", failing)
    with pytest.raises(RuntimeError, match="of itself"):
        make_loop(photos, tmp_path).train(workers=0)


@pytest.mark.skipif(not hasattr(os, "getpgid"), reason="processes have groups on POSIX")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_signals_to_the_group_do_not_reach_the_processes_that_read(photos: Path, start: str) -> None:
    read = Photographs(read_dataset(photos).photos, Pixels(size=32, eval_size=32))
    others = multiprocessing.active_children()  # of another test, not yet deleted
    batches = batches_of(loader_of(read, in_order(4, 2), workers=1, start=start))
    next(batches)
    (reader,) = (process for process in multiprocessing.active_children() if process not in others)
    assert reader.pid is not None
    assert os.getpgid(reader.pid) != os.getpgid(0)
    assert len(list(batches)) == 1


def test_sigterm_twice_is_one_request() -> None:
    with stop_requests() as signals:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert signals == [signal.SIGTERM, signal.SIGTERM, signal.SIGINT]


def test_a_validation_that_fails_of_itself_fails(photos: Path, tmp_path: Path) -> None:
    def validate() -> dict[str, float]:
        raise RuntimeError("of itself")

    with pytest.raises(RuntimeError, match="of itself"):
        make_loop(photos, tmp_path).train(workers=0, validate=validate)


@pytest.mark.parametrize(
    ("kept", "best", "said"),
    [
        (-1, False, "cannot answer yet"),
        (0, True, "answers as the probe that it began as"),
        (2, False, "answers as after epoch 2"),
        (2, True, "answers as after epoch 2, its best so far"),
    ],
)
def test_what_a_stopped_run_is_good_for(kept: int, best: bool, said: str) -> None:
    line = stop_notice(Path("runs/a\nb"), "in epoch 3 of 20", kept=kept, best=best)
    assert line == f"stopped in epoch 3 of 20; runs/a\\nb {said}; the same command with --resume goes on"
