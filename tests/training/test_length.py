"""The length of a run that is under way: with another number of epochs, and within a time."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from loops import RECIPE, Noisy, differing, make_loop, with_method
from loops import session as loop_session

from fieldmark.core.contract import Method
from fieldmark.errors import Interrupted, UserError
from fieldmark.recipe import OneCycle, Recipe, Sgd, Stage, StepDecay, recipe_from_json
from fieldmark.runs.checkpoint import MODEL, load_state
from fieldmark.runs.folder import RECIPE as RECIPE_FILE
from fieldmark.runs.folder import open_run, read_run, write_recipe
from fieldmark.training import announcing, automatic, session, starting
from fieldmark.training.estimate import Expected
from fieldmark.training.loop import Loop
from fieldmark.training.overrides import stretched
from fieldmark.training.runlog import CURVES, RunLog
from fieldmark.training.session import train
from fieldmark.training.settings import Destination, Settings
from small_runs import QUIET, small, stop_after, train_small

STEPS = Stage(6, Sgd(lr=0.05), StepDecay((3, 5)), frozen=("backbone",), frozen_epochs=2)
KINDS = {
    "one cycle": replace(RECIPE, stages=(Stage(6, Sgd(lr=0.05), OneCycle()),)),
    "steps, frozen": replace(RECIPE, stages=(STEPS,)),
    "dropout": with_method(Noisy, replace(RECIPE, stages=(Stage(6, Sgd(lr=0.05)),), ema=0.0)),
}
"""Of the 30 photos three batches make an epoch."""


class Noted(RunLog):
    """Keeps, of each step, the rate, the progress that the method was told and whether the backbone learns."""

    def __init__(self, run: Path) -> None:
        super().__init__(run, console=QUIET)
        self.loop: Loop | None = None
        self.steps_noted: list[tuple[float, float, bool]] = []
        self.progress = -1.0

    def step(self, images: int, step: int, seconds: float) -> None:
        super().step(images, step, seconds)
        assert self.loop is not None
        learns = next(self.loop.learner.method.classifier.backbone.parameters()).requires_grad
        self.steps_noted.append((self.loop.optimiser.param_groups[0]["lr"], self.progress, learns))


def gone_on(data: Path, run: Path, recipe: Recipe, *, epochs: int | None = None, stop: int | None = None) -> Noted:
    """A session that goes on from the state, perhaps to another length, perhaps stopped after so many steps."""
    log = Noted(run)
    log.loop = loop = make_loop(data, run, recipe, log)
    if (state := load_state(run)) is not None:
        loop.restore(state)
    if epochs is not None:
        loop.resize(epochs)

    def told(_: Method, fraction: float) -> None:
        log.progress = fraction

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Method, "set_progress", told)
        if stop:
            stop_after(patch, stop)
        log.begin(steps=loop.course.steps, per_epoch=loop.plan.per_epoch, done=loop.position.step)
        try:
            loop.train(workers=0)
        except Interrupted:
            assert stop
    return log


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (at > 0)) for at, kind in enumerate(KINDS)]
)
def test_a_changed_run_goes_on_bit_for_bit(kind: str, photos: Path, tmp_path: Path) -> None:
    recipe, ends = KINDS[kind], []
    for number, stops in enumerate(((), (2,), (5, 3))):
        run = tmp_path / str(number)
        gone_on(photos, run, recipe, stop=7)
        gone_on(photos, run, recipe, epochs=5, stop=stops[0] if stops else None)
        for stop in stops:
            assert recipe_of(run).epochs == 5
            gone_on(photos, run, recipe_of(run) if stop == 3 else recipe, stop=stop)
        loop = gone_on(photos, run, recipe).loop
        assert loop is not None
        assert (loop.position.step, len(loop.position.rows)) == (15, 5)
        ends.append(loop.state())
    assert differing(ends[0], ends[1]) == []
    assert differing(ends[0], ends[2]) == []
    whole = loop_session(photos, tmp_path / "whole", replace(recipe, stages=(stretched(recipe.stages[0], 5),)))
    assert whole is not None
    assert differing(ends[0]["learner"], whole.state()["learner"])


def recipe_of(run: Path) -> Recipe:
    return recipe_from_json((run / RECIPE_FILE).read_text("utf-8"))


@pytest.mark.parametrize("epochs", [3, 4, 9])
def test_rates_progress_steps_and_frozen_epochs_follow_the_fraction(epochs: int, photos: Path, tmp_path: Path) -> None:
    recipe = KINDS["steps, frozen"]
    first = gone_on(photos, tmp_path, recipe, stop=4)
    rest = gone_on(photos, tmp_path, recipe, epochs=epochs)
    steps = first.steps_noted + rest.steps_noted
    assert len(steps) == 3 * epochs
    fractions = [
        step / 18 if step < 4 else 4 / 18 + 14 / 18 * (step - 4) / (3 * epochs - 4) for step in range(3 * epochs)
    ]
    assert [progress for _, progress, _ in steps] == pytest.approx(fractions)
    rates = [0.05 * 0.1 ** ((fraction >= 3 / 6 - 1e-9) + (fraction >= 5 / 6 - 1e-9)) for fraction in fractions]
    assert [rate for rate, _, _ in steps] == pytest.approx(rates)
    begins = [fractions[step - step % 3] for step in range(3 * epochs)]  # what is frozen changes with an epoch
    assert [learns for _, _, learns in steps] == [fraction >= 2 / 6 - 1e-9 for fraction in begins]


# the command


def interrupted(data: Path, run: Path, steps: int, settings: Settings, *, resume: bool = False) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(Interrupted):
            train_small(data, run, settings, resume=resume)


def refused(data: Path, run: Path, settings: Settings, *, resume: bool = True) -> str:
    with pytest.raises(UserError) as error:
        train(data, Destination(run, resume=resume), settings, console=QUIET)
    assert 1 <= len(str(error.value).splitlines()) <= 3
    return str(error.value)


SHORT = small(size=32, epochs=4)
SHORT_MACHINE = Settings(machine=SHORT.machine)


@pytest.mark.parametrize("epochs", [2, 6])
def test_resume_with_epochs_changes_the_length(epochs: int, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    interrupted(photos, run, 5, SHORT)
    told = train_small(photos, run, small(size=32, epochs=epochs), resume=True)
    (line,) = [line for line in told if line.startswith(f"epochs: {epochs} in place of 4; ")]
    assert "as in no run of one length" in line
    assert any(line.startswith(f"epoch {epochs}/{epochs}  ") for line in told)
    assert sum("those of this command are ignored" in line for line in told) == 1  # the size and so on
    opened = open_run(run)
    assert (opened.recipe.epochs, opened.remarks) == (epochs, ())
    state = load_state(run)
    assert state is not None
    assert state["course"]["corners"] == [(0, 0.0), (5, 5 / 12), (3 * epochs, 1.0)]
    assert len(state["position"]["rows"]) == epochs
    (line,) = train_small(photos, run, SHORT_MACHINE, resume=True)
    assert line == f"{run} has finished all of its {epochs} epochs; nothing is left to do"


def test_epochs_alone_beside_resume_are_not_told_to_be_ignored(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    interrupted(photos, run, 5, SHORT)
    alone = Settings(replace(Settings().recipe, epochs=3), machine=SHORT.machine)
    assert not [line for line in train_small(photos, run, alone, resume=True) if "ignored" in line]


@pytest.mark.slow
def test_a_changed_run_is_resumed_without_the_option(photos: Path, tmp_path: Path) -> None:
    """Also where it was killed after the state, and before the recipe was written."""
    ends = []
    for name in ("unbroken", "stopped", "killed"):
        run = tmp_path / name
        interrupted(photos, run, 5, SHORT)
        if name != "unbroken":
            planned = read_run(run)[0]
            interrupted(photos, run, 2, small(size=32, epochs=3), resume=True)
            if name == "killed":
                write_recipe(run, planned)
        train_small(photos, run, small(size=32, epochs=3) if name == "unbroken" else SHORT_MACHINE, resume=True)
        assert read_run(run)[0].epochs == 3
        ends.append((run / MODEL).read_bytes())
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.slow
def test_the_same_number_of_epochs_changes_nothing(photos: Path, tmp_path: Path) -> None:
    train_small(photos, tmp_path / "whole", SHORT)
    interrupted(photos, tmp_path / "run", 5, SHORT)
    train_small(photos, tmp_path / "run", SHORT, resume=True)
    assert (tmp_path / "run" / MODEL).read_bytes() == (tmp_path / "whole" / MODEL).read_bytes()


@pytest.mark.slow
def test_before_the_first_step_it_is_as_if_that_had_been_asked_for(
    photos: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    five = small(size=32, epochs=5, start="probe", weights=str(pretrained))
    with monkeypatch.context() as patch, pytest.raises(Interrupted):

        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(RunLog, "begin", stop)
        train_small(photos, tmp_path / "run", five)
    train_small(photos, tmp_path / "run", small(epochs=3), resume=True)
    train_small(photos, tmp_path / "whole", replace(five, recipe=replace(five.recipe, epochs=3)))
    assert (tmp_path / "run" / MODEL).read_bytes() == (tmp_path / "whole" / MODEL).read_bytes()
    assert read_run(tmp_path / "run")[0] == read_run(tmp_path / "whole")[0]


def test_what_cannot_be_is_refused(photos: Path, own_run: Path, tmp_path: Path) -> None:
    before = (own_run / MODEL).read_bytes()
    said = refused(photos, own_run, small(epochs=9))
    assert said.startswith("--epochs 9: its 2 epochs are done, and with them its schedule;")
    assert f"--weights {own_run}" in said
    assert (own_run / MODEL).read_bytes() == before
    run = tmp_path / "run"
    interrupted(photos, run, 5, SHORT)
    state = load_state(run)
    assert refused(photos, run, small(epochs=1)).endswith("epoch 2 of " + str(run) + " has begun; 2 is the least")
    again = load_state(run)
    assert state is not None
    assert again is not None
    assert differing(state, again) == []
    stages = tmp_path / "stages.json"
    recipe = json.loads((own_run / RECIPE_FILE).read_text())
    stages.write_text(json.dumps(recipe | {"stages": recipe["stages"] * 2}))
    asked = small(recipe=str(stages), epochs=None, lr=None, size=32)
    interrupted(photos, tmp_path / "two", 2, asked)
    said = refused(photos, tmp_path / "two", small(epochs=9))
    assert said == "--epochs 9: the recipe has 2 stages, each with its own epochs; leave it out"
    for resume, folder in ((True, "two"), (False, "new")):
        timed = small(recipe=str(stages), epochs=None, lr=None, time="1h")
        assert refused(photos, tmp_path / folder, timed, resume=resume).startswith("--time 1h: the recipe has 2 stages")
    both = small(epochs=9, time="1h")
    assert "exclude each other" in refused(photos, tmp_path / "new", both, resume=False)
    assert not (tmp_path / "new").exists()


def test_a_stop_at_the_end_of_an_epoch_may_be_made_the_end(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    interrupted(photos, run, 6, SHORT)
    model = (run / MODEL).read_bytes()
    train_small(photos, run, small(epochs=2), resume=True)
    assert (run / MODEL).read_bytes() == model
    assert (run / CURVES).is_file()
    assert open_run(run).remarks == ()


# a start as a probe


def with_share(monkeypatch: pytest.MonkeyPatch, share: float | None) -> None:
    """Makes the probe that a run begins as right on that share of its training photos."""
    begin = starting.begin_as_probe
    monkeypatch.setattr(session, "begin_as_probe", lambda *a, **k: begin(*a, **k)._replace(share=share))


@pytest.fixture
def open_length(monkeypatch: pytest.MonkeyPatch, pretrained: Path) -> Settings:
    """Of a run of three epochs at most, of which the probe leaves two."""
    monkeypatch.setattr(automatic, "PROBE_EPOCHS", (1, 3))
    monkeypatch.setattr(automatic, "PROBE_VIEWS", (48, 72))  # of 24 training photos
    with_share(monkeypatch, 1.0)
    return small(epochs=None, weights=str(pretrained), size=32)


def test_the_start_decides_the_length(photos: Path, tmp_path: Path, open_length: Settings) -> None:
    told = "\n".join(train_small(photos, tmp_path / "run", open_length))
    assert "px, epochs: at most 3, batches" in told
    assert "expected time: at most " in told
    assert "epochs: 2 (the better the probe, the fewer); expected time: about " in told
    recipe = read_run(tmp_path / "run")[0]
    assert (recipe.epochs, recipe.length_by_start) == (2, True)
    said = replace(open_length, recipe=replace(open_length.recipe, epochs=2))
    train_small(photos, tmp_path / "same", said)
    assert (tmp_path / "run" / MODEL).read_bytes() == (tmp_path / "same" / MODEL).read_bytes()


def test_a_start_that_tells_nothing_leaves_the_most(
    photos: Path, tmp_path: Path, open_length: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_share(monkeypatch, None)
    told = "\n".join(train_small(photos, tmp_path, open_length))
    assert "epochs: 3 (how good the probe is cannot be told); expected time: about " in told
    assert read_run(tmp_path)[0].epochs == 3


@pytest.mark.slow
def test_a_length_that_the_start_decided_stays(photos: Path, tmp_path: Path, open_length: Settings) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 4)
        train_small(photos, tmp_path / "run", open_length)
    train_small(photos, tmp_path / "run", open_length, resume=True)
    train_small(photos, tmp_path / "whole", open_length)
    assert (tmp_path / "run" / MODEL).read_bytes() == (tmp_path / "whole" / MODEL).read_bytes()
    recipes = [read_run(tmp_path / name)[0] for name in ("run", "whole")]
    assert recipes[0] == recipes[1]


def test_epochs_that_are_said_later_are_not_the_start_s(photos: Path, tmp_path: Path, open_length: Settings) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 1)
        train_small(photos, tmp_path, open_length)
    train_small(photos, tmp_path, small(epochs=1), resume=True)
    recipe = read_run(tmp_path)[0]
    assert (recipe.epochs, recipe.length_by_start) == (1, False)


# a time


class Clock:
    """Time that passes with steps and validations alone; what is expected of them is said beforehand."""

    def __init__(self) -> None:
        self.now, self.step, self.start = 1000.0, 10.0, 0.0
        self.expected = Expected(start=0.0, step=10.0, validation=5.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock, step, start = Clock(), RunLog.step, Loop.start

    def stepped(self: RunLog, images: int, at: int, seconds: float) -> None:
        clock.now += clock.step
        step(self, images, at, seconds)

    def started(self: Loop, validate: object = None) -> None:
        clock.now += clock.start
        start(self)

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "step", stepped)
        patch.setattr(Loop, "start", started)
        patch.setattr(time, "perf_counter", lambda: clock.now)
        patch.setattr(announcing, "expected_seconds", lambda *_, **__: clock.expected)
        yield clock


def timed(words: str | float, **more: object) -> Settings:
    return small(**{"size": 32, "epochs": None, "set": ("stages.0.epochs=9",), "time": words, **more})


@pytest.mark.parametrize(
    ("words", "epochs"),
    [  # an epoch takes 35 s, the end 3
        ("1m13s", 2),
        ("1m12s", 1),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("2m", 3), (120, 3), ("10h", 9), ("100", 2))),
    ],
)
def test_as_many_epochs_as_there_is_time_for(
    words: str | float, epochs: int, photos: Path, tmp_path: Path, clock: Clock
) -> None:
    told = train_small(photos, tmp_path / "run", timed(words))
    if epochs < 9:
        assert f"epochs: {epochs} in place of 9, to end within {words}" in told
    assert f"epochs: {epochs}, " in "".join(line for line in told if line.startswith("test_resnet from none"))
    assert any(line.startswith(f"expected time: about {3 + 35 * epochs} s") for line in told) == (epochs < 3)
    assert not any("not even one" in line for line in told)
    train_small(photos, tmp_path / "same", small(size=32, epochs=None, set=(f"stages.0.epochs={epochs}",)))
    assert (tmp_path / "run" / MODEL).read_bytes() == (tmp_path / "same" / MODEL).read_bytes()
    assert read_run(tmp_path / "run")[0] == read_run(tmp_path / "same")[0]


def test_a_time_may_be_too_short_for_what_the_start_asks_for(
    photos: Path, tmp_path: Path, open_length: Settings, clock: Clock
) -> None:
    settings = replace(open_length, machine=replace(open_length.machine, time="1m"))  # an epoch takes 35 s, the end 3
    told = train_small(photos, tmp_path, settings)
    assert any(line.startswith("epochs: 1 (to end within 1m); expected time: about 38 s") for line in told)
    recipe = read_run(tmp_path)[0]
    assert (recipe.epochs, recipe.length_by_start) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize("said", [{}, {"lr": 0.004}, {"set": ("stages.0.optimiser.lr=0.004",)}])
def test_a_run_that_a_time_shortens_has_a_short_one_s_rate(
    said: dict[str, object], photos: Path, tmp_path: Path, open_length: Settings, clock: Clock
) -> None:
    settings = replace(open_length, recipe=replace(open_length.recipe, **({"lr": None} | said)))
    for folder, limit, share in (("long", "1h", 1.0), ("short", "1m", 24 / 48)):
        train_small(photos, tmp_path / folder, replace(settings, machine=replace(settings.machine, time=limit)))
        whole = 0.004 if said else 0.0005  # batches of 8
        rate = read_run(tmp_path / folder)[0].stages[0].optimiser.lr
        assert rate == pytest.approx(whole if said else whole * share**0.5)


def test_where_not_even_one_epoch_fits_that_is_said(photos: Path, tmp_path: Path, clock: Clock) -> None:
    told = train_small(photos, tmp_path, timed("20s"))
    assert "expected time: about 38 s; not even one epoch fits into 20s" in told
    assert read_run(tmp_path)[0].epochs == 1


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_slower_machine_shortens_the_schedule_which_still_ends(
    workers: int, photos: Path, tmp_path: Path, clock: Clock
) -> None:
    clock.step, begun = 15.0, clock.now
    told = train_small(photos, tmp_path, timed("5m", workers=workers))
    assert "epochs: 8 in place of 9, to end within 5m" in told
    assert "epochs: 6 in place of 8, to end within 5m" in told  # once an epoch took 45 s
    assert clock.now - begun == 6 * 45
    assert any(line.startswith("epoch 6/6  ") for line in told)
    state = load_state(tmp_path)
    assert state is not None
    assert state["course"]["corners"] == [(0, 0.0), (3, 3 / 24), (18, 1.0)]
    rows = state["position"]["rows"]
    assert (len(rows), read_run(tmp_path)[0].epochs) == (6, 6)
    assert rows[-1]["lr"] < 0.05 * max(row["lr"] for row in rows)


def test_a_start_that_takes_longer_than_expected_costs_epochs(
    photos: Path, pretrained: Path, tmp_path: Path, clock: Clock
) -> None:
    clock.start, clock.expected = 80.0, Expected(start=10.0, step=10.0, validation=0.0)
    told = train_small(photos, tmp_path, timed("3m", start="probe", weights=str(pretrained)))
    assert "epochs: 5 in place of 9, to end within 3m" in told  # 10 + 5 * 30 + 3
    assert "epochs: 3 in place of 5, to end within 3m" in told  # 80 + 3 * 30 + 3
    assert read_run(tmp_path)[0].epochs == 3
    state = load_state(tmp_path)
    assert state is not None
    assert state["course"] is None  # before the first step it is another plan, and nothing else


@pytest.mark.slow
def test_a_run_within_a_time_is_resumed_bit_for_bit(photos: Path, tmp_path: Path, clock: Clock) -> None:
    train_small(photos, tmp_path / "whole", timed("2m"))
    run = tmp_path / "run"
    interrupted(photos, run, 4, timed("2m"))
    told = train_small(photos, run, timed("2m"), resume=True)  # two minutes more
    assert not any("in place of" in line for line in told)
    assert (run / MODEL).read_bytes() == (tmp_path / "whole" / MODEL).read_bytes()


def test_a_run_that_goes_on_may_be_given_a_time_too(photos: Path, tmp_path: Path, clock: Clock) -> None:
    interrupted(photos, tmp_path, 4, timed("10h"))
    told = train_small(photos, tmp_path, Settings(machine=timed("2m").machine), resume=True)
    assert "epochs: 4 in place of 9, to end within 2m" in told  # of the second epoch two thirds are left
    assert not any("ignored" in line for line in told)
    assert read_run(tmp_path)[0].epochs == 4


def test_a_time_that_leaves_nothing_still_ends_an_epoch(photos: Path, tmp_path: Path, clock: Clock) -> None:
    interrupted(photos, tmp_path, 6, timed("10h"))
    train_small(photos, tmp_path, Settings(machine=timed("1s").machine), resume=True)
    assert read_run(tmp_path)[0].epochs == 3


def test_a_row_of_a_paper_with_one_stage_takes_a_time(photos: Path, tmp_path: Path, clock: Clock) -> None:
    small_size = {"size": 32, "accumulate": 1, "lr": None, "set": ()}
    train_small(photos, tmp_path, timed("2m", recipe="pc/cub-vgg16", **small_size))
    assert read_run(tmp_path)[0].epochs == 3
