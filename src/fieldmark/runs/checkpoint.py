"""What is needed to go on with a run, written all or nothing."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.runs.upgrade import upgraded

STATE = "state/last.pt"
FORMAT, FORMAT_VERSION = "format_version", 2
MODEL = "model.safetensors"


FULL = 1 << 20
"""Where a write failed and fewer bytes are free, the disk is full."""
_TORCH_CANNOT_WRITE = ("inline_container", "PytorchStreamWriter", "iostream")


def _replace(path: Path, write: Any) -> None:
    """Calls ``write`` with a name beside ``path`` and then moves the file there, so that no half file is ever seen.

    Raises:
        UserError: the file cannot be written; what was there before is there still.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:
        if type(error) is RuntimeError and not any(word in str(error) for word in _TORCH_CANNOT_WRITE):
            raise
        reason = _reason(path, error)
        if partial.is_file():
            partial.unlink()
        raise UserError(
            f"{path} cannot be written: {reason}\n"
            "what was saved before is whole; make room there and go on with the same command and --resume"
        ) from error


def _reason(path: Path, error: Exception) -> str:
    """Why a write failed, before what was written so far is deleted: libraries seldom say that the disk is full."""
    if path.parent.is_dir() and shutil.disk_usage(path.parent).free < FULL:
        return "the disk is full"
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def save_state(run: Path, state: Mapping[str, Any]) -> None:
    """Writes the resumable state: plain tensors, numbers and lists."""

    def write(path: Path) -> None:
        with path.open("wb") as file:  # one that torch opens, for a name beyond ASCII, stays open where writing fails
            torch.save({FORMAT: FORMAT_VERSION, **state}, file)

    _replace(run / STATE, write)


def load_state(run: Path) -> dict[str, Any] | None:
    """The last state, or None where the run has none.

    Raises:
        UserError: a damaged file, or the state of an earlier Fieldmark, whose steps would not be these.
    """
    path = run / STATE
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a damaged file provokes
        raise UserError(f"{path} is damaged; delete it to start again (--overwrite)") from error
    if state.pop(FORMAT, None) != FORMAT_VERSION:
        raise UserError(
            f"{path} is the state of another version of Fieldmark, which cannot go on here;\n"
            "a finished model stays usable; train anew with --overwrite, or go on with that version (see run.json)"
        )
    return state


def save_model(run: Path, module: nn.Module) -> None:
    """Writes the module's state as safetensors."""
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()}
    _replace(run / MODEL, lambda path: save_file(tensors, path))


def load_model(run: Path, learner: Learner) -> None:
    """Fills a learner with the saved tensors, of an earlier version too.

    Raises:
        UserError: no saved model, or one of another shape.
    """
    path = run / MODEL
    if not path.is_file():
        raise UserError(f"{run} holds no trained model ({MODEL}); finish it with: fieldmark train … --resume")
    try:
        learner.load_state_dict(upgraded(load_file(path), learner))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"{path} does not fit its recipe: {str(error).splitlines()[0][:160]}") from error
