"""Mistyped groups are told, and mostly without a network."""

from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from fieldmark.building import classes_named
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Model, Part, Pixels, Recipe, Sgd, Stage, external_name
from fieldmark.recipes import ROWS
from fieldmark.training import parameter_groups
from fieldmark.training.parameter_groups import refuse_unknown_groups

MODEL = Model(backbone="test_resnet", weights="none")


class Own(Plain):
    """A method with a group of its own."""

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"all": list(self.parameters())}


OWN = Part(external_name(Own))
EXTERNAL = classes_named([Own])


def recipe(groups: tuple[str, ...] = (), frozen: tuple[str, ...] = (), **model: Any) -> Recipe:
    stage = Stage(optimiser=Sgd(scales=dict.fromkeys(groups, 0.5)), frozen=frozen)
    return Recipe(replace(MODEL, **model), pixels=Pixels(32, 32), stages=(Stage(), stage))


def refused(wrong: Recipe) -> str:
    with pytest.raises(UserError) as error:
        refuse_unknown_groups(wrong, external=EXTERNAL)
    (line,) = str(error.value).splitlines()
    return line


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameter_groups, "build_learner", lambda *_, **__: pytest.fail("a network was built"))


@pytest.mark.usefixtures("no_network")
def test_groups_that_most_methods_have() -> None:
    neck, soft = Part("SelfChannelInteraction"), Part("SoftChannelLabels")
    refuse_unknown_groups(recipe(("backbone", "head"), ("backbone",)), external=EXTERNAL)
    refuse_unknown_groups(recipe(("neck", "terms"), neck=neck, terms=(soft,)), external=EXTERNAL)
    assert "no parameter group 'neck'; the groups: backbone, head" in refused(recipe(("neck",)))
    assert "no parameter group 'terms'; the groups: backbone, head" in refused(recipe(frozen=("terms",)))


def test_groups_of_a_method_s_own() -> None:
    refuse_unknown_groups(recipe(("all",), method=OWN), external=EXTERNAL)
    assert "no parameter group 'some'; the groups: all" in refused(recipe(("some",), method=OWN))


def small(recipe: Recipe) -> Recipe:
    model = replace(recipe.model, backbone=MODEL.backbone, weights="none")
    return replace(recipe, model=model, pixels=Pixels(32, 32))


def test_all_rows_of_papers_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the released S3N, which has groups of its own, by its network; all others without one."""
    build, built = parameter_groups.build_learner, list[Recipe]()

    def counted(recipe: Recipe, **options: Any) -> Learner:
        built.append(recipe)
        return build(recipe, **options)

    monkeypatch.setattr(parameter_groups, "build_learner", counted)
    for row in ROWS.values():
        refuse_unknown_groups(small(row.recipe), external={})
    assert [recipe.model.method.options["kernel"] for recipe in built] == ["learned"]
