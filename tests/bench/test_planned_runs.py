"""Which runs a plan asks for, and in which order."""

from pathlib import Path

import pytest

from fieldmark.bench.plan import read_plan, runs_of, trials_of
from fieldmark.errors import UserError

PLAN = """
format_version = 1
data = ["a", "b"]
seeds = [10, 11]
[sets.b]
train_on = "train+val"
[tuning]
seeds = [0, 1]
[[entry]]
name = "plain"
[[entry]]
name = "pc"
data = ["b"]
seeds = [12]
trials = [{ x = 1 }, { x = 2 }]
[[entry]]
name = "probe"
kind = "probe"
"""


def plan_of(folder: Path, text: str):
    (folder / "plan.toml").write_text(text, "utf-8")
    return read_plan(folder / "plan.toml")


def test_tuning_comes_first_and_seeds_keep_step(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, PLAN)
    tuning = ["b-pc-trial0-seed0", "b-pc-trial0-seed1", "b-pc-trial1-seed0", "b-pc-trial1-seed1"]
    finals = ["a-probe-seed0", "a-plain-seed10", "a-plain-seed11"]
    finals += ["b-probe-seed0", "b-plain-seed10", "b-pc-seed12", "b-plain-seed11"]
    assert [run.key for run in runs_of(plan)] == tuning + finals
    assert [run.key for run in runs_of(plan, phase="tune")] == tuning
    assert [run.key for run in runs_of(plan, phase="final")] == finals
    assert {run.phase for run in runs_of(plan, phase="tune")} == {"tune"}
    assert [run.key for run in runs_of(plan, only=("pc",), phase="final")] == ["b-pc-seed12"]
    with pytest.raises(UserError, match="--only pd: the plan has plain, pc, probe"):
        runs_of(plan, only=("pd",))


def test_an_entry_may_leave_out_a_phase(tmp_path: Path) -> None:
    pc = next(entry for entry in plan_of(tmp_path, PLAN).entries if entry.name == "pc")
    assert pc.phase == "both"
    text = PLAN.replace('data = ["b"]', 'data = ["b"]\nphase = "tune"')
    assert "b-pc-seed12" not in [run.key for run in runs_of(plan_of(tmp_path, text))]
    text = PLAN.replace('data = ["b"]', 'data = ["b"]\nphase = "final"')
    plan = plan_of(tmp_path, text)
    assert [run.key for run in runs_of(plan, only=("pc",))] == ["b-pc-seed12"]
    (final,) = runs_of(plan, only=("pc",))
    assert [(run.trial, run.seed) for run in trials_of(plan, final)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert trials_of(plan, trials_of(plan, final)[0]) == []


def test_what_a_result_depends_on(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, PLAN)
    runs = {run.key: run for run in runs_of(plan)}
    asked = runs["b-pc-trial1-seed0"].asked(plan)
    assert (asked.trials, asked.train_on) == (({"x": 2},), ("train", "val"))
    assert runs["b-pc-seed12"].asked(plan).trials == ({"x": 1}, {"x": 2})
    assert runs["a-plain-seed10"].asked(plan) == runs["a-plain-seed11"].asked(plan)
    assert runs["a-plain-seed10"].asked(plan).tuning == {}
    other = plan_of(tmp_path, PLAN.replace("seeds = [0, 1]", "seeds = [0, 1]\nepochs = 0.5"))
    changed = [run.key for run in runs_of(other) if run.asked(other) != runs[run.key].asked(plan)]
    assert changed == [key for key in runs if "pc" in key]


def test_names_that_would_be_one_file(tmp_path: Path) -> None:
    text = 'format_version = 1\n[[entry]]\nname = "plain"\ndata = ["a", "a-b"]\n'
    text += '[[entry]]\nname = "b-plain"\ndata = ["a"]\n'
    with pytest.raises(UserError, match="both be called a-b-plain-seed0"):
        runs_of(plan_of(tmp_path, text))
