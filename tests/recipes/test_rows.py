"""The rows of all papers' tables: each is a setting that can be read back, built and run."""

import json
import re
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from fieldmark.building import build_learner
from fieldmark.core.learner import Learner
from fieldmark.core.networks import GOOGLENET
from fieldmark.input.views import evaluation_view
from fieldmark.recipe import Recipe, StepDecay, recipe_from_json, recipe_to_json
from fieldmark.recipes import PAPERS, ROWS, compared_losses, mutual_channel
from fieldmark.recipes.naming import remarks_on

WITH_ROWS = [paper for paper in PAPERS if paper.ROWS]
LABELS = np.repeat(np.arange(250), 4).tolist()


def on_a_small_network(recipe: Recipe) -> Recipe:
    model = replace(recipe.model, backbone="test_resnet", weights="none")
    return replace(recipe, model=model, pixels=replace(recipe.pixels, size=64, eval_size=64))


def distinct() -> dict[str, Recipe]:
    """One row for each set of parts and stages: most rows of a paper differ in backbone and data alone."""
    actual: dict[str, tuple[str, Recipe]] = {}
    for name, row in ROWS.items():
        small = on_a_small_network(row.recipe)
        written = json.loads(recipe_to_json(small))
        actual.setdefault(json.dumps([written["model"], written["stages"]]), (name, small))
    return dict(actual.values())


BUILT = distinct()


@pytest.fixture(scope="module", params=BUILT)
def built(request: pytest.FixtureRequest) -> tuple[Recipe, Learner]:
    recipe = BUILT[request.param]
    return recipe, build_learner(recipe, classes=7)


def test_names_say_the_paper_and_the_row():
    assert len(ROWS) == sum(len(paper.ROWS) for paper in PAPERS)
    for name in ROWS:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*", name), name


@pytest.mark.parametrize("name", ROWS)
def test_a_row_comes_back_from_its_file(name: str):
    recipe = ROWS[name].recipe
    assert recipe_from_json(recipe_to_json(recipe)) == recipe


def test_backbones_exist_and_start_from_the_hub():
    for name, row in ROWS.items():
        backbone = row.recipe.model.backbone
        architecture = backbone.split(".")[0]
        names = timm.list_models(f"{architecture}*", include_tags=True) + timm.list_models(f"{architecture}*")
        assert backbone == GOOGLENET or backbone in names, name
        assert row.recipe.model.weights in ("hub", "none"), name


def test_rows_say_where_they_come_from():
    for name, row in ROWS.items():
        assert row.data.strip(), name
        assert row.table.strip(), name
        assert row.ours.strip(), name
        assert row.paper is None or 0 < row.paper < 100, name


@pytest.mark.parametrize("paper", WITH_ROWS, ids=lambda paper: paper.COMPOSITION.name)
def test_the_report_of_a_paper_holds_its_command_and_all_its_figures(paper: ModuleType):
    report = (paper.__doc__ or "") + (compared_losses.__doc__ or "") * (paper is mutual_channel)
    assert f"--recipe {paper.COMPOSITION.name}/" in report
    figures = set(re.findall(r"\d+\.\d+", report))
    for row in (row for row in paper.ROWS if row.paper is not None):
        assert figures & {f"{row.paper:.1f}", f"{row.paper:.2f}"}, row.name


def test_batches_can_be_made_of_a_benchmarks_classes():
    for name, row in ROWS.items():
        assert len(row.recipe.batches.epoch(LABELS, seed=0, epoch=0)) > 1, name


def test_what_happens_at_an_epoch_happens_before_the_stage_ends():
    for name, row in ROWS.items():
        assert row.recipe.stages, name
        for stage in row.recipe.stages:
            assert (stage.frozen_epochs or 0) <= stage.epochs, name
            if isinstance(stage.schedule, StepDecay):
                assert all(0 < epoch < stage.epochs for epoch in stage.schedule.epochs), name


def test_the_parts_of_a_row_go_together_on_any_data(built: tuple[Recipe, Learner]):
    recipe, learner = built
    groups = learner.parameter_groups()
    for stage in recipe.stages:
        assert set(stage.frozen) <= set(groups)
        assert set(stage.optimiser.scales) <= set(groups)
        assert set(stage.frozen) != set(groups), "nothing would learn"
    with torch.inference_mode():
        assert learner.method.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_what_a_report_says_of_the_best_epoch_is_said_beside_the_rows():
    for paper in WITH_ROWS:
        reports = "report the best epoch" in (paper.__doc__ or "") or "keeps the best epoch" in (paper.__doc__ or "")
        assert reports == ("best on the test photos" in paper.COMPOSITION.remark), paper.__name__
    assert [note.split(":")[0] for note in remarks_on(ROWS)] == ["mc-loss", "api-net"]
    assert remarks_on(["cin/cub-resnet50"]) == []


def test_a_small_picture_is_measured_whole():
    """All of GoogLeNet's CIFAR-10 aside: the authors' file for it takes the middle of the picture."""
    photo = Image.new("RGB", (32, 32))
    photo.paste("white", (1, 1, 31, 31))
    for name, row in ROWS.items():
        if "CIFAR" in row.data and not name.startswith("pc/cifar10-googlenet"):
            view = evaluation_view(photo, row.recipe.pixels)
            edges = (view[0], view[-1], view[:, 0], view[:, -1])
            assert all(edge.max() < 64 for edge in edges), name


def test_pairwise_confusion_and_its_baseline_differ_in_the_term_alone():
    names = [name for name in ROWS if name.startswith("pc/") and not name.endswith("-plain")]
    assert len(names) == 33
    for name in names:
        confused, plain = ROWS[name], ROWS[f"{name}-plain"]
        if confused.paper is not None and plain.paper is not None:
            assert (confused.paper > plain.paper) == (name != "pc/cifar10-densenet161")
        weight = {"CIFAR-10": 1.0, "ImageNet-Dogs": 11.7, "ImageNet-Random": 11.7}.get(confused.data, 10.0)
        assert [dict(part.options) for part in confused.recipe.model.terms] == [{"weight": weight}], name
        assert replace(confused.recipe, model=replace(confused.recipe.model, terms=())) == plain.recipe


def test_a_baseline_of_s3n_is_the_same_network_with_one_branch():
    for data in ("cub", "aircraft", "cars"):
        whole, plain = ROWS[f"s3n/{data}-resnet50"], ROWS[f"s3n/{data}-resnet50-o"]
        one_branch = replace(whole.recipe.model.method, options={"branches": "O"})
        assert replace(whole.recipe, model=replace(whole.recipe.model, method=one_branch)) == plain.recipe
