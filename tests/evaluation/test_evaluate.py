"""A run measured: the right photos, the right figures, and each look at test written down."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import small_runs
from fieldmark.data.split import read_splits
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import OPENINGS, evaluate, print_evaluation, split_of_run, write_evaluation
from fieldmark.input.loading import Photographs, in_order, loader_of
from fieldmark.runs.folder import open_run
from small_runs import small, train_small, write_photo


def refused(run: Path, data: Path | None, split: str = "test") -> str:
    with pytest.raises(UserError) as error:
        evaluate(open_run(run), data, split=split, workers=0)
    assert 1 <= len(str(error.value).splitlines()) <= 3
    return str(error.value)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_splits_of_a_run_are_those_it_cut(split: str, own_run: Path) -> None:
    result = evaluate(open_run(own_run), None, split=split, workers=0)
    wanted = {name for name, where in read_splits(own_run / "splits.csv").items() if where == split}
    assert set(result.names) == wanted
    assert [result.classes[label] for label in result.labels] == [name.split("/")[0] for name in result.names]
    assert result.metrics.n == len(wanted)
    assert result.metrics.top1 == np.mean(result.logits.argmax(1) == result.labels)
    figures = result.to_json()
    assert 0 <= figures["top1"] <= 1
    assert (figures["n"], figures["classes"], figures["headline"]) == (len(wanted), 3, "top1")


def test_what_training_saw_last_is_what_is_evaluated(own_run: Path) -> None:
    last = list(csv.DictReader((own_run / "metrics.csv").read_text().splitlines()))[-1]
    result = evaluate(open_run(own_run), None, split="val", workers=0)
    assert result.metrics.top1 == pytest.approx(float(last["val_top1"]))
    assert result.metrics.mean_per_class == pytest.approx(float(last["val_per_class"]), abs=1e-5)


def test_photos_held_out_of_official_ones_are_the_run_s_val(tmp_path: Path) -> None:
    data, run = tmp_path / "photos", tmp_path / "run"
    small_runs.write_photos(data / "train")
    small_runs.write_photos(data / "test", photos=2)
    train_small(data, run, small(epochs=1, hold_out=0.2))
    opened = open_run(run)
    splits = read_splits(run / "splits.csv")
    for split, count in (("train", 24), ("val", 6), ("test", 6)):
        for place in (None, data):
            result = evaluate(opened, place, split=split, workers=0)
            assert set(result.names) == {name for name, where in splits.items() if where == split}
            assert len(result.names) == count
    other = tmp_path / "other"
    small_runs.write_photos(other / "test", photos=1)
    assert len(evaluate(opened, other, workers=0).names) == 3


def test_photos_added_later_do_not_enter(photos: Path, own_run: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    write_photo(data / "ant" / "new.jpg", label=0, number=50)
    write_photo(data / "dog" / "new.jpg", label=3, number=50)
    opened = open_run(own_run)
    before, after = (evaluate(opened, where, workers=0) for where in (None, data))
    assert before.names == after.names
    np.testing.assert_array_equal(before.logits, after.logits)


def test_all_photos_of_a_folder_of_labelled_ones(own_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for label, name in enumerate(("bee", "ant")):
        for number in range(3):
            write_photo(other / name / f"new {number}.jpg", label=label, number=number)
    assert "--split all" in refused(own_run, other)
    result = evaluate(open_run(own_run), other, split="all", workers=0)
    assert sorted(set(result.labels)) == [0, 1]
    assert [result.classes[label] for label in result.labels] == [name.split("/")[0] for name in result.names]
    assert result.metrics.n == 6


def test_photos_may_lack_classes_of_the_run(own_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for label, name in ((1, "bee"), (2, "cat")):
        write_photo(other / name / "new.jpg", label=label, number=60)
    opened = open_run(own_run)
    result = evaluate(opened, other, split="all", workers=0)
    assert (result.labels.tolist(), result.classes) == ([1, 2], ("ant", "bee", "cat"))
    assert split_of_run(opened, other, "all").dataset.classes == result.classes
    assert (own_run / OPENINGS).is_file()
    write_evaluation(result, tmp_path / "written")


def test_unknown_classes_and_splits_are_named(own_run: Path, tmp_path: Path) -> None:
    other = small_runs.write_photos(tmp_path / "other", classes=("ant", "dog"), photos=3)
    assert "has the label 'dog', a class that this run was not trained on" in refused(own_run, other, "all")
    text = refused(own_run, None, "tset")
    assert "'tset'" in text
    assert "test, train, val" in text


def test_other_photos_under_the_same_names_are_no_split_of_the_run(own_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for label, name in enumerate(("ant", "bee", "cat")):
        for number in range(12):
            write_photo(other / name / f"{number}.jpg", label=label, number=50 + number)
    text = refused(own_run, other)
    assert "files are named like photos of the run, such as ant/0.jpg, but are different" in text
    assert "--split all" in text
    assert evaluate(open_run(own_run), other, split="all", workers=0).metrics.n == 36


def test_photos_that_the_run_does_not_know_are_counted(photos: Path, own_run: Path, tmp_path: Path) -> None:
    more = Path(shutil.copytree(photos, tmp_path / "more"))
    for number in (20, 21):
        write_photo(more / "ant" / f"{number}.jpg", label=0, number=number)
    result = evaluate(open_run(own_run), more, workers=0)
    assert result.metrics.n == 3
    (note,) = result.notes
    assert note == "2 photos that the run does not know belong to no split; --split all includes them"
    shown = io.StringIO()
    print_evaluation(result, tmp_path, Console(file=shown))
    assert note in shown.getvalue()
    assert evaluate(open_run(own_run), None, workers=0).notes == ()


def test_data_that_have_gone_are_asked_for(own_run: Path, tmp_path: Path) -> None:
    about = json.loads((own_run / "run.json").read_text())
    (own_run / "run.json").write_text(json.dumps(about | {"data": str(tmp_path / "gone")}))
    assert "--data" in refused(own_run, None)
    assert "no such file or folder" in refused(own_run, tmp_path / "gone too")


def test_each_look_at_test_is_written_down(own_run: Path) -> None:
    opened = open_run(own_run)
    for split in ("test", "val", "train", "all", "test"):
        evaluate(opened, None, split=split, workers=0)
    rows = list(csv.DictReader((own_run / OPENINGS).read_text().splitlines()))
    assert [(row["split"], row["photos"]) for row in rows] == [("test", "3"), ("all", "30"), ("test", "3")]
    assert rows[0]["data_digest"] == rows[2]["data_digest"]


def test_a_look_at_test_that_was_stopped_is_written_down(own_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*words: object, **settings: object) -> None:
        raise KeyboardInterrupt

    opened = open_run(own_run)
    monkeypatch.setattr("fieldmark.evaluation.evaluate.infer", stopped)
    for split in ("val", "test"):
        with pytest.raises(KeyboardInterrupt):
            evaluate(opened, None, split=split, workers=0)
    rows = list(csv.DictReader((own_run / OPENINGS).read_text().splitlines()))
    assert [(row["split"], row["photos"]) for row in rows] == [("test", "3")]


def test_damaged_photos_are_left_out_and_told(photos: Path, own_run: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    names = sorted(name for name, split in read_splits(own_run / "splits.csv").items() if split == "test")
    (data / names[0]).write_bytes(b"\xff\xd8\xff bad")
    result = evaluate(open_run(own_run), data, workers=0)
    assert sorted(result.names) == names[1:]
    assert result.metrics.n == len(names) - 1
    (line,) = result.damaged
    assert line.startswith(f"{names[0]}: ")
    for name in names:
        (data / name).write_bytes(b"bad")
    nothing = evaluate(open_run(own_run), data, workers=0)
    assert (nothing.metrics.n, nothing.metrics.top1, len(nothing.damaged)) == (0, 0.0, 3)
    write_evaluation(nothing, tmp_path / "nothing")


def test_official_splits(tmp_path: Path) -> None:
    data = tmp_path / "photos"
    for split, numbers in (("train", range(8)), ("test", range(20, 23))):
        for label, name in enumerate(("ant", "bee")):
            for number in numbers:
                write_photo(data / split / name / f"{number}.jpg", label=label, number=number)
    train_small(data, tmp_path / "run", small(epochs=1))
    opened = open_run(tmp_path / "run")
    write_photo(data / "test" / "bee" / "later.jpg", label=1, number=30)
    assert len(split_of_run(opened, None, "test").dataset.photos) == 7
    assert "val" not in {photo.split for photo in split_of_run(opened, None, "all").dataset.photos}
    assert "it has test, train" in refused(tmp_path / "run", None, "val")


def test_the_files_of_an_evaluation(own_run: Path, tmp_path: Path) -> None:
    result = evaluate(open_run(own_run), None, split="train", workers=0)
    folder = tmp_path / "deep" / "folder"
    write_evaluation(result, folder)
    assert {path.name for path in folder.iterdir()} == {"metrics.json", "per_class.csv", "confusion.png", "logits.npz"}
    assert json.loads((folder / "metrics.json").read_text("utf-8")) == result.to_json()
    rows = list(csv.DictReader((folder / "per_class.csv").read_text("utf-8").splitlines()))
    assert [row["class"] for row in rows] == ["ant", "bee", "cat"]
    assert sum(int(row["photos"]) for row in rows) == 24
    with np.load(folder / "logits.npz") as saved:
        assert saved["names"].tolist() == list(result.names)
        np.testing.assert_array_equal(saved["logits"], result.logits)
        np.testing.assert_array_equal(saved["labels"], result.labels)


def test_class_names_of_any_kind(tmp_path: Path) -> None:
    names = ("鷺", "US$ \\frac$", "caf\udce9")
    data = small_runs.write_photos(tmp_path / "photos", classes=names)
    train_small(data, tmp_path / "run", small(epochs=1))
    opened = open_run(tmp_path / "run")
    assert sorted(opened.classes) == sorted(names)
    result = evaluate(opened, None, workers=0)
    write_evaluation(result, tmp_path / "results")
    figures = json.loads((tmp_path / "results/metrics.json").read_text("utf-8"))
    assert figures["n"] == 3
    assert "鷺" in (tmp_path / "results/per_class.csv").read_text("utf-8")


def test_each_branch_of_a_method_has_an_accuracy_of_its_own(tmp_path: Path) -> None:
    """As in Table 2 of S3N, against the branches' logits photo by photo."""
    data, run = tmp_path / "photos", tmp_path / "run"
    small_runs.write_photos(data)
    console = Console(record=True, width=120, file=io.StringIO())
    train_small(data, run, small(epochs=1, method="s3n"))
    opened = open_run(run)
    result = evaluate(opened, None, split="train", workers=0)
    method = opened.learner.method.eval()
    photos = split_of_run(opened, None, "train").dataset.photos
    assert [photo.name for photo in photos] == list(result.names)
    batches = loader_of(Photographs(photos, opened.recipe.pixels), in_order(len(photos), 1), workers=0)
    with torch.no_grad():
        seen = [method.evidence(method.classifier.backbone.normalise(batch.pixels)) for batch in batches]
    assert set(result.branches) == {"original", "discriminative", "complementary"}
    for name, share in result.branches.items():
        own = torch.cat([each.branches[name] for each in seen]).argmax(1).numpy()
        assert share == pytest.approx(np.mean(own == result.labels))
    joint = torch.cat([each.logits for each in seen]).numpy()
    np.testing.assert_allclose(result.logits, joint, atol=1e-4)
    print_evaluation(result, tmp_path, console)
    told = " ".join(console.export_text().split())
    assert f"top1, complementary alone │ {100 * result.branches['complementary']:.2f}" in told
    assert "branches" in result.to_json()
