"""From entries to recipes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fieldmark.batches import Balanced, Shuffled
from fieldmark.bench.entry_recipes import are_alike, described, recipe_of, settings_of, shortened, with_weights
from fieldmark.bench.plan import Entry
from fieldmark.errors import UserError
from fieldmark.papers.pairwise_confusion import PairwiseConfusion
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Cosine, OneCycle, Part, Recipe, Stage, StepDecay, recipe_to_json
from fieldmark.recipes.pairwise_confusion import COMPOSITION
from fieldmark.training.settings import RecipeSettings

CONTEXT: dict[str, Any] = {"photos": 600, "classes": 20, "device": "cpu", "folder": Path()}
SETTINGS = {"backbone": "test_resnet", "weights": "none", "epochs": 3, "lr": 1, "method": "pc"}


def entry_of(settings: Any = SETTINGS, *, recipe: str = "", changes: Any = None) -> Entry:
    return Entry("pc", 0, ("a",), (0,), "plain", recipe=recipe, settings=settings, changes=changes or {})


def refused(entry: Entry, changes: Any = None) -> str:
    with pytest.raises(UserError) as error:
        recipe_of(entry, **CONTEXT, changes=changes or {})
    assert str(error.value).startswith("pc: ")
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_settings_are_those_of_train() -> None:
    given = {"term": ["pairwise-confusion,weight=5"], "lr": 1, "fit": "pad", "epochs": 2, "neck": "a:B"}
    wanted = RecipeSettings(term=("pairwise-confusion,weight=5",), lr=1.0, fit="pad", epochs=2, neck="a:B")
    assert settings_of(given) == wanted
    assert type(settings_of(given).lr) is float
    for wrong in ({"epochs": 2.5}, {"epochs": True}, {"term": "x"}, {"term": [1]}, {"fit": "fold"}, {"method": 1}):
        with pytest.raises(UserError, match=r"it must be|did you mean|choose"):
            settings_of(wrong)
    for wrong in ({"seed": 1}, {"epoch": 2}, {"device": "cpu"}):
        with pytest.raises(UserError, match="no setting"):
            settings_of(wrong)
    with pytest.raises(UserError, match="epochs is 0; it must be at least 1"):
        settings_of({"epochs": 0})


def test_changes_go_where_they_say() -> None:
    plain = recipe_of(entry_of(), **CONTEXT)
    assert (plain.epochs, plain.batches, plain.model.terms) == (3, Shuffled(16), COMPOSITION.terms)
    changes = {
        "batches": {"type": "Balanced", "classes": 4, "images": 4},
        "stages.0.optimiser.scales.backbone": 0.03,
        "clip": 0.2,
    }
    changed = recipe_of(entry_of(changes=changes), **CONTEXT, changes={"model.terms.0.weight": 5, "clip": 3})
    assert changed.batches == Balanced(4, 4)
    assert changed.stages[0].optimiser.scales == {"backbone": 0.03}
    assert changed.model.terms[0].options["weight"] == 5
    assert changed.clip == 3
    assert replace(changed, batches=plain.batches, stages=plain.stages, model=plain.model, clip=0.0) == plain


def test_a_recipe_of_a_file(tmp_path: Path) -> None:
    recipe = replace(recipe_of(entry_of(), **CONTEXT), clip=3.0)
    (tmp_path / "mine.json").write_text(recipe_to_json(recipe))
    assert recipe_of(entry_of({}, recipe="mine.json"), **{**CONTEXT, "folder": tmp_path}) == recipe


def test_mistakes() -> None:
    assert "choose plain" in refused(entry_of(SETTINGS | {"method": "nothing"}))
    assert "no setting" in refused(entry_of(SETTINGS | {"epoch": 1}))
    assert "model.terms.1.weight: no entry '1' in a list of 1" in refused(entry_of(), {"model.terms.1.weight": 1})
    assert "stages.one.epochs: no entry 'one' in a list of 1" in refused(entry_of(), {"stages.one.epochs": 1})
    assert "smothing" in refused(entry_of(changes={"smothing": 0.1}))
    assert "clip is 'much'" in refused(entry_of(), {"clip": "much"})
    assert "no such row of a paper" in refused(entry_of({}, recipe="nowhere.json"))
    assert "clip" in refused(entry_of(), {"clip": object()})


def test_no_plan_imports_a_class_that_the_user_did_not_name() -> None:
    name, term = "fieldmark.papers.plain:Plain", "fieldmark.papers.pairwise_confusion:PairwiseConfusion"
    settings = SETTINGS | {"method": name, "term": [f"{term},weight=2"]}
    assert "--external fieldmark.papers." in refused(entry_of(settings))
    classes = {name: Plain, term: PairwiseConfusion}
    recipe = recipe_of(entry_of(settings), **CONTEXT, external=classes)
    assert recipe.model.method == Part(name)
    assert recipe.model.terms == (Part(term, {"weight": 2}),)


def test_weights_stand_by_name() -> None:
    recipe = recipe_of(entry_of(SETTINGS | {"weights": "lite0"}), **CONTEXT)
    for name in ("lite0", "test_resnet"):
        found = with_weights(recipe, {name: Path("somewhere/w.safetensors")})
        assert found.model.weights == "somewhere/w.safetensors"
        assert described(found)["model"]["weights"] == "w.safetensors"
    assert with_weights(recipe, {"hub": Path("w")}) == recipe
    assert described(recipe)["model"]["weights"] == "lite0"


def test_shorter_runs_keep_their_shape() -> None:
    recipe = recipe_of(entry_of(), **CONTEXT)
    stages = (
        Stage(1, schedule=OneCycle()),
        Stage(90, schedule=StepDecay((30, 60), warmup=4.0), frozen=("backbone",), frozen_epochs=9),
        Stage(5, schedule=Cosine(warmup=1.0), frozen=("backbone",)),
    )
    short = shortened(replace(recipe, stages=stages), 0.5)
    assert [stage.epochs for stage in short.stages] == [1, 45, 3]
    assert short.stages[1].schedule == StepDecay((15, 30), warmup=2.0)
    assert [stage.frozen_epochs for stage in short.stages] == [None, 4, None]
    assert short.stages[2].schedule == Cosine(warmup=0.6)
    assert shortened(recipe, 1.0) == recipe


def test_epochs_that_the_start_decides_make_no_other_recipe() -> None:
    planned = Recipe(start="probe", length_by_start=True, stages=(Stage(9),))
    decided = replace(planned, stages=(Stage(4),), model=replace(planned.model, weights="elsewhere/hub"))
    assert are_alike(planned, decided)
    assert are_alike(decided, planned)
    assert not are_alike(planned, replace(decided, clip=1.0))
    assert not are_alike(planned, replace(decided, length_by_start=False))
    assert not are_alike(*(replace(recipe, length_by_start=False) for recipe in (planned, decided)))
    assert not shortened(planned, 0.5).length_by_start
