"""``benchmarks/peers.py``, less what needs fastai, on drawn pictures and a tiny network."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

import peers
from fieldmark.data.reading import read_dataset
from fieldmark.training import automatic
from peer_systems import SYSTEMS, Task, Train, train_fieldmark, train_timm
from small_runs import BACKBONE, write_photos


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Photos with an official split: 3 classes, 3 training photos, 1 for validation and 2 test photos of each."""
    for split, photos in (("train", 3), ("val", 1), ("test", 2)):
        write_photos(tmp_path / "drawn" / split, photos=photos)
    return tmp_path / "drawn"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.safetensors"
    save_file(timm.create_model(BACKBONE).state_dict(), file)
    return file


@pytest.fixture
def call(
    data: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[list[str]]]:
    """The script with a few more words; returns the words of its lines. Epochs are few."""
    monkeypatch.setattr(automatic, "PROBE_EPOCHS", (1, 2))
    monkeypatch.setitem(SYSTEMS, "timm-style", SYSTEMS["timm-style"]._replace(epochs=3))

    def main(*words: str) -> list[list[str]]:
        fixed = [str(data), "--weights", str(weights), "--out", str(data.parent / "out"), "--backbone", BACKBONE]
        fixed += ["--seeds", "5", "--workers", "0", "--size", "64"]
        monkeypatch.setattr(sys, "argv", ["peers.py", *fixed, *words])
        peers.main()
        return [line.split() for line in capsys.readouterr().out.splitlines()]

    return main


def test_a_table_and_a_record_of_each_run(call: Callable[..., list[list[str]]], tmp_path: Path):
    title, header, *rows = call("--systems", "timm-time")
    assert " ".join(title[1:7]) == "12 training and 6 test photos;"
    assert header == ["system", "seed", "top-1", "seconds", "processor", "epochs"]
    records = [json.loads((tmp_path / "out" / "drawn" / f"{row[0]}-5.json").read_text("utf-8")) for row in rows]
    assert [record["system"] for record in records] == ["fieldmark", "timm-style", "timm-time"]
    for row, record in zip(rows, records, strict=True):
        assert row[1:3] == ["5", f"{record['top1']:.1%}"]
        assert row[5] == str(record["epochs"])
        assert len(record["right"]) == 6
        assert record["top1"] == record["right"].count("1") / 6
        assert record["seconds"] > 0
        assert record["processor_seconds"] > 0
        assert record["device"]
        assert record["versions"]["timm"] == timm.__version__
    whole, style, timed = records
    assert (whole["epochs"], style["epochs"]) == (2, 3)
    assert timed["epochs"] == peers.fitting(whole["seconds"], style)


def test_finished_runs_are_not_worked_again(
    call: Callable[..., list[list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = call("--systems", "timm-style")
    monkeypatch.delattr(peers, "work")
    assert call("--systems", "timm-style") == before
    with pytest.raises(SystemExit, match=r"timm-style-5\.json: its run had another size; choose another --out"):
        call("--systems", "timm-style", "--size", "48")
    with pytest.raises(SystemExit, match=r"its run had another data_digest"):
        call("--systems", "timm-style", "--limit-photos", "1")


@pytest.mark.parametrize("train", [train_fieldmark, train_timm])
def test_training_reads_no_test_photo(train: Train, data: Path, weights: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(automatic, "PROBE_EPOCHS", (1, 2))
    dataset = read_dataset(data)
    splits = (dataset.of(("train", "val")), dataset.of("test"))
    task = Task(data, dataset.classes, *splits, backbone=BACKBONE, weights=weights, size=64, workers=0)
    contents = {photo.path: photo.path.read_bytes() for photo in task.test}
    for path in contents:
        path.write_bytes(b"no picture")
    trained = train(task, 2, lambda: None)
    for path, content in contents.items():
        path.write_bytes(content)
    assert (task.train_on, trained.epochs) == ("train+val", 2)
    predicted = trained.predicted()
    assert predicted.shape == (6,)
    assert set(predicted) <= {0, 1, 2}


def test_as_many_epochs_as_fit():
    """The first epoch of the timed run ended after 10 seconds, the 8 others took 5 each."""
    timed = {"epochs": 9, "seconds": 50.0, "first_epoch": 10.0}
    assert [peers.fitting(seconds, timed) for seconds in (50.1, 54.9, 55.1, 100.1, 20.1)] == [9, 9, 10, 19, 3]
    assert [peers.fitting(seconds, timed) for seconds in (1.0, 14.9)] == [2, 2]


def test_what_a_system_needs_comes_first(monkeypatch: pytest.MonkeyPatch):
    assert list(peers.systems_of(["timm-time"])) == ["fieldmark", "timm-style", "timm-time"]
    assert list(peers.systems_of(["timm-style"])) == ["timm-style"]
    monkeypatch.setattr(peers, "has_fastai", lambda: False)
    for name in ("fastai-8", "fastai-time"):
        with pytest.raises(SystemExit, match=r"fastai is missing: pip install 'fieldmark\[peers\]'"):
            peers.systems_of([name])


def test_some_photos_of_each_class_and_split(data: Path, tmp_path: Path):
    few = peers.limited(read_dataset(data), 2, tmp_path / "few" / "photos.csv")
    assert Counter((photo.label, photo.split) for photo in few.photos) == {
        (label, split): count for label in range(3) for split, count in (("train", 2), ("val", 1), ("test", 2))
    }
    assert all(photo.path.is_file() for photo in few.photos)


def test_unsplit_photos_are_refused(data: Path, call: Callable[..., list[list[str]]]):
    (data / "test").rename(data.parent / "apart")
    with pytest.raises(SystemExit, match="no official training and test photos"):
        call("--systems", "timm-style")
