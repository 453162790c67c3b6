"""Notices about the splits of a run: what they lack, where a new cut is saved, and what to measure next."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fieldmark.data.check import class_findings, in_words
from fieldmark.data.dataset import SPLITS, Dataset
from fieldmark.data.split import SPLITS_FILE, read_splits
from fieldmark.errors import shell_word
from fieldmark.runs.folder import RECIPE


def split_notices(dataset: Dataset, train_on: tuple[str, ...], *, was_cut: bool) -> Iterator[str]:
    """Warnings about the splits to be measured: one that is empty, or lacks classes.

    Args:
        dataset: split, by the user or by Fieldmark.
        train_on: the splits that are trained on.
        was_cut: whether Fieldmark made the splits, so that none should be empty.

    Raises:
        UserError: a class with photos, but none to train on.
    """
    photos = (replace(photo, split="train" if photo.split in train_on else photo.split) for photo in dataset.photos)
    trained = dataset.with_photos(photos)
    filled = {photo.split for photo in trained.photos} & set(SPLITS)
    if "test" not in filled and "test" not in train_on:
        yield _without_test("val" in filled, was_cut)
    expected = filled | {"train"} | ({"val"} - set(train_on) if was_cut else set())
    for finding in class_findings(trained, splits=expected):
        more = f", and {len(finding.items) - 5:,} more" if len(finding.items) > 5 else ""
        names = ", ".join(map(in_words, finding.items[:5])) + more
        yield f"{finding.severity}: {finding.text}: {names}. {finding.advice}"


def _without_test(has_val: bool, was_cut: bool) -> str:
    nothing = "only val is left to measure on" if has_val else "nothing is left to measure on"
    if was_cut:
        why = "each class is a single photo, group, burst or cluster of copies, which stays together"
        return f"warning: no test photos, {nothing}: {why}. Add photos of other occasions, or divide the groups."
    return f"warning: no test photos, {nothing}. Add a folder test with class folders, or rows with the split test."


def cut_notice(run: Path) -> str:
    """Where a new cut is saved, and how later runs use it."""
    file = shell_word(run / SPLITS_FILE)
    return f"the cut into train, val and test is saved in {file}; use it for later runs with --splits {file}"


def next_command(run: Path) -> str:
    """The command that evaluates a run on a split it was not trained on, or without one the command that predicts."""
    recipe = json.loads((run / RECIPE).read_text("utf-8"))
    splits = set(read_splits(run).values()) - set(recipe["train_on"])
    own = dict.fromkeys(name for name in _types(recipe["model"]) if ":" in name)  # classes of the user's own
    words = "".join(f" --external {shell_word(name)}" for name in own)
    folder = shell_word(run)
    if "test" in splits:
        return f"fieldmark evaluate {folder}{words}"
    if "val" in splits:
        return f"fieldmark evaluate {folder} --split val{words}"
    return f"fieldmark predict {folder} PHOTOS{words}"


def _types(value: object) -> Iterator[str]:
    """The names of all parts in a recipe's model, as plain data."""
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value["type"]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _types(each)
