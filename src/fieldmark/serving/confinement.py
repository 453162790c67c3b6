"""What a process that decodes strangers' photos may do: little. Limits of memory and time, and on Linux a filter.

The filter (seccomp) lets the system refuse, for the rest of the process's life, every call that opens a connection,
starts a program, writes a file or looks into another process. Reading is left, as libraries are loaded on demand.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 1, 38, 22, 2
_KILLED = 9
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of the filter's machine
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _THIRD_ARGUMENT_AT = 0, 4, 32
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_NOT_PERMITTED = 1
_OTHER_CALLS = 0x40000000  # from here on, x86 has a second set of numbers for the same calls

# By their numbers in <asm/unistd.h>, in this order: socket, connect, accept, bind, listen, socketpair, accept4; execve,
# execveat, and on x86 fork and vfork; ptrace, process_vm_readv, process_vm_writev, kill, tkill, tgkill, pidfd_open; for
# files, on x86 open and creat, openat2, unlink, rename, mkdir, link, symlink, truncate, chmod, chown and their
# kin; mount, io_uring_setup, bpf, unshare, setns, userfaultfd, keyctl.
_REFUSED = {
    "x86_64": (
        *(41, 42, 43, 49, 50, 53, 288, 59, 322, 57, 58, 101, 310, 311, 62, 200, 234, 434, 2, 85, 437, 87, 263),
        *(82, 264, 316, 83, 258, 86, 265, 88, 266, 76, 90, 91, 268, 92, 165, 425, 321, 272, 308, 323, 250),
    ),
    "aarch64": (
        *(198, 203, 202, 200, 201, 199, 242, 221, 281, 117, 270, 271, 129, 130, 131, 434, 437, 35),
        *(38, 276, 34, 37, 36, 45, 52, 53, 54, 40, 425, 280, 97, 268, 282, 219),
    ),
}
_OPENAT = {"x86_64": 257, "aarch64": 56}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def confine(*, megabytes: int) -> str:
    """Confines this process for good, as far as the system allows; what could not be done is told in a few words.

    Args:
        megabytes: of address space beyond what the process has now.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    missing = [] if _limit_memory(megabytes) else ["memory is not limited"]
    if not _filter_calls():
        missing.append("connections, programs and files to write are not refused by the system")
    return "; ".join(missing)


def allow_seconds(seconds: int) -> None:
    """Lets this process compute for so many seconds more, at least; then the system ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


def end_with_parent() -> None:
    """The system ends this process when the one that started it has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _KILLED, 0, 0, 0)


def _limit_memory(megabytes: int) -> bool:
    """Whether address space is limited: there must be a way to know how much is in use."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        return True
    return False


def _filter_calls() -> bool:
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _REFUSED or struct.calcsize("P") != 8:
        return False
    steps = _program(_ARCHITECTURES[machine], _REFUSED[machine], _OPENAT[machine])
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(steps), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None).prctl
    if prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        return False
    return not prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.c_void_p(ctypes.addressof(program)))


def _program(architecture: int, refused: Sequence[int], openat: int) -> list[tuple[int, int, int, int]]:
    """Steps (code, where to go if so, if not, value): the system runs them at each call."""
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _OTHER_CALLS),
        (_RETURN, 0, 0, _KILL),
    ]
    for left, number in enumerate(refused):
        steps.append((_EQUAL, len(refused) - left + 3, 0, number))  # to the refusal, five steps from the last of these
    steps += [
        (_EQUAL, 0, 2, openat),
        (_LOAD, 0, 0, _THIRD_ARGUMENT_AT),
        (_ANY_BIT, 1, 0, _WRITING),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE | _NOT_PERMITTED),
    ]
    return steps
