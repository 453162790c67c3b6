"""What is told before training."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from fieldmark.training import announcing, session, starting
from fieldmark.training.estimate import CLOSING, UNLOADING, Expected, Work
from small_runs import SMALL, small, stop_after, train_small


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    """What the time was expected of; it is 100 s, a step 10 s and a validation 1000 s."""
    works: list[Work] = []

    def noted(*_: object, work: Work, **__: object) -> Expected:
        works.append(work)
        return Expected(100.0 if work.features else 0.0, 10.0, 1000.0 if work.measured else 0.0)

    monkeypatch.setattr(announcing, "expected_seconds", noted)
    return works


def minutes(told: list[str]) -> str:
    (line,) = [line for line in told if line.startswith("expected time: ")]
    return line.removeprefix("expected time: about ")


def test_a_run_tells_all_that_is_before_it(
    photos: Path, pretrained: Path, tmp_path: Path, asked: list[Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what took place already: imports, the scan, the network."""
    now, build = [5000.0], session.build_learner

    def built(*given: object, **more: object) -> object:
        now[0] += 600.0
        return build(*given, **more)  # pyright: ignore

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(session, "build_learner", built)
    probe = small(
        start="probe", weights=str(pretrained), epochs=3
    )  # photos are few, so those of all splits are looked at
    times = [
        (SMALL, Work(per_batch=8, measured=3), 600 + 6 * 10 + 2 * 1000),
        (small(epochs=1, train_on="train+val"), Work(per_batch=8), 600 + 3 * 10),
        (probe, Work(per_batch=8, measured=3, features=30, fitted=54), 600 + 100 + 9 * 10 + 3 * 1000),
    ]
    for number, (settings, work, seconds) in enumerate(times):
        told = train_small(photos, tmp_path / str(number), settings)
        assert asked.pop() == work
        assert minutes(told) == announcing.clock(seconds + CLOSING)


def test_what_came_before_the_call_is_counted_too(
    photos: Path, tmp_path: Path, asked: list[Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries that it took so long to load have to be put away as well."""
    monkeypatch.setattr(time, "perf_counter", lambda: 10_000.0)
    stream = io.StringIO()
    console, destination = Console(file=stream, width=200), session.Destination(tmp_path / "run")
    session.train(photos, destination, SMALL, console=console, begun=10_000.0 - 1000)
    seconds = 1000 + UNLOADING * 1000 + 6 * 10 + 2 * 1000 + CLOSING
    assert minutes(stream.getvalue().splitlines()) == announcing.clock(seconds)


def test_of_a_run_that_goes_on_the_rest_is_told(
    photos: Path, pretrained: Path, tmp_path: Path, asked: list[Work]
) -> None:
    settings = small(start="probe", weights=str(pretrained), epochs=3, size=32)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(session.Interrupted):
        stop_after(patch, 4)
        train_small(photos, tmp_path, settings)
    told = train_small(photos, tmp_path, settings, resume=True)
    assert minutes(told) == f"{announcing.clock(5 * 10 + 2 * 1000)} (resumed)"
    assert asked[-1] == Work(per_batch=8, measured=3)


def test_it_is_told_before_the_features(
    photos: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(starting, "infer", stop)
    tell = announcing.tell
    monkeypatch.setattr(announcing, "tell", lambda console, *told: (lines.extend(told), tell(console, *told)))
    with pytest.raises(session.Interrupted):
        train_small(photos, tmp_path, small(start="probe", weights=str(pretrained)))
    assert any(line.startswith("expected time: about ") for line in lines)
