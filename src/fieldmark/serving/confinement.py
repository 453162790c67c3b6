"""What a process that decodes strangers' photos may do: little. Limits of memory and time, and on Linux a filter.

The filter (seccomp) lets the system refuse, for the rest of the process's life, every call that opens a connection,
starts a program or a process, changes a file, or does something to another process. Reading files is left, as libraries
are loaded on demand; the memory of the server is kept from them by ``hidden``, and by giving up privileges.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PR_SET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 3, 4, 22, 38
_FILTER = 2
_KILLED = 9
_CAPABILITIES, _READ_ALL = 0x20080522, 1 << 2  # the form with three pairs of numbers; to read files of other users
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of the filter's machine
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_THREAD = 0x10000  # what clone is to make
_NOT_PERMITTED, _NOT_THERE = 1, 38
_OTHER_CALLS = 0x40000000  # from here on, x86 has a second set of numbers for the same calls
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_MACHINES = (*_ARCHITECTURES,)
_REFUSED: tuple[tuple[str, int | None, int | None], ...] = (
    # by their names in <asm/unistd.h> and the numbers there on x86-64 and ARM64
    ("socket", 41, 198), ("connect", 42, 203), ("accept", 43, 202), ("accept4", 288, 242), ("bind", 49, 200),
    ("listen", 50, 201), ("socketpair", 53, 199),
    # programs and processes, but for clone, which also makes threads
    ("execve", 59, 221), ("execveat", 322, 281), ("fork", 57, None), ("vfork", 58, None), ("unshare", 272, 97),
    ("setns", 308, 268),
    # other processes: their memory, signals to them, their priorities
    ("ptrace", 101, 117), ("process_vm_readv", 310, 270), ("process_vm_writev", 311, 271), ("kcmp", 312, 272),
    ("process_madvise", 440, 440), ("pidfd_open", 434, 434), ("pidfd_getfd", 438, 438), ("perf_event_open", 298, 241),
    ("kill", 62, 129), ("tkill", 200, 130), ("tgkill", 234, 131), ("pidfd_send_signal", 424, 424),
    ("rt_sigqueueinfo", 129, 138), ("rt_tgsigqueueinfo", 297, 240), ("setpriority", 141, 140),
    ("sched_setparam", 142, 118), ("sched_setscheduler", 144, 119), ("sched_setaffinity", 203, 122),
    ("sched_setattr", 314, 274), ("ioprio_set", 251, 30), ("migrate_pages", 256, 238), ("move_pages", 279, 239),
    # files, but for openat, which also reads
    ("open", 2, None), ("creat", 85, None), ("openat2", 437, 437), ("truncate", 76, 45), ("mknod", 133, None),
    ("mknodat", 259, 33), ("mkdir", 83, None), ("mkdirat", 258, 34), ("rmdir", 84, None), ("unlink", 87, None),
    ("unlinkat", 263, 35), ("rename", 82, None), ("renameat", 264, 38), ("renameat2", 316, 276), ("link", 86, None),
    ("linkat", 265, 37), ("symlink", 88, None), ("symlinkat", 266, 36), ("chmod", 90, None), ("fchmod", 91, 52),
    ("fchmodat", 268, 53), ("fchmodat2", 452, 452), ("chown", 92, None), ("lchown", 94, None), ("fchown", 93, 55),
    ("fchownat", 260, 54), ("utime", 132, None), ("utimes", 235, None), ("futimesat", 261, None),
    ("utimensat", 280, 88), ("setxattr", 188, 5), ("lsetxattr", 189, 6), ("fsetxattr", 190, 7),
    ("setxattrat", 463, 463), ("removexattr", 197, 14), ("lremovexattr", 198, 15), ("fremovexattr", 199, 16),
    ("removexattrat", 466, 466), ("mount", 165, 40),
    # ways around a filter, and what the system itself would have to keep
    ("io_uring_setup", 425, 425), ("bpf", 321, 280), ("userfaultfd", 323, 282), ("keyctl", 250, 219),
    ("add_key", 248, 217), ("request_key", 249, 218),
)  # fmt: skip


class _ByArgument(NamedTuple):
    """A call that depends on an argument, counted from 0: it ends as ``so`` where the test holds, else as ``else_``."""

    numbers: tuple[int, int]
    argument: int
    test: int
    value: int
    so: int
    else_: int


_REFUSAL = _REFUSE | _NOT_PERMITTED
_OPENAT = _ByArgument((257, 56), 2, _ANY_BIT, _WRITING, so=_REFUSAL, else_=_ALLOW)
_CLONE = _ByArgument((56, 220), 0, _ANY_BIT, _THREAD, so=_ALLOW, else_=_REFUSAL)
_ABSENCE = _REFUSE | _NOT_THERE  # clone3 has its flags in memory, where no filter looks; the C library then takes clone
_CLONE3 = _ByArgument((435, 435), 0, _EQUAL, 0, so=_ABSENCE, else_=_ABSENCE)
_PRLIMIT64 = _ByArgument((302, 261), 0, _EQUAL, 0, so=_ALLOW, else_=_REFUSAL)  # 0 is the process itself


def confine(*, megabytes: int) -> str:
    """Confines this process for good, as far as the system allows; what could not be done is told in a few words.

    Args:
        megabytes: of address space beyond what the process has now.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    missing = [] if _limit_memory(megabytes) else ["memory is not limited"]
    if sys.platform == "linux" and not (_give_up_privileges() and _hide()):
        missing.append("privileges are not given up")
    if not _filter_calls():
        missing.append("connections, programs, processes and files to write are not refused by the system")
    return "; ".join(missing)


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Meanwhile processes of the same user, such as those that decode, cannot look into this one's memory.

    Nor can a debugger without privileges, and there are no core dumps. On Linux alone.
    """
    before = _prctl(_PR_GET_DUMPABLE) if sys.platform == "linux" else -1
    if before >= 0:
        _hide()
    try:
        yield
    finally:
        if before >= 0:
            _prctl(_PR_SET_DUMPABLE, before)


def allow_seconds(seconds: int) -> None:
    """Lets this process compute for so many seconds more, at least; then the system ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


def end_with_parent() -> None:
    """The system ends this process when the one that started it has ended."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, _KILLED)


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
    if sys.platform != "linux" or machine not in _ARCHITECTURES or struct.calcsize("P") != 8:
        return False
    steps = _program(machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(steps), ctypes.addressof(code)))
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        return False
    return not _prctl(_PR_SET_SECCOMP, _FILTER, ctypes.addressof(program))


def _program(machine: str) -> list[tuple[int, int, int, int]]:
    """Steps (code, how many to skip if so, if not, value): the system runs them at each call."""
    which = _MACHINES.index(machine)
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _OTHER_CALLS),
        (_RETURN, 0, 0, _KILL),
    ]
    for _, *numbers in _REFUSED:
        if (number := numbers[which]) is not None:
            steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSAL)]
    for call in (_OPENAT, _CLONE, _CLONE3, _PRLIMIT64):
        steps += [
            (_EQUAL, 0, 4, call.numbers[which]),
            (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * call.argument),  # its lower half, which is all that these calls look at
            (call.test, 0, 1, call.value),
            (_RETURN, 0, 0, call.so),
            (_RETURN, 0, 0, call.else_),
        ]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _give_up_privileges() -> bool:
    """Whether this process is as good as any other user's, but that it may read what it could read before."""
    libc = ctypes.CDLL(None)
    header, numbers = struct.pack("<Ii", _CAPABILITIES, 0), ctypes.create_string_buffer(24)
    if libc.capget(header, numbers):
        return False
    kept = [number & (_READ_ALL if at < 2 else 0) for at, number in enumerate(struct.unpack("<6I", numbers.raw))]
    return not libc.capset(header, struct.pack("<6I", *kept))


def _hide() -> bool:
    """Whether other processes of this user cannot look into this one's memory."""
    return not _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, *values: int) -> int:
    rest = [*values, 0, 0, 0, 0][:4]
    return ctypes.CDLL(None).prctl(option, *(ctypes.c_ulong(value) for value in rest))
