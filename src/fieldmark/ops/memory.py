"""Keeps freed memory for the next step, and recognises out-of-memory errors.

A training step frees gigabytes of maps and gradients and allocates the same sizes again a moment later. glibc maps
blocks above 128 kB (a threshold that it adapts, up to 32 MB) one by one and unmaps them when they are freed, so that
each step faults in every page again: about an eighth of a ResNet-50 step on two cores, and a fifth of an
EfficientNet-Lite0 step.
"""

import ctypes
import sys

import torch

_OUT_OF_MEMORY = ("DefaultCPUAllocator:", "not enough memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
_OUT_OF_MEMORY += ("MPS backend out of memory",)
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Sets glibc's thresholds for this process and those forked from it; False with another C library.

    From then on the process keeps as much memory as it had at its peak.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has no mallopt
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is an out-of-memory error of the GPU or of the processor."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
