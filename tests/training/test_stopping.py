"""Signals become wishes; afterwards they are what they were."""

import signal
import threading
from pathlib import Path

import pytest
from loops import differing, make_loop, session

from fieldmark.errors import Interrupted
from fieldmark.training.stopping import stop_requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_is_noted_and_handlers_come_back(number: signal.Signals):
    before = signal.getsignal(number)
    with stop_requests() as seen:
        assert seen == []
        signal.raise_signal(number)
        assert seen == [number]
    assert signal.getsignal(number) is before


def test_a_second_signal_interrupts():
    with pytest.raises(KeyboardInterrupt), stop_requests():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


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
            raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated.")
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


def test_a_validation_that_fails_of_itself_fails(photos: Path, tmp_path: Path) -> None:
    def validate() -> dict[str, float]:
        raise RuntimeError("of itself")

    with pytest.raises(RuntimeError, match="of itself"):
        make_loop(photos, tmp_path).train(workers=0, validate=validate)
