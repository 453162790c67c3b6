"""One run: what is followed, what is measured, and what is recorded where it fails."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from canned import PLAN, SESSION, result_of
from rich.console import Console

import small_runs
from fieldmark.bench import execution
from fieldmark.bench.datasets import open_data, read_data
from fieldmark.bench.execution import Executor, Machine, RunFolder
from fieldmark.bench.plan import PlannedRun, read_plan, runs_of
from fieldmark.bench.results import Session, write_result
from fieldmark.bench.run_plan import _in_words
from fieldmark.data.dataset import Level
from fieldmark.errors import Interrupted, UserError
from fieldmark.training import session

TRIALS = """
[tuning]
seeds = [0, 1]
epochs = 0.5
hold_out = 0.4
[[entry]]
name = "plain"
[[entry]]
name = "pc"
method = "pc"
set = { clip = 2.0 }
trials = [{ "model.terms.0.weight" = 3.0 }, { "model.terms.0.weight" = 4.0 }]
[[entry]]
name = "probe"
kind = "probe"
"""


def executor_of(
    folder: Path, data: Path, text: str = PLAN + TRIALS, *, weights: dict[str, Path] | None = None
) -> Executor:
    folder.mkdir(exist_ok=True)
    (folder / "plan.toml").write_text(text)
    plan = read_plan(folder / "plan.toml")
    console = Console(quiet=True)
    named = read_data(plan, ["photos"], {"photos": data}, folder=folder)
    datasets = {"photos": open_data(named["photos"], folder, console=console)}
    machine = Machine("cpu", 0, weights or {}, {}, SESSION, "fieldmark bench run")
    return Executor(plan, folder, datasets=datasets, machine=machine, console=console)


def job_of(executor: Executor, key: str) -> PlannedRun:
    return next(job for job in runs_of(executor.plan) if job.key == f"photos-{key}")


def score(executor: Executor, top1: tuple[float, float]) -> None:
    """Records the trials of pc."""
    for trial, share in enumerate(top1):
        for seed in (0, 1):
            result = replace(result_of("pc", seed, data="photos", trial=trial, top1=share))
            job = job_of(executor, f"pc-trial{trial}-seed{seed}")
            write_result(executor.folder, replace(result, asked=job.asked(executor.plan)))


def test_recipes_of_trials_and_of_final_runs(split: Path, tmp_path: Path) -> None:
    executor = executor_of(tmp_path / "out", split)
    trial_job = job_of(executor, "pc-trial1-seed0")
    trial, final = (executor.recipe(job) for job in (trial_job, job_of(executor, "plain-seed10")))
    assert trial.model.terms[0].options["weight"] == 4.0
    assert (trial.epochs, trial.clip, trial.seed, trial.train_on) == (1, 2.0, 0, ("train",))
    assert (final.epochs, final.clip, final.seed) == (2, 0.0, 10)
    for top1, weight in (((0.5, 0.6), 4.0), ((0.6, 0.6), 3.0)):
        score(executor, top1)
        final = executor.recipe(job_of(executor, "pc-seed11"))
        assert final.model.terms[0].options["weight"] == weight
        assert (final.epochs, final.clip, final.seed) == (2, 2.0, 11)
    weights = [recipe.model.terms[0].options["weight"] for recipe in executor.possible(job_of(executor, "pc-seed10"))]
    assert weights == [3.0, 4.0]
    assert executor.possible(trial_job) == [trial]


def test_validation_photos_are_for_tuning(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        small_runs.write_photos(tmp_path / "photos" / name, photos=2)
    text = PLAN + '[sets.photos]\ntrain_on = "train+val"\n' + TRIALS
    executor = executor_of(tmp_path / "out", tmp_path / "photos", text)
    assert executor.recipe(job_of(executor, "plain-seed10")).train_on == ("train", "val")
    trial = job_of(executor, "pc-trial0-seed0")
    assert executor.recipe(trial).train_on == ("train",)
    assert executor._settings(trial).data.hold_out == 0


def test_a_trial_opens_no_test_photo(split: Path, tmp_path: Path) -> None:
    data = tmp_path / "photos"
    small_runs.write_photos(data / "train")
    for photo in small_runs.write_photos(data / "test", photos=2).rglob("*.jpg"):
        photo.write_bytes(b"never to be looked at")
    executor = executor_of(tmp_path / "out", data)
    job = job_of(executor, "pc-trial0-seed1")
    result, answers = executor.execute(job)
    assert answers is not None
    assert (result.status, result.measured_on, result.photos) == ("done", "val", {"measured": 12, "classes": 3})
    assert answers.logits.shape == (12, 3)
    assert result.metrics["top1"] == pytest.approx(np.mean(answers.logits.argmax(1) == answers.labels))
    assert all(name.startswith("train/") for name in answers.names)  # held out of the training split
    assert (result.test_openings, result.damaged, result.trial, result.phase) == (0, (), 0, "tune")
    assert result.recipe["stages"][0]["epochs"] == 1


def test_a_run_that_was_begun_with_another_recipe_starts_anew(
    split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "draw_curves", lambda path, rows: path.touch())
    begun: list[bool] = []

    def trained(data, destination, choices, *, console, external, recipe, opened):
        begun.append((destination.folder(data) / "recipe.json").exists())
        return session.train(
            data, destination, choices, console=console, external=external, recipe=recipe, opened=opened
        )

    monkeypatch.setattr(execution, "train", trained)
    for text in (PLAN, PLAN.replace("epochs = 2", "epochs = 1"), PLAN.replace("epochs = 2", "epochs = 1")):
        executor = executor_of(tmp_path / "out", split, text + TRIALS)
        job = job_of(executor, "plain-seed10")
        result, answers = executor.execute(job)
    assert begun == [False, False, True]
    assert result.test_openings == 2  # the third found it trained and measured
    assert answers is not None
    assert result.metrics["top1"] == pytest.approx(np.mean(answers.logits.argmax(1) == answers.labels))
    assert result.photos == {"measured": 12, "classes": 3, "trained": 30}


@pytest.mark.parametrize("left", [b"", b'{"format_version": 1, "model": {"me', b"\xff\x00"])
def test_a_half_done_run_whose_recipe_was_cut_short_starts_anew(
    left: bytes, split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "draw_curves", lambda path, rows: path.touch())
    executor = executor_of(tmp_path / "out", split)
    job = job_of(executor, "pc-trial0-seed0")
    place = RunFolder(tmp_path / "out", job.key)
    place.path.mkdir(parents=True)
    (place.path / "recipe.json").write_bytes(left)
    place.enter(SESSION)
    result, _ = executor.execute(job)
    assert (result.status, result.reason) == ("done", "")


def test_a_run_that_goes_on_names_all_that_it_was_made_with(
    split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other packages are told; other photos, or other weights of the same name, start the run anew."""
    monkeypatch.setattr(session, "draw_curves", lambda path, rows: path.touch())
    data = Path(shutil.copytree(split, tmp_path / "photos"))
    session_one = replace(SESSION, versions={"torch": "1"}, code={"m:Mine": "1" * 16})
    executor = executor_of(tmp_path / "out", data)
    executor.machine = replace(executor.machine, session=session_one)
    job = job_of(executor, "plain-seed10")

    def worked(executor: Executor) -> tuple[Session, ...]:
        result, _ = executor.execute(job)
        assert result.status == "done", result.reason
        return result.sessions

    (first,) = worked(executor)
    digest = executor.datasets["photos"].digest
    assert (first.versions, first.precision, first.code) == ({"torch": "1"}, "fp32", {"m:Mine": "1" * 16})
    assert (first.data_digest, first.weights_digest, first.digest) == (digest, "", "d" * 16)
    executor.machine = replace(executor.machine, session=replace(session_one, versions={"torch": "2"}))
    assert [session.versions for session in worked(executor)] == [{"torch": "1"}, {"torch": "2"}]
    small_runs.write_photo(data / "train" / "ant" / "new.jpg", label=0, number=99)
    (only,) = worked(executor_of(tmp_path / "out", data))
    assert only.data_digest != digest


def test_a_probe_is_measured_on_test(split: Path, tmp_path: Path) -> None:
    executor = executor_of(tmp_path / "out", split)
    job = job_of(executor, "probe-seed0")
    (first, answers), (second, again) = (executor.execute(job) for _ in range(2))
    assert (first.measured_on, first.photos["measured"], first.test_openings) == ("test", 12, 1)
    assert answers is not None
    assert again is not None
    assert first.metrics["top1"] == pytest.approx(np.mean(answers.logits.argmax(1) == answers.labels))
    np.testing.assert_array_equal(answers.logits, again.logits)  # no seed changes it
    assert first.recipe["size"] == 32
    assert replace(second, seconds=first.seconds) == first
    assert first.levels == {}
    data = executor.datasets["photos"]
    grouped = replace(data.dataset, levels=(Level("legs", ("six", "six", "four")),))
    executor.datasets = {"photos": replace(data, opened=replace(data.opened, dataset=grouped))}
    third, _ = executor.execute(job)
    six, two = np.array([0, 0, 1]), np.exp(answers.logits) @ np.array([[1, 0], [1, 0], [0, 1]])
    assert third.levels == {"legs": pytest.approx((two.argmax(1) == six[answers.labels]).mean())}
    assert replace(third, seconds=first.seconds, levels={}) == first


@pytest.mark.parametrize("key", ["plain-seed10", "probe-seed0"])
def test_photos_that_cannot_be_read_are_counted_and_none_is_no_measurement(
    key: str, split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "draw_curves", lambda path, rows: path.touch())
    data = Path(shutil.copytree(split, tmp_path / "photos"))
    for name in ("train/ant/0.jpg", "test/bee/0.jpg"):
        (data / name).write_bytes(b"no picture")
    executor = executor_of(tmp_path / "out", data)
    job = job_of(executor, key)
    result, answers = executor.execute(job)
    assert [line.split(":")[0] for line in result.damaged] == ["train/ant/0.jpg", "test/bee/0.jpg"]
    assert (result.photos["measured"], result.photos["trained"]) == (11, 29)
    assert answers is not None
    assert len(answers.names) == 11
    assert "; 2 photos of the data could not be read" in _in_words(result)
    for photo in (data / "test").rglob("*.jpg"):
        photo.write_bytes(b"no picture")
    result, answers = executor_of(tmp_path / "other", data).execute(job)
    assert (result.status, answers) == ("failed", None)
    assert result.reason.startswith("12 of 12 photos cannot be read: test/ant/0.jpg: ")


def test_failures_are_recorded(split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = executor_of(tmp_path / "out", split)
    job = job_of(executor, "plain-seed10")

    def outcome(error: BaseException):
        def fail(*words: object, **settings: object) -> None:
            raise error

        monkeypatch.setattr(execution, "train", fail)
        return executor.execute(job)

    result, answers = outcome(RuntimeError("out of\n memory"))
    assert (result.status, result.reason, answers) == ("failed", "RuntimeError: out of memory", None)
    assert "RuntimeError: out of" in result.trace
    result, _ = outcome(UserError("two\nlines"))
    assert (result.reason, result.trace) == ("two lines", "")
    for stop in (Interrupted(), KeyboardInterrupt()):
        with pytest.raises(type(stop)):
            outcome(stop)
    score(executor, (0.5, 0.5))
    for path in (tmp_path / "out" / "results").glob("*.json"):
        path.write_text(path.read_text().replace('"done"', '"failed"'))
    job = job_of(executor, "pc-seed10")
    result, _ = outcome(AssertionError())
    assert result.status == "failed"


def test_weights_stand_in_the_record_by_name_and_digest(split: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"no tensors")
    executor = executor_of(tmp_path / "out", split, weights={"none": tmp_path / "w.safetensors"})
    job = job_of(executor, "plain-seed10")
    result, _ = executor.execute(job)
    assert result.status == "failed"
    assert "not a readable .safetensors file" in result.reason
    assert result.recipe["model"]["weights"] == "w.safetensors"
    assert len(result.weights_digest) == 16
