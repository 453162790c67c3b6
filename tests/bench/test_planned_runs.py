"""Which runs a plan asks for, in which order, and what a comparison's folder knows of them."""

from pathlib import Path

import pytest

from fieldmark.bench.plan import read_plan
from fieldmark.bench.planned_runs import ListedRun, RunList, read_run_list, runs_of, trials_of, write_run_list
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


LISTED = """
format_version = 1
title = "Fünf Vögel"
data = ["birds"]
seeds = [10, 11]
baseline = "simple"
notes = ["pc was tried before"]
[[entry]]
name = "simple"
[[entry]]
name = "pc"
seeds = [10]
trials = [{}]
"""


def test_the_runs_come_back(tmp_path: Path) -> None:
    assert read_run_list(tmp_path / "out") is None
    write_run_list(tmp_path / "out", plan_of(tmp_path, LISTED))
    run_list = read_run_list(tmp_path / "out")
    trial = ListedRun("birds-pc-trial0-seed0", "birds", "pc", 1, "tune", 0, 0)
    finals = [
        ListedRun(f"birds-{entry}-seed{seed}", "birds", entry, order, "final", seed, None)
        for order, entry, seed in ((0, "simple", 10), (1, "pc", 10), (0, "simple", 11))
    ]
    assert run_list == RunList("Fünf Vögel", "simple", (trial, *finals), ("pc was tried before",))
    assert run_list is not None
    assert run_list.missing({"birds-simple-seed10", "birds-pc-seed10", "other"}) == (trial, finals[2])


def test_it_is_written_where_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_run_list(tmp_path, plan_of(tmp_path, LISTED))
    before = path.stat()
    write_run_list(tmp_path, plan_of(tmp_path, LISTED))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_run_list(tmp_path, plan_of(tmp_path, LISTED.replace("[10, 11]", "[10, 11, 12]")))
    run_list = read_run_list(tmp_path)
    assert run_list
    assert [run.key for run in run_list.runs][-1] == "birds-simple-seed12"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["plan.json", "plan.toml"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 2}', '{"format_version": 1, "runs": 0}', "\xff"])
def test_a_file_that_is_none_of_ours(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match="no list of planned runs") as error:
        read_run_list(tmp_path)
    assert len(str(error.value).splitlines()) == 1
    write_run_list(tmp_path, plan_of(tmp_path, LISTED))  # and a damaged one is replaced
    assert read_run_list(tmp_path)
