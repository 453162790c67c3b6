"""Work that may crash or hang is done elsewhere, and every request gets an answer."""

import json
import time
from pathlib import Path

import pytest
from late_clock import jumping

from fieldmark.data.workers import Answer, ask

PROGRAM = """
import json, os, sys, time
offset = json.loads(sys.stdin.readline())
for line in sys.stdin:
    value = json.loads(line)
    if value == "crash":
        os._exit(3)
    if isinstance(value, list):  # a file to make, and then it hangs
        open(*value, "w").close()
        time.sleep(1000)
    print(json.dumps(value + offset), flush=True)
"""


def answers(requests: list[object], *, workers: int) -> dict[int, Answer]:
    program = f"exec({json.dumps(PROGRAM)})"
    return {found.at: found for found in ask(requests, program=program, greeting=100, workers=workers, seconds=60)}


def test_every_request_is_answered_once() -> None:
    found = answers(list(range(50)), workers=2)
    assert {at: answer.value for at, answer in found.items()} == {at: at + 100 for at in range(50)}


def test_a_crash_is_an_answer_and_the_rest_goes_on() -> None:
    found = answers([1, "crash", 2], workers=1)
    assert "crash" in found[1].failure
    assert (found[0].value, found[2].value) == (101, 102)


def test_a_request_over_its_time_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldmark.data.workers.time", jumping(tmp_path / "hangs"))
    found = answers([1, [str(tmp_path / "hangs")], 2], workers=1)
    assert "too long" in found[1].failure
    assert (found[0].value, found[2].value) == (101, 102)


def test_closing_early_leaves_no_process(tmp_path: Path) -> None:
    program = f"exec({json.dumps(PROGRAM)})"
    running = ask([1, [str(tmp_path / "hangs")]], program=program, greeting=0, workers=1, seconds=30.0)
    assert next(running).value == 1
    running.close()
    assert list(running) == []


def test_a_process_that_hangs_before_it_reads_is_an_answer() -> None:
    program = "import time; time.sleep(60)"
    begun = time.monotonic()
    found = list(ask(["x" * 200_000, "y"], program=program, greeting=0, workers=1, seconds=1.0))
    assert ["too long" in answer.failure for answer in found] == [True, True]
    assert time.monotonic() - begun < 30
