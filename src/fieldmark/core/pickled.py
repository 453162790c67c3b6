"""Pickled weights, rewritten as .safetensors without running code from them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from fieldmark.errors import UserError
from fieldmark.files import replace_file

_TABLES = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema", "ema", "network", "net", "module")
"""Under which names training programs keep the network's tensors in a file of theirs."""


def convert(source: Path, target: Path) -> int:
    """Rewrites a pickled state dict as .safetensors and returns how many tensors it has.

    The file is read with ``weights_only=True``, so it cannot run code. A table that holds the network's tensors under
    "state_dict", "model" and the like is opened; "module." and "_orig_mod." in front of names are removed.
    """
    if os.path.lexists(target):
        raise UserError(f"{target} exists; choose another name")
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{source}: no such file") from None
    except Exception as error:  # the unpickler raises whatever a damaged file provokes
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{source}: not a file of plain tensors ({reason})") from error
    loaded = _innermost(loaded, source)
    if not target.parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}")
    items = loaded.items() if isinstance(loaded, Mapping) else ()
    wrappers = re.compile(r"^((module|_orig_mod)\.)+")
    tensors = {wrappers.sub("", str(key)): value for key, value in items if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f"{source}: does not hold named tensors")
    contiguous = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    replace_file(target, lambda draft: save_file(contiguous, draft))
    return len(tensors)


def _innermost(loaded: Any, source: Path) -> Any:
    """The table of a network's tensors, in a file that holds other things beside it."""
    if not isinstance(loaded, Mapping):
        return loaded
    tables = {str(key): value for key, value in loaded.items() if isinstance(value, Mapping) and _holds_tensors(value)}
    known = [key for key in _TABLES if key in tables]
    others = [key for key in tables if not key.startswith("optim")]
    if not known and any(isinstance(value, Tensor) for value in loaded.values()):
        return loaded
    if not known and len(others) > 1:
        raise UserError(f"{source}: it holds several tables of tensors ({', '.join(others)}); save the one you need")
    return _innermost(tables[(known or others)[0]], source) if known or others else loaded


def _holds_tensors(value: Any) -> bool:
    """Whether a table has a tensor in it, at any depth."""
    return isinstance(value, Tensor) or (isinstance(value, Mapping) and any(map(_holds_tensors, value.values())))
