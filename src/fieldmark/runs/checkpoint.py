"""What is needed to go on with a run, written all or nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from fieldmark.errors import UserError
from fieldmark.files import replace_file

STATE = "state/last.pt"
MODEL = "model.safetensors"
RESCUE = "what was saved before is whole; make room there and go on with the same command and --resume"
_TORCH_CANNOT_WRITE = ("inline_container", "PytorchStreamWriter", "iostream")


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """``replace_file`` for libraries that have errors of their own for a file that cannot be written.

    Raises:
        UserError: the file cannot be written; what was there before is unharmed.
    """

    def written(draft: Path) -> None:
        try:
            write(draft)
        except (RuntimeError, SafetensorError) as error:
            if type(error) is RuntimeError and not any(word in str(error) for word in _TORCH_CANNOT_WRITE):
                raise
            raise OSError(str(error)) from error

    replace_file(path, written, advice=RESCUE)


def save_state(run: Path, state: Mapping[str, Any]) -> None:
    """Writes the resumable state: plain tensors, numbers and lists."""
    _replace(run / STATE, lambda path: torch.save(dict(state), path))


def load_state(run: Path) -> dict[str, Any] | None:
    """The last state, or None where the run has none."""
    path = run / STATE
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a damaged file provokes
        raise UserError(f"{path} is damaged; delete it to start again (--overwrite)") from error


def save_model(run: Path, module: nn.Module) -> None:
    """Writes the module's state as safetensors."""
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()}
    _replace(run / MODEL, lambda path: save_file(tensors, path))


def load_model(run: Path, module: nn.Module) -> None:
    """Fills the module with the saved state.

    Raises:
        UserError: no saved model, or one of another shape.
    """
    path = run / MODEL
    if not path.is_file():
        raise UserError(f"{run} holds no trained model ({MODEL}); finish it with: fieldmark train … --resume")
    try:
        module.load_state_dict(load_file(path))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"{path} does not fit its recipe: {str(error).splitlines()[0][:160]}") from error
