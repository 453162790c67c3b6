"""What a run needs: how long it will take, and what is said where the memory does not suffice."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.errors import UserError
from fieldmark.evaluation.inference import BATCH
from fieldmark.input.loading import Photographs
from fieldmark.ops.memory import is_out_of_memory
from fieldmark.recipe import Recipe

READ = 8
"""Photos that are read to see how long it takes, if they take no longer than ``PATIENCE`` seconds."""
PATIENCE = 0.5
LOOKED_AT = 8
"""Photos of a trial evaluation on a processor, which takes as long for each of few as of many."""


@contextmanager
def enough_memory(learner: Learner, recipe: Recipe) -> Iterator[None]:
    """Says in two lines what helps where the memory of the GPU or of the processor does not suffice.

    Raises:
        UserError: it does not; every other error goes its way.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        pieces = "" if learner.batch_wide else f", or say --accumulate {2 * recipe.accumulate}"
        place = " on the GPU" if isinstance(error, torch.OutOfMemoryError) else ""
        raise UserError(
            f"too little memory{place}: choose a smaller --batch (it is "
            f"{recipe.batches.size}) or --size (it is {recipe.pixels.size}){pieces}\n"
            "what is saved of the run stays; --overwrite begins it anew with other settings"
        ) from error


@dataclass(frozen=True)
class Ahead:
    """What one process has before it: steps of so many photos, and after each epoch so many that are measured.

    ``workers`` are the processes that read for it; 0 if it reads itself.
    """

    steps: int
    per_batch: int
    epochs: int = 0
    measured: int = 0
    workers: int = 0


def expected_seconds(learner: Learner, recipe: Recipe, *, fabric: Fabric, photos: Photographs, ahead: Ahead) -> float:
    """How long the rest of a run will take: steps, and photos measured after epochs, each computed and read.

    Measured in a second or two on a copy that is thrown away; the learner, its statistics and torch's random numbers
    stay as they are. Where others read ahead, the slower of reading and computing counts, else both.

    Args:
        learner: on the fabric's device.
        recipe: size, precision and pieces of the steps.
        fabric: device and precision.
        photos: those trained on; a few are read.
        ahead: how much of what.

    Raises:
        UserError: the memory does not suffice.
    """
    state = torch.get_rng_state()
    with enough_memory(learner, recipe):
        trial = copy.deepcopy(learner)
        step = _step_seconds(trial, recipe, fabric, ahead.per_batch)
        count = min(ahead.measured, LOOKED_AT if fabric.device.type == "cpu" else BATCH)
        look = _look_seconds(trial, recipe, fabric, count) if count else 0.0
    torch.set_rng_state(state)
    seconds = ahead.steps * _together(step, ahead.per_batch * _read_seconds(photos, epoch=0), ahead.workers)
    if ahead.measured:
        each = _together(look, _read_seconds(photos, epoch=-1), ahead.workers)
        seconds += ahead.epochs * ahead.measured * each
    return seconds


def _together(computing: float, reading: float, workers: int) -> float:
    """Seconds for both, where ``workers`` processes read ahead."""
    readers = min(workers, torch.multiprocessing.cpu_count())
    return max(computing, reading / readers) if readers else computing + reading


def _step_seconds(trial: Learner, recipe: Recipe, fabric: Fabric, per_batch: int) -> float:
    """A training step, in as many pieces as the recipe has; the gradients are thrown away."""
    trial.train()
    images, labels = _images(trial, fabric, count=-(-per_batch // recipe.accumulate), size=recipe.pixels.size)

    def step() -> None:
        with fabric.autocast():
            loss = total(trial(images, labels, Draws(0, 0, labels)))
        loss.backward()

    piece = _least_seconds(step, fabric, times=3)
    trial.zero_grad()
    return piece * recipe.accumulate


def _look_seconds(trial: Learner, recipe: Recipe, fabric: Fabric, count: int) -> float:
    """A photo of an evaluation: forward, in float32 as there."""
    trial.eval()
    images, _ = _images(trial, fabric, count=count, size=recipe.pixels.eval_size)

    def look() -> None:
        with torch.inference_mode():
            trial.method(images)

    return _least_seconds(look, fabric, times=2) / count


def _images(trial: Learner, fabric: Fabric, *, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey images (count, 3, size, size) and labels (count,)."""
    images = torch.zeros(count, 3, size, size, device=fabric.device).contiguous(memory_format=torch.channels_last)
    return images, torch.arange(count, device=fabric.device) % trial.method.classifier.classes


def _least_seconds(work: Callable[[], None], fabric: Fabric, *, times: int) -> float:
    """The quickest time but the first."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        if fabric.device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return min(taken[1:])


def _read_seconds(photos: Photographs, *, epoch: int) -> float:
    """Reading a photo for training (epoch 0) or evaluation (epoch -1) in one process: the mean of a few."""
    chosen = sorted({len(photos) * place // READ for place in range(READ)})
    photos.__getitems__([(epoch, chosen[0])])  # the first one also waits for libraries to wake
    begun, done = time.perf_counter(), 0
    for index in chosen:
        photos.__getitems__([(epoch, index)])
        done += 1
        if time.perf_counter() - begun > PATIENCE:
            break
    return (time.perf_counter() - begun) / done
