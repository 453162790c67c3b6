"""Where a run is computed, and in which precision."""

import pytest
import torch

from fieldmark.core.device import device_of, precision_of
from fieldmark.errors import UserError


def test_devices() -> None:
    assert device_of("cpu") == "cpu"
    assert device_of("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UserError, match="--device tpu: choose auto, cpu, cuda"):
        device_of("tpu")


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="--device cpu"):
        device_of("cuda")
    assert device_of("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [device_of(choice) for choice in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]


def test_precision() -> None:
    assert precision_of("fp32", "cpu") == "32-true"
    assert precision_of("bf16", "cpu") == "bf16-mixed"
    assert precision_of("auto", "cpu") in ("32-true", "bf16-mixed")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, "bf16-mixed"), ({"bf16": True}, "bf16-mixed"), ({"avx512_bf16": False}, "32-true")],
)
def test_a_processor_without_bf16_units_computes_in_float32(
    capabilities: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert precision_of("auto", "cpu") == expected


def test_a_gpu_that_only_emulates_bf16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert precision_of("auto", "cuda") == "bf16-mixed"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert precision_of("auto", "cuda") == "32-true"
    assert precision_of("bf16", "cuda") == "bf16-mixed"
