"""``train --quick`` and ``probe --out``: a run of frozen features and a head, and like any other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm import create_model

import fieldmark
from fieldmark.errors import UserError
from fieldmark.recipe import recipe_from_json
from fieldmark.runs.folder import read_start
from small_runs import small, train_small, write_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), photos=20)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(create_model("test_resnet").state_dict(), path)
    return str(path)


def quick(photos: Path, run: Path, weights: str, *, resume: bool = False, **settings: object) -> list[str]:
    said = {"weights": weights, "quick": True, "epochs": None, "lr": None} | settings
    return train_small(photos, run, small(**said), resume=resume)


def test_it_is_a_run_like_any_other(photos: Path, tmp_path: Path, weights: str) -> None:
    run = tmp_path / "run"
    told = quick(photos, run, weights)
    assert any("epochs: 0" in line for line in told)
    recipe = recipe_from_json((run / "recipe.json").read_text())
    assert (recipe.start, recipe.stages, recipe.epochs) == ("probe", (), 0)
    assert (run / "curves.png").is_file()
    result = fieldmark.evaluate(run, device="cpu")
    probed = fieldmark.probe(photos, backbones="test_resnet", weights=weights, size=64, split="test", device="cpu")
    np.testing.assert_allclose(
        result.logits - np.log(np.exp(result.logits).sum(1, keepdims=True)), probed[0].scores, atol=1e-3
    )
    assert len([*fieldmark.predict(run, [photos / "ant"], device="cpu")]) == 20
    assert any("nothing is left to do" in line for line in train_small(photos, run, small(epochs=None), resume=True))


def test_a_run_goes_on_from_its_weights(photos: Path, tmp_path: Path, weights: str) -> None:
    quick(photos, tmp_path / "first", weights)
    train_small(photos, tmp_path / "second", small(weights=str(tmp_path / "first"), epochs=1))
    assert (tmp_path / "second/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"epochs": 2}, "--quick trains the head alone, without steps: leave --epochs out"),
        ({"lr": 0.1}, "--quick trains the head alone, without steps: leave --lr out"),
        ({"balance": "sampler"}, "--quick trains the head alone, without steps: leave --balance out"),
        ({"smoothing": 0.3}, "--quick trains the head alone, without steps: leave --smoothing out"),
        ({"start": "zero"}, "leave --start zero out"),
        ({"weights": "none"}, "--start probe: the backbone is not pretrained"),
        ({"head": "two-layer-head", "pool": "maximum"}, "--start probe: it needs a linear head"),
        ({"time": "5m"}, "--quick trains the head alone, without steps: leave --time out"),
    ],
)
def test_what_does_not_go_with_it_is_refused(
    settings: dict[str, object], told: str, photos: Path, tmp_path: Path, weights: str
) -> None:
    with pytest.raises(UserError, match=told):
        quick(photos, tmp_path / "run", **({"weights": weights} | settings))
    assert not (tmp_path / "run/recipe.json").exists()


def test_a_probe_can_be_kept_as_a_run(photos: Path, tmp_path: Path, weights: str) -> None:
    run, network = tmp_path / "run", {"weights": weights, "size": 64, "device": "cpu"}
    (result,) = fieldmark.probe(photos, backbones="test_resnet", out=run, split="test", **network)
    start = read_start(run)
    assert start is not None
    assert fieldmark.evaluate(run, device="cpu").metrics.top1 == result.metrics.top1
    with pytest.raises(UserError, match=r"^--out: 2 backbones, but a run has one;\n.*--quick --backbone"):
        fieldmark.probe(photos, backbones=["test_resnet", "test_vit"], out=tmp_path / "b", **network)
    with pytest.raises(UserError, match="it holds a run"):
        fieldmark.probe(photos, backbones="test_resnet", out=run, **network)


@pytest.mark.parametrize("whole", [True, False])
def test_it_has_no_epochs_to_change_and_goes_on_where_it_was_killed(
    whole: bool, photos: Path, tmp_path: Path, weights: str
) -> None:
    quick(photos, tmp_path, weights)
    if not whole:
        (tmp_path / "curves.png").unlink()  # the last file of all
    with pytest.raises(UserError, match=f"--epochs 5: its 0 epochs are done(.|\n)*--weights {tmp_path}"):
        train_small(photos, tmp_path, small(epochs=5), resume=True)
    train_small(photos, tmp_path, small(epochs=None, time="10m"), resume=True)
    assert (tmp_path / "curves.png").is_file()
