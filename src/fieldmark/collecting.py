"""Python's search for garbage, left out where there is none: it takes a third of the time in which a program starts."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """For imports, and whatever else makes many objects that stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def leave_uncollected() -> None:
    """For a program that is about to end: what it holds is freed with it, and need not be searched for garbage.

    Not where PyTorch's compiler has loaded Triton, which takes what is not freed for a fault and prints pages of it.
    """
    if "triton" not in sys.modules:
        gc.freeze()
