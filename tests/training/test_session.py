"""A run from photos to a folder: made, gone on with, replaced or refused."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import small_runs
from fieldmark.data.split import read_splits
from fieldmark.errors import Interrupted, UserError
from fieldmark.input.loading import Batch
from fieldmark.locks import LOCK, locked
from fieldmark.recipe import Recipe
from fieldmark.runs.checkpoint import MODEL, STATE, load_state
from fieldmark.runs.folder import RECIPE, open_run
from fieldmark.training import loop, session, validation
from fieldmark.training.runlog import METRICS, RunLog
from fieldmark.training.session import train
from fieldmark.training.settings import Destination, Settings, settings_of
from small_runs import QUIET, SMALL, small, stop_after, train_small, write_photo


def refused(data: Path, run: Path, *, resume: bool = False, overwrite: bool = False, **changes: object) -> str:
    """What a command is told that has to be refused; ``changes`` are settings beside those of ``small_runs``."""
    with pytest.raises(UserError) as error:
        train(data, Destination(run, resume=resume, overwrite=overwrite), small(**changes), console=QUIET)
    assert 1 <= len(str(error.value).splitlines()) <= 3
    return str(error.value)


def overwritten(data: Path, run: Path, settings: Settings = SMALL) -> None:
    train(data, Destination(run, overwrite=True), settings, console=QUIET)


def files(run: Path) -> dict[str, bytes]:
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def interrupted(data: Path, run: Path, steps: int, settings: Settings = SMALL, *, resume: bool = False) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(Interrupted):
            train_small(data, run, settings, resume=resume)


def test_a_run_holds_all_that_belongs_to_it(trained: Path) -> None:
    found = set(files(trained))
    assert found == {
        "recipe.json", "classes.json", "splits.csv", "run.json", "scan.json", "metrics.csv", "curves.png",
        "confidence.json", "held_out.npz", MODEL, STATE,
    }  # fmt: skip
    about = json.loads((trained / "run.json").read_text())
    assert about["headline"] == "top1"
    assert about["cut"] is True
    assert len((trained / "metrics.csv").read_text().splitlines()) == 3


def test_it_says_what_it_does(photos: Path, tmp_path: Path) -> None:
    told = train_small(photos, tmp_path / "run", small(epochs=1))
    assert told[0] == "24 photos of 3 classes (folder, train)"
    for word in ("test_resnet from none", "64 px", "batches of 8", "seed 0", "cpu"):
        assert word in told[1]
    assert told[2].startswith("expected time: about ")
    assert f"saved in {tmp_path}/run/splits.csv; use it for later runs with --splits {tmp_path}/run/" in told[3]
    assert told[4].startswith("epoch 1/1  loss ")
    assert told[-1].startswith("trained in ")


@pytest.mark.parametrize(
    ("said", "notice"),
    [
        ({"method": "pc"}, "Pairwise Confusion can cost accuracy where classes are few"),
        ({"recipe": "pc/cub-vgg16", "term": ()}, "Pairwise Confusion can cost accuracy where classes are few"),
        ({"method": "mc-loss"}, "Mutual-Channel Loss from scratch: mu, its weight, is 1.5 as in the paper"),
    ],
)
def test_what_one_should_know_of_a_paper_is_told_in_a_line_before_training(
    said: dict[str, object], notice: str, photos: Path, tmp_path: Path
) -> None:
    told = train_small(photos, tmp_path / "run", small(epochs=1, size=32, **said))
    assert [line.startswith(notice) for line in told].index(True) == 3
    assert "classes are few" not in "".join(told[4:])
    assert told[4].startswith("the cut into train")


def test_two_runs_of_a_seed_are_the_same_bytes(photos: Path, trained: Path, tmp_path: Path) -> None:
    train_small(photos, tmp_path / "run", small(workers=1))
    assert (tmp_path / "run" / MODEL).read_bytes() == (trained / MODEL).read_bytes()
    train_small(photos, tmp_path / "other", small(seed=1))
    assert (tmp_path / "other" / MODEL).read_bytes() != (trained / MODEL).read_bytes()


def test_a_resumed_run_gives_the_same_bytes(photos: Path, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    interrupted(photos, run, 2)
    assert not (run / MODEL).exists()
    interrupted(photos, run, 2, resume=True)
    told = train_small(photos, run, settings_of({"device": "cpu", "workers": 0}), resume=True)
    assert any("(resumed)" in line for line in told)
    assert (run / MODEL).read_bytes() == (trained / MODEL).read_bytes()
    one, other = (path / "metrics.csv" for path in (run, trained))
    without_seconds = [[line.rsplit(",", 3)[0] for line in path.read_text().splitlines()] for path in (one, other)]
    assert without_seconds[0] == without_seconds[1]


def test_a_run_that_died_before_its_model_was_written_goes_on(photos: Path, own_run: Path, trained: Path) -> None:
    (own_run / MODEL).unlink()
    train_small(photos, own_run, resume=True)
    assert (own_run / MODEL).read_bytes() == (trained / MODEL).read_bytes()


def test_a_finished_run_says_so_and_stays(photos: Path, own_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(own_run)
    monkeypatch.setattr(session, "build_learner", None)
    told = train_small(photos, own_run, resume=True)
    assert any("nothing is left to do" in line for line in told)
    assert files(own_run) == before


def test_resume_without_a_state_starts(photos: Path, tmp_path: Path, trained: Path) -> None:
    run = tmp_path / "run"
    train_small(photos, run, resume=True)
    assert (run / MODEL).read_bytes() == (trained / MODEL).read_bytes()
    shutil.rmtree(run / "state")
    (run / MODEL).unlink()
    train_small(photos, run, resume=True)
    assert (run / MODEL).read_bytes() == (trained / MODEL).read_bytes()


def test_resume_of_a_run_stopped_before_its_first_step_keeps_its_settings(
    photos: Path, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        patched.setattr(session, "announce", killed)
        train_small(photos, run)
    assert not (run / "state").exists()
    told = train_small(photos, run, small(method="pc", seed=3, epochs=1, size=32), resume=True)
    assert f"continuing with the settings of {run / 'recipe.json'}; those of this command are ignored" in told
    recipe = open_run(run).recipe
    assert recipe == replace(open_run(trained).recipe, stages=recipe.stages)
    assert recipe.epochs == 1


@pytest.mark.parametrize("change", ["removed", "added", "relabelled", "exchanged"])
def test_resume_refuses_changed_data(change: str, photos: Path, tmp_path: Path) -> None:
    data, run = Path(shutil.copytree(photos, tmp_path / "photos")), tmp_path / "run"
    interrupted(data, run, 2)
    before = files(run)
    match change:
        case "removed":
            (data / "ant" / "3.jpg").unlink()
        case "added":
            write_photo(data / "ant" / "new.jpg", label=0, number=77)
        case "relabelled":
            (data / "ant" / "3.jpg").rename(data / "bee" / "ant 3.jpg")
        case _:
            write_photo(data / "ant" / "3.jpg", label=0, number=78)
    assert "changed since" in refused(data, run, resume=True)
    assert files(run) == before


def test_a_resumed_run_needs_its_state_whole(photos: Path, own_run: Path) -> None:
    (own_run / STATE).write_bytes(b"half")
    (own_run / MODEL).unlink()
    assert "--overwrite" in refused(photos, own_run, resume=True)


def test_what_lies_there_is_not_touched(photos: Path, own_run: Path, tmp_path: Path) -> None:
    before = files(own_run)
    assert "--resume to continue it or --overwrite" in refused(photos, own_run)
    assert "exclude each other" in refused(photos, own_run, resume=True, overwrite=True)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        assert "does not hold a run" in refused(photos, foreign, **options)
    (tmp_path / "file").write_text("")
    assert "a file of that name" in refused(photos, tmp_path / "file", overwrite=True)
    assert (foreign / "letter.txt").read_text() == "dear"
    assert files(own_run) == before


@pytest.mark.parametrize(
    "mistake",
    [
        {"backbone": "no_such_network"}, {"weights": "nowhere.safetensors"}, {"term": ("nothing",)}, {"epochs": 0},
        {"train_on": "trian"}, {"fit": "box"}, {"term": ("soft-channel-labels",), "accumulate": 2},
        {"set": ("stages.0.frozen=[\"neck\"]",)},
        {"term": ("pairwise-confusion",), "set": ("stages.0.frozen=[\"terms\"]",)},  # which has no parameters
        {"set": ('batches={"type": "Balanced", "classes": 4}',)},
        {"recipe": "pc/cub-resnet50", "set": ("stages.0.optimiser.scales.neck=1",)}, {"recipe": "pc/cub"},
    ],
)  # fmt: skip
def test_a_mistake_destroys_no_run_and_leaves_no_half_one(
    mistake: dict[str, object], photos: Path, own_run: Path, tmp_path: Path
) -> None:
    before = files(own_run)
    refused(photos, own_run, overwrite=True, **mistake)
    assert files(own_run) == before
    refused(photos, tmp_path / "new", **mistake)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"term": ("pairwise-confusion,wieght=5",)}, "PairwiseConfusion has no option 'wieght'; did you mean weight?"),
        ({"term": ("pairwise-confusion,weight=much",)}, "the option weight of PairwiseConfusion is 'much'; it must"),
        ({"term": ("pairwise-confusoin",)}, "--term pairwise-confusoin: did you mean pairwise-confusion?"),
        ({"method": "s3n", "set": ("model.method.brances=O",)}, "S3N has no option 'brances'; did you mean branches?"),
        ({"method": "s3m"}, "--method s3m: did you mean s3n"),
        ({"method": "no_such_module:Mine"}, "no_such_module:Mine: No module named 'no_such_module'"),
        ({"set": ("stages.0.optimiser.scales.backbon=0.1",)}, "no parameter group 'backbon'"),
        ({"set": ('stages.0.frozen=["neck"]',)}, "no parameter group 'neck'"),
        ({"set": ("stages.0.optimizer.lr=0.1",)}, "--set stages.0.optimizer.lr: there is no 'optimizer'; did you mean"),
        ({"set": ("model.criterion.smoothnig=0",)}, "CrossEntropy has no option 'smoothnig'; did you mean smoothing?"),
        (
            {"set": ("model.criterion.smoothing=1",)},
            "the option smoothing of CrossEntropy is 1.0; it must be at least",
        ),
    ],
)
def test_what_is_mistyped_is_told_before_a_photo_is_looked_for(
    wrong: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "prepare_new", lambda *_, **__: pytest.fail("the photos were looked for"))
    assert said in refused(tmp_path, tmp_path.with_name("run"), **wrong)


@pytest.mark.parametrize(
    ("place", "part", "said"),
    [
        ("pool", {"type": "Avrage"}, "there is no pool 'Avrage'; did you mean Average?"),
        ("pool", {"type": "nowhere:Pool"}, "name it again to use it (--external nowhere:Pool)"),
        ("pool", {"type": "Average", "power": 3}, "Average has no option 'power'"),
        ("pool", "Average", "model.pool is 'Average'; it must be a table such as"),
        ("criterion", {"type": "CrossEntrpy"}, "there is no criterion 'CrossEntrpy'; did you mean CrossEntropy?"),
        ("criterions", {"type": "CrossEntropy"}, "model has no setting 'criterions'; did you mean criterion?"),
    ],
)
def test_a_mistyped_part_in_a_file_is_told_before_a_photo_is_looked_for(
    place: str, part: object, said: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "prepare_new", lambda *_, **__: pytest.fail("the photos were looked for"))
    recipe = json.loads((trained / RECIPE).read_text())
    recipe["model"][place] = part
    (tmp_path / RECIPE).write_text(json.dumps(recipe))
    assert said in refused(tmp_path, tmp_path.with_name("run"), recipe=str(tmp_path / RECIPE), lr=None)


def test_the_run_and_the_photos_do_not_lie_in_each_other(photos: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "run" / "photos"))
    assert "outside of the photos" in refused(data, tmp_path / "run", overwrite=True)
    assert "outside of the photos" in refused(data, data / "run")
    assert data.is_dir()


def test_overwriting_keeps_old_photos_where_they_were(photos: Path, own_run: Path, tmp_path: Path) -> None:
    before = read_splits(own_run / "splits.csv")
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    for number in range(20, 30):
        write_photo(data / "ant" / f"{number}.jpg", label=0, number=number)
    overwritten(data, own_run, small(epochs=1, seed=5))
    after = read_splits(own_run / "splits.csv")
    assert len(after) == len(before) + 10
    assert {name: after[name] for name in before} == before
    assert not list(own_run.glob("evaluation"))


def test_the_splits_of_another_run_are_kept(photos: Path, trained: Path, tmp_path: Path) -> None:
    settings = small(epochs=1, seed=9, splits=trained / "splits.csv")
    train_small(photos, tmp_path / "run", settings)
    assert read_splits(tmp_path / "run" / "splits.csv") == read_splits(trained / "splits.csv")


def test_the_best_epoch_is_kept_where_there_are_enough_photos(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ENOUGH_TO_CHOOSE", 1)
    figures = iter([0.5, 0.9, 0.9, 0.1])
    measure = validation.measure
    monkeypatch.setattr(validation, "measure", lambda *given: replace(measure(*given), top1=next(figures)))
    saved: list[float] = []
    save = loop.save_model

    def counted(run: Path, learner: torch.nn.Module, *, name: str) -> None:
        saved.append(0)
        save(run, learner, name=name)

    monkeypatch.setattr(loop, "save_model", counted)
    train_small(photos, tmp_path / "run", small(epochs=4, size=32))
    assert len(saved) == 2  # after the first and the second epoch
    monkeypatch.undo()
    train_small(photos, tmp_path / "last", small(epochs=4, size=32))
    one, other = (load_file(tmp_path / name / MODEL) for name in ("run", "last"))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_validation_leaves_out_what_can_no_longer_be_read_and_refuses_to_measure_nothing(
    photos: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, settings = Path(shutil.copytree(photos, tmp_path / "photos")), small(size=32, splits=str(trained))
    names = sorted(name for name, split in read_splits(trained).items() if split == "val")
    begin = RunLog.begin

    def damaging(count: int) -> None:
        def begun(log: RunLog, *, steps: int, per_epoch: int, done: int) -> None:
            for name in names[:count]:
                (data / name).unlink()
            begin(log, steps=steps, per_epoch=per_epoch, done=done)

        monkeypatch.setattr(RunLog, "begin", begun)

    damaging(1)
    told = train_small(data, tmp_path / "some", settings)
    left = [line for line in told if "left out of validation" in line]
    assert left == [f"became unreadable, left out of validation: {names[0]}: no such file"]  # once in two epochs
    rows = list(csv.DictReader((tmp_path / "some" / METRICS).read_text().splitlines()))
    assert all(float(row["val_top1"]) in (0, 0.5, 1) for row in rows)  # of the two photos that are left
    shutil.copytree(photos, data, dirs_exist_ok=True)
    damaging(3)
    with pytest.raises(UserError, match="3 of 3 photos cannot be read"):
        train_small(data, tmp_path / "none", settings)
    assert not (tmp_path / "none" / MODEL).exists()


def test_epochs_show_the_figure_that_counts(tmp_path: Path) -> None:
    told = train_small(uneven(tmp_path / "photos"), tmp_path / "run", small(epochs=1, size=32))
    (line,) = [line for line in told if line.startswith("epoch 1/1")]
    assert "val per class" in line
    assert "val top1" not in line


def uneven(root: Path) -> Path:
    for label, (name, count) in enumerate((("many", 30), ("few", 3), ("some", 10))):
        for split, share in (("train", count), ("val", 2)):
            for number in range(share):
                write_photo(root / split / name / f"{number}.jpg", label=label, number=number + 100 * (split == "val"))
    return root


def test_uneven_classes(tmp_path: Path) -> None:
    data = uneven(tmp_path / "photos")
    told = train_small(data, tmp_path / "run", small(epochs=1))
    assert any("--balance" in line for line in told)
    assert json.loads((tmp_path / "run/run.json").read_text())["headline"] == "mean_per_class"
    seen: list[int] = []
    adjustments: list[torch.Tensor | None] = []
    backward = session.Loop._backward

    def noted(self: session.Loop, batch: Batch) -> dict[str, torch.Tensor]:
        seen.extend(batch.labels.tolist())
        adjustments.append(self.learner.method.criterion.adjustment)
        return backward(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session.Loop, "_backward", noted)
        told = train_small(data, tmp_path / "even", small(epochs=6, size=32, balance="sampler"))
        counts = np.bincount(seen)
        assert counts.min() > 0.6 * counts.max()
        assert not any("--balance" in line for line in told)
        assert adjustments[0] is None
        train_small(data, tmp_path / "adjusted", small(epochs=1, balance="logit-adjust"))
    prior = torch.tensor([3.0, 30.0, 10.0]) / 43  # few, many, some
    torch.testing.assert_close(adjustments[-1], prior.log())
    # in use there is no prior
    opened = open_run(tmp_path / "adjusted")
    with torch.inference_mode():
        images = torch.zeros(1, 3, 64, 64)
        logits = opened.learner.method(images)
        torch.testing.assert_close(logits, opened.learner.method.classifier(images))


def test_smoothing_reaches_the_loss(photos: Path, tmp_path: Path) -> None:
    train_small(photos, tmp_path / "run", small(epochs=1, smoothing=0.3))
    assert open_run(tmp_path / "run").learner.method.criterion.smoothing == 0.3


def test_training_on_validation_photos_validates_nothing(photos: Path, tmp_path: Path) -> None:
    told = train_small(photos, tmp_path / "run", small(epochs=1, train_on="train+val"))
    assert told[0].startswith("27 photos of 3 classes (folder, train + val)")
    assert "val_top1" not in (tmp_path / "run/metrics.csv").read_text()


def test_one_class_is_refused(tmp_path: Path) -> None:
    data = small_runs.write_photos(tmp_path / "photos", classes=("ant",))
    assert "two classes" in refused(data, tmp_path / "run")


def test_two_trainings_do_not_share_a_folder(photos: Path, own_run: Path, tmp_path: Path) -> None:
    before = files(own_run)
    for run in (own_run, tmp_path / "new"):
        with locked(run, busy="busy"):
            for options in ({}, {"resume": True}, {"overwrite": True}):
                assert "another process is training there" in refused(photos, run, **options)
    assert files(own_run) == before
    assert not (tmp_path / "new").exists()


def test_a_folder_is_locked_while_it_is_trained_in(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, step = tmp_path / "run", RunLog.step

    def refusing(self: RunLog, images: int, at: int, seconds: float) -> None:
        step(self, images, at, seconds)
        if at == 1:
            for options in ({}, {"resume": True}, {"overwrite": True}):
                assert "another process is training there" in refused(photos, run, **options)

    monkeypatch.setattr(RunLog, "step", refusing)
    train_small(photos, run, small(epochs=1))
    assert (run / MODEL).is_file()
    assert not (run / LOCK).exists()


def test_nothing_is_deleted_without_overwrite(photos: Path, own_run: Path) -> None:
    (own_run / "letter.txt").write_text("dear")
    shutil.rmtree(own_run / "state")
    before = files(own_run)
    assert "--overwrite" in refused(photos, own_run, resume=True)  # the trained model lies there
    assert files(own_run) == before
    (own_run / MODEL).unlink()
    train_small(photos, own_run, resume=True)
    assert (own_run / MODEL).is_file()
    assert (own_run / "letter.txt").read_text() == "dear"
    overwritten(photos, own_run, small(epochs=1))
    assert not (own_run / "letter.txt").exists()


@pytest.mark.parametrize("option", ["splits", "recipe", "weights"])
@pytest.mark.parametrize("link", [False, True])
def test_a_run_is_not_replaced_by_one_made_from_its_files(
    option: str, link: bool, photos: Path, own_run: Path, tmp_path: Path
) -> None:
    path = own_run / {"splits": "splits.csv", "recipe": "recipe.json", "weights": MODEL}[option]
    if link:
        (tmp_path / path.name).symlink_to(path)
        path = tmp_path / path.name
    before = files(own_run)
    given = {option: path if option == "splits" else str(path)}
    assert f"would delete --{option} {path}" in refused(photos, own_run, overwrite=True, **given)
    assert files(own_run) == before


def test_a_run_is_not_replaced_by_one_made_from_its_photos(photos: Path, own_run: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, own_run / "photos")
    rows = [f"{path},{path.parent.name}" for path in sorted((own_run / "photos").rglob("*.jpg"))]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    before = files(own_run)
    assert "would delete the photo" in refused(tmp_path / "list.csv", own_run, overwrite=True)
    assert files(own_run) == before


@pytest.mark.parametrize(
    ("device", "accelerator", "devices"),
    [("cpu", "cpu", 1), ("cuda", "cuda", 1), ("cuda:1", "cuda", [1]), ("mps", "mps", 1)],
)
def test_fabric_gets_the_device_that_was_named(
    device: str, accelerator: str, devices: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(session, "Fabric", lambda **said: asked.update(said))
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    for precision in ("fp32", "bf16", "fp16"):
        session.fabric_of(replace(Recipe(), precision=precision), device)
        plugin = asked["plugins"]
        assert (asked["accelerator"], asked["devices"]) == (accelerator, devices)
        assert (getattr(plugin, "scaler", None) is not None) == (precision == "fp16")
        assert getattr(plugin, "device", accelerator) == accelerator


def test_a_run_in_fp16(photos: Path, tmp_path: Path) -> None:
    train_small(photos, tmp_path, small(precision="fp16", size=32, epochs=1))
    assert open_run(tmp_path).recipe.precision == "fp16"
    state = load_state(tmp_path)
    assert state is not None
    assert state["scaler"]["scale"] > 1


def test_where_weights_lie_is_kept_whatever_the_working_folder(
    trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.parent)
    train_small(photos, tmp_path / "run", small(weights=trained.name, epochs=1))
    assert open_run(tmp_path / "run").recipe.model.weights == str(trained)


def test_photos_that_have_moved_are_where_a_resumed_run_says(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = Path(shutil.copytree(photos, tmp_path / "before")), tmp_path / "run"
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        stop_after(patched, 2)
        train_small(data, run)
    data.rename(tmp_path / "after")
    train_small(tmp_path / "after", run, resume=True)
    assert open_run(run).about.data == str(tmp_path / "after")


def test_a_home_is_that_of_the_user_for_the_run_too(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photos, tmp_path / "photos")
    run = train(Path("~/photos"), Destination(Path("~/run")), small(epochs=1), console=QUIET)
    assert run == tmp_path / "run"
    assert open_run(run).about.data == str(tmp_path / "photos")
    assert not (tmp_path / "~").exists()


def test_a_run_begins_with_the_backbone_of_another(trained: Path, photos: Path, tmp_path: Path) -> None:
    still = {"set": ("stages.0.optimiser.lr=0", "model.criterion.smoothing=0"), "lr": None}
    told = train_small(photos, tmp_path / "run", small(weights=str(trained), epochs=1, **still))
    assert f"--weights {trained}: the backbone of a run; all else starts anew" in told
    assert open_run(tmp_path / "run").recipe.model.weights == str(trained)
    before, after = (load_file(run / MODEL) for run in (trained, tmp_path / "run"))
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    learned = {name for name in before if name.startswith("method.classifier.backbone.") and "running" not in name}
    assert {name for name in learned if "batches" not in name} <= same
    assert not [name for name in same if ".head.weight" in name]
    said = refused(photos, tmp_path / "other", weights=str(trained), backbone="resnet18")
    assert "backbone is test_resnet, not resnet18: --backbone test_resnet" in said
    said = refused(photos, tmp_path / "run", overwrite=True, weights=str(tmp_path / "run"))
    assert "--overwrite would delete --weights" in said
