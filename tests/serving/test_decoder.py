"""The program that decodes photos, and what it may do."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import encoded, photo

from fieldmark.plain import to_plain
from fieldmark.recipe import Pixels
from fieldmark.serving.confinement import hidden
from fieldmark.serving.decoder import HEAD, LENGTH, READY, SEEN, UNREADABLE, Assignment, view_of
from fieldmark.ship.model import open_model

HERE = Assignment(Pixels(32, 32), megabytes=512, seconds=5)


@contextmanager
def process(assignment: Assignment = HERE) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    command = [
        sys.executable,
        "-m",
        "fieldmark.serving.decoder",
        str(theirs.fileno()),
        json.dumps(to_plain(assignment)),
    ]
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as child:
        theirs.close()
        ours.settimeout(20)
        yield ours
        ours.close()
        assert child.wait(10) == 0


def answer(connection: socket.socket) -> tuple[int, tuple[int, int], bytes]:
    outcome, width, height, length = HEAD.unpack(connection.recv(HEAD.size, socket.MSG_WAITALL))
    return outcome, (width, height), connection.recv(length, socket.MSG_WAITALL)


def test_views_are_bit_for_bit_those_of_the_model(model_file: Path):
    model = open_model(model_file, device="cpu")
    pictures = [
        encoded(photo(width, height), kind)
        for kind in ("JPEG", "PNG", "WEBP")
        for width, height in ((96, 64), (40, 90))
    ]
    with process(Assignment(model.manifest.pixels, megabytes=512, seconds=5)) as connection:
        assert answer(connection)[0] == READY
        for picture in pictures:
            connection.sendall(LENGTH.pack(len(picture)) + picture)
        for picture in pictures:
            outcome, _, content = answer(connection)
            assert outcome == SEEN
            view = np.frombuffer(content, np.uint8).reshape(1, 32, 32, 3)
            assert np.array_equal(model.normalised(view)[0], model.prepared(picture))


def test_what_cannot_be_read_has_a_reason():
    assert view_of(b"text", HERE)[:3] == (UNREADABLE, 0, 0)
    assert view_of(encoded(photo(40, 90), "PNG"), HERE)[:3] == (SEEN, 40, 90)
    boxed = Assignment(Pixels(32, 32, fit="box"), megabytes=512, seconds=5)
    assert b"box" in view_of(encoded(photo(), "PNG"), boxed)[3]


TRYING = """
import ctypes, os, resource, signal, socket, subprocess, sys, threading
from fieldmark.serving.confinement import confine
missing = confine(megabytes=200)
def refused(work):
    try:
        work()
    except PermissionError:
        return True
    return False
tries = {
    "connections": lambda: socket.socket(),
    "pairs": lambda: socket.socketpair(),
    "programs": lambda: os.execv("/bin/true", ["true"]),
    "writing": lambda: open(sys.argv[1], "w"),
    "appending": lambda: open(sys.argv[1], "a"),
    "removing": lambda: os.unlink(sys.argv[1]),
    "folders": lambda: os.mkdir(sys.argv[1] + "-folder"),
    "removing folders": lambda: os.rmdir(sys.argv[1] + "-there"),
    "pipes": lambda: os.mkfifo(sys.argv[1] + "-pipe"),
    "times": lambda: os.utime(sys.argv[1], (1, 1)),
    "attributes": lambda: os.setxattr(sys.argv[1], "user.a", b"1"),
    "owners": lambda: os.chown(sys.argv[1], -1, -1),
    "signals": lambda: os.kill(os.getppid(), 0),
    "processes": lambda: os.fork() or os._exit(0),
    "spawned": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "limits": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
    "priorities": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
    "processors": lambda: os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0)),
    "memory": lambda: open(f"/proc/{os.getppid()}/mem", "rb"),
    "environment": lambda: open(f"/proc/{os.getppid()}/environ", "rb").read(),
}
print(missing or "complete", *(name for name, work in tries.items() if not refused(work)), sep=",")
open(sys.argv[1]).read()
resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
thread = threading.Thread(target=print, args=("threads",))
thread.start()
thread.join()
try:
    bytearray(10**9)
except MemoryError:
    print("limited")
"""


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"), reason="needs seccomp")
def test_a_confined_process_can_do_little(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("kept")
    (tmp_path / "file-there").mkdir()
    with hidden():
        done = subprocess.run([sys.executable, "-c", TRYING, str(file)], capture_output=True, text=True, timeout=60)
    first, *others = done.stdout.splitlines()
    if "not refused by the system" in first:
        pytest.skip("this system does not let a process filter its calls")
    assert first == "complete"
    assert others == ["threads", "limited"], done.stderr
    assert file.read_text() == "kept"
