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
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.split import read_splits
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import OPENINGS, Evaluation, evaluate, split_of_run
from fieldmark.evaluation.output import print_evaluation
from fieldmark.input.loading import Photographs, in_order, loader_of
from fieldmark.runs.folder import open_run
from small_runs import small, train_small, write_photo


def measured(run: Path, data: Path | None = None, split: str = "test") -> Evaluation:
    return evaluate(open_run(run), split_of_run(run, data, split), split=split, workers=0)


def refused(run: Path, data: Path | None, split: str = "test") -> str:
    with pytest.raises(UserError) as error:
        measured(run, data, split=split)
    assert 1 <= len(str(error.value).splitlines()) <= 3
    return str(error.value)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_splits_of_a_run_are_those_it_cut(split: str, own_run: Path) -> None:
    result = measured(own_run, None, split=split)
    wanted = {name for name, where in read_splits(own_run / "splits.csv").items() if where == split}
    assert set(result.names) == wanted
    assert [result.classes[label] for label in result.labels] == [name.split("/")[0] for name in result.names]
    assert result.metrics.n == len(wanted)
    assert result.metrics.top1 == np.mean(result.logits.argmax(1) == result.labels)
    figures = result.to_json()
    assert 0 <= figures["top1"] <= 1
    assert (figures["n"], figures["classes"], figures["headline"]) == (len(wanted), 3, "top1")


def test_all_photos_of_a_run_keep_their_splits(photos: Path, own_run: Path) -> None:
    splits = {photo.name: photo.split for photo in split_of_run(own_run, None, "all").dataset.photos}
    assert splits == read_splits(own_run)
    assert {photo.split for photo in split_of_run(own_run, photos, "all").dataset.photos} == {""}


def test_what_training_saw_last_is_what_is_evaluated(own_run: Path) -> None:
    last = list(csv.DictReader((own_run / "metrics.csv").read_text().splitlines()))[-1]
    result = measured(own_run, None, split="val")
    assert result.metrics.top1 == pytest.approx(float(last["val_top1"]))
    assert result.metrics.mean_per_class == pytest.approx(float(last["val_per_class"]), abs=1e-5)


def test_photos_held_out_of_official_ones_are_the_run_s_val(tmp_path: Path) -> None:
    data, run = tmp_path / "photos", tmp_path / "run"
    small_runs.write_photos(data / "train")
    small_runs.write_photos(data / "test", photos=2)
    train_small(data, run, small(epochs=1, hold_out=0.2))
    splits = read_splits(run / "splits.csv")
    for split, count in (("train", 24), ("val", 6), ("test", 6)):
        for place in (None, data):
            result = measured(run, place, split=split)
            assert set(result.names) == {name for name, where in splits.items() if where == split}
            assert len(result.names) == count
    (data / "test" / "ant" / "1.jpg").unlink()
    assert "1 of the run's 6 test photos is not here, such as test/ant/1.jpg" in measured(run).notes[0]
    other = tmp_path / "other"
    small_runs.write_photos(other / "test", photos=1)
    assert len(measured(run, other).names) == 3


def test_photos_added_later_do_not_enter(photos: Path, own_run: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    write_photo(data / "ant" / "new.jpg", label=0, number=50)
    write_photo(data / "dog" / "new.jpg", label=3, number=50)
    before, after = (measured(own_run, where) for where in (None, data))
    assert before.names == after.names
    np.testing.assert_array_equal(before.logits, after.logits)


def test_all_photos_of_a_folder_of_labelled_ones(own_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for label, name in enumerate(("bee", "ant")):
        for number in range(3):
            write_photo(other / name / f"new {number}.jpg", label=label, number=number)
    assert "--split all" in refused(own_run, other)
    result = measured(own_run, other, split="all")
    assert sorted(set(result.labels)) == [0, 1]
    assert [result.classes[label] for label in result.labels] == [name.split("/")[0] for name in result.names]
    assert result.metrics.n == 6


def test_training_photos_among_others_are_counted(photos: Path, own_run: Path, tmp_path: Path) -> None:
    splits = read_splits(own_run)
    others = "the figures do not say how it does on others"
    for data in (None, photos, Path(shutil.copytree(photos, tmp_path / "copy"))):
        result = measured(own_run, data, split="all")
        assert result.trained_on == 24
        assert result.notes == (f"the run was trained on 24 of these 30 photos: {others}",)
    for name in (name for name, split in splits.items() if split != "train"):
        (tmp_path / "copy" / name).unlink()
    assert measured(own_run, tmp_path / "copy", split="all").notes == (
        f"the run was trained on these photos (all): {others}",
    )
    assert measured(own_run, split="test").trained_on == 0


def test_photos_may_lack_classes_of_the_run(own_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for label, name in ((1, "bee"), (2, "cat")):
        write_photo(other / name / "new.jpg", label=label, number=60)
    result = measured(own_run, other, split="all")
    assert (result.labels.tolist(), result.classes) == ([1, 2], ("ant", "bee", "cat"))
    assert split_of_run(own_run, other, "all").dataset.classes == result.classes
    assert (own_run / OPENINGS).is_file()


@pytest.mark.parametrize("labels", [["cat"], ["cat", "ant"], ["bee", "cat", "ant", "bee"]])
def test_classes_may_be_few_and_in_any_order(labels: list[str], own_run: Path, tmp_path: Path) -> None:
    new = [write_photo(tmp_path / "new" / name / f"{at}.jpg", label=at, number=70) for at, name in enumerate(labels)]
    rows = [f"{path},{name}" for path, name in zip(new, labels, strict=True)]
    (tmp_path / "list.csv").write_text("\n".join(("path,label", *rows)))
    result = measured(own_run, tmp_path / "list.csv", split="all")
    said = {name: result.classes[label] for name, label in zip(result.names, result.labels, strict=True)}
    assert sorted(said.values()) == sorted(labels)
    assert all(f"/{name}/" in path for path, name in said.items())
    recalls = [np.mean(result.logits.argmax(1)[result.labels == label] == label) for label in np.unique(result.labels)]
    assert result.metrics.mean_per_class == pytest.approx(np.mean(recalls))
    assert result.metrics.confusion.sum(1).tolist() == [labels.count(name) for name in result.classes]
    figures, absent = result.to_json(), [name for name in ("ant", "bee", "cat") if name not in labels]
    present = 3 - len(absent)
    assert (figures["classes"], figures["classes_with_photos"]) == (3, present)
    note = f"{len(absent)} of the run's 3 classes have no photo here ({', '.join(absent)}): "
    assert "top-1 to ±" in result.notes[-1], "so few photos tell little"
    assert result.notes[:-1] == ((f"{note}means over classes are those of the other {present}",) if absent else ())


def test_a_class_is_known_in_both_spellings_of_an_accent(own_run: Path, tmp_path: Path) -> None:
    """As macOS writes it, and as all others do; a run of an earlier version may have either."""
    composed, apart = "caf\u00e9", "cafe\u0301"
    description = json.loads((own_run / "classes.json").read_text())
    for run_s, photo_s in ((composed, apart), (apart, composed)):
        (own_run / "classes.json").write_text(json.dumps(description | {"classes": ["ant", run_s, "cat"]}))
        dataset = Dataset(tmp_path, "folder", (photo_s,), (Photo("1.jpg", tmp_path / "1.jpg", 0),))
        assert [photo.label for photo in split_of_run(own_run, dataset, "all").dataset.photos] == [1]


def test_unknown_classes_and_splits_are_named(own_run: Path, tmp_path: Path) -> None:
    other = small_runs.write_photos(tmp_path / "other", classes=("ant", "dog"), photos=3)
    text = refused(own_run, other, "all")
    assert "3 of 6 photos have labels that this run was not trained on: 'dog' (3 photos);\nleave them out of" in text
    unlabelled = Dataset(tmp_path, "folder", ("ant",), (Photo("1.jpg", tmp_path / "1.jpg"),))
    with pytest.raises(UserError, match="1 of 1 photos have labels that this run was not trained on: '' "):
        split_of_run(own_run, unlabelled, "all")
    assert refused(own_run, None, "tset") == "--split 'tset': choose train, val, test or all"


def test_other_photos_under_the_same_names_are_no_split_of_the_run(own_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for label, name in enumerate(("ant", "bee", "cat")):
        for number in range(12):
            write_photo(other / name / f"{number}.jpg", label=label, number=50 + number)
    text = refused(own_run, other)
    assert "files are named like photos of the run, such as ant/0.jpg, but are different" in text
    assert "--split all" in text
    assert measured(own_run, other, split="all").metrics.n == 36


def test_photos_that_the_run_does_not_know_are_counted(photos: Path, own_run: Path, tmp_path: Path) -> None:
    more = Path(shutil.copytree(photos, tmp_path / "more"))
    for number in (20, 21):
        write_photo(more / "ant" / f"{number}.jpg", label=0, number=number)
    result = measured(own_run, more)
    assert result.metrics.n == 3
    note, _ = result.notes
    assert note == "2 photos that the run does not know belong to no split; --split all includes them"
    shown = io.StringIO()
    print_evaluation(result, tmp_path, Console(file=shown))
    assert note in shown.getvalue()
    (little,) = measured(own_run, None).notes
    assert "photos tell top-1 to ±" in little


def test_photos_of_the_run_that_are_gone_are_counted(photos: Path, own_run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(photos, tmp_path / "copy"))
    names = sorted(name for name, split in read_splits(own_run).items() if split == "test")
    (copy / names[0]).unlink()
    note = f"1 of the run's 3 test photos is not here, such as {names[0]}; the figures are of the others"
    assert measured(own_run, copy).notes[0] == note
    about = json.loads((own_run / "run.json").read_text())
    (own_run / "run.json").write_text(json.dumps(about | {"data": str(copy)}))
    assert measured(own_run).notes[0] == note
    assert "1 of the run's 30 photos is not here" in measured(own_run, split="all").notes[0]
    assert not any("not here" in note for note in measured(own_run, split="val").notes)
    (copy / names[1]).write_bytes(b"bad")  # told as unreadable
    assert "1 of the run's 3" in measured(own_run).notes[0]
    (copy / names[1]).unlink()
    assert measured(own_run).notes[0].startswith("2 of the run's 3 test photos are not here")


def test_data_that_have_gone_are_asked_for(own_run: Path, tmp_path: Path) -> None:
    about = json.loads((own_run / "run.json").read_text())
    (own_run / "run.json").write_text(json.dumps(about | {"data": str(tmp_path / "gone")}))
    assert "--data" in refused(own_run, None)
    assert "no such file or folder" in refused(own_run, tmp_path / "gone too")


def test_each_look_at_test_is_written_down(own_run: Path) -> None:
    for split in ("test", "val", "train", "all", "test"):
        measured(own_run, split=split)
    rows = list(csv.DictReader((own_run / OPENINGS).read_text().splitlines()))
    assert [(row["split"], row["photos"]) for row in rows] == [("test", "3"), ("all", "30"), ("test", "3")]
    assert rows[0]["data_digest"] == rows[2]["data_digest"]


def test_a_look_at_test_that_was_stopped_is_written_down(own_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*words: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fieldmark.evaluation.evaluate.infer", stopped)
    for split in ("val", "test"):
        with pytest.raises(KeyboardInterrupt):
            measured(own_run, split=split)
    rows = list(csv.DictReader((own_run / OPENINGS).read_text().splitlines()))
    assert [(row["split"], row["photos"]) for row in rows] == [("test", "3")]


def test_damaged_photos_are_left_out_and_told(photos: Path, own_run: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    names = sorted(name for name, split in read_splits(own_run / "splits.csv").items() if split == "test")
    (data / names[0]).write_bytes(b"\xff\xd8\xff bad")
    result = measured(own_run, data)
    assert sorted(result.names) == names[1:]
    assert result.metrics.n == len(names) - 1
    (line,) = result.damaged
    assert line.startswith(f"{names[0]}: ")
    for name in names:
        (data / name).write_bytes(b"bad")
    text = refused(own_run, data)
    assert text.startswith(f"3 of 3 photos cannot be read: {names[0]}: ")


def test_official_splits(tmp_path: Path) -> None:
    data = tmp_path / "photos"
    for split, numbers in (("train", range(8)), ("test", range(20, 23))):
        for label, name in enumerate(("ant", "bee")):
            for number in numbers:
                write_photo(data / split / name / f"{number}.jpg", label=label, number=number)
    train_small(data, tmp_path / "run", small(epochs=1))
    run = tmp_path / "run"
    write_photo(data / "test" / "bee" / "later.jpg", label=1, number=30)
    assert len(split_of_run(run, None, "test").dataset.photos) == 7
    (data / "test" / "ant" / "21.jpg").unlink()
    assert "1 of the run's 6 test photos is not here" in split_of_run(run, None, "test").dataset.notes[-1]
    for label, name in enumerate(("ant", "bee")):
        write_photo(tmp_path / "other" / "test" / name / "20.jpg", label=label, number=90)
    assert not split_of_run(run, tmp_path / "other", "test").dataset.notes
    assert "val" not in {photo.split for photo in split_of_run(run, None, "all").dataset.photos}
    assert "it has test, train" in refused(run, None, "val")


def test_each_branch_of_a_method_has_an_accuracy_of_its_own(tmp_path: Path) -> None:
    """As in Table 2 of S3N, against the branches' logits photo by photo."""
    data, run = tmp_path / "photos", tmp_path / "run"
    small_runs.write_photos(data)
    console = Console(record=True, width=120, file=io.StringIO())
    train_small(data, run, small(epochs=1, method="s3n"))
    opened = open_run(run)
    result = measured(run, split="train")
    method = opened.learner.method.eval()
    photos = split_of_run(run, None, "train").dataset.photos
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


def test_scores_that_are_no_numbers_are_refused(own_run: Path) -> None:
    opened = open_run(own_run)
    with torch.no_grad():
        opened.learner.method.classifier.head.bias[0] = torch.nan
    with pytest.raises(UserError, match=r"scores of 3 of 3 photos, such as .*, are not numbers"):
        evaluate(opened, split_of_run(own_run, None, "test"), split="test")
