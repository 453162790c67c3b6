"""Data sets as all runs of a comparison see them."""

import shutil
from pathlib import Path

import pytest
from rich.console import Console

import small_runs
from fieldmark.bench import RunOptions, command_of, refuse_call
from fieldmark.bench.datasets import BenchData, open_data, read_data
from fieldmark.bench.plan import Entry, Plan
from fieldmark.data.scan import Scan
from fieldmark.errors import UserError


def opened(data: Path, out: Path) -> BenchData:
    return open_data(named(data, out), out, console=Console(quiet=True))


def named(data: Path, out: Path, **corrections: Path) -> BenchData:
    plan = Plan(format_version=1, entries=(Entry("plain", 0, ("a",), (0,), "plain"),))
    return read_data(plan, ["a"], {"a": data}, corrections=corrections, folder=out)["a"]


def test_a_named_list_of_corrections_is_honoured(photos: Path, tmp_path: Path) -> None:
    decided = tmp_path / "mine.csv"
    decided.write_text("file,given,decision\nant/0.jpg,ant,drop\nant/1.jpg,ant,bee\n")
    found = named(photos, tmp_path / "out", a=decided).dataset
    labels = {photo.name: found.classes[photo.label or 0] for photo in found.photos}
    assert "ant/0.jpg" not in labels
    assert (len(labels), labels["ant/1.jpg"]) == (29, "bee")
    with pytest.raises(UserError, match="--corrections b: the plan's data are called a"):
        named(photos, tmp_path / "out", b=decided)
    with pytest.raises(UserError, match="no such file"):
        named(photos, tmp_path / "out", a=tmp_path / "none.csv")
    said = RunOptions(corrections=(f"a={decided}",))
    command = command_of(tmp_path / "plan.toml", tmp_path / "out", said, ())
    assert command == "fieldmark bench run plan.toml --out out --corrections a=mine.csv"
    with pytest.raises(UserError, match="--corrections mine: expected NAME=PATH"):
        refuse_call(tmp_path, RunOptions(corrections=("mine",)))


def test_official_splits_stay_and_their_test_is_not_opened(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("test", 2)):
        small_runs.write_photos(tmp_path / "photos" / split, photos=count)
    (tmp_path / "photos/test/ant/0.jpg").write_bytes(b"bad")
    dataset = opened(tmp_path / "photos", tmp_path / "out")
    assert [len(dataset.of([split])) for split in ("train", "val", "test")] == [12, 0, 6]
    assert {facts.name.split("/")[0] for facts in dataset.opened.scan.facts} == {"train"}
    assert not (tmp_path / "out" / "splits").exists()


def test_unsplit_photos_are_cut_once_for_all(photos: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    names = named(data, tmp_path / "out")
    assert (len(names.of(["train"])), names.digest) == (30, "")
    first = opened(data, tmp_path / "out")
    assert len(first.of(["val"])) == 3
    assert (tmp_path / "out" / "splits" / "a.csv").is_file()
    again = opened(data, tmp_path / "out")
    assert (again.dataset.photos, again.digest) == (first.dataset.photos, first.digest)
    first.refuse_changes()
    small_runs.write_photo(data / "ant" / "more.jpg", label=0, number=99)
    more = opened(data, tmp_path / "out")
    assert more.dataset.of(["train", "val", "test"]) == first.dataset.photos
    assert more.digest != first.digest
    (data / "ant" / "0.jpg").write_bytes(b"another")
    with pytest.raises(UserError, match="the photos of a were changed since this command began"):
        first.refuse_changes()


def test_damaged_photos_are_left_out_before_the_cut(photos: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    sound = opened(data, tmp_path / "sound")
    (data / "ant" / "bad.jpg").write_bytes(b"bad")
    dataset = opened(data, tmp_path / "out")
    assert (dataset.dataset.photos, dataset.digest) == (sound.dataset.photos, sound.digest)
    (line,) = dataset.opened.damaged
    assert line.startswith("ant/bad.jpg: ")
    assert "bad.jpg" not in (tmp_path / "out/splits/a.csv").read_text()


def test_the_facts_are_kept(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(photos, tmp_path / "out")
    assert Scan.load(tmp_path / "out/scans/a.json") == first.opened.scan
    monkeypatch.setattr("fieldmark.data.scan.ask", None)
    assert opened(photos, tmp_path / "out") == first


def test_a_cut_of_other_photos_is_refused(photos: Path, tmp_path: Path) -> None:
    opened(photos, tmp_path / "out")
    other = small_runs.write_photos(tmp_path / "other", classes=("dog", "elk"))
    with pytest.raises(UserError, match=r"a\.csv names none of the 20 photos"):
        opened(other, tmp_path / "out")


def test_without_test_photos_nothing_can_be_compared(tmp_path: Path) -> None:
    for split in ("train", "val"):
        small_runs.write_photos(tmp_path / "photos" / split, photos=2)
    with pytest.raises(UserError, match="a: final runs are measured on 'test'"):
        named(tmp_path / "photos", tmp_path / "out")
    small_runs.write_photos(tmp_path / "few", photos=1)  # which the cut leaves to training
    with pytest.raises(UserError, match="a: final runs are measured on 'test'"):
        opened(tmp_path / "few", tmp_path / "out")
