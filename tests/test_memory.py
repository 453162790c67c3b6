"""The C library keeps what was freed: counted in page faults, in a process of its own."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from fieldmark.memory import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    assert keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    for megabytes in (4, 24, 9, 17):  # together, so that no single block is found again by chance
        blocks = [torch.ones(megabytes << 18) for _ in range(3)]

step(); step()
before = faults()
for _ in range(5):
    step()
print(faults() - before)
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_used_again_without_faulting_it_in():
    free, kept = faults("free"), faults("kept")
    assert free > 1_000  # or there is nothing to be gained
    assert kept < free / 10
