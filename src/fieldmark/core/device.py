"""The device that a run is computed on, and the precision."""

from typing import Literal

import torch
from torch import Tensor

from fieldmark.errors import UserError, printable
from fieldmark.ops.precision import has_onednn_bf16

BF16, FP16 = (8, 0), (7, 0)
"""From which compute capability on Nvidia's GPUs multiply in a half type themselves; emulated, it is slower."""


def device_of(choice: str) -> str:
    """The device that a user's word stands for, as PyTorch calls it: "cpu", "cuda", "cuda:N" or "mps".

    "auto" is the first CUDA GPU, else the CPU: never "mps", on which nothing here has been measured yet.

    Raises:
        UserError: another word, or a device that this machine lacks.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = ["cpu", *(["cuda", *(f"cuda:{number}" for number in range(gpus))] if gpus else [])]
    here += ["mps"] if torch.backends.mps.is_available() else []
    if choice == "auto":
        return "cuda" if gpus else "cpu"
    if choice not in here:
        listed = ", ".join(("auto", *here))
        raise UserError(f"--device {printable(choice)}: PyTorch sees no such device here; choose {listed}")
    return choice


def precision_of(precision: str, device: str) -> Literal["fp32", "bf16", "fp16"]:
    """What a recipe's precision comes to on a device.

    "auto" is a half type where the device multiplies in it: bf16, or on GPUs that have no bf16 (V100, T4) fp16. On
    "mps", where neither has been tried, it is fp32.
    """
    if precision in ("fp32", "bf16", "fp16"):
        return precision
    kind = torch.device(device).type
    if kind == "cuda":
        capability = torch.cuda.get_device_capability(device) if torch.cuda.is_available() else (0, 0)
        if torch.version.hip or capability >= BF16:
            return "bf16"
        return "fp16" if capability >= FP16 else "fp32"
    units = kind == "cpu" and has_onednn_bf16() and _has_bf16_units()
    return "bf16" if units else "fp32"


def _has_bf16_units() -> bool:
    """Whether the processor multiplies bf16 itself; emulated, it is slower than float32."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("bf16"))


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device. The host goes on before the copy is done on CUDA alone: elsewhere it could be a race."""
    return tensor.to(device, non_blocking=device.type == "cuda")
