"""Worker processes for files that may crash or hang their reader, with a time limit per request.

Requests and answers are lines of JSON over pipes, so nothing that a worker sends can run code in this process. Workers
are fresh processes (never forked) and import nothing of the caller's program.
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

_CHECK_SECONDS = 0.2


class Answer(NamedTuple):
    """The answer to ``requests[at]``; ``failure`` says in a few words why it failed, else ""."""

    at: int
    value: Any = None
    failure: str = ""


def ask(requests: Sequence[Any], *, program: str, greeting: Any, workers: int, seconds: float) -> Iterator[Answer]:
    """The answers to ``requests``, as they come in, from ``workers`` processes that run the Python text ``program``.

    A process reads ``greeting``, then requests, each a line of JSON, and answers each with one line. A request that
    takes more than ``seconds`` is a failure; one that ends its process is tried once more in a fresh process (the
    system may have killed the first because memory ran out), then it is a failure too. Answers are not kept; all
    processes have ended when the iterator is closed.
    """
    pool = _Pool(requests, program, greeting)
    threads = [threading.Thread(target=pool.run, daemon=True) for _ in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for _ in requests:
            yield pool.next_answer(seconds)
    finally:
        pool.close()
        for thread in threads:
            thread.join()


class _Process:
    """One worker process; ``is_late`` tells that it was ended because it took too long."""

    def __init__(self, program: str, greeting: Any) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by end)
        # The search path is passed as arguments, not in the environment: empty entries and odd characters survive.
        text = f"import sys; sys.path[:] = sys.argv[1:]; {program}"
        self._child = subprocess.Popen(
            [sys.executable, "-c", text, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="ascii",
        )
        self._unsent = json.dumps(greeting) + "\n"
        self._since: float | None = None
        self.is_late = False

    def answer(self, request: Any) -> str:
        """The line that answers the request; without its end, or empty, if the process ends before."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._since = time.monotonic()  # a process that hangs before it reads fills the pipe: that counts, too
        try:
            self._child.stdin.write(f"{self._unsent}{json.dumps(request)}\n")
            self._child.stdin.flush()
        except OSError:  # it has ended
            return ""
        self._unsent = ""
        line = self._child.stdout.readline()
        self._since = None
        return line

    def kill_if_late(self, seconds: float) -> None:
        """Ends the process if its present request has taken more than ``seconds``."""
        since = self._since
        if since is not None and time.monotonic() - since > seconds:
            self.is_late = True
            self._child.kill()

    def kill(self) -> None:
        """Ends the process; a thread that waits for its answer gets an empty line."""
        self._child.kill()

    def end(self) -> str:
        """Ends the process; returns the last line that it wrote to standard error, or its exit code."""
        self._child.kill()
        self._child.communicate()
        self._errors.seek(0)
        lines = self._errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        self._errors.close()
        return lines[-1] if lines else f"exit code {self._child.returncode}"


class _Pool:
    """What the threads share; each of them runs one process at a time."""

    def __init__(self, requests: Sequence[Any], program: str, greeting: Any) -> None:
        self._requests = requests
        self._program = program
        self._greeting = greeting
        self._pending: queue.SimpleQueue[int] = queue.SimpleQueue()
        for at in range(len(requests)):
            self._pending.put(at)
        self._answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._processes: list[_Process] = []
        self._closed = False

    def run(self) -> None:
        """What a thread does: it answers requests until none is left."""
        process = None
        try:
            while not self._closed:
                process = self._answer(self._pending.get_nowait(), process)
        except queue.Empty:
            return
        except Exception as error:  # raised in the caller's thread
            self._answers.put(error)
        finally:
            if process:
                self._end(process)

    def next_answer(self, seconds: float) -> Answer:
        """Waits for an answer, and meanwhile ends the processes that take too long."""
        while True:
            with self._lock:
                for process in self._processes:
                    process.kill_if_late(seconds)
            try:
                answer = self._answers.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer

    def close(self) -> None:
        """Ends all processes and starts no more."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()

    def _answer(self, at: int, process: _Process | None) -> _Process | None:
        """Answers ``requests[at]``; returns the process for the next request, if it still runs."""
        reason = ""
        for _ in range(2):
            process = process or self._start()
            if not process:
                return None
            line = process.answer(self._requests[at])
            if line.endswith("\n"):
                self._answers.put(Answer(at, json.loads(line)))
                return process
            reason = f"crashes the decoder ({self._end(process)})"
            if process.is_late:
                reason = "takes too long to decode"
                break
            process = None
        self._answers.put(Answer(at, failure=reason))
        return None

    def _start(self) -> _Process | None:
        with self._lock:
            if self._closed:
                return None
            process = _Process(self._program, self._greeting)
            self._processes.append(process)
            return process

    def _end(self, process: _Process) -> str:
        with self._lock:
            self._processes = [other for other in self._processes if other is not process]
        return process.end()
