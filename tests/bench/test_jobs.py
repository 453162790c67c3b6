"""Which runs a plan asks for, and in which order."""

from pathlib import Path

import pytest

from fieldmark.bench.jobs import jobs_of, trials_of
from fieldmark.bench.plan import read_plan
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
    (folder / "plan.toml").write_text(text)
    return read_plan(folder / "plan.toml")


def test_tuning_comes_first_and_seeds_keep_step(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, PLAN)
    tuning = ["b-pc-trial0-seed0", "b-pc-trial0-seed1", "b-pc-trial1-seed0", "b-pc-trial1-seed1"]
    finals = ["a-probe-seed0", "a-plain-seed10", "a-plain-seed11"]
    finals += ["b-probe-seed0", "b-plain-seed10", "b-pc-seed12", "b-plain-seed11"]
    assert [job.key for job in jobs_of(plan)] == tuning + finals
    assert [job.key for job in jobs_of(plan, phase="tune")] == tuning
    assert [job.key for job in jobs_of(plan, phase="final")] == finals
    assert {job.phase for job in jobs_of(plan, phase="tune")} == {"tune"}
    assert [job.key for job in jobs_of(plan, only=("pc",), phase="final")] == ["b-pc-seed12"]
    with pytest.raises(UserError, match="--only pd: the plan has plain, pc, probe"):
        jobs_of(plan, only=("pd",))


def test_an_entry_may_leave_out_a_phase(tmp_path: Path) -> None:
    pc = next(entry for entry in plan_of(tmp_path, PLAN).entries if entry.name == "pc")
    assert pc.phase == "both"
    text = PLAN.replace('data = ["b"]', 'data = ["b"]\nphase = "tune"')
    assert "b-pc-seed12" not in [job.key for job in jobs_of(plan_of(tmp_path, text))]
    text = PLAN.replace('data = ["b"]', 'data = ["b"]\nphase = "final"')
    plan = plan_of(tmp_path, text)
    assert [job.key for job in jobs_of(plan, only=("pc",))] == ["b-pc-seed12"]
    trials = trials_of(plan, plan.entries[1], "b")
    assert [[job.seed for job in runs] for runs in trials] == [[0, 1], [0, 1]]


def test_what_a_result_depends_on(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, PLAN)
    jobs = {job.key: job for job in jobs_of(plan)}
    asked = jobs["b-pc-trial1-seed0"].asked(plan)
    assert (asked["trials"], asked["train_on"]) == ([{"x": 2}], ["train", "val"])
    assert jobs["b-pc-seed12"].asked(plan)["trials"] == [{"x": 1}, {"x": 2}]
    assert jobs["a-plain-seed10"].asked(plan) == jobs["a-plain-seed11"].asked(plan)
    assert jobs["a-plain-seed10"].asked(plan)["tuning"] == {}
    other = plan_of(tmp_path, PLAN.replace("seeds = [0, 1]", "seeds = [0, 1]\nepochs = 0.5"))
    changed = [job.key for job in jobs_of(other) if job.asked(other) != jobs[job.key].asked(plan)]
    assert changed == [key for key in jobs if "pc" in key]


def test_names_that_would_be_one_file(tmp_path: Path) -> None:
    text = 'format_version = 1\n[[entry]]\nname = "plain"\ndata = ["a", "a-b"]\n'
    text += '[[entry]]\nname = "b-plain"\ndata = ["a"]\n'
    with pytest.raises(UserError, match="both be called a-b-plain-seed0"):
        jobs_of(plan_of(tmp_path, text))
