"""Times steps in turn in one process, so that a noisy machine slows all of them alike."""

import time
from collections.abc import Callable, Mapping

import torch


def in_turn(
    steps: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each step by name, one step each per round; the first ``warm_up`` rounds are dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(warm_up + rounds):
        for name, step in steps.items():
            begun = clock()
            step()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            if number >= warm_up:
                seconds[name].append(clock() - begun)
    return seconds
