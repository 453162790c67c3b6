"""Plans: what a file says, and what is refused in one to three lines."""

from pathlib import Path

import pytest

from fieldmark.bench.entry_recipes import recipe_of
from fieldmark.bench.plan import DataSource, Plan, Tuning, advice_on, read_plan
from fieldmark.building import build_learner, refuse_parts
from fieldmark.errors import UserError
from fieldmark.recipes import COMPOSITIONS

WHOLE = """
format_version = 1
title = "Birds"
baseline = "plain"
data = ["birds"]
seeds = [10, 11]

[settings]
backbone = "test_resnet"
weights = "none"
epochs = 2

[sets.birds]
path = "photos"
train_on = "train+val"

[tuning]
seeds = [0, 1]
hold_out = 0.5
epochs = 1

[[entry]]
name = "plain"
trials = [{ "stages.0.optimiser.lr" = 0.1 }, {}]

[[entry]]
name = "pc"
method = "pc"
epochs = 3
seeds = [4]
set = { "smoothing" = 0.0 }
trials = [{ "model.terms.0.weight" = 5 }]

[[entry]]
name = "probe"
kind = "probe"
size = 32
train_on = "train"
"""
LEAST = 'format_version = 1\ndata = ["a"]\n[[entry]]\nname = "plain"\n'


def plan_of(folder: Path, text: str) -> Plan:
    (folder / "plan.toml").write_text(text)
    return read_plan(folder / "plan.toml")


def test_a_plan_says_all_that_an_entry_needs(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, WHOLE)
    assert plan.title == "Birds"
    assert plan.sets == {"birds": DataSource(tmp_path / "photos", "variant", "train+val")}
    assert plan.tuning == Tuning((0, 1), 0.5, 1.0)
    plain, pc, probe = plan.entries
    assert (plain.kind, plain.data, plain.seeds, plain.baseline) == ("train", ("birds",), (10, 11), "plain")
    assert plain.trials == ({"stages.0.optimiser.lr": 0.1}, {})
    assert plain.settings == {"backbone": "test_resnet", "weights": "none", "epochs": 2}
    assert pc.settings == {"backbone": "test_resnet", "weights": "none", "epochs": 3, "method": "pc"}
    assert (pc.seeds, pc.changes, pc.order, pc.train_on) == ((4,), {"smoothing": 0.0}, 1, None)
    assert (probe.kind, probe.seeds, probe.train_on) == ("probe", (0,), "train")
    assert probe.settings == {"backbone": "test_resnet", "weights": "none", "size": 32}
    tuning, seeds = advice_on(plan)
    assert tuning == "unequal tuning: trials of plain 2, pc 1"
    assert seeds.startswith("few seeds: 1 seed (pc); 6 or more are advised")


def test_the_least_plan(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, LEAST)
    assert (plan.title, plan.tuning, plan.sets) == ("plan", Tuning(), {})
    assert plan.entries[0].seeds == (0,)
    assert len(advice_on(plan)) == 1
    assert advice_on(plan_of(tmp_path, LEAST + "seeds = [1, 2, 3, 4, 5, 6]")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks the setting 'format_version'"),
        ("format_version = 2", "format_version is 2"),
        ("format_version = ", "no plan that can be read"),
        (LEAST + "[[entry]]\nname = 1", "[[entry]] 1.name is 1; it must be a text"),
        ("seds = [1]\n" + LEAST, "no setting 'seds'; did you mean seeds"),
        ("seeds = []\n" + LEAST, "seeds"),
        ("seeds = [-1]\n" + LEAST, "seeds"),
        ("seeds = [1, 1]\n" + LEAST, "none of them twice"),
        ('data = ["a", "a"]\n' + LEAST.replace('data = ["a"]\n', ""), "data names a twice"),
        ("seeds = [1.5]\n" + LEAST, "1.5"),
        (LEAST + "data = []", "names no data"),
        (LEAST + 'data = ["a/b"]', "no name for files"),
        (LEAST + '[[entry]]\nname = "plain"', "two entries"),
        (LEAST + 'baseline = "plane"', "compared with plane"),
        (LEAST + 'kind = "sonde"', "choose train, probe"),
        (LEAST + 'phase = "last"', "choose both, tune, final"),
        (LEAST + "trials = [{}, 1]", "plain.trials.1 is 1; it must be a table"),
        (LEAST + "trials = [{}, {}]", "seed 0; take fresh seeds"),
        (LEAST + 'recipe = "x"\nepochs = 3', "recipe excludes"),
        (LEAST + 'kind = "probe"\nepochs = 3', "a probe has no setting epochs"),
        (LEAST + 'kind = "probe"\ntrials = [{}]', "a probe has neither"),
        (LEAST + "[tuning]\nhold_out = 1.0", "hold_out is 1"),
        (LEAST + "[tuning]\nepochs = 0", "epochs is 0"),
        (LEAST + "[tuning]\nfolds = 2", "tuning has no setting 'folds'"),
        (LEAST + "[sets.a]\nplace = 'x'", "sets.a has no setting 'place'"),
        (LEAST + "trials = [{}, { stages.0.optimiser.lr = 0.1 }]", 'quotes: "stages.0.optimiser.lr"'),
        (LEAST + "set = { batches.size = 16 }", 'put the place in quotes: "batches.size"'),
        (LEAST + "[entry.set]\nmodel.head = { type = 'Linear' }", 'put the place in quotes: "model.head"'),
        (LEAST.replace("[[entry]]", "[entry]"), "[entry] is one table; write [[entry]]"),
        ('format_version = 1\ndata = ["a"]\n', "no entries; write [[entry]]"),
        ("format_version = 1\nentry = []\n", "no entries; write [[entry]]"),
        (LEAST + "[sets]\na = 1", "sets.a is 1; it must be a table"),
        ("entry = 5\nformat_version = 1", "entry is 5; it must be a list"),
        ("entry = [5]\nformat_version = 1", "entry.0 is 5; it must be a table"),
    ],
)
def test_mistakes_in_a_plan(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        plan_of(tmp_path, text)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_whole_parts_need_no_quotes(tmp_path: Path) -> None:
    whole = 'set = { batches = { type = "Shuffled", size = 4 }, "stages.0.optimiser.scales" = { backbone = 0.1 } }'
    (entry,) = plan_of(tmp_path, LEAST + whole).entries
    assert entry.changes["batches"] == {"type": "Shuffled", "size": 4}
    assert entry.changes["stages.0.optimiser.scales"] == {"backbone": 0.1}


def test_no_plan(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no plan that can be read"):
        read_plan(tmp_path / "nowhere.toml")
    with pytest.raises(UserError, match="no plan that can be read"):
        read_plan(tmp_path)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml")), ids=lambda p: p.stem
)
def test_the_plans_that_come_with_the_program(path: Path) -> None:
    plan = read_plan(path)
    assert not [line for line in advice_on(plan) if "unequal" in line]
    known = {composition.name for composition in COMPOSITIONS}
    context = {"photos": 600, "classes": 20, "device": "cpu", "folder": path.parent}
    for entry in plan.entries:
        if entry.settings.get("method", "plain") not in known:
            continue
        recipes = [recipe_of(entry, **context, changes=trial) for trial in entry.trials or ({},)]
        assert len({repr(recipe) for recipe in recipes}) == len(recipes)
        build_learner(recipes[0], classes=20, weights="none")
        for recipe in recipes:
            refuse_parts(recipe, {})
