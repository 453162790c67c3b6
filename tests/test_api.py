"""The command line's words in Python."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import fieldmark
import small_runs
from bolts import write_bolts
from fieldmark.core import device as device_module
from fieldmark.errors import UserError
from fieldmark.recipe import recipe_from_json
from fieldmark.recipes.composition import UNSMOOTHED
from fieldmark.recipes.naming import composition_of
from fieldmark.training.settings import Keywords
from small_runs import KEYWORDS

SHORT: Keywords = {**KEYWORDS, "epochs": 1}


def test_the_words_are_there_and_importing_them_is_light() -> None:
    assert sorted(fieldmark.__all__) == [
        "add_class", "apply_labels", "calibrate", "check", "check_labels", "classifier", "compare", "equations",
        "evaluate", "explain", "export", "figures", "load", "open_model", "predict", "probe", "remove_class", "report",
        "train",
    ]  # fmt: skip
    for name in fieldmark.__all__:
        assert callable(getattr(fieldmark, name))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        fieldmark.trian  # noqa: B018
    names = "'check_method' in dir(fieldmark.testing), {'train', 'bench', 'recipes', 'testing'} <= {*dir(fieldmark)}"
    text = f"import fieldmark; print({names}, hasattr(fieldmark.bench, 'run'))"
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True"] * 3
    text = "import sys, fieldmark, fieldmark.api, fieldmark.cli; fieldmark.equations(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_from_photos_to_predictions(photos: Path, tmp_path: Path) -> None:
    assert fieldmark.check(photos).photos == 30
    run = fieldmark.train(photos, tmp_path / "run", **SHORT)
    assert run == tmp_path / "run"
    result = fieldmark.evaluate(run)
    assert result.metrics.n == 3
    found = list(fieldmark.predict(str(run), [str(photos / "ant"), photos / "bee" / "0.jpg"], top=2))
    assert len(found) == 11
    assert all(len(one.classes) == 2 for one in found)
    with pytest.raises(UserError, match="it holds a run"):
        fieldmark.train(photos, run, **SHORT)
    assert fieldmark.train(photos, run, resume=True) == run
    fieldmark.train(photos, run, **SHORT, overwrite=True)


def test_a_recipe_is_followed_by_its_name_its_file_or_itself(photos: Path, tmp_path: Path) -> None:
    small: Keywords = {**SHORT, "size": 32, "method": "plain", "accumulate": 1}
    named = fieldmark.train(photos, tmp_path / "named", recipe="pc/cub-resnet50", **small)
    again = fieldmark.train(photos, tmp_path / "again", recipe=named / "recipe.json", device="cpu", workers=0)
    recipe = recipe_from_json((named / "recipe.json").read_text())
    assert recipe.model.criterion == fieldmark.recipes.ROWS["pc/cub-resnet50"].recipe.model.criterion == UNSMOOTHED
    itself = fieldmark.train(photos, tmp_path / "itself", recipe=recipe, device="cpu", workers=0)
    assert len({(run / "model.safetensors").read_bytes() for run in (named, again, itself)}) == 1
    with pytest.raises(UserError, match="did you mean pc/"):
        fieldmark.train(photos, tmp_path / "none", recipe="pc/cub-resnet")


def test_settings_are_keywords(photos: Path, tmp_path: Path) -> None:
    small: Keywords = {"backbone": "test_resnet", "weights": "none", "size": 32, "device": "cpu", "workers": 0}
    run = fieldmark.train(photos, tmp_path / "run", epochs=1, method="pc", **small)
    recipe = recipe_from_json((run / "recipe.json").read_text())
    assert (recipe.epochs, recipe.model.terms, recipe.pixels.size) == (1, composition_of("pc").terms, 32)
    assert fieldmark.evaluate(run).metrics.n == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epoch": 1}, "there is no setting 'epoch'; did you mean epochs"),
        ({"epochs": "1"}, "epochs is '1'; it must be a whole number"),
        ({"smoothing": 1.5}, "smoothing is 1.5; it must be at least 0 and below 1"),
        ({"choices": None}, "there is no setting 'choices'"),
    ],
)
def test_a_mistaken_keyword(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        fieldmark.train(tmp_path / "nowhere", tmp_path / "run", **wrong)
    (line,) = str(error.value).splitlines()
    assert line.startswith(said)
    assert not (tmp_path / "run").exists()


def test_a_loaded_model_gives_the_logits_of_evaluate(photos: Path, trained: Path) -> None:
    model, transform, classes = fieldmark.load(trained)
    result = fieldmark.evaluate(trained, split="train")
    assert classes == result.classes
    assert not model.training
    with torch.inference_mode():
        images = []
        for name in result.names:
            with Image.open(photos / name) as picture:
                images.append(transform(picture))
        together = model(torch.stack(images))
        alone = model(images[0][None])
    np.testing.assert_allclose(together, result.logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(alone, result.logits[:1], rtol=1e-4, atol=1e-5)


def test_predictions_come_as_they_are_asked_for(photos: Path, trained: Path) -> None:
    found = fieldmark.predict(trained, [photos])
    assert next(found).file.endswith("ant/0.jpg")
    with pytest.raises(UserError, match="no such file"):
        fieldmark.predict(trained, [photos / "nowhere"])


PROBE = {"backbones": ["test_resnet"], "weights": "none", "size": 32, "device": "cpu"}


def test_probe_measures_on_val_and_on_test_only_if_asked(photos: Path) -> None:
    (val,) = fieldmark.probe(photos, **PROBE)
    (both,) = fieldmark.probe(photos, train_on=("train", "val"), split="test", **PROBE)
    assert (val.metrics.n, both.metrics.n) == (3, 3)
    for train_on, split in (("train", "train"), ("train+val", "val"), ("train+test", "test"), ("test", "test")):
        with pytest.raises(UserError, match=r"is measured on val or test|the probe is fitted to these photos"):
            fieldmark.probe(photos, train_on=train_on, split=split, **PROBE)
    with pytest.raises(UserError, match="add --split test"):
        fieldmark.probe(photos, train_on=("train", "val"), **PROBE)


def test_probe_holds_photos_out_of_official_training_ones_and_opens_no_test_photo(tmp_path: Path) -> None:
    data = small_runs.write_photos(tmp_path / "photos" / "train").parent
    small_runs.write_photos(data / "test", photos=3)
    (data / "train" / "ant" / "0.jpg").write_bytes(b"bad")
    (data / "test" / "bee" / "0.jpg").write_bytes(b"bad, too")
    said = io.StringIO()
    (held,) = fieldmark.probe(data, console=Console(file=said, width=200), **PROBE)
    assert held.metrics.n == 9
    assert all(name.startswith("train/") for name in held.names)
    first, second = said.getvalue().splitlines()
    assert first.startswith("left out: train/ant/0.jpg: ")
    assert second.startswith("measured on 9 held-out training photos (for the official test photos: --split test")
    (test,) = fieldmark.probe(data, split="test", **PROBE)
    assert test.metrics.n == 8


def test_a_probe_tells_what_the_cut_does_with_look_alikes(tmp_path: Path) -> None:
    said = io.StringIO()
    fieldmark.probe(write_bolts(tmp_path / "bolts"), console=Console(file=said, width=200), **PROBE)
    (line,) = [line for line in said.getvalue().splitlines() if "look alike" in line]
    assert "fixed camera" in line


def test_what_a_probe_cannot_do(photos: Path) -> None:
    for options in ({"split": "tset"}, {"train_on": ("trian",)}, {"size": 0}):
        with pytest.raises(UserError) as error:
            fieldmark.probe(photos, backbones=["test_resnet"], weights="none", **options)
        assert len(str(error.value).splitlines()) == 1


def test_a_run_is_loaded_on_the_device_that_is_named(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("auto", "cpu"):
        model, transform, classes = fieldmark.load(trained, device=device)
        assert model(transform(Image.new("RGB", (90, 70)))[None]).shape == (1, len(classes))
    with pytest.raises(UserError, match="--device cuda:1: PyTorch sees no such device here; choose auto, cpu"):
        fieldmark.load(trained, device="cuda:1")
    monkeypatch.setattr(device_module, "device_of", lambda device: device)
    model, _, _ = fieldmark.load(trained, device="meta")
    assert {value.device.type for value in model.state_dict().values()} == {"meta"}
