"""Memory: keeps what was freed for the next step, and tells an error for want of memory from others.

The C library would hand freed memory back to the system.

A training step frees gigabytes of maps and gradients and asks for the same sizes again a moment later. glibc maps
blocks above 128 kB (a limit that it moves itself, up to 32 MB) one by one and unmaps them when they are freed, so that
each step faults every page in anew: about an eighth of a ResNet-50 step on two cores, and a fifth of an
EfficientNet-Lite0 step.
"""

import ctypes
import sys

import torch

_TOO_MUCH = ("DefaultCPUAllocator:", "not enough memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Sets glibc's limits for the rest of this process and for processes forked from it; False with another C library.

    The process then holds on to the most that it ever needed, as it would have at its peak.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))


def is_too_much(error: BaseException) -> bool:
    """Whether an error says that the memory of the GPU or of the processor did not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _TOO_MUCH)
