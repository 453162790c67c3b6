"""Who works which run: claims in a folder that several processes, or several machines, share.

The claims of a run are files ``KEY.1``, ``KEY.2``, ... Each is made with O_CREAT | O_EXCL, which one process alone can
do (on NFS from version 3 on, too), and none is ever renamed or deleted. The highest number has the run until its claim
ends: its owner says so, or is gone, or lets ``EXPIRY`` pass without touching the file. Whoever sees that makes the next
number: of several who see it at once one succeeds, and one who comes late finds the number taken. An owner that was
only asleep finds a successor beside its file, and stops; what it still wrote meanwhile went to a folder of its own
number (see ``workplace.py``), where it harms nobody.

Ages are told by the clock of the file system alone, so the clocks of the machines need not agree.
"""

import json
import os
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HEARTBEAT, EXPIRY = 20.0, 300.0
"""Seconds: between two signs of life, and without one until a claim has ended. NFS may show a file a minute late."""


class Claim:
    """A run that is this process's; a context manager that gives signs of life and releases.

    Args:
        path: the claim's file, made by ``claim``.
        heartbeat: seconds between signs of life.
        when_lost: called, in a thread, when another process has taken over.
    """

    def __init__(self, path: Path, *, heartbeat: float, when_lost: Callable[[], None] | None) -> None:
        self.path, self.heartbeat, self.when_lost = path, heartbeat, when_lost
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"claim {path.name}", daemon=True)

    @property
    def number(self) -> int:
        """Of the run's claims so far; 1 is the first."""
        return int(self.path.suffix[1:])

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken over."""
        return self.path.with_suffix(f".{self.number + 1}").exists() or not self.path.exists()

    def __enter__(self) -> "Claim":
        """Signs of life begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """They end, and the claim says that it has ended."""
        self._ended.set()
        self._thread.join()
        if not self.is_lost:
            self.path.write_text(json.dumps(_read(self.path) | {"released": True}) + "\n", "utf-8")

    def _live(self) -> None:
        while not self._ended.wait(self.heartbeat):
            try:
                lost = self.is_lost
                if not lost:
                    os.utime(self.path)
            except OSError:  # a file server that is away may come back; if it does not, the claim expires
                continue
            if lost:
                if self.when_lost:
                    self.when_lost()
                return


def claim(
    folder: Path,
    key: str,
    *,
    heartbeat: float = HEARTBEAT,
    expiry: float = EXPIRY,
    when_lost: Callable[[], None] | None = None,
) -> Claim | None:
    """The claim on a run, or None while another process has it.

    Args:
        folder: of all claims; made if it is not there.
        key: the run's name.
        heartbeat: seconds between signs of life.
        expiry: seconds without one after which a claim has ended.
        when_lost: called, in a thread, when another process has taken over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = last_number(folder, key)
    if last and not _has_ended(folder / f"{key}.{last}", expiry):
        return None
    path = folder / f"{key}.{last + 1}"
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return None
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(json.dumps(_self()) + "\n")
    return Claim(path, heartbeat=heartbeat, when_lost=when_lost)


def is_claimed(folder: Path, key: str, *, expiry: float = EXPIRY) -> bool:
    """Whether some process works a run now."""
    last = last_number(folder, key)
    return bool(last) and not _has_ended(folder / f"{key}.{last}", expiry)


def last_number(folder: Path, key: str) -> int:
    """The number of the last claim on a run; 0 where there was none."""
    if not folder.is_dir():
        return 0
    found = (re.fullmatch(rf"{re.escape(key)}\.([0-9]+)", name) for name in os.listdir(folder))
    return max((int(match[1]) for match in found if match), default=0)


def _has_ended(path: Path, expiry: float) -> bool:
    said = _read(path)
    return bool(said.get("released")) or _is_gone(said) or _age(path) > expiry


def _read(path: Path) -> dict[str, Any]:
    """What a claim says; nothing while it is being written."""
    try:
        said = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _age(path: Path) -> float:
    """Seconds since a file was touched, both ends told by the file system that holds it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".now-") as now:
        return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime


def _self() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine(), "started": _started(os.getpid())}


def _is_gone(said: Mapping[str, Any]) -> bool:
    """Whether a process of this very machine has ended; False where that cannot be told."""
    if not said.get("machine") or said.get("machine") != _machine():
        return False
    return _started(said.get("pid", 0)) != said.get("started")


def _machine() -> str:
    """Host, boot and space of process numbers, so that a number means one process; "" where they cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks; "" where none of that number runs."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else rest[18]
