"""What a reader is told before believing a table: each of these makes rows less than equal."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from canned import SESSION, answers_of, failed, photos_of, result_of, write_finals

from fieldmark.bench.cautions import cautions_of, source_of
from fieldmark.bench.comparing import tables_of
from fieldmark.bench.records import Result, write_result
from fieldmark.bench.tuning import scores, told

RIGHT = np.random.default_rng(0).random((3, 20)) < 0.6


NEWER = SESSION | {"versions": {"torch": "2.0", "fieldmark": "2"}, "precision": "fp32", "code": {"m:Mine": "1" * 16}}


def told_of(folder: Path) -> list[str]:
    (table,) = tables_of(folder)
    return cautions_of(table)


def fair(folder: Path) -> Path:
    """Two methods, three seeds each, two trials each."""
    for entry in ("plain", "pc"):
        trials = [result_of(entry, 0, trial=trial, top1=0.5 + trial / 10) for trial in (0, 1)]
        for seed, row in zip((10, 11, 12), RIGHT, strict=True):
            write_result(folder, replace(result_of(entry, seed), tuned=told(scores(trials))), answers_of(row))
        for trial in trials:
            write_result(folder, trial)
    return folder


def test_a_fair_comparison_needs_no_words(tmp_path: Path) -> None:
    assert told_of(fair(tmp_path)) == []


CHANGES: dict[str, tuple[Callable[[Result], Result], str]] = {
    "source": (
        lambda one: replace(one, sessions=(SESSION, SESSION | {"digest": "f" * 16, "commit": "b" * 40})),
        "Mixed source: the runs were made with 2 programs: aaaaaaaaaa (dddddddd), bbbbbbbbbb (ffffffff).",
    ),
    "commits": (
        lambda one: replace(one, sessions=(SESSION | {"commit": "b" * 40},)),
        "Mixed commits, though of one and the same program: aaaaaaaaaa (dddddddd), bbbbbbbbbb (dddddddd).",
    ),
    "changes": (
        lambda one: replace(one, sessions=(SESSION | {"dirty": True},)),
        "Uncommitted changes were in the source (aaaaaaaaaa+ (dddddddd)): no commit gives these runs.",
    ),
    "no git": (
        lambda one: replace(one, sessions=(SESSION | {"commit": ""},)),
        "The commit of some source is not known, only its digest: dddddddddddddddd.",
    ),
    "versions": (
        lambda one: replace(one, versions={"torch": "2.1"}),
        "Mixed conditions, under which accuracies may differ: torch 2.0, 2.1.",
    ),
    "versions of one session": (
        lambda one: replace(one, sessions=(SESSION | {"versions": {"torch": "1.9", "fieldmark": "1"}}, NEWER)),
        "Mixed conditions, under which accuracies may differ: torch 1.9, 2.0.",
    ),
    "precision and code": (
        lambda one: replace(one, sessions=(NEWER | {"precision": "bf16", "code": {"m:Mine": "2" * 16}}, NEWER)),
        "Mixed conditions, under which accuracies may differ: precision bf16, fp32; code of m:Mine 11111111, 22222222.",
    ),
    "device": (
        lambda one: replace(one, sessions=(SESSION | {"device": "a GPU"},)),
        "Mixed devices, so training times do not compare: a GPU; a processor, 2 threads.",
    ),
    "data": (
        lambda one: replace(one, data_digest="0" * 64),
        "Mixed data: photos, labels or splits differ between runs (digests 000000000000, eeeeeeeeeeee).",
    ),
    "weights": (
        lambda one: replace(one, weights_digest="1234"),
        "Files called w.safetensors with different contents were trained from (1234, no file).",
    ),
    "recipe": (
        lambda one: replace(one, recipe={**one.recipe, "smoothing": 0.3}),
        "pc: its seeds did not follow the same recipe.",
    ),
    "openings": (
        lambda one: replace(one, test_openings=2),
        "The test photos were opened more than once (a stop while measuring) by birds-pc-seed11.",
    ),
    "photos": (
        lambda one: replace(one, photos={**one.photos, "trained": 1200}),
        "The rows were trained on different numbers of photos, so they do not compare: 30 by plain, pc; 1,200 by pc.",
    ),
    "baseline": (
        lambda one: replace(one, baseline="plain-long"),
        "pc: its runs name different baselines (plain, plain-long); plain is taken.",
    ),
    "tuned": (
        lambda one: replace(one, tuned={"winner": 0, "trials": []}),
        "pc was tuned again after some of its final runs; these follow an older choice.",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_differs_is_told(name: str, tmp_path: Path) -> None:
    fair(tmp_path)
    change, said = CHANGES[name]
    tuned = told(scores([result_of("pc", 0, trial=trial, top1=0.5 + trial / 10) for trial in (0, 1)]))
    write_result(tmp_path, change(replace(result_of("pc", 11), tuned=tuned)), answers_of(RIGHT[1]))
    assert [line for line in told_of(tmp_path) if not line.startswith("Mixed commits") or name == "commits"] == [said]


def test_other_devices_may_compute_in_another_precision(tmp_path: Path) -> None:
    fair(tmp_path)
    sessions = (NEWER, NEWER | {"device": "a GPU", "precision": "bf16"})
    write_result(tmp_path, replace(result_of("probe", 0, trial=0), sessions=sessions))
    assert (
        "Mixed devices, so training times do not compare; as their precisions differ, accuracies may differ too: "
        "a GPU; a processor, 2 threads."
    ) in told_of(tmp_path)


def test_unequal_trials_are_told(tmp_path: Path) -> None:
    fair(tmp_path)
    write_result(tmp_path, result_of("pc", 0, trial=2, top1=0.1))
    unequal, again = told_of(tmp_path)
    assert unequal == (
        "Unequal tuning: the methods had different numbers of trials, so they do not compare: "
        "plain 2 (in 2 runs), pc 3 (in 3 runs)."
    )
    assert again.startswith("pc was tuned again")


def test_a_trial_that_failed_is_no_trial(tmp_path: Path) -> None:
    fair(tmp_path)
    write_result(tmp_path, failed(result_of("pc", 0, trial=0), "no memory"))
    unequal, _, why = told_of(tmp_path)
    assert "plain 2 (in 2 runs), pc 1 (in 2 runs)" in unequal
    assert why == "birds-pc-trial0-seed0 failed: no memory"


def test_runs_that_are_missing(tmp_path: Path) -> None:
    write_finals(tmp_path, {"pc": RIGHT[:1]})
    write_result(tmp_path, failed(result_of("cin"), "no memory"))
    write_result(tmp_path, result_of("probe", 0, trial=0))
    assert told_of(tmp_path) == [
        "birds-cin-seed10 failed: no memory",
        "pc has one seed: nothing is known of how far another would be from it.",
        "The baseline plain has no final run yet, so nothing is held against it.",
        "No final run yet: probe.",
    ]


def test_seeds_and_photos_that_are_not_shared(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": RIGHT[:2]}, seeds=(10, 11))
    write_finals(tmp_path, {"pc": RIGHT}, seeds=(11, 10, 12))
    few = answers_of(RIGHT[0, :15])
    write_result(tmp_path, replace(result_of("pc", 12), photos=photos_of(15)), few)
    assert told_of(tmp_path) == [
        "Not all runs were measured on the same photos; differences are over the 15 that all share.",
        "Fewer than 3 seeds, so all that is said of other seeds is rough: plain 2.",
        "pc and plain share the seeds 10, 11 alone; the others are left out.",
    ]


def test_rows_of_different_splits(tmp_path: Path) -> None:
    fair(tmp_path)
    tuned = told(scores([result_of("pc", 0, trial=trial, top1=0.5 + trial / 10) for trial in (0, 1)]))
    for entry, splits in (("plain", ["train"]), ("pc", ["train", "val"])):
        for seed, row in zip((10, 11, 12), RIGHT, strict=True):
            result = replace(result_of(entry, seed), tuned=tuned)
            write_result(tmp_path, replace(result, recipe={**result.recipe, "train_on": splits}), answers_of(row))
    said = "The rows were trained on different splits, so they do not compare: train by plain; train+val by pc."
    assert told_of(tmp_path) == [said]


@pytest.mark.parametrize(("small", "told"), [(2, True), (3, False)])
def test_classes_of_unlike_sizes(small: int, told: bool, tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": np.ones((3, 20 + small), bool)})
    for seed in (10, 11, 12):
        answers = answers_of(np.ones(20 + small, bool))
        labels = np.repeat([0, 1], [20, small])
        result = replace(result_of("plain", seed), photos=photos_of(20 + small))
        write_result(tmp_path, result, answers._replace(labels=labels))
    said = (
        "The classes have from 2 to 20 test photos: top-1 and all verdicts are mostly of the large ones; "
        "see *per class*, too."
    )
    assert told_of(tmp_path) == ([said] if told else [])


def test_a_source_in_a_few_letters() -> None:
    assert source_of(SESSION) == "aaaaaaaaaa (dddddddd)"
    assert source_of(SESSION | {"commit": ""}) == "no commit (dddddddd)"
