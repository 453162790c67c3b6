"""Catches calls in a step, on any device, that would make it wait for an accelerator as the host reads its tensors."""

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
_METHODS_THAT_READ = {Tensor.tolist: "tolist", Tensor.numpy: "numpy", Tensor.cpu: "cpu", Tensor.__array__: "__array__"}
_MAKERS = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}
_SPLITS = {torch.tensor_split, Tensor.tensor_split}


@contextmanager
def no_reading_back() -> Iterator[None]:
    """Inside, calls by which the host reads a tensor, for which it would wait for an accelerator, are AssertionErrors.

    Without one these are ``item``, ``float``, ``int``, ``bool``, ``tolist``, ``numpy``, ``cpu`` and ``to("cpu")``
    (the device said as a word), ``nonzero``, ``unique``, ``unique_consecutive``, ``bincount``, ``equal``, indexing by a
    mask, ``tensor([...])`` of tensors, and ``repeat_interleave`` and ``tensor_split`` by a tensor, the former unless it
    is told its ``output_size``; where there is a CUDA device, whatever else makes PyTorch wait for it.
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
        sizes = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        _demand(name not in _READS and not sizes, f"a step reads a tensor back to the host ({name})")
        return func(*args, **(kwargs or {}))


class _MethodWatch(TorchFunctionMode):
    """Sees the methods that copy memory without an operator."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = _reader(func, (*args, *(kwargs or {}).values()))
        _demand(not name, f"a step reads a tensor back to the host ({name})")
        if func is F.one_hot and (args[1:] or kwargs):  # told the classes, it reads on a processor only, to check
            classes = args[1] if args[1:] else kwargs["num_classes"]
            return (args[0].unsqueeze(-1) == torch.arange(classes, device=args[0].device)).long()
        return func(*args, **(kwargs or {}))


def _reader(func: Any, given: tuple[Any, ...]) -> str:
    """What a call that reads without an operator is called, with all that it is given; nothing where it does not."""
    if func in _METHODS_THAT_READ:
        return f"Tensor.{_METHODS_THAT_READ[func]}"
    if func is Tensor.to and any(isinstance(value, str) and value.startswith("cpu") for value in given):
        return 'Tensor.to("cpu")'
    if func in _MAKERS and any(_holds_tensor(value) for value in given):
        return "a tensor made of tensors"
    split = func in _SPLITS and sum(isinstance(value, Tensor) for value in given) > 1
    return "tensor_split by a tensor" if split else ""


def _holds_tensor(value: Any) -> bool:
    """Whether it is a list or tuple with a tensor in it, at any depth."""
    return isinstance(value, list | tuple) and any(isinstance(one, Tensor) or _holds_tensor(one) for one in value)


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
