"""How long networks take for a photo, each row of a table in its turn: the time column of CIN's Table 1."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from fieldmark.building import build_learner
from fieldmark.core.contract import Method
from fieldmark.recipe import Recipe

ROUNDS, WARM_UP = 5, 2
CLASSES = 200


def times_of(
    recipes: Mapping[str, Recipe],
    *,
    device: str,
    rounds: int = ROUNDS,
    progress: Callable[[str], object] | None = None,
) -> dict[str, float]:
    """The median milliseconds of inference on one photo, by name; networks take turns, with random weights.

    Args:
        recipes: rows, by name.
        device: as PyTorch calls it.
        rounds: turns that count, after two that do not.
        progress: gets each name as its network is built.
    """
    networks: dict[str, tuple[Method, torch.Tensor]] = {}
    for name, recipe in recipes.items():
        if progress:
            progress(name)
        model = replace(recipe.model, weights="none")
        method = build_learner(replace(recipe, model=model), classes=CLASSES, weights="none").method
        side = recipe.pixels.eval_size
        networks[name] = (method.to(device).eval(), torch.randn(1, 3, side, side, device=device))
    taken: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(WARM_UP + rounds):
        for name, (method, image) in networks.items():
            seconds = _seconds(method, image)
            if turn >= WARM_UP:
                taken[name].append(seconds)
    return {name: 1000 * statistics.median(seconds) for name, seconds in taken.items()}


@torch.inference_mode()
def _seconds(method: Method, image: torch.Tensor) -> float:
    """Of one pass, until the device is done."""
    _wait(image)
    begun = time.perf_counter()
    method(image)
    _wait(image)
    return time.perf_counter() - begun


def _wait(image: torch.Tensor) -> None:
    if image.device.type == "cuda":
        torch.cuda.synchronize(image.device)
