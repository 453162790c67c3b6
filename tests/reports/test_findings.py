"""What a run knows of its data, without the photos."""

import shutil
from dataclasses import replace
from pathlib import Path

from fieldmark.data.check import Finding
from fieldmark.data.scan import PhotoFacts, Scan
from fieldmark.reports.findings import examples_in_words, known_of, measurable_splits
from fieldmark.runs.folder import SCAN, read_run


def test_photos_by_split_and_class(trained: Path) -> None:
    recipe, classes, about = read_run(trained)
    known = known_of(trained, classes, about, train_on=recipe.train_on)
    assert {row.split: row.photos for row in known.splits} == {"train": 24, "val": 3, "test": 3}
    assert known.splits[0] == ("train", 24, 3, 8, 8)
    assert known.trained == {"ant": 8, "bee": 8, "cat": 8}
    assert (known.scanned, known.problem) == (30, "")
    assert [finding.kind for finding in known.findings] == ["few_photos"]


def test_damaged_photos_and_copies_are_found_in_the_scan(own_run: Path) -> None:
    recipe, classes, about = read_run(own_run)
    scan = Scan.load(own_run / SCAN)
    copy = replace(scan.facts[1], sha=scan.facts[0].sha)
    lost = PhotoFacts("ant/lost.jpg", damage="truncated JPEG")
    replace(scan, facts=(scan.facts[0], copy, *scan.facts[2:], lost)).save(own_run / SCAN)
    known = known_of(own_run, classes, about, train_on=recipe.train_on)
    kinds = [finding.kind for finding in known.findings]
    assert kinds[0] == "damaged"  # an error comes first
    assert known.findings[0].items == (("ant/lost.jpg", "truncated JPEG"),)
    assert any(kind.startswith("exact") for kind in kinds)
    assert "unlabelled" not in kinds


def test_without_its_files_a_run_says_why(own_run: Path) -> None:
    recipe, classes, about = read_run(own_run)
    (own_run / SCAN).write_text("{")
    assert "scan.json" in known_of(own_run, classes, about, train_on=recipe.train_on).problem
    (own_run / SCAN).unlink()
    assert known_of(own_run, classes, about, train_on=recipe.train_on).scanned == 0
    (own_run / "splits.csv").unlink()
    assert "splits.csv" in known_of(own_run, classes, about, train_on=recipe.train_on).problem


def test_what_can_be_measured(trained: Path, tmp_path: Path) -> None:
    assert measurable_splits(trained, train_on=("train",)) == ["test", "val"]
    assert measurable_splits(trained, train_on=("train", "val", "test")) == []
    table = (trained / "splits.csv").read_text().replace(",test\n", ",train\n")
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "splits.csv").write_text(table)
    assert measurable_splits(tmp_path / "run", train_on=("train",)) == ["val"]


def test_examples_are_few() -> None:
    finding = Finding("kind", "note", 5, "photos", "advice", tuple((f"{at}\n.jpg",) for at in range(5)))
    assert examples_in_words(finding) == [r"0\n.jpg", r"1\n.jpg", r"2\n.jpg", "and 2 more"]
