"""Runs of earlier versions open and answer as they did.

``old_runs`` holds what format 1 wrote for three tiny runs, and in place of their tensors the names and shapes; the
values are drawn by name, as they were when ``logits`` were recorded with the program that wrote the runs.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import fieldmark
from fieldmark.building import build_learner
from fieldmark.core.draws import Draws
from fieldmark.errors import UserError
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.runs.checkpoint import STATE, load_state
from fieldmark.runs.upgrade import upgraded

OLD_RUNS = Path(__file__).resolve().parent.parent / "old_runs"
NAMES = sorted(folder.name for folder in OLD_RUNS.iterdir())


def drawn(name: str, dtype: str, shape: list[int]) -> Tensor:
    """A tensor of numbers that its name decides; weights are small, and norms and statistics positive."""
    if dtype != "float32":
        return torch.zeros(shape, dtype=getattr(torch, dtype))
    numbers = Draws(0).uniform(name, tuple(shape), like=torch.zeros(1, dtype=torch.float64))
    if len(shape) < 2:
        return (numbers + 0.5).float()
    return ((numbers * 2 - 1) / numbers[0].numel() ** 0.5 * 1.7).float()


@pytest.fixture(params=NAMES)
def old_run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    run = Path(shutil.copytree(OLD_RUNS / request.param, tmp_path / "run"))
    told = json.loads((run / "expected.json").read_text())["tensors"]
    save_file({name: drawn(name, *kind) for name, kind in told.items()}, run / "model.safetensors")
    return run


def test_an_old_run_answers_as_it_did(old_run: Path):
    model, _, classes = fieldmark.load(old_run)
    images = Draws(1, rows=torch.tensor([3, 5])).rowwise("images", (3, 64, 64), like=torch.zeros(2)) * 4 - 2
    with torch.no_grad():
        logits = model(images)
    expected = torch.tensor(json.loads((old_run / "expected.json").read_text())["logits"])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    assert (expected[0] - expected[1]).abs().max() > 1e-3  # so that an answer that sees no image would not do
    assert classes == ("ant", "bee", "cat")


def test_the_mutual_vector_of_api_net_has_moved():
    recipe = Recipe(Model(method=Part("ApiNet"), backbone="test_resnet", weights="none"), pixels=Pixels(32, 32))
    learner = build_learner(recipe, classes=3)
    old = {key.replace("method.interaction.", "method."): value for key, value in learner.state_dict().items()}
    assert any(key.startswith("method.mutual.") for key in old)
    assert upgraded(old, learner).keys() == learner.state_dict().keys()


def test_layers_after_the_maps_are_left_out():
    recipe = Recipe(Model(method=Part("Plain"), backbone="test_resnet", weights="none"), pixels=Pixels(32, 32))
    learner = build_learner(recipe, classes=3)
    tensors = learner.state_dict()
    old = {**tensors, "method.classifier.backbone.network.model.conv_head.weight": torch.zeros(1)}
    assert upgraded(old, learner).keys() == tensors.keys()
    assert "method.more" in upgraded({**tensors, "method.more": torch.zeros(1)}, learner)


def test_the_state_of_an_old_run_is_refused_in_words(tmp_path: Path):
    (tmp_path / STATE).parent.mkdir()
    torch.save({"position": {"step": 3}}, tmp_path / STATE)
    with pytest.raises(UserError, match=r"another version of Fieldmark.*\n.*--overwrite"):
        load_state(tmp_path)
