"""A server in a process of its own, started and stopped, and what it and its children cost."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_TICKS = os.sysconf("SC_CLK_TCK")
_START = 120.0


@dataclass(frozen=True)
class Running:
    """A server: its ``process`` and its ``url``."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def family(self) -> list[int]:
        """The numbers of the process and its descendants."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    parents[int(entry.name)] = int(_fields(entry / "stat")[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    @property
    def cpu(self) -> float:
        """Seconds of the processor that the family has had, with those of children that have ended."""
        total = 0
        for pid in self.family:
            with contextlib.suppress(OSError):
                total += sum(map(int, _fields(Path(f"/proc/{pid}/stat"))[11:15]))
        return total / _TICKS

    @property
    def megabytes(self) -> float:
        """Of memory that the family holds; pages that several share are counted in parts, where that may be seen."""
        total = 0
        for pid in self.family:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += _kilobytes(pid)
        return total / 1024


def _kilobytes(pid: int) -> int:
    try:
        return int(re.findall(r"^Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[0])
    except PermissionError:  # a process that lets nobody look into it
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def _fields(stat: Path) -> list[str]:
    """What stands after the process's name, which may hold anything."""
    return stat.read_text().rpartition(") ")[2].split()


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    pattern: str = r"serving at (\S+)",
    extra: Mapping[str, str] | None = None,
    errors: Path | None = None,
) -> Iterator[Running]:
    """Starts a server, waits for the line of its standard output that has its address, and stops it in the end.

    Args:
        command: of Python.
        pattern: of the line.
        extra: variables of its environment.
        errors: takes its standard error.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(extra or {})}
    with open(errors or os.devnull, "wb") as stderr:
        process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=stderr, env=environment)
    try:
        server = Running(process, _address(process, pattern))
        _await_listening(server)
        yield server
    finally:
        _, *children = Running(process, "").family
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in children:  # some servers leave them behind
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if process.stdout:
            process.stdout.close()


def _await_listening(server: Running) -> None:
    """Some say where they will listen before they do."""
    split = urlsplit(server.url)
    until = time.monotonic() + _START
    while time.monotonic() < until and server.process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection((split.hostname or "", split.port or 80), timeout=5).close()
            return
        time.sleep(0.1)
    raise SystemExit("the server does not listen")


def _address(process: subprocess.Popen[bytes], pattern: str) -> str:
    assert process.stdout
    until = time.monotonic() + _START
    while time.monotonic() < until:
        line = process.stdout.readline().decode()
        if found := re.search(pattern, line):
            return found[1]
        if not line and process.poll() is not None:
            break
    raise SystemExit("the server did not start")
