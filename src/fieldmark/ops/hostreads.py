"""Catches calls in a step, on any device, that would make the host wait for an accelerator to read its tensors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_READS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "allclose"}
_READS |= {"unique_consecutive", "unique_dim_consecutive", "bincount"}
_METHODS_THAT_READ = {Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__}
_MAKERS = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}
_SPLITS = {torch.tensor_split, Tensor.tensor_split}


@contextmanager
def no_reading_back() -> Iterator[None]:
    """Inside, calls by which the host reads a tensor, and would wait for an accelerator, raise an AssertionError.

    These are ``item``, ``float``, ``int``, ``bool``, ``tolist``, ``numpy``, ``cpu`` and ``to("cpu")`` (the device given
    as a string), ``nonzero``, ``unique``, ``unique_consecutive``, ``bincount``, ``equal``, indexing by a mask,
    ``tensor([...])`` of tensors, ``tensor_split`` by a tensor, and ``repeat_interleave`` by a tensor without
    ``output_size``. With a CUDA device, anything else that makes PyTorch wait for it raises too.
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
    """Sees all operators, including those that PyTorch calls inside others."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").split(".")[0]
        if name == "index" or (name in ("index_put", "index_put_") and args[2].ndim > 0):
            masks = [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]
            _demand(not masks, "a step reads a tensor back to the host (indexing by a mask)")
        sizes = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        _demand(name not in _READS and not sizes, f"a step reads a tensor back to the host ({name})")
        return func(*args, **(kwargs or {}))


class _MethodWatch(TorchFunctionMode):
    """Sees the methods that copy memory without an operator."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = _reader(func, (*args, *(kwargs or {}).values()))
        _demand(not name, f"a step reads a tensor back to the host ({name})")
        if func is F.one_hot and (args[1:] or kwargs):  # given the classes, it reads only on the CPU, to check labels
            classes = args[1] if args[1:] else kwargs["num_classes"]
            return (args[0].unsqueeze(-1) == torch.arange(classes, device=args[0].device)).long()
        return func(*args, **(kwargs or {}))


def _reader(func: Any, arguments: tuple[Any, ...]) -> str:
    """The name of a call that reads a tensor without an operator; empty for other calls."""
    if func in _METHODS_THAT_READ:
        return f"Tensor.{func.__name__}"
    if func is Tensor.to and any(isinstance(value, str) and value.startswith("cpu") for value in arguments):
        return 'Tensor.to("cpu")'
    if func in _MAKERS and any(_holds_tensor(value) for value in arguments):
        return "a tensor made of tensors"
    split = func in _SPLITS and sum(isinstance(value, Tensor) for value in arguments) > 1
    return "tensor_split by a tensor" if split else ""


def _holds_tensor(value: Any) -> bool:
    """Whether ``value`` is a list or tuple that contains a tensor at any depth."""
    return isinstance(value, list | tuple) and any(isinstance(item, Tensor) or _holds_tensor(item) for item in value)


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
