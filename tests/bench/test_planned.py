"""What a comparison's folder knows of its plan."""

from pathlib import Path

import pytest

from fieldmark.bench.plan import read_plan
from fieldmark.bench.planned import Planned, PlannedRun, planned_of, read_planned, write_planned
from fieldmark.errors import UserError

PLAN = """
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


def plan_of(folder: Path, text: str = PLAN):
    (folder / "plan.toml").write_text(text, "utf-8")
    return read_plan(folder / "plan.toml")


def test_the_runs_come_back(tmp_path: Path) -> None:
    assert read_planned(tmp_path / "out") is None
    write_planned(tmp_path / "out", plan_of(tmp_path))
    found = read_planned(tmp_path / "out")
    trial = PlannedRun("birds-pc-trial0-seed0", "birds", "pc", 1, "tune", 0, 0)
    finals = [
        PlannedRun(f"birds-{entry}-seed{seed}", "birds", entry, order, "final", seed, None)
        for order, entry, seed in ((0, "simple", 10), (1, "pc", 10), (0, "simple", 11))
    ]
    assert found == planned_of(plan_of(tmp_path))
    assert found == Planned("Fünf Vögel", "simple", (trial, *finals), ("pc was tried before",))
    assert found is not None
    assert found.missing({"birds-simple-seed10", "birds-pc-seed10", "other"}) == (trial, finals[2])


def test_it_is_written_where_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_planned(tmp_path, plan_of(tmp_path))
    before = path.stat()
    write_planned(tmp_path, plan_of(tmp_path))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_planned(tmp_path, plan_of(tmp_path, PLAN.replace("[10, 11]", "[10, 11, 12]")))
    found = read_planned(tmp_path)
    assert found
    assert [run.key for run in found.runs][-1] == "birds-simple-seed12"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["plan.json", "plan.toml"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 2}', '{"format_version": 1, "runs": 0}', "\xff"])
def test_a_file_that_is_none_of_ours(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match="no list of planned runs") as error:
        read_planned(tmp_path)
    assert len(str(error.value).splitlines()) == 1
    write_planned(tmp_path, plan_of(tmp_path))  # and a damaged one is replaced
    assert read_planned(tmp_path)
