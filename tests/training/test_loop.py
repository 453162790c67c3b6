"""The loop: resuming is exact, steps that are not finite are undone, pieces of a batch add up, stages take turns."""

import itertools
import math
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from loops import RECIPE, STAGE, Noisy, Poisoned, Recorder, Telling, differing, make_loop, session, tensors, with_method

import small_runs
from fieldmark.batches import Balanced, Shuffled
from fieldmark.errors import UserError
from fieldmark.input.loading import Batch
from fieldmark.recipe import AdamW, Part, Precision, Recipe, Sgd, Stage, StepDecay
from fieldmark.recipes import COMPOSITIONS, PAPERS
from fieldmark.recipes.composition import Composition
from fieldmark.recipes.naming import part_of
from fieldmark.runs.checkpoint import load_state
from fieldmark.testing import no_reading_back
from fieldmark.training.loop import Loop
from fieldmark.training.nonfinite import Watch
from fieldmark.training.overrides import with_model
from fieldmark.training.settings import RecipeSettings

PC = replace(RECIPE, model=replace(RECIPE.model, terms=(part_of("pairwise-confusion", option="--term"),)), ema=0.0)
TWO_STAGES = replace(
    RECIPE,
    stages=(Stage(1, Sgd(lr=0.05), StepDecay(), frozen=("backbone",)), Stage(1, AdamW(lr=1e-3), StepDecay())),
)
KINDS = {
    "plain": RECIPE,
    "no average": replace(RECIPE, ema=0.0),
    "polynomial average": replace(RECIPE, ema=0.0, average_degree=2.0),
    "pc": PC,
    "dropout": with_method(Noisy),
    "two stages": TWO_STAGES,
    "fp16": replace(RECIPE, precision="fp16", clip=1.0),
    "frozen": replace(RECIPE, frozen_stages=2, frozen_norms=True),
    "adamw, clipped, in pieces": replace(RECIPE, stages=(Stage(2, AdamW(lr=1e-3)),), clip=1.0, accumulate=2),
}


def resumed(
    data: Path, run: Path, recipe: Recipe, stops: tuple[int, ...], *, workers: int = 0, start: str | None = None
) -> dict[str, object]:
    """The loop's state after a run that Ctrl-C ended after so many steps of its first session, of its second, ..."""
    for steps in stops:
        with pytest.MonkeyPatch.context() as patch:
            small_runs.stop_after(patch, steps)
            assert session(data, run, recipe, workers=workers, start=start) is None
    loop = session(data, run, recipe, workers=workers, start=start)
    assert loop is not None
    return loop.state()


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What runs end in that were not interrupted, by kind."""
    found = {}
    for kind, recipe in KINDS.items():
        loop = session(photos, tmp_path_factory.mktemp("whole"), recipe)
        assert loop is not None
        assert loop.position.step == 6
        found[kind] = loop.state()
    return found


# three steps make an epoch: 3 is its end, where also the second stage begins
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stops", [(3,), (1, 3)])
def test_a_resumed_run_ends_bit_for_bit_as_an_unbroken_one(
    kind: str, stops: tuple[int, ...], photos: Path, tmp_path: Path, whole: dict[str, dict[str, object]]
) -> None:
    state = resumed(photos, tmp_path, KINDS[kind], stops)
    assert differing(state, whole[kind]) == []
    assert state["scaler"] == whole[kind]["scaler"]
    assert (state["scaler"] is not None) == (kind == "fp16")
    assert len(tensors(state)) > 50


def test_random_stops(photos: Path, tmp_path: Path, whole: dict[str, dict[str, object]]) -> None:
    rng = np.random.default_rng()
    stops = tuple(rng.multinomial(5, [0.25] * 4)[:3])
    stops = tuple(int(steps) for steps in stops if steps)
    state = resumed(photos, tmp_path, RECIPE, stops)
    assert differing(state, whole["plain"]) == [], stops


SPAWNED = [pytest.param(count, "spawn", marks=pytest.mark.slow) for count in (1, 2)]


@pytest.mark.parametrize(("workers", "start"), [(1, "fork"), (2, "fork"), SPAWNED[0]])
def test_the_number_and_kind_of_workers_does_not_matter(
    workers: int, start: str, photos: Path, tmp_path: Path, whole: dict[str, dict[str, object]]
) -> None:
    state = resumed(photos, tmp_path, KINDS["dropout"], (2,), workers=workers, start=start)
    assert differing(state, whole["dropout"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("workers", "start"),
    [(0, None), (1, "fork"), (2, "fork"), *SPAWNED],
)
def test_every_stop_with_every_kind_of_worker(
    kind: str, workers: int, start: str, photos: Path, tmp_path: Path, whole: dict[str, dict[str, object]]
) -> None:
    for steps in (1, 2, 3, 4, 5):
        state = resumed(photos, tmp_path / str(steps), KINDS[kind], (steps,), workers=workers, start=start)
        assert differing(state, whole[kind]) == [], steps


def test_the_seed_matters(photos: Path, tmp_path: Path, whole: dict[str, dict[str, object]]) -> None:
    loop = session(photos, tmp_path, replace(RECIPE, seed=4))
    assert loop is not None
    assert differing(loop.state(), whole["plain"])


def test_a_stop_asked_for_in_the_last_step_is_a_stop_with_nothing_left_to_do(
    photos: Path, tmp_path: Path, whole: dict[str, dict[str, object]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        small_runs.stop_after(patch, 6)
        assert session(photos, tmp_path) is None
    loop = session(photos, tmp_path)
    assert loop is not None
    assert differing(loop.state(), whole["plain"]) == []


def test_the_second_ctrl_c_stops_at_once(photos: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        small_runs.stop_after(patch, 2)
        small_runs.stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            session(photos, tmp_path)
    assert load_state(tmp_path) is None


def poisoned(data: Path, run: Path, recipe: Recipe) -> Recorder:
    log = Recorder(run)
    loop = make_loop(data, run, recipe, log)
    log.loop = loop
    loop.train(workers=0)
    return log


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize(
    ("optimiser", "frozen"),
    [(Sgd(lr=0.05), False), (Sgd(lr=0.05, momentum=0.0), False), (AdamW(lr=1e-3), False), (Sgd(lr=0.05), True)],
)
def test_a_step_that_is_not_finite_leaves_everything_as_it_was(
    optimiser: Sgd | AdamW, frozen: bool, gradient: bool, photos: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, stages=(replace(STAGE, optimiser=optimiser),), clip=1.0, frozen_norms=frozen)
    log = poisoned(photos, tmp_path, with_method(Poisoned, recipe, at=(3,), gradient=gradient))
    states = [{key: state[key] for key in ("learner", "average", "optimiser")} for state in log.states]
    assert differing(states[2], states[3]) == []
    for one, other in itertools.pairwise([*states[:3], *states[4:]]):
        assert differing(one, other)
    assert all(bool(value.isfinite().all()) for value in tensors(states[-1]).values())
    (note,) = [note for note in log.notes if "not finite" in note]
    assert ("a gradient" if gradient else "poison") in note
    assert "cross_entropy" not in note
    assert note.count(".jpg") == 4


@pytest.mark.parametrize("optimiser", [Sgd(lr=0.05), AdamW(lr=1e-3)])
def test_a_first_step_that_is_not_finite_is_as_if_it_had_not_been(
    optimiser: Sgd | AdamW, photos: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, stages=(replace(STAGE, optimiser=optimiser),))
    # what uninitialised memory holds is chance: fill what is freed with large numbers
    junk = [torch.full((size,), 1e30) for size in (64, 144, 288, 576, 1000, 2304, 9216, 36864) for _ in range(20)]
    del junk
    log = poisoned(photos, tmp_path, with_method(Poisoned, recipe, at=(0,)))
    fresh = make_loop(photos, tmp_path, recipe)
    assert differing(log.states[0]["learner"], fresh.state()["learner"]) == []
    moments = tensors(log.states[0]["optimiser"])
    assert moments
    assert all(float(value.abs().max()) == 0 for value in moments.values())
    largest = max(float(value.abs().max()) for value in tensors(log.states[-1]["learner"]).values())
    assert largest < 1e3


def scaled(data: Path, run: Path, recipe: Recipe, *, scale: float) -> tuple[Loop, Recorder]:
    """What a run in fp16 comes to that begins with a scale of the loss."""
    log = Recorder(run)
    loop = make_loop(data, run, recipe, log)
    assert loop.scaler is not None
    loop.scaler.load_state_dict(loop.scaler.state_dict() | {"scale": scale})
    log.loop = loop
    loop.train(workers=0)
    return loop, log


@pytest.mark.slow
def test_a_scale_that_is_too_large_for_fp16_is_halved_until_steps_are_good(photos: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, precision="fp16", batches=Shuffled(2), stages=(replace(STAGE, epochs=3),))
    loop, log = scaled(photos, tmp_path, recipe, scale=2.0**44)
    states = [{key: state[key] for key in ("learner", "average", "optimiser")} for state in log.states]
    scales = [2.0**44, *(state["scaler"]["scale"] for state in log.states)]
    undone = [after == before / 2 for before, after in itertools.pairwise(scales)]
    assert all(undone[:21])
    assert not all(undone)
    for one, other, same in zip(states, states[1:], undone[1:], strict=False):
        assert (differing(one, other) == []) == same
    assert [note for note in log.notes if "not finite" in note] == []
    assert np.isnan(loop.position.rows[0]["loss"])
    assert np.isfinite(loop.position.rows[-1]["loss"])


@pytest.mark.parametrize("gradient", [False, True])
def test_fp16_ends_a_run_too_that_stays_poisoned(gradient: bool, photos: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, precision="fp16", batches=Shuffled(2), stages=(replace(STAGE, epochs=4),))
    recipe = with_method(Poisoned, recipe, at=tuple(range(100)), gradient=gradient)
    with pytest.raises(UserError, match="20 steps in a row") as caught:
        scaled(photos, tmp_path, recipe, scale=4.0)
    assert "--precision fp32" in str(caught.value)


QUICK = [paper.COMPOSITION for paper in PAPERS if paper.COMPOSITION.name != "s3n"]


@pytest.mark.parametrize(
    "paper",
    [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in COMPOSITIONS],
    ids=lambda paper: paper.name,
)
def test_every_paper_learns_in_fp16(paper: Composition, photos: Path, tmp_path: Path) -> None:
    model = with_model(RECIPE.model, RecipeSettings(method=paper.name))
    stages = (Stage(1, Sgd(lr=1e-3)),)
    recipe = replace(RECIPE, model=model, batches=Balanced(2, 4), stages=stages, precision="fp16")
    loop, _ = scaled(photos, tmp_path, recipe, scale=2.0**6)
    assert loop.state()["scaler"]["scale"] == 2.0**6  # no step was undone
    assert np.isfinite(loop.position.rows[-1]["loss"])


def test_epoch_figures_leave_out_undone_steps(photos: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, stages=(replace(STAGE, epochs=1),))
    rows = []
    for at in ((), (2,), (0, 1, 2)):
        loop = make_loop(photos, tmp_path, with_method(Poisoned, recipe, at=at))
        loop.train(workers=0)
        rows.append(loop.position.rows[0])
    assert rows[0]["loss"] == pytest.approx(rows[0]["cross_entropy"])
    assert 0.5 * rows[0]["loss"] < rows[1]["loss"] < 2 * rows[0]["loss"]
    assert np.isnan(rows[2]["loss"])


def test_twenty_in_a_row_end_the_run(photos: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, batches=Shuffled(2), stages=(replace(STAGE, epochs=3),))
    log = Recorder(tmp_path)
    loop = make_loop(photos, tmp_path, with_method(Poisoned, recipe, at=tuple(range(5, 45))), log)
    with pytest.raises(UserError, match="20 steps in a row"):
        loop.train(workers=0)
    assert loop.position.step == 25
    assert sum("not finite" in note for note in log.notes) == 20


def test_pieces_add_up_to_the_batch(photos: Path, tmp_path: Path) -> None:
    gradients, losses = [], []
    for pieces in (1, 2, 3):
        loop = make_loop(photos, tmp_path, replace(RECIPE, accumulate=pieces))
        torch.nn.init.normal_(loop.learner.method.classifier.head.weight, generator=torch.Generator().manual_seed(1))
        batch = loop.photos.__getitems__([(0, index) for index in range(8)])
        loop.wrapped.eval()  # norm statistics of a piece are not those of the batch
        losses.append(loop._backward(batch))
        gradients.append([p.grad for p in loop.learner.parameters() if p.grad is not None])
    for pieces in (1, 2):
        for one, other in zip(gradients[0], gradients[pieces], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
        for name in ("loss", "cross_entropy", "train_top1"):
            torch.testing.assert_close(losses[0][name], losses[pieces][name])


def test_the_pairs_of_a_piece_are_its_own(photos: Path, tmp_path: Path) -> None:
    """The gradient of pieces is the mean of the gradients that each piece would have as a batch of its own."""
    term = Part("PairwiseConfusion", {"weight": 50.0})
    recipe = replace(RECIPE, model=replace(RECIPE.model, terms=(term,)), accumulate=2)
    loops = [make_loop(photos, tmp_path, replace(recipe, accumulate=pieces)) for pieces in (2, 1, 1)]
    whole = loops[0].photos.__getitems__([(0, index) for index in range(0, 24, 3)])
    halves = [loops[0].photos.__getitems__([(0, index) for index in part]) for part in ((0, 3, 6, 9), (12, 15, 18, 21))]
    for loop in loops:
        torch.nn.init.normal_(loop.learner.method.classifier.head.weight, generator=torch.Generator().manual_seed(1))
        loop.wrapped.train()
    losses = [loop._backward(batch) for loop, batch in zip(loops, (whole, *halves), strict=True)]
    for name in ("loss", "PairwiseConfusion"):
        torch.testing.assert_close(losses[0][name], (losses[1][name] + losses[2][name]) / 2)
    gradients = [[p.grad for p in loop.learner.parameters() if p.grad is not None] for loop in loops]
    for accumulated, first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(accumulated, (first + second) / 2, rtol=1e-3, atol=1e-5)


def test_figures_are_logged_and_train_nothing(photos: Path, tmp_path: Path) -> None:
    """Those of a term and of a method; one that is not finite undoes no step."""
    term = Part("MutualChannelLoss", {"weight": 0.5, "drop": 0.0})
    recipe = replace(RECIPE, stages=(replace(STAGE, epochs=1),), model=replace(RECIPE.model, terms=(term,)))
    log = Recorder(tmp_path)
    loops = [
        make_loop(photos, tmp_path, kind, log)
        for kind in (recipe, with_method(Telling, recipe), with_method(Telling, recipe, finite=False))
    ]
    for loop in loops:
        loop.train(workers=0)
    row = loops[0].position.rows[0]
    loss = 0.5 * (row["MutualChannelLoss/L_dis"] - 10 * row["MutualChannelLoss/L_div"])
    assert row["MutualChannelLoss"] == pytest.approx(loss, rel=1e-5)
    assert row["loss"] == pytest.approx(row["cross_entropy"] + loss, rel=1e-5)
    assert "MutualChannelLoss/L_div" in (tmp_path / "metrics.csv").read_text("utf-8").splitlines()[0]
    assert [loop.position.rows[0].get("told") for loop in loops] == [None, 3.0, math.inf]
    assert differing(loops[0].state()["learner"], loops[1].state()["learner"]) == []
    assert differing(loops[0].state()["learner"], loops[2].state()["learner"]) == []
    assert log.notes == [note for note in log.notes if "not finite" not in note]


def test_stages_and_frozen_groups(photos: Path, tmp_path: Path) -> None:
    stages = (
        Stage(1, Sgd(lr=0.05), StepDecay(), frozen=("backbone",)),
        Stage(2, AdamW(lr=1e-3, scales={"backbone": 0.1}), StepDecay(epochs=(1,)), frozen=("head",), frozen_epochs=1),
    )
    log = Recorder(tmp_path)
    loop = make_loop(photos, tmp_path, replace(RECIPE, stages=stages), log)
    before = {name: value.clone() for name, value in loop.learner.named_parameters()}
    log.loop = loop
    loop.train(workers=0)
    names = list(before)
    moved = []
    states = [before, *(state["learner"] for state in log.states)]
    for epoch in range(3):
        one, other = states[3 * epoch], states[3 * epoch + 3]
        moved.append({name for name in names if not torch.equal(one[name], other[name])})
    head = {name for name in names if ".head." in name}
    assert moved[0] == head
    assert moved[1].isdisjoint(head)
    assert len(moved[1]) > 0.9 * (len(names) - len(head))
    assert head <= moved[2]
    assert isinstance(loop.optimiser, torch.optim.AdamW)
    rates = {group["name"]: group["lr"] for group in loop.optimiser.param_groups}
    assert rates == {"backbone": pytest.approx(1e-5), "head": pytest.approx(1e-4)}
    assert [row["lr"] for row in loop.position.rows] == pytest.approx([0.05, 1e-4, 1e-5])


def test_a_group_thawed_within_a_stage_learns_with_momentum(photos: Path, tmp_path: Path) -> None:
    stage = Stage(2, Sgd(lr=0.05), StepDecay(), frozen=("backbone",), frozen_epochs=1)
    loop = make_loop(photos, tmp_path, replace(RECIPE, stages=(stage,)))
    loop.train(workers=0)
    buffers = [loop.optimiser.state[p]["momentum_buffer"] for p in loop.groups["backbone"]]
    assert sum(float(buffer.abs().max()) > 0 for buffer in buffers) > 0.9 * len(buffers)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_clipping_bounds_the_step(precision: Precision, photos: Path, tmp_path: Path) -> None:
    stage = Stage(1, Sgd(lr=1.0, momentum=0.0, weight_decay=0.0), StepDecay())
    recipe = replace(RECIPE, stages=(stage,), clip=1e-3, ema=0.0, precision=precision)
    loop = make_loop(photos, tmp_path, recipe)
    if loop.scaler:
        loop.scaler.load_state_dict(loop.scaler.state_dict() | {"scale": 2.0**8})
    before = [p.detach().clone() for p in loop.learner.parameters()]
    watch = Watch(loop.log, [photo.name for photo in loop.photos.photos])
    loop._step(loop.photos.__getitems__([(0, index) for index in range(8)]), watch)
    moves = [(p.detach() - old).norm() for p, old in zip(loop.learner.parameters(), before, strict=True)]
    assert float(torch.stack(moves).norm()) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("optimiser", [Sgd(lr=0.05), Sgd(lr=0.05, momentum=0.0), AdamW(lr=1e-3)])
@pytest.mark.parametrize(("accumulate", "precision"), [(1, "fp32"), (2, "fp32"), (1, "fp16")])
def test_the_loops_own_step_reads_nothing_back(
    optimiser: Sgd | AdamW, accumulate: int, precision: Precision, photos: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, stages=(replace(STAGE, optimiser=optimiser),), clip=1.0, accumulate=accumulate)
    loop = make_loop(photos, tmp_path, replace(recipe, precision=precision))
    if loop.scaler:
        loop.scaler.load_state_dict(loop.scaler.state_dict() | {"scale": 2.0**8})
    assert loop.average is not None
    batch = loop.photos.__getitems__([(0, index) for index in range(8)])
    before = {name: value.clone() for name, value in loop.learner.named_parameters()}
    for _ in range(2):
        loop._begin_step()
        with no_reading_back():
            finite, _ = loop._update(loop._backward(batch)["loss"])
        assert finite
        loop.position.step += 1
    assert differing(before, dict(loop.learner.named_parameters()))
    with pytest.raises(AssertionError, match="reads a tensor back"), no_reading_back():
        float(finite)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), UserError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), UserError),
        (RuntimeError("shapes cannot be multiplied"), RuntimeError),
    ],
)
def test_a_run_that_runs_out_of_memory_says_so_and_keeps_its_state(
    error: Exception, expected: type, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(photos, tmp_path)
    step = loop._step

    def failing(batch: Batch, watch: Watch) -> None:
        if loop.position.step == 4:
            raise error
        step(batch, watch)

    monkeypatch.setattr(loop, "_step", failing)
    with pytest.raises(expected) as caught:
        loop.train(workers=0)
    assert type(caught.value) is expected
    state = load_state(tmp_path)
    assert state is not None
    assert state["position"]["step"] == 3


def test_the_average_is_what_is_validated(photos: Path, tmp_path: Path) -> None:
    loop = make_loop(photos, tmp_path, replace(RECIPE, stages=(replace(STAGE, epochs=1),)))
    seen: list[dict[str, torch.Tensor]] = []
    state = loop.learner.state_dict()

    def validate() -> dict[str, float]:
        seen.append({name: value.clone() for name, value in loop.learner.state_dict().items()})
        return {"val_top1": 0.25}

    loop.train(workers=0, validate=validate)
    assert loop.position.rows[0]["val_top1"] == 0.25
    assert differing(seen[0], dict(state))
    assert loop.average is not None
    loop.average.swap()
    assert differing(seen[0], dict(loop.learner.state_dict())) == []


def test_a_run_whose_readers_are_killed_says_so_and_goes_on_later(photos: Path, tmp_path: Path) -> None:
    class Killing(Recorder):
        def step(self, images: int, step: int, seconds: float) -> None:
            super().step(images, step, seconds)
            if step == 4:
                for process in multiprocessing.active_children():
                    process.kill()

    loop = make_loop(photos, tmp_path / "killed", log=Killing(tmp_path))
    with pytest.raises(UserError, match=r"a process that reads photos .*\n.*--workers.*--resume"):
        loop.train(workers=1, start="fork")
    state = load_state(tmp_path / "killed")
    assert state is not None
    assert state["position"]["step"] == 3  # the last that was saved
    whole, resumed = session(photos, tmp_path / "whole"), session(photos, tmp_path / "killed")
    assert whole is not None
    assert resumed is not None
    assert differing(resumed.state(), whole.state()) == []
