"""The runs of a plan: worked once each, by whoever comes, through stops, deaths and failures."""

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canned import PLAN, answers_of, failed, photos_of, result_of
from rich.console import Console

import small_runs
from fieldmark import bench
from fieldmark.bench import RunOptions, provenance
from fieldmark.bench import run_plan as running
from fieldmark.bench.entry_recipes import described
from fieldmark.bench.execution import Executor
from fieldmark.bench.plan import PROBE, PlannedRun, read_plan, runs_of
from fieldmark.bench.results import read_answers, read_result, read_results
from fieldmark.bench.run_plan import Tally, is_locked, locked
from fieldmark.errors import Interrupted, UserError
from fieldmark.papers.plain import Plain
from fieldmark.training import session

ENTRIES = """
[tuning]
epochs = 0.5
hold_out = 0.4
[[entry]]
name = "plain"
trials = [{}, { "stages.0.optimiser.lr" = 0.2 }]
[[entry]]
name = "pc"
method = "pc"
trials = [{}, { "model.terms.0.weight" = 1.0 }]
[[entry]]
name = "probe"
kind = "probe"
"""
TUNING = [f"photos-{name}-trial{trial}-seed0" for name in ("plain", "pc") for trial in (0, 1)]
FINALS = ["photos-probe-seed0", *(f"photos-{name}-seed{seed}" for seed in (10, 11) for name in ("plain", "pc"))]
PLAIN = '[[entry]]\nname = "plain"\n'


class Mine(Plain):
    """A method from elsewhere."""


HALF = {"top1": 0.5, "mean_per_class": 0.5}
QUIET = Console(quiet=True)
Stub = Callable[[Executor, PlannedRun], None]


def run(
    folder: Path, data: Path, options: RunOptions | None = None, *, text: str = PLAN + ENTRIES, console: Console = QUIET
) -> Tally:
    folder.parent.mkdir(exist_ok=True)
    plan = folder.parent / "plan.toml"
    if not plan.exists() or plan.read_text() != text:  # two threads may run one plan
        plan.write_text(text)
    said = replace(options or RunOptions(), data=(f"photos={data}",), workers=0, device="cpu")
    return bench.run(plan, folder, options=said, console=console)


@pytest.fixture(scope="module")
def compared(split: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison that was worked in two calls; not to be changed."""
    folder = tmp_path_factory.mktemp("compared") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "draw_curves", lambda path, rows: path.touch())
        assert run(folder, split, RunOptions(limit=2)) == Tally(2, 0, 7, 0, False)
        assert run(folder, split) == Tally(7, 0, 0, 0, False)
    return folder


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Stub], list[str]]:
    """Puts something quick in the place of training; gives the list that fills with the keys of what was worked."""

    def put(instead: Stub) -> list[str]:
        keys: list[str] = []

        def execute(self: Executor, job: PlannedRun):
            keys.append(job.key)
            instead(self, job)
            done = replace(result_of(job.entry.name, job.seed, data=job.data, trial=job.trial), photos=photos_of(4))
            blank = self._blank(job)
            done = replace(done, key=job.key, asked=blank.asked, data_digest=blank.data_digest)
            if job.entry.kind != PROBE:
                done = replace(done, recipe=described(self.recipe(job)))
            return done, None if job.trial is not None else answers_of([True, True, False, False])

        monkeypatch.setattr(Executor, "execute", execute)
        return keys

    return put


def nothing(executor: Executor, job: PlannedRun) -> None:
    """A run that goes well."""


def test_each_run_is_recorded(compared: Path) -> None:
    results = {one.key: one for one in read_results(compared)}
    assert sorted(results) == sorted([*TUNING, *FINALS])
    assert all(one.status == "done" for one in results.values())
    assert [results[key].measured_on for key in TUNING] == ["val"] * 4
    assert [results[key].photos["measured"] for key in TUNING] == [12] * 4
    for key in TUNING:
        answers = read_answers(compared, key)
        assert results[key].metrics["top1"] == pytest.approx(np.mean(answers.logits.argmax(1) == answers.labels))
    assert list((compared / "runs").iterdir()) == []
    for key in FINALS:
        one, answers = results[key], read_answers(compared, key)
        assert (one.measured_on, one.test_openings, one.photos["measured"]) == ("test", 1, 12)
        assert one.metrics["top1"] == pytest.approx(np.mean(answers.logits.argmax(1) == answers.labels))
        assert len(answers.names) == 12
        assert len(one.sessions) == 1
        assert one.command.endswith("--data photos=photos")
        assert one.sessions[0].device == one.device
    assert results["photos-pc-seed10"].recipe["model"]["terms"][0]["type"] == "PairwiseConfusion"
    assert results["photos-pc-seed10"].recipe["stages"][0]["epochs"] == 2
    assert results["photos-pc-trial1-seed0"].recipe["model"]["terms"][0]["weight"] == 1.0
    tuned = results["photos-plain-seed11"].tuned
    best = max((0, 1), key=lambda trial: (results[TUNING[trial]].metrics["top1"], -trial))
    assert tuned["winner"] == best
    rate = results["photos-plain-seed11"].recipe["stages"][0]["optimiser"]["lr"]
    assert rate == (0.05, 0.2)[best]
    kept = read_plan(compared / "plan.toml")
    assert [run.key for run in runs_of(kept)] == [*TUNING, *FINALS]  # though the first call worked two of them


def test_what_is_recorded_is_not_worked_again(compared: Path, split: Path, stub: Callable[[Stub], list[str]]) -> None:
    keys = stub(nothing)
    assert run(compared, split) == Tally(0, 0, 0, 0, False)
    assert keys == []


def test_a_result_of_another_plan_or_of_other_photos_is_refused(compared: Path, split: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"other settings than the plan has now for plain;\ntake another"):
        run(compared, split, text=(PLAN + ENTRIES).replace("epochs = 2", "epochs = 3"))
    run(compared, split, text=(PLAN + ENTRIES).replace("Small things", "Things"), options=RunOptions(limit=1))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError, match="made by another recipe than this"):
        patch.setattr("fieldmark.training.automatic._rates_of_parts", lambda *_: {"head": 0.5})  # in a later Fieldmark
        run(compared, split)
    data = Path(shutil.copytree(split, tmp_path / "photos"))
    (data / "test" / "ant" / "0.jpg").unlink()
    with pytest.raises(UserError, match="other photos, labels or splits than photos has now"):
        run(compared, data)


@pytest.mark.parametrize("entries", [ENTRIES, ENTRIES.replace("trials", "# trials")])
def test_rows_of_two_plans_do_not_meet_in_one_folder(
    entries: str, split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]]
) -> None:
    """Records are held against the plan, also those that this call does not work."""
    keys = stub(nothing)
    run(tmp_path / "out", split, RunOptions(only=("plain",), limit=1), text=PLAN + entries)
    assert len(keys) == 1
    said = rf"{keys[0]}\.json: made by other settings than the plan has now for plain;\ntake another --out, or move"
    changed = (PLAN + entries).replace("epochs = 2", "epochs = 3")
    for options in (RunOptions(only=("pc",)), RunOptions(only=("probe",)), RunOptions(only=("pc",), phase="final")):
        with pytest.raises(UserError, match=said):
            run(tmp_path / "out", split, options, text=changed)
    assert len(keys) == 1


def test_a_row_that_is_not_worked_may_have_a_class_that_nobody_names(
    split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]]
) -> None:
    stub(nothing)
    text = PLAN + ENTRIES + '[[entry]]\nname = "mine"\nmethod = "test_run_plan:Mine"\n'
    (tmp_path / "plan.toml").write_text(text)
    said = RunOptions(data=(f"photos={split}",), workers=0, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        patch.setattr("canned.ORDER", ("plain", "pc", "mine", "probe"))
        mine, external = replace(said, only=("mine",)), ["test_run_plan:Mine"]
        assert bench.run(tmp_path / "plan.toml", tmp_path / "out", options=mine, external=external).done == 2
    assert run(tmp_path / "out", split, RunOptions(only=("probe",)), text=text).done == 1
    with pytest.raises(UserError, match="other settings than the plan has now for mine"):
        run(tmp_path / "out", split, RunOptions(only=("probe",)), text=text.replace("lr = 0.05", "lr = 0.04"))


def test_notes_may_be_edited_under_recorded_runs(
    compared: Path, split: Path, stub: Callable[[Stub], list[str]]
) -> None:
    keys = stub(nothing)
    text = 'notes = ["one more thing"]\n' + PLAN + ENTRIES
    assert run(compared, split, text=text) == Tally(0, 0, 0, 0, False)
    assert keys == []


def test_final_runs_wait_for_their_trials(split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]]) -> None:
    keys = stub(nothing)
    said = io.StringIO()
    told = Console(file=said, width=200)
    assert run(tmp_path / "out", split, RunOptions(phase="final"), console=told) == Tally(1, 0, 4, 0, False)
    assert "\n4 final runs (plain, pc) wait for their trials: run without --phase, and with" in said.getvalue()
    assert keys == FINALS[:1]
    assert run(tmp_path / "out", split, RunOptions(only=("pc",))) == Tally(4, 0, 0, 0, False)
    assert run(tmp_path / "out", split, RunOptions(phase="tune")) == Tally(2, 0, 0, 0, False)
    assert run(tmp_path / "out", split) == Tally(2, 0, 0, 0, False)
    assert keys == [FINALS[0], *TUNING[2:], FINALS[2], FINALS[4], *TUNING[:2], FINALS[1], FINALS[3]]
    assert said.getvalue().count("wait") == 1


def test_final_runs_whose_trials_the_plan_leaves_out(
    split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]]
) -> None:
    stub(nothing)
    said = io.StringIO()
    text = PLAN + PLAIN + 'phase = "final"\ntrials = [{}, { "clip" = 0.2 }]\n'
    told = Console(file=said, width=200)
    assert run(tmp_path / "out", split, text=text, console=told) == Tally(0, 0, 2, 0, False)
    assert '2 final runs (plain) wait for their trials: run without --phase, and with phase = "both"' in said.getvalue()
    both = text.replace('"final"', '"both"')
    assert run(tmp_path / "out", split, RunOptions(limit=1), text=both, console=told) == Tally(1, 0, 3, 0, False)
    assert said.getvalue().count("wait") == 1  # these come by themselves


def test_failures_are_recorded_and_worked_again_when_asked(
    split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [True]

    def execute(self: Executor, job: PlannedRun):
        blank = self._blank(job)
        if job.seed == 10 and bad[0]:
            return failed(blank, "no memory"), None
        done = replace(blank, status="done", metrics=HALF, photos=photos_of(1), recipe=described(self.recipe(job)))
        return done, answers_of([True])

    monkeypatch.setattr(Executor, "execute", execute)
    assert run(tmp_path / "out", split, text=PLAN + PLAIN) == Tally(1, 1, 0, 0, False)
    result = read_result(tmp_path / "out/results/photos-plain-seed10.json")
    assert (result.status, result.reason) == ("failed", "no memory")
    assert run(tmp_path / "out", split, text=PLAN + PLAIN) == Tally(0, 0, 0, 0, False, failed_before=1)
    assert run(tmp_path / "out", split, RunOptions(phase="tune"), text=PLAN + PLAIN) == Tally(0, 0, 0, 0, False)
    assert run(tmp_path / "out", split, RunOptions(retry=True), text=PLAN + PLAIN) == Tally(0, 1, 0, 0, False)
    bad[0] = False
    assert run(tmp_path / "out", split, RunOptions(retry=True), text=PLAN + PLAIN) == Tally(1, 0, 0, 0, False)


def test_a_failure_under_other_settings_or_with_other_photos_bars_no_way(
    split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [True]

    def execute(self: Executor, job: PlannedRun):
        blank = self._blank(job)
        if bad[0]:
            return failed(blank, "no memory"), None
        done = replace(blank, status="done", metrics=HALF, photos=photos_of(1), recipe=described(self.recipe(job)))
        return done, answers_of([True])

    monkeypatch.setattr(Executor, "execute", execute)
    text = PLAN.replace("[10, 11]", "[10]") + PLAIN + 'trials = [{ "clip" = 0.2 }]\n'
    assert run(tmp_path / "out", split, text=text) == Tally(0, 2, 0, 0, False)
    corrected = text.replace("0.2", "0.1")
    assert run(tmp_path / "out", split, RunOptions(phase="final"), text=corrected) == Tally(0, 0, 1, 0, False)
    assert run(tmp_path / "out", split, text=corrected) == Tally(0, 2, 0, 0, False)  # once each, and recorded anew
    assert run(tmp_path / "out", split, text=corrected) == Tally(0, 0, 0, 0, False, failed_before=2)
    data = Path(shutil.copytree(split, tmp_path / "photos"))
    (data / "test" / "ant" / "0.jpg").unlink()
    bad[0] = False
    assert run(tmp_path / "out", data, text=corrected) == Tally(2, 0, 0, 0, False)
    (tmp_path / "out/results/photos-plain-seed10.json").unlink()
    with pytest.raises(UserError, match=r"trial0-seed0\.json: made by other settings than the plan has now for plain"):
        run(tmp_path / "out", data, RunOptions(phase="final"), text=text)


def test_a_method_that_fails_does_not_stop_the_list(split: Path, tmp_path: Path) -> None:
    """The real thing: nan losses end a run, and the next one begins."""
    text = PLAN.replace("lr = 0.05", "lr = 1e30").replace("epochs = 2", "epochs = 30").replace("[10, 11]", "[10]")
    text += PLAIN + '[[entry]]\nname = "probe"\nkind = "probe"\n'
    assert run(tmp_path / "out", split, text=text) == Tally(1, 1, 0, 0, False)
    probe, plain = (read_result(tmp_path / f"out/results/{key}.json") for key in FINALS[:2])
    assert probe.status == "done"
    assert plain.status == "failed"
    assert "not finite" in plain.reason
    assert len(plain.reason.splitlines()) == 1
    assert sorted(path.name for path in (tmp_path / "out" / "runs").iterdir()) == [
        "photos-plain-seed10",
        "photos-plain-seed10.sessions.json",
    ]  # for --retry


@pytest.mark.slow
@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN])  # the second in the background
def test_time_that_is_up_ends_a_run_in_its_middle(
    before: Any, split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, before)))

    def endless(executor: Executor, job: PlannedRun) -> None:
        for _ in range(1000):
            time.sleep(0.05)

    keys = stub(endless)
    assert run(tmp_path / "out", split, RunOptions(until=2)) == Tally(0, 0, 9, 0, True)
    assert keys == TUNING[:1]
    keys = stub(nothing)
    assert run(tmp_path / "out", split, RunOptions(until=100)) == Tally(9, 0, 0, 0, False)
    assert keys[0] == TUNING[0]  # its lock had been released
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stop_by_the_user_is_passed_on(split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]]) -> None:
    for stop in (Interrupted(), KeyboardInterrupt()):

        def stopped(executor: Executor, job: PlannedRun, stop: BaseException = stop) -> None:
            raise stop

        stub(stopped)
        with pytest.raises(type(stop)):
            run(tmp_path / "out", split)
    assert not (tmp_path / "out" / "results").exists()


def test_what_others_work_is_left_to_them(split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]]) -> None:
    keys = stub(nothing)
    with locked(tmp_path / "out", "photos-plain-seed10"):
        assert run(tmp_path / "out", split, text=PLAN + PLAIN) == Tally(1, 0, 1, 1, False)
    assert run(tmp_path / "out", split, text=PLAN + PLAIN) == Tally(1, 0, 0, 0, False)
    assert keys == ["photos-plain-seed11", "photos-plain-seed10"]


def test_a_file_system_without_locks_is_told_before_any_run(
    split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lockless(self: object) -> None:
        raise OSError(38, "Function not implemented")

    keys = stub(nothing)
    monkeypatch.setattr("fieldmark.locks.FileLock._acquire", lockless)
    with pytest.raises(UserError, match=r"cannot be locked \(Function not implemented\): choose a writable folder"):
        run(tmp_path / "out", split, text=PLAN + PLAIN)
    assert keys == []
    assert not (tmp_path / "out" / "plan.toml").exists()


def test_a_program_that_is_edited_under_a_plan_stops(
    split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = iter([provenance.source_digest(running.OURS), "another", "another"])
    monkeypatch.setattr(running, "source_digest", lambda package: next(digests))
    keys = stub(nothing)
    with pytest.raises(UserError, match="own files were changed since this command began: start it again"):
        run(tmp_path / "out", split, text=PLAN + PLAIN)
    assert keys == ["photos-plain-seed10"]
    assert [path.name for path in (tmp_path / "out" / "results").glob("*.json")] == ["photos-plain-seed10.json"]
    monkeypatch.undo()
    keys = stub(nothing)
    assert run(tmp_path / "out", split, text=PLAN + PLAIN) == Tally(1, 0, 0, 0, False)


@pytest.mark.parametrize(
    ("options", "text", "said"),
    [
        (RunOptions(only=("pd",)), "", "--only pd: the plan has plain, pc, probe"),
        (RunOptions(limit=0), "", "limit is 0"),
        (RunOptions(weights=("lite0=.",)), "", "--weights lite0: no entry"),
        (RunOptions(), '[[entry]]\nname = "s"\nmethod = "nothing"', "s: --method nothing"),
        (
            RunOptions(),
            '[[entry]]\nname = "s"\ntrials = [{ "smooth.er" = 1 }]',
            "s: --set smooth.er: there is no 'smooth'",
        ),
        (RunOptions(), '[[entry]]\nname = "s"\ndata = ["other"]', "say --data other=FOLDER"),
    ],
)
def test_mistakes_are_told_before_any_run(
    options: RunOptions, text: str, said: str, split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]]
) -> None:
    keys = stub(nothing)
    with pytest.raises(UserError) as error:
        run(tmp_path / "out", split, options, text=PLAN + ENTRIES + text)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) <= 3
    assert keys == []
    assert not (tmp_path / "out").exists()


def test_photos_of_a_name_that_the_plan_lacks(split: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN + PLAIN)
    said = RunOptions(data=(f"pictures={split}",))
    with pytest.raises(UserError, match="--data pictures: the plan's data are called photos"):
        bench.run(tmp_path / "plan.toml", tmp_path / "out", options=said)


LONG = PLAN.replace("epochs = 2", "epochs = 12").replace("[10, 11]", "[10]") + PLAIN


def program(folder: Path, data: Path) -> subprocess.Popen[str]:
    words = ["bench", "run", folder.parent / "plan.toml", "--out", folder, "--data", f"photos={data}"]
    words += ["--workers", "0", "--device", "cpu"]
    command = [sys.executable, "-c", "from fieldmark.cli import main; main()", *map(str, words)]
    environment = os.environ | {"COLUMNS": "200", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(folder: Path, pattern: str, running: subprocess.Popen[str]) -> None:
    begun = time.monotonic()
    while not list(folder.glob(pattern)):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() - begun < 120
        time.sleep(0.01)


@pytest.fixture(scope="module")
def unbroken(split: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The logits of a run of ``LONG`` that nobody stopped."""
    folder = tmp_path_factory.mktemp("unbroken") / "out"
    assert run(folder, split, text=LONG).done == 1
    return read_answers(folder, "photos-plain-seed10").logits


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals")
def test_where_a_program_was_killed_another_goes_on(split: Path, tmp_path: Path, unbroken: np.ndarray) -> None:
    """While the first lives, if ever so slowly, its trial is its own; the second waits, and then takes it over."""
    folder, text, key = tmp_path / "out", LONG + "trials = [{}]\n", "photos-plain-trial0-seed0"
    (tmp_path / "plan.toml").write_text(text)
    first = program(folder, split)
    wait_for(folder, f"runs/{key}/state/last.pt", first)
    first.send_signal(signal.SIGSTOP)
    steps: list[int] = []

    def killed(call: object, time_is_up: threading.Event) -> bool:
        if steps:  # it went on, and nothing is left to do
            return False
        first.kill()
        first.communicate()
        return True

    assert run(folder, split, RunOptions(limit=1, phase="tune"), text=text) == Tally(0, 0, 1, 1, False)
    assert not (folder / "results").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running._Call, "_waits", killed)
        patch.setattr(small_runs.RunLog, "step", lambda self, images, at, seconds: steps.append(at))
        assert run(folder, split, text=text) == Tally(2, 0, 0, 0, False)
    assert steps[0] > 1  # it went on, after the first epoch at least
    np.testing.assert_array_equal(read_answers(folder, "photos-plain-seed10").logits, unbroken)


def test_a_stopped_run_goes_on(
    split: Path, tmp_path: Path, unbroken: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    small_runs.stop_after(monkeypatch, 10)
    with pytest.raises(Interrupted):
        run(folder, split, text=LONG)
    said = io.StringIO()
    assert run(folder, split, text=LONG, console=Console(file=said, width=200)) == Tally(1, 0, 0, 0, False)
    assert "(resumed)" in said.getvalue()
    assert "ignored" not in said.getvalue()  # the user has given no options that would be
    np.testing.assert_array_equal(read_answers(folder, "photos-plain-seed10").logits, unbroken)
    result = read_result(folder / "results/photos-plain-seed10.json")
    assert (len(result.sessions), result.test_openings) == (1, 1)  # twice the same program on the same machine


def test_a_retry_goes_on_with_what_a_failure_left(
    split: Path, tmp_path: Path, unbroken: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, key = tmp_path / "out", "photos-plain-seed10"
    steps: list[int] = []
    step = small_runs.RunLog.step

    def counted(self: small_runs.RunLog, images: int, at: int, seconds: float) -> None:
        step(self, images, at, seconds)
        steps.append(at)
        if len(steps) == 10:
            raise OSError("the file server is away")

    monkeypatch.setattr(small_runs.RunLog, "step", counted)
    assert run(folder, split, text=LONG) == Tally(0, 1, 0, 0, False)
    assert (folder / f"runs/{key}/state/last.pt").is_file()
    assert run(folder, split, RunOptions(retry=True), text=LONG) == Tally(1, 0, 0, 0, False)
    assert 1 < steps[10] <= 10  # from the last epoch that was saved on
    np.testing.assert_array_equal(read_answers(folder, key).logits, unbroken)
    assert list((folder / "runs").iterdir()) == []


def at_once(folder: Path, data: Path, text: str) -> list[Tally]:
    """What two calls in one folder at the same time come to."""
    (folder.parent / "plan.toml").write_text(text)
    tallies: list[Tally] = []
    both = [threading.Thread(target=lambda: tallies.append(run(folder, data, text=text))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    return tallies


def test_two_at_once_share_the_work(
    split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PAUSE", 0.02)
    keys = stub(lambda executor, job: time.sleep(0.05))
    tallies = at_once(tmp_path / "out", split, PLAN + ENTRIES)
    assert sum(tally.done for tally in tallies) == 9
    assert sorted(keys) == sorted([*TUNING, *FINALS])
    assert run(tmp_path / "out", split) == Tally(0, 0, 0, 0, False)


ONE_TRIAL = PLAN + PLAIN + 'trials = [{ "clip" = 0.2 }]\n'


def test_one_that_has_no_trial_to_work_goes_on_with_the_final_runs(
    split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PAUSE", 0.02)
    together = threading.Barrier(2)

    def final_runs_meet(executor: Executor, job: PlannedRun) -> None:
        if job.phase == "final":
            together.wait(60)

    stub(final_runs_meet)
    tallies = at_once(tmp_path / "out", split, ONE_TRIAL)
    assert sorted(tally.done for tally in tallies) == [1, 2]


def test_a_wait_ends_with_the_time_with_the_limit_and_where_nobody_works(
    split: Path, tmp_path: Path, stub: Callable[[Stub], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, said = stub(nothing), io.StringIO()
    told = Console(file=said, width=200)

    def seen_and_gone(folder: Path, key: str) -> bool:
        is_held = is_locked(folder, key)
        elsewhere.close()  # its process dies
        return is_held

    with ExitStack() as elsewhere:
        elsewhere.enter_context(locked(tmp_path / "out", "photos-plain-trial0-seed0"))
        assert run(tmp_path / "out", split, RunOptions(until=2), text=ONE_TRIAL, console=told) == Tally(
            0, 0, 3, 1, True
        )
        assert said.getvalue().count("waiting for 1 trials that run elsewhere") == 1
        probe = ONE_TRIAL + '[[entry]]\nname = "probe"\nkind = "probe"\n'
        assert run(tmp_path / "out", split, RunOptions(limit=1), text=probe) == Tally(1, 0, 3, 1, False)
        monkeypatch.setattr(running, "PAUSE", 0.02)
        monkeypatch.setattr(running, "is_locked", seen_and_gone)
        assert run(tmp_path / "out", split, RunOptions(phase="final"), text=ONE_TRIAL) == Tally(0, 0, 2, 0, False)
        assert run(tmp_path / "out", split, text=ONE_TRIAL) == Tally(3, 0, 0, 0, False)  # and its trial is free
    assert len(keys) == 4
