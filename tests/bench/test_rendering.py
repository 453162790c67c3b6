"""The report's words, for results that say different things."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canned import SESSION, answers_of, failed, photos_of, result_of, write_finals

from fieldmark.bench import rendering
from fieldmark.bench.rendering import report_of
from fieldmark.bench.results import Asked, Result, write_result
from fieldmark.errors import UserError
from fieldmark.evaluation.statistics import Interval

RNG = np.random.default_rng(1)
PLAIN = RNG.random((3, 80)) < 0.5
SAME = np.where(RNG.random((3, 80)) < 0.1, ~PLAIN, PLAIN)
BETTER = RNG.random((3, 80)) < 0.95


def cells(text: str, entry: str) -> list[str]:
    """The cells of the first table's row of an entry."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {entry} |")]
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def test_what_can_be_told_and_what_not(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "pc": SAME, "cin": BETTER})
    text = report_of(tmp_path)
    assert text == report_of(tmp_path)
    plain, pc, cin = (cells(text, entry) for entry in ("plain", "pc", "cin"))
    assert plain[:3] == ["plain", plain[1], "3"]
    assert plain[1].startswith(f"{100 * PLAIN.mean():.1f} (")
    assert plain[4:] == [""] * 5
    assert pc[4] == cin[4] == "plain"
    assert pc[8] == "not told from plain"
    assert cin[8] == "better than plain"
    assert cin[5].startswith("+")
    assert float(pc[6]) > 0.05
    assert cin[6] == "< 0.001"
    low, high = pc[5].partition("(")[2].rstrip(")").split(" to ")
    sentence = next(line for line in text.splitlines() if line.startswith("- pc is not told"))
    assert f"the difference may be anything from {low} to {high} points" in sentence
    assert f"a true one of {pc[7]} would most likely have been seen" in sentence
    assert "- cin" not in text
    assert "Before believing" not in text
    commands = text.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert commands == ["fieldmark bench run birds.toml --out birds", f"fieldmark bench report {tmp_path.name}"]
    assert "aaaaaaaaaa (dddddddd)" in text
    assert "a processor, 2 threads" in text
    assert "2 min" in text


def test_worse_is_said_too(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": BETTER, "pc": PLAIN})
    row = cells(report_of(tmp_path), "pc")
    assert row[8] == "worse than plain"
    assert row[5].startswith("−")


def test_how_the_text_was_made_stands_at_its_top(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    top = report_of(tmp_path, tmp_path / "RESULTS.md").splitlines()[:3]
    command = f"fieldmark bench report {tmp_path.name} --out RESULTS.md"
    assert top == ["# Birds", "", f"Made by `{command}` from 3 recorded runs; not to be edited."]
    assert f"`fieldmark bench report {tmp_path.name}`" in report_of(tmp_path)


def test_cautions_come_before_the_table(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "pc": SAME})
    write_result(tmp_path, result_of("pc", 0, trial=0, top1=0.25))
    write_result(tmp_path, failed(result_of("pc", 0, trial=1), "no memory"))
    text = report_of(tmp_path)
    assert text.index("- **Unequal tuning: ") < text.index("| method |")
    assert "- birds-pc-trial1-seed0 failed: no memory" in text
    tuning = text.partition("### Tuning")[2]
    assert "| pc | label smoothing 0 | **25.0** | 20 |" in tuning
    assert "| pc | label smoothing 0.1 | failed |" in tuning


def test_one_seed_and_a_probe(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN[:1], "probe": BETTER[:1]})
    text = report_of(tmp_path)
    assert cells(text, "plain")[1] == f"{100 * PLAIN[0].mean():.1f}"
    probe = cells(text, "probe")
    assert probe[2] == "none needed"
    assert probe[6:] == ["", "", "unknown (one seed)"]
    assert "one seed, so nothing can be told of its difference to plain" in text
    assert "no seed changes it, so it was run once" in text
    assert "penalty 0.01" in text


def test_several_data_sets_and_none_finished(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    write_result(tmp_path, result_of("plain", 0, data="flowers", trial=0))
    text = report_of(tmp_path)
    assert text.index("## birds") < text.index("## flowers")
    flowers = text.partition("## flowers")[2]
    assert flowers.index("No final run is done yet.") < flowers.index("| plain | label smoothing 0 | **50.0** | 20 |")
    assert "What was run" not in flowers
    with pytest.raises(UserError, match="no such folder"):
        report_of(tmp_path / "nowhere")


def test_equal_answers(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "pc": PLAIN})
    row = cells(report_of(tmp_path), "pc")
    assert row[5:] == ["0.0 (0.0 to 0.0)", "1.000", "0.0", "not told from plain"]
    assert "- pc is right on the same photos as plain, with every seed." in report_of(tmp_path)
    for seed in (10, 11, 12):
        write_result(tmp_path, result_of("pc", seed, top1=0.0), answers_of(np.zeros(20, bool)))
    assert "over those that all runs of its two rows share (pc and plain 20)" in report_of(tmp_path)


def test_every_column_is_told_below_the_table(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "pc": SAME, "cin": BETTER})
    text = report_of(tmp_path)
    after = text.partition("| cin |")[2]
    meaning = [line for line in after.splitlines() if line.startswith("- **")]
    assert len(meaning) == 5
    for line, words in zip(
        meaning,
        (
            ("**top-1 %**", "Student's", "over seeds", "**per class %**"),
            ("**difference**", "paired photo by photo and seed by seed", "min F'", "in 92 % to 99 % of simulated"),
            ("**p**", "(Holm)", "all 2 differences"),
            ("***not told from*** is not *equal*",),
            ("**seen from**", "smallest true difference", "80 of 100", "power 0.8", "0.05 / 2"),
        ),
        strict=True,
    ):
        assert all(word in line for word in words), line


def test_a_plain_row_alone_needs_fewer_words(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    text = report_of(tmp_path)
    assert "**top-1 %**" in text
    assert "**p**" not in text


def test_numbers_stand_to_the_right_in_tables_that_are_whole(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "pc": SAME, "probe": BETTER[:1]})
    write_result(tmp_path, result_of("pc", 0, trial=0))
    lines = report_of(tmp_path).splitlines()
    rules = [at for at, line in enumerate(lines) if set(line) <= set("| -:") and "---" in line]
    assert len(rules) == 3
    for at in rules:
        end = next(end for end in range(at, len(lines)) if not lines[end])
        assert lines[at - 2] == ""
        assert len({line.count("|") for line in lines[at - 1 : end]}) == 1
    first = [cell.strip() for cell in lines[rules[0]].strip("|").split("|")]
    assert first == ["---", "---:", "---:", "---:", "---", "---:", "---:", "---:", "---"]


def held_against_pc(folder: Path) -> None:
    """cin's own baseline is pc."""
    write_finals(folder, {"plain": PLAIN, "pc": SAME, "cin": BETTER})
    for seed, row in zip((10, 11, 12), BETTER, strict=True):
        result = replace(result_of("cin", seed, top1=float(row.mean())), baseline="pc", photos=photos_of(80))
        write_result(folder, result, answers_of(row))


def test_a_second_table_against_the_common_baseline(tmp_path: Path) -> None:
    held_against_pc(tmp_path)
    text = report_of(tmp_path)
    assert cells(text, "cin")[4] == "pc"
    assert "And against plain, the common baseline" in text
    second = cells(text.partition("And against plain")[2], "cin")
    assert second[1] == "plain"
    assert second[5] == "better than plain"
    assert second[2] == f"+{100 * (BETTER.mean() - PLAIN.mean()):.1f} {second[2].partition(' ')[2]}"
    assert "(Holm) for all 3 differences" in text
    assert "And against" not in report_of_plain(tmp_path / "other")


def report_of_plain(folder: Path) -> str:
    write_finals(folder, {"plain": PLAIN, "pc": SAME})
    return report_of(folder)


def test_an_interval_without_zero_among_many_is_explained(tmp_path: Path) -> None:
    closer = PLAIN.copy()
    for right in closer:
        right[np.flatnonzero(~right)[:3]] = True  # p is 0.028 by itself, and too much for one of three
    write_finals(tmp_path, {"plain": PLAIN, "pc": closer, "cin": SAME, "probe": PLAIN[:1]})
    text = report_of(tmp_path)
    row = cells(text, "pc")
    low = float(row[5].partition("(")[2].partition(" to")[0].replace("−", "-"))
    assert low > 0  # by itself
    assert row[8] == "not told from plain"  # and yet
    (line,) = [line for line in text.splitlines() if line.startswith("- pc is not told")]
    assert "which leaves out 0 for this row alone, but one of so many rows may well do so by chance" in line
    (other,) = [line for line in text.splitlines() if line.startswith("- cin is not told")]
    assert "leaves out 0" not in other


PLANNED = """
format_version = 1
title = "Birds"
data = ["birds"]
seeds = [10, 11, 12]
baseline = "pc"
[[entry]]
name = "plain"
baseline = "plain"
trials = [{}, { smoothing = 0.1 }]
[[entry]]
name = "pc"
baseline = "plain"
[[entry]]
name = "cin"
baseline = "plain"
"""


def planned(folder: Path, text: str = PLANNED) -> None:
    (folder / "plan.toml").write_text(text)


def test_how_trials_were_compared_is_said_where_there_are_any(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    untuned = report_of(tmp_path).partition("## birds")[0]
    assert "Nothing was tuned: each method was trained as the plan sets it" in untuned
    assert "Trials were compared" not in untuned
    write_result(tmp_path, result_of("plain", 0, trial=0))
    tuned = report_of(tmp_path).partition("## birds")[0]
    assert "the validation split of data that have one, else a part held out of the training split" in tuned
    assert "inside the training split" not in tuned
    assert "Nothing was tuned" not in tuned


def test_verdicts_are_provisional_while_runs_are_to_come(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "pc": SAME})
    assert "verdicts are provisional" not in report_of(tmp_path)  # it cannot know
    planned(tmp_path)
    top = report_of(tmp_path).partition("## birds")[0]
    assert top.index("are still to come") < top.index("Until then all verdicts are provisional: p-values are corrected")
    write_finals(tmp_path, {"cin": BETTER})
    for trial in (0, 1):
        write_result(tmp_path, result_of("plain", 0, trial=trial))
    assert "verdicts are provisional" not in report_of(tmp_path)


def test_what_the_trials_leave_open_stands_by_their_table(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    for trial, top1 in ((0, 0.4), (1, 0.5), (2, 0.6)):
        write_result(tmp_path, result_of("plain", 0, trial=trial, top1=top1))
    tuning = report_of(tmp_path).partition("### Tuning")[2]
    assert "An accuracy over 20 photos held out and one seed has a standard error of 11.2 points (near 50 %)" in tuning
    assert "\n- label smoothing 0.2, the largest of 0, 0.1 and 0.2: plain\n" in tuning


def test_a_report_needs_no_logits_of_trials(tmp_path: Path) -> None:
    """Older records have none, newer ones have."""
    write_finals(tmp_path, {"plain": PLAIN})
    write_result(tmp_path, result_of("plain", 0, trial=0))
    without = report_of(tmp_path)
    write_result(tmp_path, result_of("plain", 0, trial=0), answers_of(PLAIN[0]))
    assert report_of(tmp_path) == without


def test_what_is_missing_stands_at_the_top(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN[:1]})
    write_result(tmp_path, result_of("plain", 0, trial=1))
    assert "cannot know whether some are missing" in report_of(tmp_path).partition("## birds")[0]
    planned(tmp_path)
    top = report_of(tmp_path).partition("## birds")[0]
    assert "cannot know" not in top
    assert "**Not finished: 9 of 11 planned runs are still to come:**" in top
    listed = [line for line in top.splitlines() if line.startswith("- ")]
    assert listed == ["- plain: 1 of 2 tuning and 2 of 3 final runs", "- pc, cin: 3 of 3 final runs each"]


def test_notes_of_the_plan_stand_at_the_top(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    planned(tmp_path, PLANNED.replace('baseline = "pc"', 'baseline = "pc"\nnotes = ["cin was tried before."]', 1))
    assert "\n\n**Note.** cin was tried before.\n\n" in report_of(tmp_path).partition("## birds")[0]


def test_data_sets_that_are_missing_and_runs_that_are_not_planned(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "probe": PLAIN[:1]})
    plain_alone = PLANNED.partition('[[entry]]\nname = "pc"')[0].replace("trials", "# trials")
    planned(tmp_path, plain_alone.replace('["birds"]', '["birds", "flowers"]').replace('"pc"', '"plain"'))
    top = report_of(tmp_path).partition("## birds")[0]
    assert "**Not finished: 3 of 6 planned runs are still to come:**\n\n- plain on flowers: 3 of 3 final runs\n" in top
    assert "Runs that the plan does not have (any more) are shown, too: of probe." in top


def test_all_is_there_and_some_failed(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "pc": SAME, "cin": BETTER})
    for trial in (0, 1):
        write_result(tmp_path, result_of("plain", 0, trial=trial))
    planned(tmp_path)
    text = report_of(tmp_path)
    assert "\nAll 11 planned runs are recorded.\n" in text
    assert "And against pc, the common baseline" in text  # the plan's default, though most rows name plain
    write_result(tmp_path, failed(result_of("cin", 11), "no memory"))
    assert "\nAll 11 planned runs are recorded, of which 1 failed.\n" in report_of(tmp_path)


@pytest.mark.parametrize(
    ("filter", "values", "said"),
    [
        (rendering.percent, (0.7654, 1.0, math.nan), ["76.5", "100.0", ""]),
        (rendering.signed, (0.0123, -0.0123, 0.0004, -0.0004), ["+1.2", "−1.2", "0.0", "0.0"]),
        (rendering.p_value, (0.0004, 0.001, 0.5, math.nan), ["< 0.001", "0.001", "0.500", ""]),
        (
            rendering.shares,
            (Interval(0.9, 0.75, 1.05), Interval(0.5, math.nan, math.nan)),
            ["90.0 (75.0 to 100.0)", "50.0"],
        ),
        (
            rendering.points,
            (Interval(-0.01, -0.03, 0.01), Interval(-0.01, math.nan, math.nan)),
            ["−1.0 (−3.0 to +1.0)", "−1.0"],
        ),
        (rendering.cells, (["a|b", "", 3],), ["a\\|b |  | 3"]),
        (rendering.listed, (["a"], ["a", "b", "c"]), ["a", "a, b and c"]),
    ],
)
def test_figures_as_a_reader_sees_them(filter: Any, values: tuple[Any, ...], said: list[str]) -> None:
    assert [filter(value) for value in values] == said


STAGE = {"epochs": 20, "optimiser": {"type": "Sgd", "lr": 0.1, "scales": {"backbone": 0.1}}}
MODEL = {"method": {"type": "Plain"}, "backbone": "test_resnet", "weights": "w.safetensors", "terms": []}
RECIPE = {
    "model": MODEL,
    "pixels": {"size": 32, "eval_size": 48},
    "batches": {"type": "Shuffled", "size": 16},
    "stages": [STAGE],
    "smoothing": 0.1,
}
WITH_TERM = RECIPE | {"model": MODEL | {"terms": [{"type": "PairwiseConfusion", "weight": 10.0}]}}
WEIGHT = "model.terms.0.weight"


def trial(number: int, changes: dict[str, Any], top1: float, recipe: dict[str, Any] = WITH_TERM) -> Result:
    short = recipe | {"stages": [STAGE | {"epochs": 6}], "smoothing": changes.get("smoothing", 0.1)}
    return replace(result_of("pc", 0, trial=number, top1=top1), asked=Asked((changes,)), recipe=short)


def tuned(folder: Path, pc: dict[str, Any]) -> str:
    """The report of plain and pc with three seeds each, pc with three trials."""
    for seed, right in zip((10, 11, 12), PLAIN, strict=True):
        write_result(folder, replace(result_of("plain", seed), recipe=RECIPE), answers_of(right))
        session = replace(SESSION, dirty=True)
        write_result(folder, replace(result_of("pc", seed), recipe=pc, sessions=(session,)), answers_of(right))
    for number, changes, top1 in ((0, {}, 0.5), (1, {WEIGHT: 2.0}, 0.75), (2, {"smoothing": 0.0}, 0.25)):
        write_result(folder, trial(number, changes, top1))
    return report_of(folder)


def test_a_row_tells_its_recipe_its_seeds_and_its_commit(tmp_path: Path) -> None:
    batches = {"type": "Balanced", "classes": 4, "images": 5}
    text = tuned(tmp_path, WITH_TERM | {"batches": batches, "stages": [STAGE | {"epochs": 60}]})
    run = text.partition("### What was run")[2].partition("### Tuning")[0]
    assert cells(run, "plain") == [
        *("plain", "Plain", "test_resnet, 32 (48 in test)", "20", "shuffled, 16", "Sgd 0.1, backbone × 0.1"),
        *("not tuned", "10, 11, 12", "2 min", "aaaaaaaaaa (dddddddd)"),
    ]
    assert cells(run, "pc") == [
        *("pc", "Plain + PairwiseConfusion (weight 10)", "test_resnet, 32 (48 in test)", "60", "4 classes × 5 photos"),
        *("Sgd 0.1, backbone × 0.1", "weight of PairwiseConfusion 2, of 3 tried", "10, 11, 12", "2 min"),
        "aaaaaaaaaa+ (dddddddd)",
    ]
    assert "\n\nFurther settings, the same in all trained rows: `pixels.eval_size` 48, `smoothing` 0.1.\n\n" in run
    facts = "\n\nPhotos, labels, splits: eeeeeeeeeeee; machine: a processor, 2 threads; programs: torch 2.0.\n\n"
    assert facts in run
    tuning = text.partition("### Tuning")[2]
    assert [line for line in tuning.splitlines() if line.startswith("| pc |")] == [
        "| pc | as set (weight of PairwiseConfusion 10, label smoothing 0.1) | 50.0 | 20 | 6 | 0 |",
        "| pc | weight of PairwiseConfusion 2 | **75.0** | 20 | 6 | 0 |",
        "| pc | label smoothing 0 | 25.0 | 20 | 6 | 0 |",
    ]
    assert "\n- weight of PairwiseConfusion 2, the smaller of 2 and 10: pc\n" in tuning


def test_settings_beyond_the_table_that_differ_are_told(tmp_path: Path) -> None:
    text = tuned(tmp_path, WITH_TERM | {"ema": 0.9, "clip": 1.0})
    unlike = "**Further settings in which rows differ:** `ema` none (plain), 0.9 (pc); `clip` none (plain), 1 (pc)."
    assert f"\n\n{unlike}\n\n" in text


def test_trials_of_several_seeds_failures_and_unknown_recipes(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_result(tmp_path, replace(trial(0, {}, 0.5), key=f"pc{seed}", seed=seed, recipe={"weights": "w"}))
    write_result(tmp_path, failed(trial(1, {WEIGHT: 2.0}, 0.0), "no memory"))
    write_result(tmp_path, replace(trial(0, {}, 0.25), key="plain", entry="plain", order=0, recipe={"weights": "w"}))
    assert [line for line in report_of(tmp_path).splitlines() if line.startswith(("| plain", "| pc"))] == [
        "| plain | as set (nothing varied) | **25.0** | 20 | unknown | 0 |",
        "| pc | as set (`model.terms.0.weight` by default) | **50.0** | 20 | unknown | 0, 1 |",
        "| pc | `model.terms.0.weight` 2 | failed |  |  | 0 |",
    ]


def test_what_a_probe_was_made_with(tmp_path: Path) -> None:
    recipe = {"backbone": "test_resnet", "weights": "w.safetensors", "size": 32, "penalty": 0.01, "train_on": ["train"]}
    result = replace(result_of("probe", 0), recipe=recipe, weights_digest="1234")
    write_result(tmp_path, result, answers_of(PLAIN[0]))
    text = report_of(tmp_path)
    row = cells(text.partition("### What was run")[2], "probe")
    assert row[1:3] == ["logistic regression on frozen features, penalty 0.01", "test_resnet, 32"]
    assert row[6:8] == ["the penalty, by cross-validation inside the training photos", "none needed"]
    assert "; weights: w.safetensors (1234); " in text
    assert "\n30 training photos (train), 20 test photos, 2 classes.\n" in text.replace("80 test", "20 test")


def test_each_command_once(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    other = replace(result_of("plain", 13), command="fieldmark bench run other.toml", photos=photos_of(80))
    write_result(tmp_path, other, answers_of(PLAIN[0]))
    commands = report_of(tmp_path).partition("```sh\n")[2].partition("```")[0].splitlines()
    assert commands[:-1] == ["fieldmark bench run birds.toml --out birds", "fieldmark bench run other.toml"]


def test_names_from_elsewhere_stay_on_their_line(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    titled = replace(result_of("plain", 10), title="Birds\n\n# Other\x1b[2J", photos=photos_of(80))
    write_result(tmp_path, titled, answers_of(PLAIN[0]))
    write_result(tmp_path, failed(result_of("pc"), "two\n# lines"))
    text = report_of(tmp_path)
    assert text.startswith("# Birds\\n\\n# Other\\x1b[2J\n")
    assert "- birds-pc-seed10 failed: two\\n# lines\n" in text
