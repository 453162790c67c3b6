"""Work that may crash or hang is done elsewhere, and every request gets an answer."""

import json
import time

from fieldmark.data.workers import Answer, ask

PROGRAM = """
import json, os, sys, time
offset = json.loads(sys.stdin.readline())
for line in sys.stdin:
    value = json.loads(line)
    if value == "crash":
        os._exit(3)
    if value == "hang":
        time.sleep(60)
    print(json.dumps(value + offset), flush=True)
"""


def answers(requests: list[object], *, workers: int, seconds: float = 30.0) -> dict[int, Answer]:
    program = f"exec({json.dumps(PROGRAM)})"
    return {found.at: found for found in ask(requests, program=program, greeting=100, workers=workers, seconds=seconds)}


def test_every_request_is_answered_once() -> None:
    found = answers(list(range(50)), workers=2)
    assert {at: answer.value for at, answer in found.items()} == {at: at + 100 for at in range(50)}


def test_a_crash_is_an_answer_and_the_rest_goes_on() -> None:
    found = answers([1, "crash", 2], workers=1)
    assert "crash" in found[1].failure
    assert (found[0].value, found[2].value) == (101, 102)


def test_a_request_over_its_time_is_an_answer() -> None:
    found = answers([1, "hang", 2], workers=1, seconds=1.0)
    assert "too long" in found[1].failure
    assert (found[0].value, found[2].value) == (101, 102)


def test_closing_early_leaves_no_process() -> None:
    program = f"exec({json.dumps(PROGRAM)})"
    running = ask([1, "hang"], program=program, greeting=0, workers=1, seconds=30.0)
    assert next(running).value == 1
    running.close()
    assert list(running) == []


def test_a_process_that_hangs_before_it_reads_is_an_answer() -> None:
    program = "import time; time.sleep(60)"
    begun = time.monotonic()
    found = list(ask(["x" * 200_000, "y"], program=program, greeting=0, workers=1, seconds=1.0))
    assert ["too long" in answer.failure for answer in found] == [True, True]
    assert time.monotonic() - begun < 30
