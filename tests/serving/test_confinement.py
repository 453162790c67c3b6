"""Confinement is tried where it is used, in ``test_decoder.py``; here, the limit of the processor's time, the filter's
program, for processors that are not at hand, too, and what other processes see of a server.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fieldmark.serving.confinement import _ARCHITECTURES, _program
from server_process import Running

ENDLESS = """
from fieldmark.serving.confinement import allow_seconds
allow_seconds(0)
while True:
    pass
"""
ALLOWED, REFUSED, NOT_THERE, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
X86, ARM = _ARCHITECTURES.values()
FORK = 0x01200011  # flags with which the C library forks
THREAD = 0x003D0F00  # and makes a thread


def test_the_system_ends_what_computes_too_long():
    done = subprocess.run([sys.executable, "-c", ENDLESS], timeout=60)
    assert done.returncode == -signal.SIGXCPU


def outcome(machine: str, architecture: int, number: int, *arguments: int) -> int:
    """What the filter's program says of a call, as the system runs it."""
    words = {0: number, 4: architecture}
    for at, value in enumerate(arguments):
        words |= {16 + 8 * at: value & 0xFFFFFFFF, 20 + 8 * at: value >> 32}
    program, at, loaded = _program(machine), 0, 0
    while True:
        code, so, otherwise, value = program[at]
        at += 1
        if code == 0x20:
            loaded = words.get(value, 0)
        elif code == 0x06:
            return value
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += so if holds else otherwise


@pytest.mark.parametrize(("machine", "architecture", "calls"), [
    ("x86_64", X86, {"read": 0, "socket": 41, "execve": 59, "fork": 57, "mkfifo": 133, "rmdir": 84, "kill": 62,
                     "openat": 257, "clone": 56, "clone3": 435, "prlimit64": 302}),
    ("aarch64", ARM, {"read": 63, "socket": 198, "execve": 221, "mkfifo": 33, "rmdir": 35, "kill": 129,
                      "openat": 56, "clone": 220, "clone3": 435, "prlimit64": 261}),
])  # fmt: skip
def test_the_filter_call_by_call(machine: str, architecture: int, calls: dict[str, int]):
    def said(name: str, *arguments: int) -> int:
        return outcome(machine, architecture, calls[name], *arguments)

    assert said("read") == ALLOWED
    for name in calls.keys() & {"socket", "execve", "fork", "mkfifo", "rmdir", "kill"}:
        assert said(name) == REFUSED
    assert said("openat", 0, 0, os.O_RDONLY | os.O_CLOEXEC) == ALLOWED
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC):
        assert said("openat", 0, 0, flags) == REFUSED
    assert (said("clone", THREAD), said("clone", FORK), said("clone", 1 << 48)) == (ALLOWED, REFUSED, REFUSED)
    assert said("clone3", 1) == NOT_THERE
    assert (said("prlimit64", 0), said("prlimit64", 1234)) == (ALLOWED, REFUSED)
    assert outcome(machine, X86 + ARM, calls["read"]) == KILLED
    assert outcome(machine, architecture, 0x40000000 + calls["read"]) == KILLED


LOOKING = """
import os
from fieldmark.serving.confinement import _PR_GET_DUMPABLE, _PR_SET_DUMPABLE, _prctl, hidden
if os.getuid() == 0:
    os.setuid(65534)  # root sees everything
_prctl(_PR_SET_DUMPABLE, 1)

def look():
    if (child := os.fork()) == 0:
        try:
            os.close(os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY))
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

before = _prctl(_PR_GET_DUMPABLE)
with hidden():
    print(look(), before, _prctl(_PR_GET_DUMPABLE), end=" ")
print(_prctl(_PR_GET_DUMPABLE))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a way of Linux")
def test_another_process_of_the_same_user_cannot_look_into_what_is_hidden():
    done = subprocess.run([sys.executable, "-c", LOOKING], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1", "1", "0", "1"], done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="a way of Linux")
def test_a_server_is_hidden(server: Running):
    """Its files of the system belong to root, whose process it may be."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    owner = int(status.partition("Uid:\t")[2].split()[0])
    for pid in server.family:
        assert owner == 0 or os.stat(f"/proc/{pid}/mem").st_uid == 0
    held = [Path(f"/proc/{pid}/status").read_text().partition("CapEff:\t")[2].split()[0] for pid in server.family[1:]]
    assert all(int(each, 16) & ~4 == 0 for each in held)
