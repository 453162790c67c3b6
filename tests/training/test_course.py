"""Where a run is on its schedule: as planned, and where its length changes on the way."""

from dataclasses import replace
from itertools import pairwise

import pytest

from fieldmark.recipe import Cosine, OneCycle, Poly, Recipe, Stage, StepDecay
from fieldmark.training.course import Course, as_recorded
from fieldmark.training.overrides import stretched

PER_EPOCH = 7
SCHEDULES = [
    OneCycle(), OneCycle(rise=0.0), Cosine(warmup=2.0, floor=0.1), StepDecay((8, 15), warmup=1.0), Poly(), Poly(2.0),
]  # fmt: skip
PLANNED = Stage(20, schedule=StepDecay((8, 15)), frozen=("backbone",), frozen_epochs=6)


def factor(course: Course, step: int) -> float:
    stage, epoch = course.at(step)
    return stage.schedule.at(epoch, stage.epochs)


@pytest.mark.parametrize("lengths", [(5,), (1, 3, 2)])
def test_a_run_that_stays_as_it_was_is_followed_to_the_bit(lengths: tuple[int, ...]) -> None:
    stages = [replace(PLANNED, epochs=epochs) for epochs in lengths]
    course, total = Course(stages, PER_EPOCH), sum(lengths) * PER_EPOCH
    assert (course.steps, course.epochs, course.has_changed, course.state()) == (total, sum(lengths), False, None)
    wanted = [(stage, sum(lengths[:number])) for number, stage in enumerate(stages) for _ in range(stage.epochs)]
    for step in range(total):
        stage, first = wanted[step // PER_EPOCH]
        assert course.at(step) == (stage, step / PER_EPOCH - first)
        assert course.fraction(step) == step / total
    assert course.fraction(total) == 1


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize(("step", "epochs"), [(50, 8), (50, 40), (1, 1), (139, 20), (70, 10), (70, 11), (133, 500)])
def test_what_is_left_of_a_schedule_is_spread_over_what_is_left_of_the_run(
    schedule: OneCycle | Cosine | StepDecay | Poly, step: int, epochs: int
) -> None:
    stage = replace(PLANNED, schedule=schedule)
    planned, course = Course([stage], PER_EPOCH), Course([stage], PER_EPOCH)
    course.change(step, epochs)
    assert (course.epochs, course.steps) == (epochs, epochs * PER_EPOCH)
    for before in range(step):
        assert factor(course, before) == pytest.approx(factor(planned, before), abs=1e-6)
    reached = step / planned.steps
    for after in range(step, course.steps):
        fraction = reached + (1 - reached) * (after - step) / (course.steps - step)
        assert course.fraction(after) == pytest.approx(fraction)
        assert factor(course, after) == pytest.approx(schedule.at(round(20 * fraction, 9), 20))
    assert course.fraction(course.steps) == 1


@pytest.mark.parametrize("changes", [[(56, 11)], [(57, 60), (80, 13), (80, 40)], [(30, 9), (45, 30), (150, 23)]])
def test_a_rate_that_has_fallen_never_rises_and_what_has_thawed_stays_so(changes: list[tuple[int, int]]) -> None:
    course = Course([PLANNED], PER_EPOCH)
    for step, epochs in changes:
        course.change(step, epochs)
    rates = [factor(course, step) for step in range(course.steps)]
    assert all(later <= earlier for earlier, later in pairwise(rates))
    assert [rates[0], rates[-1]] == pytest.approx([1, 0.01])
    thawed = [course.at(step)[1] >= 6 for step in range(course.steps)]
    assert thawed == sorted(thawed)
    assert thawed[-1]


def test_before_the_first_step_a_change_is_another_plan() -> None:
    course = Course([PLANNED], PER_EPOCH)
    course.change(0, 8)
    plan = Course([stretched(PLANNED, 8)], PER_EPOCH)
    assert (course.stages, course.corners, course.state()) == (plan.stages, plan.corners, None)


def test_a_run_may_end_where_it_is() -> None:
    course = Course([PLANNED], PER_EPOCH)
    course.change(35, 5)
    assert (course.steps, course.epochs, course.fraction(34), course.fraction(35)) == (35, 5, 34 / 140, 1)


def test_a_checkpoint_brings_it_back_and_the_recipe_says_its_length() -> None:
    course, other = Course([PLANNED], PER_EPOCH), Course([stretched(PLANNED, 16)], PER_EPOCH)
    for step, epochs in ((50, 30), (60, 16)):
        course.change(step, epochs)
    other.load(course.state())
    assert [other.at(step) for step in range(other.steps)] == [course.at(step) for step in range(course.steps)]
    other.load(None)
    assert other.epochs == 16
    recipe = as_recorded(Recipe(stages=(PLANNED,)), course.state())
    assert recipe == Recipe(stages=(stretched(PLANNED, 16),))
    assert as_recorded(recipe, None) is recipe
