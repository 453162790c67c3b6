"""A run that begins as a probe: its head, the figure that is kept and told, and what stands in its way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from fieldmark.building import build_learner
from fieldmark.core.contract import Method
from fieldmark.errors import UserError
from fieldmark.evaluation.inference import infer
from fieldmark.evaluation.regression import regress
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import Start, read_start
from fieldmark.training.automatic import draft_of
from fieldmark.training.preparing import Prepared
from fieldmark.training.starting import begin_as_probe, start_lines
from small_runs import QUIET, prepare_small, small, train_small, write_photo, write_photos


def built(prepared: Prepared) -> Method:
    torch.manual_seed(0)
    return build_learner(prepared.recipe, classes=len(prepared.dataset.classes)).method


def begun(prepared: Prepared, console: Console = QUIET) -> tuple[Method, Start]:
    method = built(prepared)
    return method, begin_as_probe(method, prepared.data, prepared.recipe, workers=0, console=console).start


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), photos=12)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights that count as pretrained."""
    from safetensors.torch import save_file
    from timm import create_model

    torch.manual_seed(0)
    save_file(create_model("test_resnet").state_dict(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def test_the_head_answers_as_the_regression_on_the_training_photos(photos: Path, tmp_path: Path) -> None:
    prepared = prepare_small(photos, tmp_path / "run")
    method, _ = begun(prepared)
    new = Photographs(prepared.dataset.photos, prepared.recipe.pixels)
    known = Photographs(prepared.dataset.of(["train"]), prepared.recipe.pixels)
    pooled, features = (infer(method.classifier.pooled, chosen, method=method) for chosen in (new, known))
    fitted = regress(features.values, features.labels, classes=3)
    logits = infer(method, new, method=method).values
    np.testing.assert_allclose(logits, pooled.values @ fitted.weight.T + fitted.bias, atol=1e-4)
    assert (logits.argmax(1) == pooled.labels).mean() > 0.8


def test_few_photos_that_were_cut_here_are_measured_out_of_fold_in_all_splits(photos: Path, tmp_path: Path) -> None:
    prepared = prepare_small(photos, tmp_path / "run")
    _, start = begun(prepared)
    assert (start.splits, start.photos) == (("train", "val", "test"), 36)
    first, second = start_lines(start, prepared.dataset)
    assert f"right on {start.right / 36:.1%} of 36 photos of train + val + test" in first
    assert "3 photos alone tell it to ±" in second


def test_a_start_on_weights_that_know_the_photos_says_nothing(photos: Path, tmp_path: Path) -> None:
    train_small(photos, tmp_path / "before", small(epochs=1))
    prepared = prepare_small(photos, tmp_path / "run", small(weights=str(tmp_path / "before")))
    _, start = begun(prepared)
    assert (start.known, start.share) == (30, None)
    (line,) = start_lines(start, prepared.dataset)
    assert line.endswith("cannot be told, as the weights were trained on 30 of the 36 photos")


def test_official_splits_are_measured_on_the_training_photos(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("test", 2)):
        write_photos(tmp_path / "data" / split, photos=count)
    prepared = prepare_small(tmp_path / "data", tmp_path / "run")
    _, start = begun(prepared)
    assert (start.splits, start.photos) == (("train",), 18)
    assert len([*start_lines(start, prepared.dataset)]) == 1


def test_copies_share_a_fold(tmp_path: Path) -> None:
    """Three copies of each photo of noise: told apart by copies, nothing would be missed."""
    for number in range(8):
        for copy in range(3):
            write_photo(tmp_path / "data" / "ab"[number % 2] / f"{number}-{copy}.jpg", label=0, number=number)
    _, start = begun(prepare_small(tmp_path / "data", tmp_path / "run"))
    assert start.photos == 24
    assert start.right % 3 == 0
    assert start.right < 24


def test_a_class_without_photos_is_never_the_answer(photos: Path, tmp_path: Path) -> None:
    prepared = prepare_small(photos, tmp_path / "run")
    dataset = replace(prepared.dataset, classes=(*prepared.dataset.classes, "dodo"))
    prepared = replace(prepared, data=replace(prepared.data, dataset=dataset))
    method, _ = begun(prepared)
    logits = infer(method, Photographs(dataset.of(["train"]), prepared.recipe.pixels), method=method).values
    assert np.isfinite(logits).all()
    assert (logits.argmax(1) < 3).all()


def test_one_photo_per_class_is_no_figure(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_photos(tmp_path / "data" / split, photos=1)
    prepared = prepare_small(tmp_path / "data", tmp_path / "run")
    method, start = begun(prepared)
    assert start.photos == 0
    assert "cannot be told" in next(start_lines(start, prepared.dataset))
    assert all(parameter.isfinite().all() for parameter in method.parameters())


def test_a_run_keeps_the_figure_and_evaluation_tells_it(
    photos: Path, tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fieldmark.api import evaluate

    run = tmp_path / "run"
    told = train_small(photos, run, small(weights=str(weights), epochs=1, start="probe"))
    start = read_start(run)
    assert start is not None
    assert start.photos == 36
    assert any("the head starts as a probe" in line for line in told)
    (note,) = evaluate(run, device="cpu").notes
    assert note.startswith("3 photos tell top-1 to ±")
    assert f"{start.right / 36:.1%} of 36 photos of train + val + test" in note
    (note,) = evaluate(run, split="train", device="cpu").notes
    assert note.startswith("the run was trained on these photos (train)")


def test_all_photos_can_be_trained_on(photos: Path, tmp_path: Path, weights: Path) -> None:
    prepared = prepare_small(photos, tmp_path / "run", small(all=True, weights=str(weights)))
    assert prepared.recipe.train_on == ("train", "val", "test")
    _, start = begun(prepared)
    assert (start.splits, start.photos) == (("train", "val", "test"), 36)
    for split in ("train", "test"):
        write_photos(tmp_path / "data" / split, photos=2)
    with pytest.raises(UserError, match="--all: the data have their own splits"):
        prepare_small(tmp_path / "data", tmp_path / "other", small(all=True))
    with pytest.raises(UserError, match="--all trains on every split, --train-on"):
        prepare_small(photos, tmp_path / "other", small(all=True, train_on="train+val"))


@pytest.mark.parametrize(
    ("settings", "obstacle"),
    [
        ({"weights": "none"}, "the backbone is not pretrained"),
        ({"weights": "hub", "neck": "channel-expansion"}, "ChannelExpansion cannot begin as the identity"),
        ({"weights": "hub", "method": "mc-loss", "head": "two-layer-head"}, "it needs a linear head"),
    ],
)
def test_what_cannot_start_as_a_probe_says_why(settings: dict[str, str], obstacle: str) -> None:
    with pytest.raises(UserError, match=rf"^--start probe: {obstacle}.*; use --start zero$"):
        draft_of(small(start="probe", **settings).recipe, device="cpu", external={})
    assert draft_of(small(**settings).recipe, device="cpu", external={}).recipe.start == "zero"
