"""What a run needs: how long it will take, and advice where memory runs out."""

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
"""Photos read to measure reading, as long as that takes no more than ``PATIENCE`` seconds."""
PATIENCE = 0.5
CPU_BATCH = 8
"""Photos of a trial evaluation on a CPU, where the time per photo hardly depends on the batch."""


@contextmanager
def enough_memory(learner: Learner, recipe: Recipe) -> Iterator[None]:
    """Turns an out-of-memory error, of the GPU or the CPU, into two lines of advice.

    Raises:
        UserError: memory ran out; all other errors pass unchanged.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        pieces = "" if learner.batch_wide else f", or use --accumulate {2 * recipe.accumulate}"
        place = " on the GPU" if isinstance(error, torch.OutOfMemoryError) else ""
        raise UserError(
            f"out of memory{place}: choose a smaller --batch (it is "
            f"{recipe.batches.size}) or --size (it is {recipe.pixels.size}){pieces}\n"
            "what was saved of the run stays; --overwrite starts over with other settings"
        ) from error


@dataclass(frozen=True)
class Ahead:
    """What one process still has to do: ``steps`` of ``per_batch`` photos, and ``measured`` photos after each epoch.

    ``workers`` are the processes that read for it; 0 if it reads by itself.
    """

    steps: int
    per_batch: int
    epochs: int = 0
    measured: int = 0
    workers: int = 0


def expected_seconds(learner: Learner, recipe: Recipe, *, fabric: Fabric, photos: Photographs, ahead: Ahead) -> float:
    """How long the rest of a run will take: its steps, and the validation after each epoch, reading included.

    It is measured in a second or two on a copy that is thrown away; the learner, its statistics and torch's random
    numbers stay as they are. Where other processes read ahead, the slower of reading and computing counts, else both.

    Args:
        learner: on the fabric's device.
        recipe: size, precision and pieces of the steps.
        fabric: device and precision.
        photos: the training photos; a few are read.
        ahead: what is left to do.

    Raises:
        UserError: memory runs out.
    """
    state = torch.get_rng_state()
    with enough_memory(learner, recipe):
        trial = copy.deepcopy(learner)
        step = _step_seconds(trial, recipe, fabric, ahead.per_batch)
        count = min(ahead.measured, CPU_BATCH if fabric.device.type == "cpu" else BATCH)
        validation = _validation_seconds(trial, recipe, fabric, count) if count else 0.0
    torch.set_rng_state(state)
    seconds = ahead.steps * _together(step, ahead.per_batch * _read_seconds(photos, epoch=0), ahead.workers)
    if ahead.measured:
        each = _together(validation, _read_seconds(photos, epoch=-1), ahead.workers)
        seconds += ahead.epochs * ahead.measured * each
    return seconds


def _together(computing: float, reading: float, workers: int) -> float:
    """Seconds for both, where ``workers`` processes read ahead."""
    readers = min(workers, torch.multiprocessing.cpu_count())
    return max(computing, reading / readers) if readers else computing + reading


def _step_seconds(trial: Learner, recipe: Recipe, fabric: Fabric, per_batch: int) -> float:
    """Seconds of a training step, in as many pieces as the recipe has; the gradients are thrown away."""
    trial.train()
    images, labels = _images(trial, fabric, count=-(-per_batch // recipe.accumulate), size=recipe.pixels.size)

    def step() -> None:
        with fabric.autocast():
            loss = total(trial(images, labels, Draws(0, 0, labels)))
        loss.backward()

    piece = _least_seconds(step, fabric, times=3)
    trial.zero_grad()
    return piece * recipe.accumulate


def _validation_seconds(trial: Learner, recipe: Recipe, fabric: Fabric, count: int) -> float:
    """Seconds per photo of an evaluation: the forward pass, in float32 as there."""
    trial.eval()
    images, _ = _images(trial, fabric, count=count, size=recipe.pixels.eval_size)

    def forward() -> None:
        with torch.inference_mode():
            trial.method(images)

    return _least_seconds(forward, fabric, times=2) / count


def _images(trial: Learner, fabric: Fabric, *, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey images (count, 3, size, size) and labels (count,)."""
    images = torch.zeros(count, 3, size, size, device=fabric.device).contiguous(memory_format=torch.channels_last)
    return images, torch.arange(count, device=fabric.device) % trial.method.classifier.classes


def _least_seconds(work: Callable[[], None], fabric: Fabric, *, times: int) -> float:
    """The shortest time, leaving out the first."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        if fabric.device.type != "cpu":
            torch.accelerator.synchronize(fabric.device)
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:])


def _read_seconds(photos: Photographs, *, epoch: int) -> float:
    """Seconds to read a photo for training (epoch 0) or evaluation (epoch -1) in one process: the mean of a few."""
    chosen = sorted({len(photos) * place // READ for place in range(READ)})
    photos.__getitems__([(epoch, chosen[0])])  # the first read also loads libraries
    begun, done = time.perf_counter(), 0
    for index in chosen:
        photos.__getitems__([(epoch, index)])
        done += 1
        if time.perf_counter() - begun > PATIENCE:
            break
    return (time.perf_counter() - begun) / done
