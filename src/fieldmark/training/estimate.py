"""What a run needs: how long it will take, and advice where memory runs out."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from threadpoolctl import threadpool_limits

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
CLOSING, UNLOADING = 3.0, 0.5
"""What is set aside for the end: seconds for the last files (the picture of the curves needs matplotlib), and for the
libraries, which it takes time to put away too, a share of the seconds in which they were loaded."""
PASSES = 700
"""Products of all features and weights while a regression is fitted: on 600 photos of 20 classes of CUB, folds and
penalties come to 315 iterations over all photos, with two products each, and some in addition."""
ENCODED_TWICE = 1.3
"""What micro-batches cost: a forward pass more, about a third of a step."""
ROWS = 512
"""Photos of the product that is timed for it."""
VECTOR_PASSES = 300_000
"""Products of all weights with themselves that take as long as L-BFGS does for itself; measured were 240,000 to
350,000, on 300 to 2,040 photos of 20 and 102 classes."""


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
        few = max(1, (recipe.micro_batch or recipe.batches.size) // 4)
        pieces = f", or use --micro-batch {few}" if recipe.accumulate == 1 else ""
        place = " on the GPU" if isinstance(error, torch.OutOfMemoryError) else ""
        raise UserError(
            f"out of memory{place}: choose a smaller --batch (it is "
            f"{recipe.batches.size}) or --size (it is {recipe.pixels.size}){pieces}\n"
            "what was saved of the run stays; --overwrite starts over with other settings"
        ) from error


@dataclass(frozen=True)
class Work:
    """What one process does: steps of ``per_batch`` photos, and ``measured`` photos after each epoch.

    Where the head begins as a probe, it looks at ``features`` photos before the first step, waits until a regression is
    fitted to those of ``fitted`` photos, and measures the start like an epoch. After the last epoch it looks at
    ``closing`` photos. ``workers`` are the processes that read for it; 0 if it reads by itself.
    """

    per_batch: int
    measured: int = 0
    features: int = 0
    fitted: int = 0
    closing: int = 0
    workers: int = 0


class Expected(NamedTuple):
    """Seconds: of what comes before the first step, of a step, of the validation after an epoch, and after the last."""

    start: float
    step: float
    validation: float
    closing: float = 0.0

    def of(self, *, steps: int, epochs: int) -> float:
        """All that is ahead."""
        return self.start + steps * self.step + epochs * self.validation + self.closing


@dataclass
class Budget:
    """The time that a command may take.

    ``words`` is what the user said, ``end`` when the last step has to be done, on the clock of ``time.perf_counter``;
    ``epoch`` are the seconds of an epoch with its validation, as expected and later as measured.
    """

    words: str
    end: float
    epoch: float = math.inf
    _last: float | None = field(default=None, init=False)
    _steps: int = field(default=0, init=False)
    _in_steps: float = field(default=0.0, init=False)
    _epochs: int = field(default=0, init=False)
    _between_epochs: float = field(default=0.0, init=False)

    def after_step(self) -> None:
        """Counts a step; not the first, in which processes start and kernels are chosen."""
        now = time.perf_counter()
        if self._last is not None:
            self._steps, self._in_steps = self._steps + 1, self._in_steps + now - self._last
        self._last = now

    def after_epoch(self, per_epoch: int) -> None:
        """Takes what an epoch of so many steps took on average, validation and saving included, for what it will."""
        now = time.perf_counter()
        self._epochs, self._between_epochs = self._epochs + 1, self._between_epochs + now - (self._last or now)
        self._last = now
        if self._steps:
            self.epoch = per_epoch * self._in_steps / self._steps + self._between_epochs / self._epochs

    def epochs_left(self, before: float = 0.0) -> float:
        """How many epochs there is time for after ``before`` seconds of other work."""
        return max(self.end - time.perf_counter() - before, 0.0) / self.epoch


def expected_seconds(learner: Learner, recipe: Recipe, *, fabric: Fabric, photos: Photographs, work: Work) -> Expected:
    """How long the parts of a run take, reading included.

    It is measured in a second or two on a copy that is thrown away; the learner, its statistics and torch's random
    numbers stay as they are. Where other processes read ahead, the slower of reading and computing counts, else both;
    on a processor they also share its cores.

    Args:
        learner: on the fabric's device.
        recipe: size, precision and pieces of the steps.
        fabric: device and precision.
        photos: the training photos; a few are read.
        work: what is to be done.

    Raises:
        UserError: memory runs out.
    """
    state = torch.get_rng_state()
    with enough_memory(learner, recipe):
        trial = copy.deepcopy(learner)
        step = _step_seconds(trial, recipe, fabric, work.per_batch)
        classifier = trial.method.classifier
        look = _look_seconds(trial.method, trial, recipe, fabric, max(work.measured, work.closing))
        feature = _look_seconds(classifier.pooled, trial, recipe, fabric, work.features)
    torch.set_rng_state(state)
    threads = torch.get_num_threads() if fabric.device.type == "cpu" else 0
    both = partial(_together, workers=work.workers, threads=threads)
    step = both(step, work.per_batch * _read_seconds(photos, epoch=0))
    reading = _read_seconds(photos, epoch=-1) if work.measured or work.features or work.closing else 0.0
    validation, closing = (count * both(look, reading) for count in (work.measured, work.closing))
    start = 0.0
    if work.features:
        fit = _regression_seconds(work.fitted, getattr(classifier.head, "in_features", 1), classifier.classes)
        start = work.features * both(feature, reading) + fit + validation
    return Expected(start, step, validation, closing)


def _together(computing: float, reading: float, *, workers: int, threads: int) -> float:
    """Seconds for both, where ``workers`` processes read ahead and ``threads`` compute on the same cores."""
    cores = torch.multiprocessing.cpu_count()
    if not workers:
        return computing + reading
    return max(computing, reading / min(workers, cores), (computing * threads + reading) / cores)


def _step_seconds(trial: Learner, recipe: Recipe, fabric: Fabric, per_batch: int) -> float:
    """Seconds of a training step, in as many pieces as the recipe has; the gradients are thrown away."""
    trial.train()
    count = min(per_batch, recipe.micro_batch) if recipe.micro_batch else -(-per_batch // recipe.accumulate)
    images, labels = _images(trial, fabric, count=count, size=recipe.pixels.size)

    def step() -> None:
        with fabric.autocast():
            loss = total(trial(images, labels, Draws(0, 0, labels)))
        loss.backward()

    piece = _least_seconds(step, fabric, times=3)
    trial.zero_grad()
    if count == per_batch or recipe.accumulate > 1:
        return piece * recipe.accumulate
    return piece * ENCODED_TWICE * per_batch / count


def _look_seconds(
    function: Callable[[torch.Tensor], torch.Tensor], trial: Learner, recipe: Recipe, fabric: Fabric, count: int
) -> float:
    """Seconds per photo of a function of images, in float32 as in an evaluation; 0 for no photos."""
    count = min(count, CPU_BATCH if fabric.device.type == "cpu" else BATCH)
    if not count:
        return 0.0
    trial.eval()
    images, _ = _images(trial, fabric, count=count, size=recipe.pixels.eval_size)

    def forward() -> None:
        with torch.inference_mode():
            function(images)

    return _least_seconds(forward, fabric, times=2) / count


def _images(trial: Learner, fabric: Fabric, *, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey images (count, 3, size, size) and labels (count,)."""
    images = torch.zeros(count, 3, size, size, device=fabric.device).contiguous(memory_format=torch.channels_last)
    return images, torch.arange(count, device=fabric.device) % trial.method.classifier.classes


def _least_seconds(work: Callable[[], object], fabric: Fabric, *, times: int) -> float:
    """The shortest time of work on the fabric's device, leaving out the first."""

    def done() -> None:
        work()
        if fabric.device.type != "cpu":
            torch.accelerator.synchronize(fabric.device)

    return _least(done, times=times)


def _least(work: Callable[[], object], *, times: int) -> float:
    """The shortest time, leaving out the first."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:])


def _regression_seconds(photos: int, width: int, classes: int) -> float:
    """Seconds to fit a regression to features (photos, width), on one thread as it is."""
    features, weights = np.ones((ROWS, width)), np.ones((width, classes))
    with threadpool_limits(1, user_api="blas"):
        product = _least(lambda: features.dot(weights), times=3)
        vector = _least(lambda: weights.ravel().dot(weights.ravel()), times=20)
    return product * PASSES * photos / ROWS + vector * VECTOR_PASSES


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
