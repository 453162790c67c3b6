"""Pickled weights, rewritten as .safetensors without running code from them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from safetensors.torch import save_file
from torch import Tensor

from fieldmark.errors import UserError
from fieldmark.files import replace_file

_TABLES = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema", "ema", "network", "net", "module")
"""Under which names training programs keep the network's tensors in a file of theirs."""
_ADVICE = "save the network's tensors alone, with torch.save(model.state_dict(), FILE)"


class Converted(NamedTuple):
    """What of a file was rewritten: how many tensors, of which of its tables ("": there are none), and which not."""

    tensors: int
    table: str
    others: tuple[str, ...]


def convert(source: Path, target: Path) -> Converted:
    """Rewrites a pickled state dict as .safetensors.

    The file is read with ``weights_only=True``, so it cannot run code; objects of classes that PyTorch does not know,
    such as a training program's arguments, are left out. A table that holds the network's tensors under "state_dict",
    "model" and the like is opened; "module." and "_orig_mod." in front of names are removed.
    """
    if os.path.lexists(target):
        raise UserError(f"{target} exists; choose another name")
    loaded, table, others = _innermost(_read(source), source)
    if not target.parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}")
    items = loaded.items() if isinstance(loaded, Mapping) else ()
    wrappers = re.compile(r"^((module|_orig_mod)\.)+")
    tensors = {wrappers.sub("", str(key)): value for key, value in items if isinstance(value, Tensor)}
    if not tensors:
        what = f" but a {_name_of(type(loaded))}" if isinstance(loaded, _LeftOut) else ""
        raise UserError(f"{source}: does not hold named tensors{what}; {_ADVICE}")
    contiguous = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    replace_file(target, lambda draft: save_file(contiguous, draft))
    return Converted(len(tensors), table, others)


class _LeftOut:
    """Stands for an object of a class that PyTorch does not know: what it was made of is dropped."""

    def __new__(cls, *_: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _left_out(name: str) -> tuple[type[_LeftOut], str]:
    """A class in place of the one of that name, which is not imported."""
    module, _, last = name.rpartition(".")
    return type(last, (_LeftOut,), {"__module__": module}), name


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _read(source: Path) -> Any:
    """What a pickled file holds, but objects of classes that PyTorch does not know."""
    unknown: list[str] = []
    while True:
        try:
            with torch.serialization.safe_globals([_left_out(name) for name in unknown]):
                return torch.load(source, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise UserError(f"{source}: no such file") from None
        except Exception as error:  # the unpickler raises whatever a damaged file provokes
            # Python's own functions, which no file of weights needs, have no dot
            found = re.search(r"Unsupported global: GLOBAL (\w+\.\S+)", str(error))
            if found is None or found[1] in unknown:
                raise UserError(f"{source}: not a file of plain tensors ({_reason(error)}); {_ADVICE}") from error
            unknown.append(found[1])


def _reason(error: Exception) -> str:
    """The unpickler's own words, without advice and colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).rpartition("WeightsUnpickler error: ")[2].strip()
    return (text.splitlines() or [type(error).__name__])[0].split(" was not an allowed")[0][:160]


def _innermost(loaded: Any, source: Path) -> tuple[Any, str, tuple[str, ...]]:
    """The table of a network's tensors, in a file that holds other things beside it; its name, and other tables'."""
    if not isinstance(loaded, Mapping):
        return loaded, "", ()
    tables = {str(key): value for key, value in loaded.items() if isinstance(value, Mapping) and _holds_tensors(value)}
    known = [key for key in _TABLES if key in tables]
    others = [key for key in tables if not key.startswith("optim")]
    if not known and any(isinstance(value, Tensor) for value in loaded.values()):
        return loaded, "", ()
    if not known and len(others) > 1:
        raise UserError(f"{source}: it holds several tables of tensors ({', '.join(others)}); save the one you need")
    if not known and not others:
        return loaded, "", ()
    taken = (known or others)[0]
    inner, name, beside = _innermost(tables[taken], source)
    return inner, ".".join(filter(None, (taken, name))), (*(key for key in others if key != taken), *beside)


def _holds_tensors(value: Any) -> bool:
    """Whether a table has a tensor in it, at any depth."""
    return isinstance(value, Tensor) or (isinstance(value, Mapping) and any(map(_holds_tensors, value.values())))
