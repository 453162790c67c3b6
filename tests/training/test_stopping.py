"""Signals become wishes; afterwards they are what they were."""

import signal
import threading

import pytest

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
