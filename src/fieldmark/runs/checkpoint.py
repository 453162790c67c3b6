"""The state to resume a run from and its trained tensors, each written completely or not at all."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from fieldmark.core.learner import Learner
from fieldmark.core.weights import MODEL
from fieldmark.errors import UserError
from fieldmark.files import replace_file
from fieldmark.runs.upgrade import upgraded

STATE = "state/last.pt"
EPOCHS = "epochs"
"""The folder of a run with the weights of single epochs, where these were asked for."""
FORMAT, FORMAT_VERSION = "format_version", 3
RESCUE = "what was saved before is intact; make room there and continue with the same command and --resume"
_TORCH_CANNOT_WRITE = ("inline_container", "PytorchStreamWriter", "iostream")


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """``replace_file`` for libraries with their own errors for a file that cannot be written.

    Raises:
        UserError: the file cannot be written; what was there before is intact.
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

    def write(path: Path) -> None:
        with path.open("wb") as file:  # with a non-ASCII name, torch leaves its own file open if writing fails
            torch.save({FORMAT: FORMAT_VERSION, **state}, file)

    _replace(run / STATE, write)


def load_state(run: Path) -> dict[str, Any] | None:
    """The last saved state, or None if there is none.

    Raises:
        UserError: a damaged file, or the state of an earlier Fieldmark, which computed its steps differently.
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
            f"{path} was saved by another version of Fieldmark and cannot be resumed;\n"
            "a finished model stays usable; start over with --overwrite, or resume with that version (see run.json)"
        )
    return state


def save_model(run: Path, module: nn.Module, *, name: str = MODEL) -> None:
    """Writes the module's state as safetensors; ``name`` is the file's in the run's folder."""
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()}
    _replace(run / name, lambda path: save_file(tensors, path))


def epoch_file(epoch: int) -> str:
    """The file in a run's folder with the weights that answered after an epoch; 0 is the start."""
    return f"{EPOCHS}/{epoch:04d}.safetensors"


def kept_epochs(run: Path) -> list[int]:
    """The epochs whose weights a run has kept, in order."""
    numbers = (int(path.stem) for path in (run / EPOCHS).glob("*.safetensors") if path.stem.isdecimal())
    return sorted(number for number in numbers if (run / epoch_file(number)).is_file())


def load_model(run: Path, learner: Learner, *, name: str = MODEL) -> None:
    """Loads the saved tensors into a learner; those of earlier versions too.

    Args:
        run: the run's folder.
        learner: of the run's recipe.
        name: of the file in that folder.

    Raises:
        UserError: no saved model, or one that does not fit.
    """
    path = run / name
    if not path.is_file():
        raise UserError(f"{run} has no trained model ({MODEL}) yet; go on with: fieldmark train … --resume")
    try:
        learner.load_state_dict(upgraded(load_file(path), learner))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"{path} does not fit its recipe: {str(error).splitlines()[0][:160]}") from error
