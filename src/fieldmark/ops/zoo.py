"""timm, imported by this module alone, and torchvision with it: without PyTorch's compiler, which costs more than both.

Each of them imports the compiler for one function (torchvision's roi_align asks whether it knows a device, timm's
naflexvit has a method left out of compilation), which most programs never call. Here the compiler is imported when such
a function is called.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ParamSpec

import torch
import torch.compiler

from fieldmark.collecting import without_collection

_COMPILER = "torch._dynamo"
P = ParamSpec("P")


@contextmanager
def without_compiler() -> Iterator[None]:
    """While others are imported, what they want of the compiler is put off until it is called."""
    if _COMPILER in sys.modules:
        yield
        return
    modules = {_COMPILER: ModuleType(_COMPILER), f"{_COMPILER}.utils": ModuleType(f"{_COMPILER}.utils")}
    modules[f"{_COMPILER}.utils"].is_compile_supported = _is_compile_supported  # pyright: ignore[reportAttributeAccessIssue]
    disable = torch.compiler.disable
    torch.compiler.disable = _disabled_later
    sys.modules.update(modules)
    try:
        yield
    finally:
        torch.compiler.disable = disable
        for name, module in modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _is_compile_supported(device_type: str) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)


def _disabled_later(
    fn: Callable[P, Any] | None = None, recursive: bool = True, *, reason: str | None = None
) -> Callable[..., Any]:
    """``torch.compiler.disable`` that takes effect at the first call."""
    if fn is None:
        return functools.partial(_disabled_later, recursive=recursive, reason=reason)
    disabled: list[Any] = []

    @functools.wraps(fn)
    def call(*values: P.args, **named: P.kwargs) -> Any:
        if not disabled:
            disabled.append(torch.compiler.disable(fn, recursive, reason=reason))
        return disabled[0](*values, **named)

    return call


try:
    with without_collection(), without_compiler():
        import timm
except (ImportError, AttributeError):  # another version, which wants more of the compiler
    import timm

from timm.layers.conv2d_same import Conv2dSame as Conv2dSame  # noqa: E402
from timm.layers.norm_act import BatchNormAct2d as BatchNormAct2d  # noqa: E402
from timm.layers.padding import pad_same as pad_same  # noqa: E402
from timm.models.vgg import VGG as VGG  # noqa: E402

__all__ = ["VGG", "BatchNormAct2d", "Conv2dSame", "pad_same", "timm"]
