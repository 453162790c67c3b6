"""What is mistyped in parts and groups is told, and mostly without a network."""

from dataclasses import replace
from typing import Any

import pytest
from fieldmark.training.parts import refuse_parts
from torch import nn

from fieldmark.errors import UserError
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Model, Part, Pixels, Recipe, Sgd, Stage
from fieldmark.recipes import ROWS
from fieldmark.training import parts

MODEL = Model(Part("Plain"), Part("Average"), Part("Linear"), "test_resnet", "none")


class Own(Plain):
    """A method with a group of its own."""

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"all": list(self.parameters())}


def recipe(groups: tuple[str, ...] = (), frozen: tuple[str, ...] = (), **model: Any) -> Recipe:
    stage = Stage(optimiser=Sgd(scales=dict.fromkeys(groups, 0.5)), frozen=frozen)
    return Recipe(replace(MODEL, **model), pixels=Pixels(32, 32), stages=(Stage(), stage))


def refused(wrong: Recipe) -> str:
    with pytest.raises(UserError) as error:
        refuse_parts(wrong, classes=3)
    (line,) = str(error.value).splitlines()
    return line


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "build_learner", lambda *_, **__: pytest.fail("a network was built"))


@pytest.mark.usefixtures("no_network")
def test_each_part_is_held_to_its_constructor() -> None:
    refuse_parts(recipe(terms=(Part("PairwiseConfusion", {"weight": 2, "on": "logits"}),)), classes=3)
    for wrong, said in (
        (recipe(terms=(Part("PairwiseConfusion"), Part("PairwiseConfusion", {"nothing": 3}))), "no option 'nothing'"),
        (recipe(neck=Part("Maximum", {"scale": "a"})), "Maximum has no option 'scale'"),
        (recipe(pool=Part("Average", {"classes": 3})), "Average has no option 'classes'"),
        (recipe(head=Part(nn.Linear)), "Linear cannot stand as head: it needs 'in_features'"),
        (recipe(method=Part("Plain", {"classifier": 3})), "Plain has no option 'classifier'"),
    ):
        assert said in refused(wrong)


@pytest.mark.usefixtures("no_network")
def test_groups_that_most_methods_have() -> None:
    refuse_parts(recipe(("backbone", "head"), ("backbone",)), classes=3)
    refuse_parts(recipe(("neck",), neck=Part(nn.Identity)), classes=3)
    assert "no parameter group 'neck'; the groups: backbone, head" in refused(recipe(("neck",)))
    terms = (Part("PairwiseConfusion"),)  # which has no parameters
    assert "no parameter group 'terms'; the groups: backbone, head" in refused(recipe(frozen=("terms",), terms=terms))


def test_groups_of_a_method_s_own() -> None:
    refuse_parts(recipe(("all",), method=Part(Own)), classes=3)
    assert "no parameter group 'some'; the groups: all" in refused(recipe(("some",), method=Part(Own)))


@pytest.mark.usefixtures("no_network")
def test_all_rows_of_papers_pass() -> None:
    for row in ROWS.values():
        refuse_parts(row.recipe, classes=200)
