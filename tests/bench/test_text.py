"""The report's words, for results that say different things."""

from pathlib import Path

import numpy as np
import pytest
from canned import answers_of, failed, result_of, write_finals

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
    assert "`fieldmark bench run birds.toml --out birds --only pc`" in text
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
    tuning = text.partition("Tuning, on held-out")[2]
    assert '| pc | 0 | `{"smoothing": 0.0}` | **25.0** | 1 |' in tuning
    assert '| pc | 1 | `{"smoothing": 0.1}` | failed | 1 |' in tuning


def test_one_seed_and_a_probe(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN[:1], "probe": BETTER[:1]})
    text = report_of(tmp_path)
    assert cells(text, "plain")[1] == f"{100 * PLAIN[0].mean():.1f}"
    probe = cells(text, "probe")
    assert probe[2] == "none needed"
    assert probe[6:8] == ["", ""]
    assert "one seed, so nothing can be told of its difference to plain" in text
    assert "no seed changes it, so it was run once" in text
    assert "penalty 0.01" in text


def test_several_data_sets_and_none_finished(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    write_result(tmp_path, result_of("plain", 0, data="flowers", trial=0))
    text = report_of(tmp_path)
    assert text.index("## birds") < text.index("## flowers")
    assert text.endswith("No final run is done yet.\n")
    with pytest.raises(UserError, match="no results here"):
        report_of(tmp_path / "nowhere")


def test_equal_answers(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "pc": PLAIN})
    row = cells(report_of(tmp_path), "pc")
    assert row[5:] == ["0.0 (0.0 to 0.0)", "1.000", "0.0", "not told from plain"]
    assert "- pc is right on the same photos as plain, with every seed." in report_of(tmp_path)
    for seed in (10, 11, 12):
        write_result(tmp_path, result_of("pc", seed, top1=0.0), answers_of(np.zeros(20, bool)))
    assert "over the 20 that all share" in report_of(tmp_path)
