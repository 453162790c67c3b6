"""Pickled weights, of any program, as a .safetensors file; no code of theirs is run."""

import argparse
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fieldmark.core.pickled import convert
from fieldmark.errors import UserError
from typed import ran


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_a_converted_file_reads_as_the_state_it_came_from(tmp_path: Path):
    module = network()
    wrapped = {"state_dict": {f"module.{key}": value for key, value in module.state_dict().items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "a.pth")
    assert convert(tmp_path / "a.pth", tmp_path / "a.safetensors") == (len(module.state_dict()), "state_dict", ())
    tensors = load_file(tmp_path / "a.safetensors")
    assert set(tensors) == set(module.state_dict())
    assert all(torch.equal(value, tensors[key]) for key, value in module.state_dict().items())
    with pytest.raises(UserError, match="exists; choose another name"):
        convert(tmp_path / "a.pth", tmp_path / "a.safetensors")


def test_views_and_shared_tensors_convert(tmp_path: Path):
    whole = torch.arange(12.0).view(3, 4)
    torch.save({"model": {"whole": whole, "same": whole, "turned": whole.T}}, tmp_path / "a.pt")
    assert convert(tmp_path / "a.pt", tmp_path / "a.safetensors").tensors == 3
    assert torch.equal(load_file(tmp_path / "a.safetensors")["turned"], whole.T)


class Calls:
    """A pickle of this would call a function with a folder's name when read carelessly."""

    def __init__(self, folder: Path, function: Callable[[str], object] = os.mkdir) -> None:
        self.folder, self.function = folder, function

    def __reduce__(self):
        return (self.function, (str(self.folder),))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path, writer: str):
    source, made = tmp_path / "evil.pth", tmp_path / "made"
    if writer == "torch":
        torch.save({"a": Calls(made)}, source)
    else:
        source.write_bytes(pickle.dumps(Calls(made)))
    with pytest.raises(UserError, match="not a file of plain tensors") as caught:
        convert(source, tmp_path / "out.safetensors")
    assert len(str(caught.value).splitlines()) == 1
    assert not made.exists()
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before PyTorch 1.6"])
def test_what_training_programs_save_beside_tensors_is_left_out(is_zip: bool, tmp_path: Path):
    """timm's arguments, NumPy's figures, paths, and whatever else has a class: none is imported, nothing is called."""
    state, optimiser = trained()
    known, kept = torch.serialization.get_safe_globals(), tmp_path / "kept"
    kept.mkdir()
    saved = {
        "args": argparse.Namespace(lr=0.1, out=tmp_path),
        "best_acc": np.float64(81.2),
        "epoch": np.int64(3),
        "history": np.arange(3.0),
        "state_dict": state,
        "optimizer": optimiser,
        "callback": Calls(kept, shutil.rmtree),
        "state_dict_ema": {key: value + 1 for key, value in state.items()},
    }
    torch.save(saved, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    converted = convert(tmp_path / "a.pth", tmp_path / "a.safetensors")
    assert converted == (len(state), "state_dict", ("state_dict_ema",))
    assert torch.equal(load_file(tmp_path / "a.safetensors")["0.weight"], state["0.weight"])
    assert kept.is_dir()
    assert {*torch.serialization.get_safe_globals()} == {*known}


def test_a_pickled_network_is_told_how_to_save_its_tensors(tmp_path: Path):
    advice = "save the network's tensors alone, with torch.save(model.state_dict(), FILE)"
    reasons = {
        "whole": (network(), "does not hold named tensors but a torch.nn.modules.container.Sequential"),
        "evil": ({"a": Calls(tmp_path, eval)}, "not a file of plain tensors (Unsupported global: GLOBAL eval)"),
    }
    for name, (saved, reason) in reasons.items():
        torch.save(saved, tmp_path / f"{name}.pth")
        with pytest.raises(UserError) as caught:
            convert(tmp_path / f"{name}.pth", tmp_path / "out.safetensors")
        assert str(caught.value) == f"{tmp_path / name}.pth: {reason}; {advice}"


def test_what_convert_cannot_read(tmp_path: Path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    (tmp_path / "junk.pth").write_bytes(b"junk" * 9)
    messages = {"list": "does not hold named tensors", "junk": "not a file of plain tensors", "x": "no such file"}
    for name, message in messages.items():
        with pytest.raises(UserError, match=message):
            convert(tmp_path / f"{name}.pth", tmp_path / "out.safetensors")
    torch.save({"a": torch.zeros(1)}, tmp_path / "good.pth")
    with pytest.raises(UserError, match="there is no folder"):
        convert(tmp_path / "good.pth", tmp_path / "nowhere" / "out.safetensors")


def trained() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The state of a network, and that of its optimiser after a step."""
    module = network()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module(torch.randn(2, 3, 5, 5)).sum().backward()
    optimiser.step()
    return module.state_dict(), optimiser.state_dict()


@pytest.mark.parametrize(
    "keys",
    [
        (),
        ("state_dict",),
        ("model",),
        ("model_state_dict",),
        ("generator",),
        ("net", "module"),
        ("checkpoint", "model"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_the_networks_tensors_are_found_beside_whatever_else_was_saved(
    keys: tuple[str, ...], prefix: str, tmp_path: Path
):
    state, optimiser = trained()
    saved: Any = {prefix + key: value for key, value in state.items()}
    for key in reversed(keys):
        saved = {"epoch": 3, "optimizer": optimiser, "loss": 0.3, "args": {"lr": 0.1}, key: saved}
    torch.save(saved, tmp_path / "a.pth")
    assert convert(tmp_path / "a.pth", tmp_path / "a.safetensors") == (len(state), ".".join(keys), ())
    tensors = load_file(tmp_path / "a.safetensors")
    assert tensors.keys() == state.keys()
    assert all(torch.equal(value, tensors[key]) for key, value in state.items())


def test_which_of_several_networks_is_meant_cannot_be_told(tmp_path: Path):
    torch.save({"student": network().state_dict(), "teacher": network().state_dict(), "epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"several tables of tensors \(student, teacher\); save the one you need"):
        convert(tmp_path / "a.pth", tmp_path / "a.safetensors")
    torch.save({"epoch": 3, "args": {"lr": 0.1}}, tmp_path / "b.pth")
    with pytest.raises(UserError, match="does not hold named tensors"):
        convert(tmp_path / "b.pth", tmp_path / "b.safetensors")


def test_an_averaged_models_counter_stands_beside_its_tensors(tmp_path: Path):
    torch.save(torch.optim.swa_utils.AveragedModel(network()).state_dict(), tmp_path / "a.pth")
    convert(tmp_path / "a.pth", tmp_path / "a.safetensors")
    assert load_file(tmp_path / "a.safetensors").keys() == {*network().state_dict(), "n_averaged"}


def test_which_table_was_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.save({"epoch": 3, "model_ema": {"a": torch.zeros(1)}, "model": {"a": torch.ones(1)}}, tmp_path / "a.pth")
    assert ran("convert", tmp_path / "a.pth", tmp_path / "a.safetensors") == 0
    assert "1 tensors of model (not of model_ema): " in capsys.readouterr().out
    torch.save({"a": torch.zeros(1)}, tmp_path / "b.pth")
    assert ran("convert", tmp_path / "b.pth", tmp_path / "b.safetensors") == 0
    assert "1 tensors: " in capsys.readouterr().out
