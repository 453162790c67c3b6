"""``add-class`` as a user types it, on small runs: the new run is one like any other, the old one stays as it was.

Of all methods, by the network alone, in test_widening.py; S3N's whole way, with training, is slow:
pytest -m slow tests/new_classes/test_adding.py
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import fieldmark
import small_runs
from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.dataset import Level
from fieldmark.errors import UserError
from fieldmark.new_classes import adding
from fieldmark.new_classes.fitting import Rest
from fieldmark.runs.folder import groups_of, open_run, write_groups
from typed import ran, refused


@pytest.fixture(scope="module")
def wasps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos of a class that the run does not know."""
    folder = tmp_path_factory.mktemp("new") / "wasps"
    for number in range(5):
        small_runs.write_photo(folder / f"{number}.jpg", label=4, number=100 + number)
    return folder


@pytest.fixture(scope="module")
def widened(tmp_path_factory: pytest.TempPathFactory, trained: Path, wasps: Path) -> Iterator[Path]:
    """``trained`` with wasps; not to be changed."""
    out = tmp_path_factory.mktemp("widened") / "run"
    made = fieldmark.add_class(trained, "wasp", wasps, out=out, device="cpu")
    assert made.path == out
    before = {path: path.read_bytes() for path in out.iterdir()}
    yield out
    assert before.items() <= {path: path.read_bytes() for path in out.iterdir() if path.is_file()}.items()


def test_old_rows_and_all_layers_stay_bit_for_bit(trained: Path, widened: Path) -> None:
    old, new = open_run(trained), open_run(widened)
    assert new.classes == (*old.classes, "wasp")
    state, wider = old.learner.state_dict(), new.learner.state_dict()
    head = [key for key in state if key.startswith("method.classifier.head.")]
    assert len(head) == 2
    assert all(torch.equal(value, wider[key]) for key, value in state.items() if key not in head)
    assert all(torch.equal(state[key], wider[key][:3]) and len(wider[key]) == 4 for key in head)
    assert new.remarks == old.remarks


def test_what_is_recorded(trained: Path, widened: Path, wasps: Path) -> None:
    (added,) = json.loads((widened / "added.json").read_text())["classes"]
    assert added["photos"] == [str(wasps / f"{number}.jpg") for number in range(5)]
    assert (added["name"], added["run"]) == ("wasp", str(trained))
    assert 0 <= added["taken"] <= added["known"] <= 27
    assert len(added["run_digest"]) == 16
    assert 0 <= added["recalled"] <= 5
    assert not (widened / "original.safetensors").exists()
    assert not (widened / "state").exists()


def test_from_the_command_line(
    own_run: Path, photos: Path, wasps: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = (own_run / "model.safetensors").read_bytes()
    (own_run.parent / "bad").mkdir()
    (own_run.parent / "bad" / "0.jpg").write_bytes(b"\xff\xd8 no picture")
    assert ran("add-class", own_run, "wasp", wasps, own_run.parent / "bad") == 0
    said = capsys.readouterr().out
    new = own_run.with_name("run-wasp")
    assert f"wasp, from 5 photos: {new}" in said
    assert "left out in turn" in said
    assert "photos of other classes that were answered rightly, it takes " in said
    assert f"left out: {own_run.parent / 'bad' / '0.jpg'}: " in said
    assert (own_run / "model.safetensors").read_bytes() == digest
    everything = Path(shutil.copytree(photos, own_run.parent / "photos"))
    shutil.copytree(wasps, everything / "wasp")
    shown = own_run.parent / "figures.json"
    assert ran("evaluate", new, "--data", everything, "--split", "all", "--json", shown, "--device", "cpu") == 0
    assert (figures := json.loads(shown.read_text()))["classes"] == 4
    assert figures["n"] == 35
    assert "added without training, from a few photos: wasp" in figures["notes"]
    assert ran("evaluate", new, "--device", "cpu") == 0
    assert "1 of the run's 4 classes have no photo here (wasp)" in " ".join(capsys.readouterr().out.split())
    assert ran("explain", new, wasps / "0.jpg", "--of", "wasp", "--against", "bee", "--device", "cpu") == 0
    assert ran("predict", new, wasps, "-o", own_run.parent / "predictions.csv", "--device", "cpu") == 0
    assert ran("report", new, "--device", "cpu") == 0
    said = refused(capsys, "train", photos, "--out", new, "--resume")
    assert "classes were added to this run without training" in said
    monkeypatch.chdir(own_run)
    assert ran("add-class", ".", "hornet", wasps / "1.jpg") == 0
    assert own_run.with_name("run-hornet").is_dir()
    assert "one photo cannot tell" in capsys.readouterr().out


def test_groups_stay_with_the_run_and_may_hold_the_new_class(
    own_run: Path, wasps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = open_run(own_run).classes
    groups = Groups(classes, (Level("order", ("Hymenoptera", "Hymenoptera", *classes[2:])),))
    write_groups(own_run, groups)
    assert "'Hymenoptera' is a group of classes already" in refused(capsys, "add-class", own_run, "Hymenoptera", wasps)
    said = refused(capsys, "add-class", own_run, "wasp", wasps, "--group", "hymenoptera")
    assert "'hymenoptera' is no group of the run's classes; did you mean" in said
    assert ran("add-class", own_run, "wasp", wasps, "--group", "Hymenoptera", "--out", tmp_path / "in") == 0
    grouped = groups_of(tmp_path / "in")
    assert grouped is not None
    assert grouped.levels[0].groups == (*groups.levels[0].groups, "Hymenoptera")
    alone = groups_of(fieldmark.add_class(own_run, "wasp", wasps, out=tmp_path / "alone", device="cpu").path)
    assert alone is not None
    assert alone.levels[0].groups[-1] == "wasp"
    assert groups_of(fieldmark.remove_class(tmp_path / "in", "wasp", out=tmp_path / "back")) == groups


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RUN", "bee", "WASPS"], "the run has the class 'bee' already"),
        (["RUN", "wasp"], "requires an argument"),
        (["RUN", "wasp", "nowhere"], "nowhere: no such file or folder"),
        (["RUN", "wasp", "WASPS", "WASPS/1.jpg"], "was given twice"),
        (["RUN", "wasp", "RUN/recipe.json"], "1 of 1 photos cannot be read"),
        (["RUN", "wasp", "WASPS", "--out", "RUN"], "stays as it is"),
        (["RUN", "wasp", "WASPS", "--out", "WASPS/run"], "outside of the photos"),
        (["RUN", "wasp", "WASPS", "--out", "PHOTOS/run"], "outside of the photos"),
        (["RUN", "wasp", "WASPS", "--data", "nowhere"], "nowhere"),
        (["RUN", "wasp", "WASPS", "--data", "WASPS"], ""),
        (["RUN", "wasp", "WASPS", "--group", "insects"], "was trained without groups"),
        (["RUN", "wasp", "PHOTOS/ant/1.jpg"], "is a photo of 'ant'"),
        (["WASPS", "wasp", "WASPS"], "is not a Fieldmark run"),
        (["RUN", "wasp", "WASPS", "--device", "cuda:77"], ""),
    ],
)
def test_mistakes_get_lines_and_leave_nothing(
    trained: Path, photos: Path, wasps: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    places = {"RUN": trained, "WASPS": wasps, "PHOTOS": photos}
    for name, place in places.items():
        words = [word.replace(name, str(place)) for word in words]
    assert said in refused(capsys, "add-class", *words)
    assert not trained.with_name("run-wasp").exists()
    assert not (wasps / "run").exists()
    assert not (photos / "run").exists()


def test_a_photo_left_out_is_answered_by_a_row_without_it() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    centres = 4 * np.eye(4)
    rest = Rest(centres[labels] + 0.3 * rng.standard_normal((60, 4)), labels, centres[:3], np.zeros(3))
    views = centres[3] + 0.3 * rng.standard_normal((6, 2, 4))
    assert adding.left_out(views[:1], rest) is None
    assert adding.left_out(views, rest) == 6
    views[2] = centres[1]  # one that looks like another class, and is not answered with the new one
    assert adding.left_out(views, rest) == 5
    assert adding.left_out(np.concatenate([views] * 5), rest) == 25


def test_several_processes_write_once(
    trained: Path, wasps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "RANK", "1")
    fieldmark.add_class(trained, "wasp", wasps, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("times", [1, 2])
def test_logits_that_are_not_a_layers_are_refused(trained: Path, times: int) -> None:
    method = open_run(trained).learner.method
    method.forward = lambda images: 2 * sum(method.classifier(images) for _ in range(times))
    given = adding.Given(method, method.scorers()[0])
    with (
        pytest.raises(UserError, match="Plain does not score classes by a linear layer once per image"),
        torch.no_grad(),
    ):
        given(torch.randn(2, 3, 64, 64))
    assert not method.classifier.scorer()._forward_hooks


@pytest.mark.slow
@pytest.mark.parametrize(
    "parts", [{"method": "s3n"}, {"method": "nts"}, {"term": "soft-channel-labels"}, {"method": "cin"}]
)
def test_the_whole_way_of_other_methods(photos: Path, wasps: Path, tmp_path: Path, parts: dict[str, str]) -> None:
    run, new, back = tmp_path / "run", tmp_path / "new", tmp_path / "back"
    small_runs.train_small(photos, run, small_runs.small(epochs=1, **parts))
    fieldmark.add_class(run, "wasp", wasps, out=new, device="cpu")
    assert len(list(fieldmark.predict(new, wasps, device="cpu"))) == 5
    fieldmark.remove_class(new, "wasp", out=back)
    assert (back / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert (back / "recipe.json").read_bytes() == (run / "recipe.json").read_bytes()
