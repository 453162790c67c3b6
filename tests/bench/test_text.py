"""The report's words, for results that say different things."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from canned import answers_of, failed, photos_of, result_of, write_finals

from fieldmark.bench.plan import read_plan
from fieldmark.bench.planned import write_planned
from fieldmark.bench.records import write_result
from fieldmark.bench.text import report_of
from fieldmark.errors import UserError

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
    write_planned(folder, read_plan(folder / "plan.toml"))


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
