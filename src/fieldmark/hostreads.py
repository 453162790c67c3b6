"""Catches what makes a step wait: an accelerator's tensor that the host reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_READS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "allclose"}
_METHODS_THAT_READ = {Tensor.tolist: "tolist", Tensor.numpy: "numpy", Tensor.cpu: "cpu", Tensor.__array__: "__array__"}


@contextmanager
def no_reading_back() -> Iterator[None]:
    """Inside, whatever would make an accelerator wait for the host to read a tensor raises ``AssertionError``.

    Caught are ``item``, ``float``, ``int``, ``bool``, ``tolist``, ``numpy`` and ``cpu``, ``nonzero``, ``unique`` and
    indexing by a mask; where there is a CUDA device, whatever else makes PyTorch wait for it.
    """
    with _MethodWatch(), _OperatorWatch(), _waiting_is_an_error():
        yield


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    if not torch.cuda.is_available():
        yield
        return
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class _OperatorWatch(TorchDispatchMode):
    """Sees the operators, also those that PyTorch calls inside others."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").split(".")[0]
        if name == "index" or (name in ("index_put", "index_put_") and args[2].ndim > 0):
            masks = [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]
            _demand(not masks, "a step reads a tensor back to the host (indexing by a mask)")
        _demand(name not in _READS, f"a step reads a tensor back to the host ({name})")
        return func(*args, **(kwargs or {}))


class _MethodWatch(TorchFunctionMode):
    """Sees the methods that copy memory without an operator."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = _METHODS_THAT_READ.get(func)
        _demand(name is None, f"a step reads a tensor back to the host (Tensor.{name})")
        if func is F.one_hot and (args[1:] or kwargs):  # told the classes, it reads on a processor only, to check
            classes = args[1] if args[1:] else kwargs["num_classes"]
            return (args[0].unsqueeze(-1) == torch.arange(classes, device=args[0].device)).long()
        return func(*args, **(kwargs or {}))


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
