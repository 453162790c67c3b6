"""Work on files that may crash or hang whoever opens them: processes of our own, with a time limit a request.

Requests and answers are lines of JSON over pipes, so nothing that a worker sends can run code in this process. The
workers are started afresh (never forked) and import nothing of the caller's program.
"""

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

# Requests that are sent ahead, so that a worker never waits for the next.
_AHEAD = 16
_LOOK_SECONDS = 0.2


class Answer(NamedTuple):
    """The answer to ``requests[at]``; ``failure`` says in a few words why there is none, else ""."""

    at: int
    value: Any = None
    failure: str = ""


def ask(requests: Sequence[Any], *, program: str, greeting: Any, workers: int, seconds: float) -> Iterator[Answer]:
    """The answers to ``requests``, as they come in, from ``workers`` processes that run the Python text ``program``.

    A process reads ``greeting``, then requests, a line of JSON each, and answers each with one line. A request that
    takes over ``seconds`` is a failure; one that ends its process is tried once more in a fresh one (the system may
    have killed the first for want of memory), then it is a failure too. Memory does not grow with the requests'
    answers; all processes are gone when the iterator is closed.
    """
    crew = _Crew(requests, program, greeting)
    threads = [threading.Thread(target=crew.attend, daemon=True) for _ in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for _ in requests:
            yield crew.next_answer(seconds)
    finally:
        crew.close()
        for thread in threads:
            thread.join()


class _Process:
    """One worker process; ``over`` tells that it was ended for its time."""

    def __init__(self, program: str, greeting: Any) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by obituary)
        # The search path as arguments, not in the environment: an empty entry and odd characters survive.
        text = f"import sys; sys.path[:] = sys.argv[1:]; {program}"
        self._child = subprocess.Popen(
            [sys.executable, "-c", text, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="ascii",
        )
        self._greeting = [greeting]
        self._since: float | None = None
        self.over = False

    def answers(self, requests: Sequence[Any]) -> Iterator[Any]:
        """The answers in order; fewer than asked for if the process ends."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        lines = "".join(json.dumps(request) + "\n" for request in (*self._greeting, *requests))
        self._greeting = []
        self._since = time.monotonic()  # one that hangs before it reads fills the pipe, and is waited for here
        try:
            self._child.stdin.write(lines)
            self._child.stdin.flush()
        except OSError:  # it has ended: there is no answer
            return
        for _ in requests:
            self._since = time.monotonic()
            line = self._child.stdout.readline()
            self._since = None
            if not line.endswith("\n"):
                return
            yield json.loads(line)

    def look(self, seconds: float) -> None:
        """Ends the process if its present request has taken more than ``seconds``."""
        since = self._since
        if since is not None and time.monotonic() - since > seconds:
            self.over = True
            self._child.kill()

    def kill(self) -> None:
        """Ends the process; whoever waits for its answers finds out."""
        self._child.kill()

    def obituary(self) -> str:
        """Waits for the end, and gives the last line that the process wrote to its standard error."""
        self._child.kill()
        self._child.communicate()
        self._errors.seek(0)
        lines = self._errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        self._errors.close()
        return lines[-1] if lines else f"exit code {self._child.returncode}"


class _Crew:
    """What the threads share, one of them attending each process."""

    def __init__(self, requests: Sequence[Any], program: str, greeting: Any) -> None:
        self._requests = requests
        self._program = program
        self._greeting = greeting
        self._batches: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        for start in range(0, len(requests), _AHEAD):
            self._batches.put(list(range(start, min(start + _AHEAD, len(requests)))))
        self._answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._processes: list[_Process] = []
        self._closed = False

    def attend(self) -> None:
        """The life of one thread."""
        process = None
        try:
            while not self._closed:
                process = self._work_off(self._batches.get_nowait(), process)
        except queue.Empty:
            return
        except Exception as error:  # raised in the caller's thread
            self._answers.put(error)
        finally:
            if process:
                self._bury(process)

    def next_answer(self, seconds: float) -> Answer:
        """Waits for an answer, and ends the processes that are over their time meanwhile."""
        while True:
            with self._lock:
                for process in self._processes:
                    process.look(seconds)
            try:
                answer = self._answers.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer

    def close(self) -> None:
        """Ends all processes; none is started any more."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()

    def _work_off(self, batch: list[int], process: _Process | None) -> _Process | None:
        """Answers all of ``batch``; gives the process that is there for the next, if any."""
        tried = None
        while batch and (process := process or self._start()):
            for value in process.answers([self._requests[index] for index in batch]):
                self._answers.put(Answer(batch.pop(0), value))
            if not batch:
                break
            reason = self._bury(process)
            if process.over:
                self._answers.put(Answer(batch.pop(0), failure="takes too long to decode"))
            elif tried == batch[0]:
                self._answers.put(Answer(batch.pop(0), failure=f"crashes the decoder ({reason})"))
            else:
                tried = batch[0]
            process = None
        return process

    def _start(self) -> _Process | None:
        with self._lock:
            if self._closed:
                return None
            process = _Process(self._program, self._greeting)
            self._processes.append(process)
            return process

    def _bury(self, process: _Process) -> str:
        with self._lock:
            self._processes = [other for other in self._processes if other is not process]
        return process.obituary()
