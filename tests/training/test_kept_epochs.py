"""``--keep-epochs``: the weights of single epochs in files of their own, which change nothing else.

``pytest -m slow tests/training/test_kept_epochs.py`` also stops a run and goes on.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fieldmark.errors import Interrupted, UserError
from fieldmark.runs.checkpoint import MODEL, epoch_file, kept_epochs
from fieldmark.runs.folder import open_run
from fieldmark.training.session import train
from fieldmark.training.settings import Destination, MachineSettings
from small_runs import QUIET, small, stop_after, train_small
from typed import refused


def train_to(photos: Path, run: Path, *, resume: bool = False, **changes: object) -> Path:
    return train(photos, Destination(run, resume=resume), small(**changes), console=QUIET)


def same(first: Path, second: Path) -> bool:
    one, other = load_file(first), load_file(second)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_epochs_are_kept_and_nothing_else_changes(photos: Path, tmp_path: Path) -> None:
    kept = train_to(photos, tmp_path / "kept", keep_epochs="2, 0,7", ema=0.9)
    plain = train_to(photos, tmp_path / "plain", ema=0.9)
    assert kept_epochs(kept) == [0, 2]
    assert kept_epochs(plain) == []
    assert same(kept / MODEL, plain / MODEL)
    assert (kept / "recipe.json").read_bytes() == (plain / "recipe.json").read_bytes()
    assert same(kept / epoch_file(2), kept / MODEL)  # the average, which answers
    assert not same(kept / epoch_file(0), kept / MODEL)
    first = train_to(photos, tmp_path / "first", epochs=1, keep_epochs=0, ema=0.9)
    assert same(first / epoch_file(0), kept / epoch_file(0))


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_them(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_to(photos, tmp_path / "whole", keep_epochs="0,1,2")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_after(patch, 4)
        train_to(photos, tmp_path / "run", keep_epochs="1,2")
    assert kept_epochs(tmp_path / "run") == [1]
    run = train_to(photos, tmp_path / "run", resume=True)
    assert kept_epochs(run) == [1, 2]
    assert all(same(run / epoch_file(epoch), whole / epoch_file(epoch)) for epoch in (1, 2))


def test_it_is_told_what_is_kept(photos: Path, tmp_path: Path) -> None:
    said = train_small(photos, tmp_path / "run", small(keep_epochs="1,5", epochs=1))
    tensors = open_run(tmp_path / "run").learner.state_dict().values()
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6
    assert f"weights kept after epochs 1: {tmp_path / 'run' / 'epochs'}, {size:.1f} MB each" in said
    assert "--keep-epochs 5: the run ends after epoch 1" in said


@pytest.mark.parametrize("words", ["", "a", "1,,2", "-1", "1-5", "0.5"])
def test_what_lists_no_epochs_is_refused(words: str) -> None:
    with pytest.raises(UserError, match=r"--keep-epochs .*: write it as 0,1,5,20"):
        _ = MachineSettings(keep_epochs=words).epochs_kept


def test_a_mistake_is_told_before_the_work(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "train", photos, "--out", tmp_path / "run", "--keep-epochs", "1;2")
    assert "--keep-epochs 1;2" in said
    assert not (tmp_path / "run").exists()
