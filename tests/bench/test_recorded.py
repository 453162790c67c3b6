"""The comparison that the repository holds: its report is remade from its results, byte for byte."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fieldmark.bench import report
from fieldmark.bench.entry_recipes import recipe_of, shortened
from fieldmark.bench.plan import PROBE, read_plan, runs_of
from fieldmark.bench.rendering import report_of
from fieldmark.bench.results import read_results
from fieldmark.recipe import recipe_from_plain

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_the_published_report_is_what_its_command_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command stands in the report's first lines; it is called from the repository's root."""
    published = (BENCHMARKS / "CUB20_ZERO.md").read_bytes()
    command = re.search(rb"`fieldmark bench report (\S+) --out (\S+)`", published)
    assert command is not None
    monkeypatch.chdir(BENCHMARKS.parent)
    folder, out = (Path(word.decode()) for word in command.groups())
    before = out.stat().st_mtime_ns
    assert report_of(folder, out).encode() == published
    assert out.stat().st_mtime_ns == before
    assert report(folder).encode() == published.replace(b" --out " + command[2], b"")


@pytest.mark.parametrize("name", ["cub20", "cub20_pc"])
def test_the_published_runs_follow_what_the_plan_asks_for_today(name: str) -> None:
    """So the comparison can be repeated, though defaults changed since the plan beside its results was read."""
    plan, kept = read_plan(BENCHMARKS / f"{name}.toml"), read_plan(BENCHMARKS / name / "plan.toml")
    results = {result.key: result for result in read_results(BENCHMARKS / name)}
    context = {"photos": 600, "classes": 20, "device": "cpu", "folder": BENCHMARKS}
    assert set(results) == {run.key for run in runs_of(plan)}
    assert all(results[run.key].asked == run.asked(kept) for run in runs_of(kept))
    for run in runs_of(plan):
        result = results[run.key]
        if run.entry.kind != PROBE:
            trial = result.tuned["winner"] if run.trial is None else run.trial
            recipe = replace(recipe_of(run.entry, **context, changes=run.entry.trials[trial]), seed=run.seed)
            recipe = recipe if run.trial is None else shortened(recipe, plan.tuning.epochs)
            followed = recipe_from_plain(result.recipe)
            assert replace(recipe, model=replace(recipe.model, weights=followed.model.weights)) == followed, run.key
