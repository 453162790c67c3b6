"""timm without PyTorch's compiler: it is there as soon as somebody calls what needs it.

One of the tests imports the compiler, which takes a while: ``pytest -m slow tests/ops/test_zoo.py``.
"""

import subprocess
import sys
from types import ModuleType

import pytest
import torch

from fieldmark.ops import zoo
from fieldmark.ops.zoo import without_compiler

COMPILER = "torch._dynamo"
PROGRAM = """
import sys
import fieldmark.core.networks
print({"torch._dynamo", "torch._dynamo.utils", "torch._inductor", "sympy"} & sys.modules.keys())
network = fieldmark.core.networks.make_backbone("vit_tiny_patch16_224", weights="none", size=64)
print({"torch._dynamo", "torch._dynamo.utils", "torch._inductor", "sympy"} & sys.modules.keys())
import torch, torchvision
boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
torch.use_deterministic_algorithms(True)
print(torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), boxes, 2).shape)
import torch._dynamo.utils
print(hasattr(torch._dynamo, "optimize"), torch._dynamo.utils is sys.modules["torch._dynamo.utils"])
"""


@pytest.mark.slow
def test_networks_are_built_without_the_compiler_and_it_is_there_later() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["set()", "set()", "torch.Size([1, 1, 2, 2])", "True True"], done.stderr


def test_what_was_put_in_its_place_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == COMPILER or name.startswith(f"{COMPILER}.")]:
        monkeypatch.delitem(sys.modules, name)
    disable = torch.compiler.disable
    with pytest.raises(ImportError), without_compiler():
        assert sys.modules[COMPILER].__doc__ is None
        from torch._dynamo.utils import is_compile_supported as asked

        assert asked is zoo._is_compile_supported
        assert torch.compiler.disable is not disable
        from torch._dynamo.utils import no_such_name  # noqa: F401 # pyright: ignore
    assert torch.compiler.disable is disable
    assert not {COMPILER, f"{COMPILER}.utils"} & sys.modules.keys()
    own = ModuleType(COMPILER)
    monkeypatch.setitem(sys.modules, COMPILER, own)  # where it is there already, nothing is done
    with without_compiler():
        assert sys.modules[COMPILER] is own
        assert torch.compiler.disable is disable


def test_a_function_is_left_out_of_compilation_at_its_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    left_out: list[tuple[object, bool, str | None]] = []

    def disable(function, recursive=True, *, reason=None):
        left_out.append((function, recursive, reason))
        return function

    monkeypatch.setattr("torch.compiler.disable", disable)

    def double(value: int, *, plus: int = 0) -> int:
        """Twice as much."""
        return 2 * value + plus

    plain, with_options = zoo._disabled_later(double), zoo._disabled_later(recursive=False, reason="why")(double)
    assert plain.__doc__ == "Twice as much."
    assert left_out == []
    assert [plain(1), plain(2, plus=1), with_options(3)] == [2, 5, 6]
    assert left_out == [(double, True, None), (double, False, "why")]
