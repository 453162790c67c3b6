"""States and models on disk: whole or not at all, and damage is said in one line."""

import os
import pickle
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fieldmark.core.classifier import Average, Classifier, Linear
from fieldmark.core.criterion import CrossEntropy
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.papers.plain import Plain
from fieldmark.runs.checkpoint import MODEL, STATE, load_model, load_state, save_model, save_state
from golden_step import tiny_backbone


def test_a_state_comes_back(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    state = {"tensor": torch.arange(3.0), "rows": [{"loss": 0.5}], "none": None}
    save_state(tmp_path, state)
    loaded = load_state(tmp_path)
    assert loaded is not None
    assert torch.equal(loaded.pop("tensor"), torch.arange(3.0))
    assert loaded == {"rows": [{"loss": 0.5}], "none": None}
    assert [path.name for path in (tmp_path / STATE).parent.iterdir()] == ["last.pt"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_the_umask_says_who_may_read(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        save_state(tmp_path, {"step": 1})
        save_model(tmp_path, nn.Linear(2, 3))
    finally:
        os.umask(before)
    for name in (STATE, MODEL):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~mask


def test_a_failed_write_leaves_the_state_before(tmp_path: Path) -> None:
    save_state(tmp_path, {"step": 1})
    with pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
        save_state(tmp_path, {"step": lambda: 2})
    assert load_state(tmp_path) == {"step": 1}


@contextmanager
def files_of_a_megabyte() -> Iterator[None]:
    """Within, no file can grow beyond: how a full disk looks to those that write."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("free", [0, 1 << 40])
def test_what_cannot_be_written_is_said_and_what_was_there_stays(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    tmp_path /= "Läufe"  # torch has a way of its own to write to such names
    small, large = nn.Linear(2, 3), nn.Linear(1000, 1000)
    save_state(tmp_path, {"step": 1})
    save_model(tmp_path, small)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name, save in (
        (STATE, lambda: save_state(tmp_path, large.state_dict())),
        (MODEL, lambda: save_model(tmp_path, large)),
    ):
        with pytest.raises(UserError) as error, files_of_a_megabyte():
            save()
        first, second = str(error.value).splitlines()
        assert first.startswith(f"{tmp_path / name} cannot be written: ")
        assert ("disk is full" in first) is (free == 0)
        assert "--resume" in second
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    save_state(tmp_path, large.state_dict())
    assert load_state(tmp_path) is not None


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(UserError, match="cannot be written"):
        save_state(tmp_path, {"step": 1})
    assert (tmp_path / "state").is_file()


def test_other_errors_are_nobody_s_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch, "save", failing)
    with pytest.raises(RuntimeError, match="device-side"):
        save_state(tmp_path, {"step": 1})


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 half"])
def test_a_damaged_state_is_said_in_a_line(content: bytes, tmp_path: Path) -> None:
    save_state(tmp_path, {"step": 1})
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(UserError, match="damaged") as error:
        load_state(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_a_state_cannot_run_code(tmp_path: Path) -> None:
    (tmp_path / STATE).parent.mkdir()
    torch.save({"step": Path("x")}, tmp_path / STATE)
    with pytest.raises(UserError, match="damaged"):
        load_state(tmp_path)


def learner(classes: int) -> Learner:
    """A small one whose numbers are others each time."""
    neck = nn.BatchNorm2d(12)
    nn.init.normal_(neck.weight)
    head = Linear(12, classes)
    return Learner(
        Plain(Classifier(tiny_backbone(), neck=neck, pool=Average(), head=head, classes=classes), CrossEntropy())
    )


def test_a_model_comes_back(tmp_path: Path) -> None:
    written, filled = learner(3), learner(3)
    save_model(tmp_path, written)
    load_model(tmp_path, filled)
    assert all(torch.equal(value, written.state_dict()[name]) for name, value in filled.state_dict().items())


def test_models_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trained model"):
        load_model(tmp_path, learner(3))
    save_model(tmp_path, learner(3))
    with pytest.raises(UserError, match="does not fit") as error:
        load_model(tmp_path, learner(4))
    assert len(str(error.value).splitlines()) == 1
    (tmp_path / MODEL).write_bytes(b"no safetensors file")
    with pytest.raises(UserError, match="does not fit"):
        load_model(tmp_path, learner(3))
