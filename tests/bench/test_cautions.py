"""What a reader is told before believing a table: each of these makes rows less than equal."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from canned import SESSION, answers_of, failed, photos_of, result_of, write_finals

from fieldmark.bench.comparing import tables_of
from fieldmark.bench.rendering import report_of, source_of
from fieldmark.bench.results import Result, write_result
from fieldmark.bench.tuning import scores, told

FEW = (
    "Few seeds: {}. Six or more are advised: a sign-flip test, which assumes nothing about how results vary, cannot "
    "give a two-sided p below 2 / 2³ = 0.25 with three; with six it can give 0.03."
)
RIGHT = np.random.default_rng(0).random((3, 20)) < 0.6


NEWER = replace(SESSION, versions={"torch": "2.0", "fieldmark": "2"}, precision="fp32", code={"m:Mine": "1" * 16})


def told_of(folder: Path) -> list[str]:
    """The lines before the first table, without their marks."""
    before = report_of(folder).partition("**Cautions:**\n\n")[2].partition("\n\n")[0]
    lines = [line.removeprefix("- ").strip("*") for line in before.splitlines()]
    return [line for line in lines if not line.startswith("Few seeds: 3 for ")]


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
        lambda one: replace(one, sessions=(SESSION, replace(SESSION, digest="f" * 16, commit="b" * 40))),
        "Mixed source: the final runs were made with 2 versions of the program: "
        "aaaaaaaaaa (dddddddd) for plain, pc; bbbbbbbbbb (ffffffff) for pc.",
    ),
    "commits": (
        lambda one: replace(one, sessions=(replace(SESSION, commit="b" * 40),)),
        "Mixed commits: the final runs come from different commits of the same program: "
        "aaaaaaaaaa (dddddddd), bbbbbbbbbb (dddddddd).",
    ),
    "changes": (
        lambda one: replace(one, sessions=(replace(SESSION, dirty=True),)),
        "The source had uncommitted changes (aaaaaaaaaa+ (dddddddd)), so no commit reproduces these runs.",
    ),
    "no git": (
        lambda one: replace(one, sessions=(replace(SESSION, commit=""),)),
        "The commit of some sources is unknown; only their digests are known: dddddddddddddddd.",
    ),
    "versions": (
        lambda one: replace(one, versions={"torch": "2.1"}),
        "Mixed conditions, which may affect accuracy: torch 2.0, 2.1.",
    ),
    "versions of one session": (
        lambda one: replace(one, sessions=(replace(SESSION, versions={"torch": "1.9", "fieldmark": "1"}), NEWER)),
        "Mixed conditions, which may affect accuracy: torch 1.9, 2.0.",
    ),
    "precision and code": (
        lambda one: replace(one, sessions=(replace(NEWER, precision="bf16", code={"m:Mine": "2" * 16}), NEWER)),
        "Mixed conditions, which may affect accuracy: precision bf16, fp32; code of m:Mine 11111111, 22222222.",
    ),
    "device": (
        lambda one: replace(one, sessions=(replace(SESSION, device="a GPU"),)),
        "Mixed devices, so training times are not comparable: a GPU; a processor, 2 threads.",
    ),
    "data": (
        lambda one: replace(one, data_digest="0" * 64),
        "Mixed data: photos, labels or splits differ between runs (digests 000000000000, eeeeeeeeeeee).",
    ),
    "weights": (
        lambda one: replace(one, weights_digest="1234"),
        "Runs started from files called w.safetensors with different contents (1234, no file).",
    ),
    "recipe": (
        lambda one: replace(one, recipe={**one.recipe, "smoothing": 0.3}),
        "pc: its seeds followed different recipes.",
    ),
    "openings": (
        lambda one: replace(one, test_openings=2),
        "The test photos were opened more than once (after a stop while measuring) by birds-pc-seed11.",
    ),
    "photos": (
        lambda one: replace(one, photos={**one.photos, "trained": 1200}),
        "Rows were trained on different numbers of photos, so they are not comparable: 30 for plain, pc; 1,200 for pc.",
    ),
    "baseline": (
        lambda one: replace(one, baseline="plain-long"),
        "pc: its runs name different baselines (plain, plain-long); plain is used.",
    ),
    "unread": (
        lambda one: replace(one, damaged=tuple(f"test/{at}.jpg: truncated" for at in range(1200))),
        "1,200 photos could not be read and are left out: test/0.jpg: truncated; test/1.jpg: truncated; "
        "test/2.jpg: truncated; test/3.jpg: truncated; test/4.jpg: truncated; and 1,195 more, which the result files "
        "name.",
    ),
    "tuned": (
        lambda one: replace(one, tuned={"winner": 0, "trials": []}),
        "pc was tuned again after some of its final runs, which follow an earlier choice.",
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
    sessions = (NEWER, replace(NEWER, device="a GPU", precision="bf16"))
    write_result(tmp_path, replace(result_of("probe", 0), sessions=sessions), answers_of(RIGHT[0]))
    assert (
        "Mixed devices, so training times are not comparable; as their precisions differ, accuracies may not be "
        "either: a GPU; a processor, 2 threads."
    ) in told_of(tmp_path)


def test_programs_of_trials_are_no_programs_of_what_is_reported(tmp_path: Path) -> None:
    fair(tmp_path)
    older, newer = (replace(SESSION, commit=letter * 40, digest=letter * 16) for letter in "bc")
    write_result(tmp_path, replace(result_of("pc", 0, trial=1, top1=0.6), sessions=(older,)))
    said = "All final runs were made with one version of the program, aaaaaaaaaa (dddddddd); the trials were made with "
    whose = "aaaaaaaaaa (dddddddd) for plain, pc; bbbbbbbbbb (bbbbbbbb) for pc"
    assert told_of(tmp_path) == [f"{said}2 versions: {whose}."]
    for entry in ("plain", "pc"):
        for number in (0, 1):
            trial = result_of(entry, 0, trial=number, top1=0.5 + number / 10)
            write_result(tmp_path, replace(trial, sessions=(older,)))
    assert told_of(tmp_path) == [f"{said}another version: bbbbbbbbbb (bbbbbbbb) for plain, pc."]
    for seed, row in zip((10, 11, 12), RIGHT, strict=True):
        tuned = told(scores([result_of("pc", 0, trial=trial, top1=0.5 + trial / 10) for trial in (0, 1)]))
        write_result(tmp_path, replace(result_of("pc", seed), sessions=(newer,), tuned=tuned), answers_of(row))
    mixed, trials = told_of(tmp_path)
    assert mixed.startswith("Mixed source: the final runs were made with 2 versions of the program: ")
    assert trials == "The trials were made with another version: bbbbbbbbbb (bbbbbbbb) for plain, pc."


def test_a_thread_is_a_thread(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": RIGHT})
    for seed, device in ((10, "a processor, 1 threads"), (11, "a processor, 1 thread"), (12, "a processor, 1 thread")):
        result = replace(result_of("plain", seed), sessions=(replace(SESSION, device=device),))
        write_result(tmp_path, result, answers_of(RIGHT[0]))
    assert told_of(tmp_path) == []


STAGES = [{"epochs": 20, "optimiser": {"type": "Sgd", "lr": 0.1}}]
RECIPE = {
    "model": {"backbone": "one", "weights": "w"},
    "pixels": {"size": 32, "fit": "crop"},
    "batches": {"type": "Shuffled", "size": 16},
    "stages": STAGES,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"stages": [STAGES[0] | {"epochs": 60}]}, "epochs (60; plain: 20)"),
        ({"stages": [*STAGES, *STAGES]}, "epochs (40 (20 + 20); plain: 20)"),
        (
            {"batches": {"type": "Balanced", "classes": 4, "images": 4}},
            "batches (4 classes × 4 photos; plain: shuffled, 16)",
        ),
        ({"model": {"backbone": "two", "weights": "v"}}, "backbone (two; plain: one), weights (v; plain: w)"),
        ({"pixels": {"size": 64, "fit": "crop"}}, "pixels (size) (64; plain: 32)"),
    ],
)
def test_a_baseline_of_another_kind_is_told(change: dict[str, object], said: str, tmp_path: Path) -> None:
    for entry, recipe in (("plain", RECIPE), ("pc", RECIPE | change)):
        for seed, row in zip((10, 11, 12), RIGHT, strict=True):
            write_result(tmp_path, replace(result_of(entry, seed), recipe=recipe), answers_of(row))
    probe = {"backbone": "one", "weights": "w", "size": 32, "penalty": 0.1}
    write_result(tmp_path, replace(result_of("probe", 0), recipe=probe), answers_of(RIGHT[0]))
    assert told_of(tmp_path) == ([f"pc differs from its baseline plain in {said}."] if said else [])


def test_one_run_with_names_of_its_own_harms_its_own_row_alone(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": RIGHT, "pc": RIGHT, "cin": RIGHT})
    answers = answers_of(RIGHT[0])
    write_result(tmp_path, result_of("pc", 11), answers._replace(names=np.char.add("other/", answers.names)))
    (table,) = tables_of(tmp_path)
    assert [bool(row.comparison) for row in table.rows] == [False, False, True]
    assert table.photos == 20
    said = "Mixed photos: birds-pc-seed11 shares no photo with any other run, so it is not compared."
    assert told_of(tmp_path) == [said]
    assert f"- **{said}**" in report_of(tmp_path)


def test_answers_that_are_no_numbers(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": RIGHT})
    answers = answers_of(RIGHT[0])
    answers.logits[:3, 1] = np.nan
    answers.logits[3, 0] = np.inf
    write_result(tmp_path, result_of("plain", 10), answers)
    said = "birds-plain-seed10 has non-finite logits for 4 photos; its predictions there are meaningless."
    assert told_of(tmp_path) == [said]


def test_unequal_trials_are_told(tmp_path: Path) -> None:
    fair(tmp_path)
    write_result(tmp_path, result_of("pc", 0, trial=2, top1=0.1))
    unequal, again = told_of(tmp_path)
    assert unequal == (
        "Unequal tuning: the methods had different numbers of trials, so they are not comparable: "
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
        "pc has a single seed, so its variation between seeds is unknown.",
        "The baseline plain has no final run yet, so nothing is compared with it.",
        "No final run yet: probe.",
    ]


def test_seeds_and_photos_that_are_not_shared(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": RIGHT[:2]}, seeds=(10, 11))
    write_finals(tmp_path, {"pc": RIGHT}, seeds=(11, 10, 12))
    few = answers_of(RIGHT[0, :15])
    write_result(tmp_path, replace(result_of("pc", 12), photos=photos_of(15)), few)
    assert told_of(tmp_path) == [
        "Not all runs were measured on the same photos; each comparison uses those that all runs of its two rows "
        "share (pc and plain 20).",
        FEW.format("2 for plain; 3 for pc"),
        "pc and plain share only the seeds 10, 11; others are left out of the comparison.",
    ]


def test_rows_of_different_splits(tmp_path: Path) -> None:
    fair(tmp_path)
    tuned = told(scores([result_of("pc", 0, trial=trial, top1=0.5 + trial / 10) for trial in (0, 1)]))
    for entry, splits in (("plain", ["train"]), ("pc", ["train", "val"])):
        for seed, row in zip((10, 11, 12), RIGHT, strict=True):
            result = replace(result_of(entry, seed), tuned=tuned)
            write_result(tmp_path, replace(result, recipe={**result.recipe, "train_on": splits}), answers_of(row))
    said = "Rows were trained on different splits, so they are not comparable: train for plain; train+val for pc."
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
        "Classes have from 2 to 20 test photos: top-1 and all verdicts are dominated by the large ones; "
        "see also *per class*."
    )
    assert told_of(tmp_path) == ([said] if told else [])


def test_a_source_in_a_few_letters() -> None:
    assert source_of(SESSION) == "aaaaaaaaaa (dddddddd)"
    assert source_of(replace(SESSION, commit="")) == "no commit (dddddddd)"
