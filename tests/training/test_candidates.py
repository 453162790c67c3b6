"""Several backbones to choose from: the one whose features tell the photos apart is taken, and the table says why."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm import create_model

from fieldmark.core import processes
from fieldmark.errors import UserError
from fieldmark.recipe import recipe_from_json
from fieldmark.training import candidates
from fieldmark.training.automatic import draft_of
from fieldmark.training.candidates import best_candidate, candidates_of
from small_runs import QUIET, prepare_small, small, train_small, write_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), photos=10)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A file for each of two backbones; the features of test_efficientnet are the same for every photo."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name in ("test_resnet", "test_efficientnet"):
        state = create_model(name).state_dict()
        if name == "test_efficientnet":
            state = {key: value * 0 if value.ndim == 4 else value for key, value in state.items()}
        save_file({key: value.contiguous() for key, value in state.items()}, folder / f"{name}.safetensors")
    return {path.stem: str(path) for path in folder.iterdir()}


@pytest.mark.parametrize("order", [("test_resnet", "test_efficientnet"), ("test_efficientnet", "test_resnet")])
def test_the_best_features_are_taken(
    order: tuple[str, str], photos: Path, weights: dict[str, str], tmp_path: Path
) -> None:
    both = {"backbone": ",".join(order), "weights": ", ".join(weights[name] for name in order)}
    told = "\n".join(train_small(photos, tmp_path / "run", small(epochs=1, **both)))
    recipe = recipe_from_json((tmp_path / "run/recipe.json").read_text())
    assert (recipe.model.backbone, recipe.model.weights) == ("test_resnet", weights["test_resnet"])
    rows = {name: re.search(rf"{name}\W+64\W+([\d.]+)", told) for name in order}
    shares = {name: float(row[1]) for name, row in rows.items() if row}
    assert shares["test_resnet"] > shares["test_efficientnet"]
    assert re.search(r"test_resnet.*taken", told)
    assert not re.search(r"test_efficientnet.*taken", told)
    assert "2 backbones are tried on frozen features of 24 training photos" in told


def test_where_time_is_short_they_see_fewer_photos_of_each_class(
    photos: Path, weights: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "BUDGET", 0.0)
    both = {"backbone": ",".join(weights), "weights": ",".join(weights.values())}
    told = "\n".join(train_small(photos, tmp_path / "run", small(epochs=1, **both)))
    assert "2 backbones are tried on frozen features of 9 training photos" in told


def test_pictures_that_a_benchmark_packs_in_one_file_are_seen_too(photos: Path, weights: dict[str, str]) -> None:
    prepared = prepare_small(photos, photos / "run")
    packed = np.random.default_rng(0).integers(0, 256, (30, 40, 40, 3), dtype=np.uint8)
    rows = [replace(p, row=row, path=Path("nowhere")) for row, p in enumerate(prepared.dataset.photos)]
    dataset = replace(prepared.dataset, photos=tuple(rows), pixels=packed)
    both = {"backbone": ",".join(weights), "weights": ",".join(weights.values())}
    named = candidates_of(small(**both).recipe)
    drafts = [draft_of(settings, device="cpu", external={}) for settings in named]
    options = {"device": "cpu", "external": {}, "workers": 0, "console": QUIET}
    assert best_candidate(drafts, replace(prepared.data, dataset=dataset), **options) in drafts


def test_settings_that_do_not_name_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**settings: str) -> str:
        with pytest.raises(UserError) as caught:
            candidates_of(small(**settings).recipe)
        return str(caught.value)

    single = small(backbone="resnet50").recipe
    assert candidates_of(single) == [single]
    named = candidates_of(small(backbone="a, b", weights="hub").recipe)
    assert [(each.backbone, each.weights) for each in named] == [("a", "hub"), ("b", "hub")]
    assert refused(backbone="a,b,c", weights="x,y").startswith("--weights: 2 for 3 backbones")
    assert refused(backbone="a,a").startswith("--backbone a,a: name each backbone once")
    assert refused(backbone="a,", weights="hub").startswith("--backbone a,: name each backbone once")
    monkeypatch.setattr(processes, "world", lambda: (0, 2))
    assert refused(backbone="a,b", weights="hub").startswith("several backbones are compared in one process")
