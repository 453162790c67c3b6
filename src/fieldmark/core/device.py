"""The device that a run is computed on, and the precision."""

import torch

from fieldmark.errors import UserError

DEVICES = ("auto", "cpu", "cuda")


def device_of(choice: str) -> str:
    """The device for "auto", "cpu" or "cuda".

    Raises:
        UserError: an unknown word, or "cuda" without a GPU.
    """
    if choice not in DEVICES:
        raise UserError(f"--device {choice}: choose {', '.join(DEVICES)}")
    has_gpu = torch.cuda.is_available()
    if choice == "cuda" and not has_gpu:
        raise UserError("--device cuda: PyTorch sees no GPU here; use --device cpu")
    return ("cuda" if has_gpu else "cpu") if choice == "auto" else choice


def precision_of(precision: str, device: str) -> str:
    """Lightning Fabric's name for a recipe's precision: bf16 where the processor computes in it, else float32."""
    return "bf16-mixed" if is_half(precision, device) else "32-true"


def is_half(precision: str, device: str) -> bool:
    """Whether a recipe's ``precision`` ("auto", "fp32" or "bf16") means bfloat16 on a device."""
    if precision != "auto":
        return precision == "bf16"
    if device == "cuda":  # emulated, as on a T4 or a V100, it is slower than float32
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and _has_bf16_units()


def _has_bf16_units() -> bool:
    """Whether the processor multiplies bf16 itself; emulated, it is slower than float32."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("bf16"))
