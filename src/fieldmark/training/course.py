"""Where a run is on its schedule, whose length may change on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from fieldmark.plain import from_plain, to_plain
from fieldmark.recipe import Recipe, Stage
from fieldmark.training.overrides import stretched


class Course:
    """The stages of a run, step by step.

    ``corners`` are the steps at which the length changed, each with the fraction of the schedule that was reached by
    then, between (0, 0) and (steps, 1); from one to the next the schedule goes on evenly.

    Args:
        stages: as they were planned; only a single one may change its length.
        per_epoch: steps per epoch.
    """

    def __init__(self, stages: Sequence[Stage], per_epoch: int) -> None:
        self.stages, self.per_epoch = tuple(stages), per_epoch
        self.corners: list[tuple[int, float]] = [(0, 0.0), (sum(stage.epochs for stage in stages) * per_epoch, 1.0)]

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.corners[-1][0]

    @property
    def epochs(self) -> int:
        """Of the whole run."""
        return self.steps // self.per_epoch

    @property
    def has_changed(self) -> bool:
        """Whether the length changed after the first step."""
        return len(self.corners) > 2

    def fraction(self, step: int) -> float:
        """How much of the schedule is done before a step."""
        for (begin, done), (end, more) in pairwise(self.corners):
            if step < end:
                return done + (more - done) * (step - begin) / (end - begin)
        return 1.0

    def at(self, step: int) -> tuple[Stage, float]:
        """The stage that a step belongs to, and how many of that stage's planned epochs are done."""
        # rounded, so that what happens at an epoch does not wait a step for a fraction that is all but there
        epoch = round(self.fraction(step) * self.stages[0].epochs, 9) if self.has_changed else step / self.per_epoch
        first = 0
        *others, last = self.stages or (Stage(),)  # of a run that is its start alone
        for stage in others:
            if epoch < first + stage.epochs:
                return stage, epoch - first
            first += stage.epochs
        return last, epoch - first

    def change(self, step: int, epochs: int) -> None:
        """Gives the run another number of epochs, over which what is left of the schedule is spread from a step on."""
        assert len(self.stages) == 1
        if step == 0:
            self.stages = (stretched(self.stages[0], epochs),)
        before = [corner for corner in self.corners if corner[0] < step]
        self.corners = [*before, (step, self.fraction(step)), (epochs * self.per_epoch, 1.0)]

    def scale(self, rate: float) -> None:
        """Multiplies the learning rate of the only stage, before the first step."""
        (stage,) = self.stages
        assert not self.has_changed
        self.stages = (replace(stage, optimiser=replace(stage.optimiser, lr=rate * stage.optimiser.lr)),)

    def state(self) -> dict[str, Any] | None:
        """What a checkpoint holds; None as long as the recipe says all."""
        if not self.has_changed:
            return None
        return {"planned": to_plain(self.stages[0]), "epochs": self.epochs, "corners": self.corners}

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Restores what ``state`` returned."""
        if state is not None:
            self.stages, self.corners = (from_plain(state["planned"], Stage),), state["corners"]


def as_recorded(recipe: Recipe, state: Mapping[str, Any] | None) -> Recipe:
    """A recipe with the number of epochs that its run has come to, where its length changed.

    Args:
        recipe: of the run.
        state: from ``Course.state``.
    """
    if state is None:
        return recipe
    return replace(recipe, stages=(stretched(from_plain(state["planned"], Stage), state["epochs"]),))
