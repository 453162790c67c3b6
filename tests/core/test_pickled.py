"""Pickled weights, of any program, as a .safetensors file; no code of theirs is run."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fieldmark.core.pickled import convert
from fieldmark.errors import UserError


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_a_converted_file_reads_as_the_state_it_came_from(tmp_path: Path):
    module = network()
    wrapped = {"state_dict": {f"module.{key}": value for key, value in module.state_dict().items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "a.pth")
    assert convert(tmp_path / "a.pth", tmp_path / "a.safetensors") == len(module.state_dict())
    tensors = load_file(tmp_path / "a.safetensors")
    assert set(tensors) == set(module.state_dict())
    assert all(torch.equal(value, tensors[key]) for key, value in module.state_dict().items())
    with pytest.raises(UserError, match="exists; choose another name"):
        convert(tmp_path / "a.pth", tmp_path / "a.safetensors")


def test_views_and_shared_tensors_convert(tmp_path: Path):
    whole = torch.arange(12.0).view(3, 4)
    torch.save({"model": {"whole": whole, "same": whole, "turned": whole.T}}, tmp_path / "a.pt")
    assert convert(tmp_path / "a.pt", tmp_path / "a.safetensors") == 3
    assert torch.equal(load_file(tmp_path / "a.safetensors")["turned"], whole.T)


class Calls:
    """A pickle of this would make a folder when read carelessly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return (os.mkdir, (str(self.folder),))


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
    assert convert(tmp_path / "a.pth", tmp_path / "a.safetensors") == len(state)
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
