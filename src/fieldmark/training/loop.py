"""The one training loop. It sums named losses and never asks which method it runs.

A step reads nothing back from the device: a step whose loss or gradients are not finite is undone on the device, and
the host learns of it one step later. Randomness in a step is a function of (seed, step), so that a resumed run
continues as if it had never been stopped.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from fieldmark.batches import WholeRun
from fieldmark.core import processes
from fieldmark.core.device import moved
from fieldmark.core.draws import Draws, key_of
from fieldmark.core.learner import Learner, figures_of, total
from fieldmark.data.dataset import labels_of
from fieldmark.errors import Interrupted, UserError
from fieldmark.input.loading import Batch, LostWorker, Photographs, batches_of, loader_of
from fieldmark.recipe import Recipe, Stage
from fieldmark.runs.checkpoint import MODEL, epoch_file, save_model, save_state
from fieldmark.runs.folder import write_recipe
from fieldmark.training.course import Course, as_recorded
from fieldmark.training.estimate import Budget, enough_memory
from fieldmark.training.interrupts import stop_notice, stop_requests
from fieldmark.training.micro_batches import backward_in_micro_batches
from fieldmark.training.nonfinite import Outcome, Watch
from fieldmark.training.optim import MovingAverage, NormKeeper, freeze, make_optimiser, set_rates
from fieldmark.training.runlog import RunLog

Validate = Callable[[], Mapping[str, float]]
STEPS = "steps"
"""The key of an epoch's sums that counts the steps that were not undone."""


@dataclass
class Position:
    """How far a run is: what a checkpoint holds besides tensors.

    ``kept`` is the epoch whose weights are the saved model's, 0 for the start, -1 as long as none is saved; ``best``
    its figure, where the best epoch is kept; ``files`` are the epochs whose weights get a file of their own.
    """

    step: int = 0
    seconds: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)
    best: float = -1.0
    kept: int = -1
    files: list[int] = field(default_factory=list)


class Loop:
    """Trains a learner on photographs by a recipe.

    Args:
        learner: already on the fabric's device.
        recipe: stages, batches, seed and the rest.
        fabric: device and precision.
        photos: the training photos; their labels are class indices.
        run: the run's folder, where the state is saved after each epoch and when stopped, the model after each epoch.
        log: receives each step and epoch.
        best_by: the figure of validation by which the best epoch's model is kept; "": the last one's is.
    """

    def __init__(
        self,
        learner: Learner,
        recipe: Recipe,
        *,
        fabric: Fabric,
        photos: Photographs,
        run: Path,
        log: RunLog,
        best_by: str = "",
    ) -> None:
        if recipe.micro_batch and processes.world()[1] > 1:
            raise UserError("--micro-batch works in a single process: leave it out under torchrun, or use one process")
        self.learner, self.recipe, self.fabric = learner, recipe, fabric
        self.photos, self.run, self.log, self.best_by = photos, run, log, best_by
        self.labels = labels_of(photos.photos)
        self.position = Position()
        self.groups = learner.parameter_groups()
        self.wrapped = fabric.setup_module(learner)
        self._follow_learner()
        self.scaler: torch.amp.GradScaler | None = getattr(fabric.strategy.precision, "scaler", None)
        self.optimiser: torch.optim.Optimizer = make_optimiser(self.groups, (*recipe.stages, Stage())[0].optimiser)
        self.sums: dict[str, Tensor] = {}
        self.plan = WholeRun(
            recipe.batches, self.labels, seed=recipe.seed, epochs=recipe.epochs, share=processes.world()
        )
        self.course = Course(recipe.stages, self.plan.per_epoch)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Puts the weights that answer into the learner for a while: the recipe's average, if it has one.

        Whatever measures or saves a model does so within.
        """
        if self.average:
            self.average.swap()
        try:
            yield
        finally:
            if self.average:
                self.average.swap()

    def _follow_learner(self) -> None:
        """Takes the learner's weights for where training begins."""
        decay, degree = self.recipe.ema, self.recipe.average_degree
        self.average = MovingAverage(self.learner, decay, degree=degree) if decay or degree else None
        self.keeper = NormKeeper(self.learner)

    def start(self, validate: Validate | None = None) -> None:
        """Begins from the weights that the learner has by now, which answer already: they are measured and saved."""
        self._follow_learner()
        if validate:
            with self.answering():
                self.position.rows.append({"epoch": 0.0, **validate(), "seconds": 0.0})
        self._keep()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what ``state()`` returned."""
        self.position = Position(**state["position"])
        self.course.load(state.get("course"))
        self._follow_course()
        self.learner.load_state_dict(state["learner"])
        self.keeper = NormKeeper(self.learner)
        # the stage of the last step: a stage that is about to begin makes a new optimiser, maybe of another kind
        stage, _ = self.course.at(max(self.position.step - 1, 0))
        self.optimiser = make_optimiser(self.groups, stage.optimiser)
        self.optimiser.load_state_dict(state["optimiser"])
        if self.scaler and state.get("scaler"):  # a run may go on where its precision is another
            self.scaler.load_state_dict(state["scaler"])
        self.sums = {name: value.to(self.fabric.device) for name, value in state["sums"].items()}
        if self.average:
            self.average.load(state["average"])
        if self.has_kept():  # the model comes after the state, and a run may be killed between the two
            self.save_model()

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "position": vars(self.position),
            "learner": self.learner.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "sums": self.sums,
            "average": self.average.state() if self.average else None,
            "course": self.course.state(),
        }

    def resize(self, epochs: int, *, rate: float = 1.0) -> None:
        """Changes the number of epochs of the whole run, and records it at once.

        What is left of the schedule is spread over what is left of the epochs.

        Args:
            epochs: from now on.
            rate: what the learning rate is multiplied by; before the first step only.
        """
        self.course.change(self.position.step, epochs)
        if rate != 1:
            self.course.scale(rate)
        self._follow_course()
        self.log.resize(steps=self.course.steps)
        if self.course.has_changed:
            self._save()
        if processes.is_first():
            write_recipe(self.run, self.recipe)

    def keep_within(self, budget: Budget, *, least: int, before: float = 0.0) -> None:
        """Shortens the run, if need be, so that it ends in time.

        Args:
            budget: the time that is left, and what an epoch takes.
            least: the smallest number of epochs of the whole run.
            before: seconds of other work before the next step.
        """
        possible = int(self.position.step / self.plan.per_epoch + budget.epochs_left(before))
        epochs = processes.from_first(lambda: max(possible, least))
        if epochs < self.course.epochs:
            self.log.note(f"epochs: {epochs} in place of {self.course.epochs}, to end within {budget.words}")
            self.resize(epochs)

    def train(
        self, *, workers: int, start: str | None = None, validate: Validate | None = None, budget: Budget | None = None
    ) -> None:
        """Trains to the end of the last stage.

        Args:
            workers: the number of processes that read photos ahead.
            start: how they start, "fork", "spawn" or None for the platform's way.
            validate: called after each epoch (with the weights that answer in place); its figures are logged.
            budget: the time to end in; epochs that do not fit are left out.

        Raises:
            Interrupted: the user stopped the run; the state is saved.
            UserError: losses stay non-finite, memory runs out, the state cannot be saved, or a process that
                reads photos has died.
        """
        self.plan.first = self.position.step
        loader = loader_of(self.photos, self.plan, workers=workers, start=start)
        watch = Watch(self.log, [photo.name for photo in self.photos.photos])
        advice = "use fewer --workers (0: none), and continue with the same command and --resume"
        with enough_memory(self.learner, self.recipe), stop_requests() as stopped:
            begun = time.perf_counter() - self.position.seconds
            for batch in self._until_stopped(batches_of(loader, advice=advice), stopped):
                self._step(batch, watch)
                self.position.seconds = time.perf_counter() - begun
                images = len(batch.labels) * self.plan.share[1]
                self.log.step(images, self.position.step, self.position.seconds)
                if budget:
                    budget.after_step()
                if self.position.step % self.plan.per_epoch == 0:
                    self._end_epoch(validate, stopped)
                    if budget:
                        budget.after_epoch(self.plan.per_epoch)
                        self.keep_within(budget, least=self.position.step // self.plan.per_epoch)
                    begun = time.perf_counter() - self.position.seconds
            if self.position.step < self.course.steps:
                self._save()
            watch.settle()
            if processes.any_of(bool(stopped)):
                raise Interrupted(self._stop_notice())

    def _until_stopped(self, batches: Iterator[Batch], stopped: list[int]) -> Iterator[Batch]:
        """The batches of the run, or until the user stops it, which may also kill the processes that read them."""
        while self.position.step < self.course.steps and not processes.any_of(bool(stopped)):
            try:
                yield next(batches)
            except StopIteration:
                return
            except LostWorker:
                if not stopped:
                    raise

    def _follow_course(self) -> None:
        """Takes over the number of epochs that the run has come to."""
        self.recipe = replace(self.recipe, stages=self.course.stages)
        self.recipe = as_recorded(self.recipe, self.course.state())
        self.plan.epochs = self.course.epochs

    def _begin_step(self) -> None:
        """Sets what depends on the position: stage, frozen groups, learning rates, progress, torch's seed."""
        step, since = self.position.step, self.position.step % self.plan.per_epoch
        stage, epoch = self.course.at(step)
        if epoch == 0 and step > 0:
            self.optimiser = make_optimiser(self.groups, stage.optimiser)
        if since == 0 or step == self.plan.first:  # as at the epoch's beginning, wherever in it a session begins
            freeze(self.groups, stage, epoch=int(self.course.at(step - since)[1]))
            self.wrapped.train()
        set_rates(self.optimiser, stage, epoch=epoch)
        self.learner.method.set_progress(self.course.fraction(step))
        # layers inside a backbone draw from torch's own generator; each process has its own images
        rank = self.plan.share[0]
        torch.manual_seed(key_of(self.recipe.seed, f"torch/{rank}" if rank else "torch", step))

    def _step(self, batch: Batch, watch: Watch) -> None:
        self._begin_step()
        means = processes.means(self._backward(batch))
        outcome = self._update(means["loss"])
        finite = outcome.finite
        for name, value in {**means, STEPS: torch.ones_like(finite, dtype=torch.float32)}.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + torch.where(finite, value, 0.0)
        watch.saw(outcome, means, batch)
        self.position.step += 1

    def _backward(self, batch: Batch) -> dict[str, Tensor]:
        """Computes gradients, in pieces where the recipe accumulates; returns losses, figures and accuracy by name."""
        if 0 < self.recipe.micro_batch < len(batch.labels):
            return self._backward_in_micro_batches(batch)
        pieces = self.recipe.accumulate
        means: dict[str, Tensor] = {}
        device = self.fabric.device
        for pixels, labels, rows in zip(*(t.chunk(pieces) for t in batch[:3]), strict=True):
            share = len(labels) / len(batch.labels)
            pixels, labels, rows = (moved(part, device) for part in (pixels, labels, rows))
            images = self.learner.method.classifier.backbone.normalise(pixels)
            output = self.wrapped(images, labels, Draws(self.recipe.seed, self.position.step, rows), processes.gather)
            loss = total(output)
            self.fabric.backward(loss * share if share < 1 else loss)
            for name, value in figures_of(output).items():
                means[name] = means.get(name, torch.zeros((), device=device)) + value * share
        return means

    def _backward_in_micro_batches(self, batch: Batch) -> dict[str, Tensor]:
        """The same, with losses of the whole batch and the activations of a few of its images."""
        pixels, labels, rows = (moved(part, self.fabric.device) for part in batch[:3])
        output = backward_in_micro_batches(
            self.learner,
            pixels,
            labels,
            Draws(self.recipe.seed, self.position.step, rows),
            size=self.recipe.micro_batch,
            prepare=self.learner.method.classifier.backbone.normalise,
            backward=self.fabric.backward,
            autocast=self.fabric.autocast,
        )
        return figures_of(output)

    def _update(self, loss: Tensor) -> Outcome:
        """The optimiser's step, undone on the device unless loss and gradients are finite; says if they are."""
        scale = torch.ones((), device=loss.device)
        if self.scaler:
            self.scaler.unscale_(self.optimiser)
            scale = self.scaler.scale(scale)
        parameters = [p for group in self.optimiser.param_groups for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        forward = loss.isfinite()
        finite = forward & norm.isfinite()
        if self.recipe.clip:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.recipe.clip, norm)
        self.optimiser.found_inf = (~finite).float()  # pyright: ignore[reportAttributeAccessIssue]
        self.optimiser.step()
        if self.scaler:
            self.scaler.update()
        self.optimiser.zero_grad()
        self.keeper.settle(finite)
        if self.average:
            self.average.update(finite)
        return Outcome(finite, forward & ~finite & (scale > 1))

    def _end_epoch(self, validate: Validate | None, stopped: list[int]) -> None:
        """Logs the epoch, validates, saves the state."""
        # batch norms saw each process's own images: all take the first one's statistics
        processes.follow_first([*self.learner.buffers(), *(self.average.buffers() if self.average else ())])
        row = {"epoch": float(self.position.step // self.plan.per_epoch)}
        good = float(self.sums.pop(STEPS))  # undone steps do not count
        row |= {name: float(value) / good if good else math.nan for name, value in self.sums.items()}
        row["lr"] = self.optimiser.param_groups[0]["lr"]
        row["seconds"] = round(self.position.seconds, 3)
        self.sums = {}
        if validate:
            with self.answering():
                row |= _validated(validate, stopped)
        self.position.rows.append(row)
        self._keep()

    def _keep(self) -> None:
        """Saves the state and the rows, and the model unless that of an earlier epoch is better."""
        position = self.position
        best = position.rows[-1][self.best_by] if self.best_by else position.best
        if not self.best_by or best > position.best:
            position.best, position.kept = best, position.step // self.plan.per_epoch
        self.keep_epoch()  # before the state: a run that is killed in between comes to this epoch again
        self._save()
        if self.has_kept():
            self.save_model()
        if processes.is_first() and position.rows:
            self.log.epoch(position.rows)

    def has_kept(self) -> bool:
        """Whether the weights that the saved model is to have are those of this very step."""
        return self.position.kept * self.plan.per_epoch == self.position.step

    def keep_epoch(self) -> None:
        """Saves the weights that answer by now in a file of their own, after an epoch of which that is asked for."""
        epoch, more = divmod(self.position.step, self.plan.per_epoch)
        if epoch in self.position.files and not more:
            self.save_model(epoch_file(epoch))

    def save_model(self, name: str = MODEL) -> None:
        """The first process writes the weights that answer; ``name`` is the file's in the run's folder."""
        if processes.is_first():
            with self.answering():
                save_model(self.run, self.learner, name=name)
        processes.wait_for_all()

    def _save(self) -> None:
        """The first process writes the state that all of them hold."""
        if processes.is_first():
            save_state(self.run, self.state())
        processes.wait_for_all()

    def _stop_notice(self) -> str:
        done, more = divmod(self.position.step, self.plan.per_epoch)
        where = f"in epoch {done + 1}" if more else f"after epoch {done}"
        return stop_notice(
            self.run, f"{where} of {self.course.epochs}", kept=self.position.kept, best=bool(self.best_by)
        )


def _validated(validate: Validate, stopped: list[int]) -> Mapping[str, float]:
    """The figures; computed again if what stopped the run also killed the processes that read photos for them."""
    try:
        return validate()
    except LostWorker:
        if not stopped:
            raise
        return validate()
