"""What an evaluation writes and prints, and what it must not write over."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import small_runs
from fieldmark.data.dataset import Photo, Unread
from fieldmark.errors import UserError
from fieldmark.evaluation import output
from fieldmark.evaluation.evaluate import OPENINGS, Evaluation, evaluate, split_of_run
from fieldmark.evaluation.metrics import measure
from fieldmark.evaluation.output import COLUMNS, FILES, photo_rows, print_evaluation, refuse_results, write_evaluation
from fieldmark.runs.folder import open_run
from small_runs import small, train_small

CLASSES = ("ant", "bee", "cat")


def example(*, classes: int = 3, photos: int = 40, unread: int = 0) -> Evaluation:
    """Random answers about photos of ``classes`` classes."""
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, photos)
    logits = rng.normal(size=(photos, classes)).astype(np.float32)
    logits[np.arange(photos), labels] += 1
    return Evaluation(
        split="test",
        data=Path("photos"),
        classes=tuple(f"class {at}" for at in range(classes)),
        photos=tuple(Photo(f"{at}.jpg", Path(f"{at}.jpg"), int(labels[at]), "test") for at in range(photos)),
        logits=logits,
        labels=labels,
        metrics=measure(logits, labels),
        unread=tuple(Unread(Photo(f"bad {at}.jpg", Path("bad"), 1, "test"), "truncated") for at in range(unread)),
        headline="top1",
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def printed(result: Evaluation) -> str:
    stream = io.StringIO()
    print_evaluation(result, Path("results"), Console(file=stream, width=120))
    return stream.getvalue()


def test_the_files_of_an_evaluation(own_run: Path, tmp_path: Path) -> None:
    result = evaluate(open_run(own_run), split_of_run(own_run, None, "train"), split="train", workers=0)
    folder = tmp_path / "deep" / "folder"
    write_evaluation(result, folder)
    assert {path.name for path in folder.iterdir()} == set(FILES)
    figures = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert figures == result.to_json()
    assert (figures["n"], figures["n_damaged"], figures["classes_with_photos"]) == (24, 0, 3)
    rows = table(folder / "per_class.csv")
    assert [row["class"] for row in rows] == ["ant", "bee", "cat"]
    assert sum(int(row["photos"]) for row in rows) == 24
    with np.load(folder / "logits.npz") as saved:
        assert saved["names"].tolist() == list(result.names)
        np.testing.assert_array_equal(saved["logits"], result.logits)
        np.testing.assert_array_equal(saved["labels"], result.labels)
    photos = table(folder / "photos.csv")
    assert [row["path"] for row in photos] == list(result.names)
    assert {row["split"] for row in photos} == {"train"}
    assert np.mean([row["true"] == row["predicted"] for row in photos]) == pytest.approx(result.metrics.top1)


def test_a_row_for_each_photo_by_a_loop() -> None:
    result = example(unread=2)
    rows, _ = photo_rows(result)
    for row, logits, label in zip(rows, result.logits.astype(np.float64).tolist(), result.labels, strict=False):
        said = dict(zip(COLUMNS, row, strict=True))
        shares = [np.exp(value) / sum(np.exp(logits)) for value in logits]
        assert said["true"] == f"class {label}"
        assert said["predicted"] == f"class {shares.index(max(shares))}"
        assert float(said["probability"]) == pytest.approx(max(shares), abs=1e-6)
        assert float(said["true_probability"]) == pytest.approx(shares[label], abs=1e-6)
        assert said["true_rank"] == 1 + sum(share > shares[label] for share in shares)
        assert said["error"] == ""
    assert rows[40:] == [(f"bad {at}.jpg", "test", "class 1", "", "", "", "", "truncated") for at in (0, 1)]


def test_mistakes_begin_with_the_worst() -> None:
    result = example()
    rows, mistakes = photo_rows(result)
    assert sorted(mistakes) == sorted(row for row in rows if row[2] != row[3])
    assert 0 < len(mistakes) < 40
    shares = [float(row[COLUMNS.index("true_probability")]) for row in mistakes]
    assert shares == sorted(shares)
    sure = np.array([[0, 900, 0], [0, 0, 800], [0, 2, 0], [3, 0, 0]], np.float32)  # the first two: probability 0
    labels = np.zeros(4, np.int64)
    photos = tuple(Photo(str(at), Path(), 0) for at in range(4))
    result = replace(result, logits=sure[[1, 0, 2, 3]], labels=labels, photos=photos, metrics=measure(sure, labels))
    assert [row[0] for row in photo_rows(result)[1]] == ["1", "0", "2"]


def test_equal_logits_rank_as_they_are_predicted() -> None:
    logits, labels = np.zeros((3, 3), np.float32), np.arange(3)
    photos = tuple(Photo(str(at), Path(), at) for at in range(3))
    result = replace(example(), logits=logits, labels=labels, photos=photos, metrics=measure(logits, labels))
    assert [row[COLUMNS.index("true_rank")] for row in photo_rows(result)[0]] == [1, 2, 3]


def test_figures_for_the_user() -> None:
    text = printed(example(classes=7, photos=585))
    assert "test: 585 photos, 7 classes" in text
    for word in ("top1", "top5", "mean per class", "macro f1", "95 % interval"):
        assert word in text
    result = example(classes=5)
    _, low, high = result.top1_interval
    text = printed(result)
    assert "top5" not in text
    assert "top5" not in result.to_json()
    assert f"{100 * low:.1f} to {100 * high:.1f}" in text
    assert result.to_json()["top1_interval"] == [low, high]
    assert low < result.metrics.top1 < high


def test_photos_that_could_not_be_read_are_counted_and_named(tmp_path: Path) -> None:
    result = example(unread=7)
    text = printed(result)
    assert "test: 40 photos (7 more could not be read), 3 classes" in " ".join(text.split())
    assert text.count("left out: bad") == 5
    assert "left out: 2 more; photos.csv names them all" in text
    write_evaluation(result, tmp_path)
    figures = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert figures["n_damaged"] == 7
    assert figures["damaged"] == [f"bad {at}.jpg: truncated" for at in range(7)]
    unread = [row for row in table(tmp_path / "photos.csv") if row["error"]]
    assert [(row["path"], row["true"], row["predicted"]) for row in unread] == [
        (f"bad {at}.jpg", "class 1", "") for at in range(7)
    ]


def test_letters_without_a_font_are_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "draw_confusion", lambda *words, **options: "ไ鷺")
    stream = io.StringIO()
    write_evaluation(example(), tmp_path, console=Console(file=stream, width=200))
    assert stream.getvalue() == "confusion.png: no font on this machine has ไ鷺; install one, such as Noto\n"


def test_class_names_of_any_kind(tmp_path: Path) -> None:
    names = ("鷺", "US$ \\frac$", "caf\udce9")
    data, run = small_runs.write_photos(tmp_path / "photos", classes=names), tmp_path / "run"
    train_small(data, run, small(epochs=1))
    opened = open_run(run)
    assert sorted(opened.classes) == sorted(names)
    write_evaluation(evaluate(opened, split_of_run(run, None, "test"), split="test", workers=0), tmp_path / "results")
    figures = json.loads((tmp_path / "results/metrics.json").read_text("utf-8"))
    assert figures["n"] == 3
    for name in ("per_class.csv", "photos.csv"):
        text = (tmp_path / "results" / name).read_text("utf-8")
        assert "鷺" in text
        assert "caf\\udce9" in text


@pytest.mark.parametrize("name", FILES)
def test_files_of_others_are_not_written_over(name: str, trained: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"its {name} is not an earlier result"):
        refuse_results(tmp_path, trained, None, split="val")
    (tmp_path / name).unlink()
    write_evaluation(example(), tmp_path)
    refuse_results(tmp_path, trained, None, split="val")
    for table in ("photos.csv", "mistakes.csv"):
        before = (tmp_path / table).read_text()
        (tmp_path / table).write_text("path,remark\na.jpg,mine\n")
        with pytest.raises(UserError, match=f"its {table} is not an earlier result"):
            refuse_results(tmp_path, trained, None, split="val")
        (tmp_path / table).write_text(before)


def test_results_of_an_earlier_version_are_replaced(trained: Path, tmp_path: Path) -> None:
    write_evaluation(example(), tmp_path)
    for name in ("photos.csv", "mistakes.csv"):
        (tmp_path / name).unlink()
    refuse_results(tmp_path, trained, None, split="val")


def test_what_cannot_be_written_is_said_before_the_work(own_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as error:
        refuse_results(own_run / "recipe.json" / "evaluation", own_run, None, split="val")
    assert "recipe.json" in str(error.value)
    (own_run / OPENINGS).mkdir()
    refuse_results(own_run / "evaluation" / "val", own_run, None, split="val")
    for split in ("test", "all"):
        with pytest.raises(UserError) as error:
            refuse_results(own_run / "evaluation" / split, own_run, None, split=split)
        (line,) = str(error.value).splitlines()
        assert line.startswith(f"{own_run / OPENINGS} cannot be written: ")
        assert "looks at test photos are logged there: make the run writable" in line
