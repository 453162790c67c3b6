"""``check_labels`` and ``apply_labels`` in Python, and that training honours what they lead to.

``pytest -m slow tests/test_checking.py`` also probes and benchmarks corrected data, and plants wrong labels among real
photographs of birds.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import fieldmark
import small_runs
from fieldmark import api
from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError
from fieldmark.training.settings import Keywords
from small_runs import KEYWORDS
from typed import ran, refused

pytest.importorskip("cleanlab", reason="needs the extra [audit]")
SHORT: Keywords = {**KEYWORDS, "epochs": 1}
SMALL = {"backbone": "test_resnet", "weights": "none", "size": 32, "device": "cpu"}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return small_runs.write_photos(tmp_path / "photos", photos=8)


@pytest.mark.slow
def test_from_suspects_to_a_run_that_honours_decisions(own: Path, tmp_path: Path) -> None:
    report = fieldmark.check_labels(own, **SMALL)
    assert report.photos == 24
    assert len(report.audit.photos) == 24
    table, sheet = report.save(tmp_path / "labels")
    assert sheet.read_text().startswith("<!doctype html>")
    table.write_text("file,given,decision\nant/0.jpg,ant,drop\nant/1.jpg,ant,bee\nbee/0.jpg,bee,\n")
    run = fieldmark.train(own, tmp_path / "run", **SHORT)
    done = fieldmark.apply_labels(own, table)
    assert (done.left_out, done.relabelled, done.undecided) == (1, 1, 1)
    assert done.place == own / "fieldmark-labels.csv"
    with pytest.raises(UserError, match="changed since"):
        fieldmark.train(own, run, resume=True)
    assert fieldmark.check(own).photos == 23
    assert fieldmark.evaluate(run, split="all").metrics.n == 23
    done.place.unlink()
    assert fieldmark.train(own, run, resume=True) == run
    assert fieldmark.check(own).photos == 24


@pytest.mark.slow
def test_a_list_beside_data_that_cannot_be_written(own: Path, tmp_path: Path) -> None:
    decided, place = tmp_path / "decided.csv", tmp_path / "mine.csv"
    decided.write_text("file,given,decision\nant/0.jpg,ant,drop\nant/1.jpg,ant,bee\n")
    assert fieldmark.apply_labels(own, decided, corrections=place).place == place
    run = fieldmark.train(own, tmp_path / "run", corrections=place, **SHORT)
    rows = (run / "splits.csv").read_text().splitlines()
    assert len(rows) == 24
    assert any(row.startswith("ant/1.jpg,bee,") for row in rows)
    assert fieldmark.evaluate(run, split="all").metrics.n == 23  # it knows the list
    assert fieldmark.train(own, run, resume=True) == run
    assert fieldmark.check(own, corrections=place).photos == 23
    place.unlink()
    with pytest.raises(UserError, match="no such file"):
        fieldmark.evaluate(run, split="all")
    (own / "fieldmark-labels.csv").write_text("file,given,decision\nant/0.jpg,ant,drop\n")
    with pytest.raises(UserError, match="a list of their own"):
        fieldmark.apply_labels(own, decided, corrections=place)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list that does not lie with the photos: one photo less, another one of another class."""
    path = tmp_path / "mine.csv"
    path.write_text("file,given,decision\nant/0.jpg,ant,drop\nant/1.jpg,ant,bee\n")
    return path


def test_a_list_is_named_to_evaluate(
    own_run: Path, listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", own_run, "--split", "all", "--device", "cpu", "--out", tmp_path / "figures")
    assert ran(*words, "--corrections", listed, "--json", tmp_path / "f.json") == 0
    assert json.loads((tmp_path / "f.json").read_text())["n"] == 29
    assert "photos left out: 1, relabelled: 1" in " ".join(capsys.readouterr().out.split())
    rows = (tmp_path / "figures" / "photos.csv").read_text().splitlines()
    assert [row.split(",")[2] for row in rows if row.startswith("ant/1.jpg,")] == ["bee"]
    assert "no such file" in refused(capsys, *words, "--corrections", tmp_path / "none.csv")
    assert "no column given" in refused(capsys, *words, "--corrections", tmp_path / "figures" / "per_class.csv")
    assert "--json" in refused(capsys, *words, "--corrections", listed, "--json", listed)


def test_a_list_is_named_to_probe(
    own: Path, listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[dict[str, object]] = []
    monkeypatch.setattr(api, "train", lambda data, out, **settings: kept.append(settings))
    small = {key: value for key, value in SMALL.items() if key != "backbone"}
    (found,) = fieldmark.probe(own, backbones="test_resnet", corrections=listed, out=tmp_path / "run", **small)
    assert "ant/0.jpg" not in found.names
    assert found.trained + found.metrics.n < 24
    assert kept[0]["corrections"] == listed
    words = ("probe", own, "--backbone", "test_resnet", "--weights", "none", "--size", "32", "--device", "cpu")
    assert "no such file" in refused(capsys, *words, "--corrections", tmp_path / "none.csv")


@pytest.mark.slow
def test_probe_and_bench_honour_it(own: Path, tmp_path: Path) -> None:
    (own / "fieldmark-labels.csv").write_text("file,given,decision\nant/0.jpg,ant,drop\nant/1.jpg,ant,drop\n")
    small = {key: value for key, value in SMALL.items() if key != "backbone"}
    (probed,) = fieldmark.probe(own, backbones="test_resnet", **small)
    assert probed.trained + probed.metrics.n < 22
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'format_version = 1\ntitle = "t"\ndata = ["mine"]\nseeds = [1]\n[settings]\nbackbone = "test_resnet"\n'
        'weights = "none"\nsize = 32\n[[entry]]\nname = "plain"\nkind = "probe"\n'
    )
    assert ran("bench", "run", plan, "--out", tmp_path / "bench", "--data", f"mine={own}") == 0
    assert len((tmp_path / "bench" / "splits" / "mine.csv").read_text().splitlines()) == 23


def test_a_table(own: Path, tmp_path: Path) -> None:
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in sorted(own.rglob("*.jpg"))]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    table, _ = fieldmark.check_labels(tmp_path / "list.csv", **SMALL).save(tmp_path / "labels-list")
    table.write_text("file,given,decision\nphotos/ant/0.jpg,ant,drop\n")
    assert fieldmark.apply_labels(tmp_path / "list.csv", table).place == tmp_path / "list.fieldmark-labels.csv"
    assert fieldmark.check(tmp_path / "list.csv").photos == 23
    assert fieldmark.check(own).photos == 24


def test_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        small_runs.write_photos(tmp_path / "data" / split, classes=("ant", "bee"), photos=6)
    report = fieldmark.check_labels(tmp_path / "data", splits="train", **SMALL)
    assert {photo.split for photo in report.audit.photos} == {"train"}
    with pytest.raises(UserError, match="--label-splits 'val'"):
        fieldmark.check_labels(tmp_path / "data", splits=["val"], **SMALL)


def test_bad_input(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the data have no splits"):
        fieldmark.check_labels(own, splits="train", **SMALL)
    with pytest.raises(UserError, match="--size 0"):
        fieldmark.check_labels(own, **{**SMALL, "size": 0})
    for path in own.rglob("*.jpg"):
        path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="24 of 24 photos cannot be read"):
        fieldmark.check_labels(own, **SMALL)


@pytest.mark.slow
def test_wrong_labels_among_real_photos(shared_data: Path, tmp_path: Path) -> None:
    dataset = read_dataset(shared_data / "CUB_200_2011")
    rng = np.random.default_rng(7)
    chosen = [photo for photo in dataset.photos if (photo.label or 0) < 8]
    wrong = set(rng.choice(len(chosen), round(0.05 * len(chosen)), replace=False).tolist())
    lines = ["path,label"]
    for at, photo in enumerate(chosen):
        label = ((photo.label or 0) + (int(rng.integers(1, 8)) if at in wrong else 0)) % 8
        lines.append(f"{photo.path},class {label}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    report = fieldmark.check_labels(
        tmp_path / "list.csv", backbone="tf_efficientnet_lite0", weights="lite0", device="cpu"
    )
    found = set(report.audit.doubts.tolist())
    names = [photo.path for photo in report.audit.photos]
    planted = {names.index(chosen[at].path) for at in wrong}
    assert len(found & planted) >= 0.7 * len(planted)
    assert len(set(report.audit.doubts[: len(planted)].tolist()) & planted) >= 0.6 * len(planted)
