"""The C library keeps what was freed: seen in the memory that the process holds afterwards."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import sys, torch
from fieldmark.ops.memory import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    assert keep_freed_memory()

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) // 1024

torch.ones(1 << 20)
before = held()
blocks = [torch.ones(megabytes << 18) for megabytes in (4, 24, 9, 97) for _ in range(2)]
del blocks
print(held() - before)
"""


def megabytes_held(mode: str) -> int:
    """Of 268 MB that were allocated and freed."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_kept():
    assert megabytes_held("free") < 130  # or there is nothing to be gained
    assert megabytes_held("kept") > 260
