"""What a user is told about the splits of a run: what they lack, where a cut lies, and what to measure next."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fieldmark.data.check import class_findings
from fieldmark.data.dataset import SPLITS, Dataset
from fieldmark.data.split import SPLITS_FILE, read_splits
from fieldmark.errors import printable
from fieldmark.runs.folder import RECIPE


def told_of_splits(dataset: Dataset, train_on: tuple[str, ...], *, was_cut: bool) -> Iterator[str]:
    """Lines on the splits that are measured: one that is empty, classes that one lacks.

    Args:
        dataset: split, of the user or by a cut.
        train_on: the splits that are trained on.
        was_cut: whether Fieldmark cut it, so that every split should be there.

    Raises:
        UserError: classes with photos, but none to train on.
    """
    photos = (replace(photo, split="train" if photo.split in train_on else photo.split) for photo in dataset.photos)
    trained = dataset.with_photos(photos)
    filled = {photo.split for photo in trained.photos} & set(SPLITS)
    if "test" not in filled and "test" not in train_on:
        yield _without_test("val" in filled, was_cut)
    expected = filled | {"train"} | ({"val"} - set(train_on) if was_cut else set())
    for finding in class_findings(trained, splits=expected):
        more = f", and {len(finding.items) - 5:,} more" if len(finding.items) > 5 else ""
        names = ", ".join(printable(name) for (name, *_) in finding.items[:5]) + more
        yield f"{finding.severity}: {finding.text}: {names}. {finding.advice}"


def _without_test(has_val: bool, was_cut: bool) -> str:
    nothing = "only val is left to measure on" if has_val else "nothing is left to measure on"
    if was_cut:
        why = "each class is one photo, group, burst or cluster of copies, which stays together"
        return f"warning: no test photos, {nothing}: {why}. Add photos of other occasions, or divide the groups."
    return f"warning: no test photos, {nothing}. Add a folder test with class folders, or rows with the split test."


def told_of_cut(run: Path) -> str:
    """Where a new cut is written, and how it is kept."""
    file = printable(str(run / SPLITS_FILE))
    return f"the cut into train, val and test is written to {file}; a later run keeps to it with --splits {file}"


def next_command(run: Path) -> str:
    """The command that measures a run on a split that it has and was not trained on; else the one that predicts."""
    trained_on = json.loads((run / RECIPE).read_text("utf-8"))["train_on"]
    there = set(read_splits(run).values()) - set(trained_on)
    place = printable(str(run))
    if "test" in there:
        return f"fieldmark evaluate {place}"
    return f"fieldmark evaluate {place} --split val" if "val" in there else f"fieldmark predict {place} PHOTOS"
