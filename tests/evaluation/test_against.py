"""A run measured against another one: the same photos, classes by name, and what each was trained on."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fieldmark
from fieldmark.data.dataset import Photo, Unread
from fieldmark.data.split import read_splits
from fieldmark.errors import UserError
from fieldmark.evaluation.against import Pairing, compared, pairing
from fieldmark.evaluation.comparison import Comparison
from fieldmark.evaluation.evaluate import OPENINGS, Evaluation, evaluate, split_of_run
from fieldmark.evaluation.metrics import measure
from fieldmark.evaluation.training_photos import trained_on
from fieldmark.runs.folder import open_run
from small_runs import small, train_small, write_photo


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory, photos: Path, trained: Path) -> Path:
    """Another run on the same photos and the same cut; copied by ``second``."""
    run = tmp_path_factory.mktemp("later") / "run"
    train_small(photos, run, small(seed=1, splits=trained / "splits.csv"))
    return run


@pytest.fixture
def second(tmp_path: Path, later: Path) -> Path:
    return Path(shutil.copytree(later, tmp_path / "second" / "run"))


def against(run: Path, other: Path, data: Path | None = None, *, split: str = "test") -> Comparison:
    result = fieldmark.evaluate(run, data, split=split, against=other, device="cpu").against
    assert result is not None
    return result


def refused(run: Path, other: Path, data: Path | None = None, *, split: str = "all") -> str:
    with pytest.raises(UserError) as error:
        against(run, other, data, split=split)
    assert 1 <= len(str(error.value).splitlines()) <= 3
    return str(error.value)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_each_run_says_what_it_says_alone(own_run: Path, second: Path) -> None:
    two = against(own_run, second, split="train")
    for said, run in zip(two.predicted, (own_run, second), strict=True):
        alone = evaluate(open_run(run), split_of_run(run, None, "train"), split="train", workers=0)
        assert tuple(photo.name for photo in two.photos) == alone.names
        np.testing.assert_array_equal(said, alone.logits.argmax(1))
        np.testing.assert_array_equal(two.labels, alone.labels)
    assert two.trained_on == (24, 24)
    assert two.runs == (str(own_run), str(second))
    figures = fieldmark.evaluate(own_run, split="train", against=second, device="cpu").to_json()
    assert figures["against"] == two.to_json()
    assert "against" not in fieldmark.evaluate(own_run, split="train", device="cpu").to_json()


def test_a_copy_of_a_run_differs_by_nothing(own_run: Path, trained: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trained, tmp_path / "copy"))
    two = against(own_run, copy, split="val")
    assert two.difference("top1").mean == two.difference("mean_per_class").mean == 0
    assert (two.counts.only_first, two.counts.only_second, two.p, two.changes) == (0, 0, 1, [])
    assert two.trained_on == (0, 0)


def test_classes_in_another_order(own_run: Path, trained: Path, tmp_path: Path) -> None:
    """The second run's outputs are those of the first, renamed."""
    turned = Path(shutil.copytree(trained, tmp_path / "turned"))
    edit(turned / "classes.json", classes=["cat", "ant", "bee"])
    two = against(own_run, turned, split="train")
    renamed = {"ant": "cat", "bee": "ant", "cat": "bee"}
    named = [[two.classes[label] for label in row] for row in two.predicted]
    assert [renamed[name] for name in named[0]] == named[1]
    assert two.top1[0].mean > two.top1[1].mean
    other_way = against(turned, own_run, split="train")
    assert other_way.difference("top1").mean == pytest.approx(-two.difference("top1").mean)


def test_other_classes_are_refused(own_run: Path, trained: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    edit(other / "classes.json", classes=["ant", "bee", "dog"])
    (other / "model.safetensors").unlink()
    for split in ("test", "all"):
        first, _ = refused(own_run, other, split=split).splitlines()
        assert first == (f"--against: the runs have different classes: 'cat' only in {own_run}; 'dog' only in {other};")
    edit(other / "classes.json", classes=["ant", "bee", "cat", *(f"more {at}" for at in range(7))])
    assert f"'more 4' and 2 more only in {other};" in refused(own_run, other)
    assert not (own_run / OPENINGS).exists()
    assert "is not a Fieldmark run" in refused(own_run, tmp_path / "nowhere")


def test_one_spelling_of_an_accent_is_as_good_as_another(own_run: Path, trained: Path, tmp_path: Path) -> None:
    other, data = Path(shutil.copytree(trained, tmp_path / "other")), tmp_path / "data"
    edit(own_run / "classes.json", classes=["ant", "caf\u00e9", "cat"])
    edit(other / "classes.json", classes=["ant", "cafe\u0301", "cat"])
    write_photo(data / "caf\u00e9" / "new.jpg", label=1, number=60)
    write_photo(data / "cat" / "new.jpg", label=2, number=60)
    assert against(own_run, other, data, split="all").counts[1:3] == (0, 0)


def test_the_first_run_s_cut_is_measured_and_what_the_second_has_seen_of_it_counted(
    photos: Path, own_run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    train_small(photos, other, small(seed=5, epochs=1))
    cut, others = read_splits(own_run), read_splits(other)
    wanted = {name for name, split in cut.items() if split == "test"}
    seen = {name for name in wanted if others[name] == "train"}
    assert seen
    for data in (None, photos):
        two = against(own_run, other, data)
        assert {photo.name for photo in two.photos} == wanted
        assert two.trained_on == (0, len(seen))
        assert trained_on(other, two.photos) == seen


def test_official_splits(tmp_path: Path) -> None:
    """Val is another split for a run that trained on it."""
    data = tmp_path / "photos"
    for split, numbers in (("train", range(6)), ("val", range(6, 9)), ("test", range(9, 12))):
        for label, name in enumerate(("ant", "bee")):
            for number in numbers:
                write_photo(data / split / name / f"{number}.jpg", label=label, number=number)
    for name, train_on in (("less", "train"), ("more", "train+val")):
        train_small(data, tmp_path / name, small(epochs=1, train_on=train_on))
    less, more = tmp_path / "less", tmp_path / "more"
    assert against(less, more, split="val").trained_on == (0, 6)
    assert against(more, less, split="test").trained_on == (0, 0)


def test_each_run_s_log_has_the_look_at_test(own_run: Path, second: Path) -> None:
    for split in ("test", "val"):
        against(own_run, second, split=split)
    for run in (own_run, second):
        rows = list(csv.DictReader((run / OPENINGS).read_text().splitlines()))
        assert [(row["split"], row["photos"]) for row in rows] == [("test", "3")]
    (second / OPENINGS).unlink()
    (second / OPENINGS).mkdir()
    assert f"{second / OPENINGS} cannot be written" in refused(own_run, second)
    assert len((own_run / OPENINGS).read_text().splitlines()) == 2, "refused before the first look"


def test_boxes_that_only_the_second_needs(own_run: Path, second: Path) -> None:
    recipe = json.loads((second / "recipe.json").read_text())
    edit(second / "recipe.json", pixels=recipe["pixels"] | {"fit": "box"})
    assert "photos have no box" in refused(own_run, second)


def test_photos_that_only_one_run_reads(photos: Path, own_run: Path, second: Path, tmp_path: Path) -> None:
    """The second takes fewer megapixels; a damaged photo is told as the first one's."""
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    write_photo(data / "ant" / "large.jpg", label=0, number=90, size=(800, 640))
    (data / "bee" / "0.jpg").write_bytes(b"\xff\xd8\xff bad")
    recipe = json.loads((second / "recipe.json").read_text())
    edit(second / "recipe.json", pixels=recipe["pixels"] | {"megapixels": 0.1})
    result = fieldmark.evaluate(own_run, data, split="all", against=second, device="cpu")
    two = result.against
    assert two is not None
    names = {photo.name for photo in two.photos}
    assert names == set(result.names) - {"ant/large.jpg"}
    assert (result.metrics.n, len(names)) == (30, 29)
    own, other = two.left_out
    assert [photo.name for photo, _ in own] == ["bee/0.jpg"]
    assert [photo.name for photo, _ in other] == ["ant/large.jpg"]
    assert "megapixels" in other[0].reason


def test_no_photo_that_both_read() -> None:
    def evaluation(name: str) -> Evaluation:
        logits, labels = np.eye(2, dtype=np.float32)[:1], np.zeros(1, np.int64)
        photos = (Photo(name, Path(name), 0),)
        return Evaluation("all", Path(), ("a", "b"), photos, logits, labels, measure(logits, labels), (), "top1")

    first, second = evaluation("1.jpg"), evaluation("2.jpg")
    second = replace(second, unread=tuple(Unread(photo, "bad") for photo in first.photos))
    pair = Pairing((Path("a"), Path("b")), None, (frozenset(), frozenset()))  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match="no photo that both runs can read"):
        compared(first, second, pair)


def test_no_network_is_read_for_a_refusal(own_run: Path, second: Path) -> None:
    for run in (own_run, second):
        (run / "model.safetensors").unlink()
    chosen = split_of_run(own_run, None, "test")
    pair = pairing(own_run, second, chosen, split="test")
    assert [photo.name for photo in pair.photos.dataset.photos] == [photo.name for photo in chosen.dataset.photos]
    (second / "splits.csv").unlink()
    assert "splits.csv" in refused(own_run, second)
