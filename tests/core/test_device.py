"""Where a run is computed, and in which precision."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fieldmark.core.device import device_of, moved, precision_of
from fieldmark.errors import UserError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Makes this machine one with so many GPUs of CUDA, of that compute capability, and with Apple's or without."""

    def of(*, gpus: int = 0, mps: bool = False, capability: tuple[int, int] = (8, 0), hip: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.version, "hip", hip)

    return of


def test_each_device_that_is_here_goes_by_its_name(machine) -> None:
    machine()
    assert [device_of(choice) for choice in ("auto", "cpu")] == ["cpu", "cpu"]
    machine(gpus=2, mps=True)
    assert device_of("auto") == "cuda"
    for name in ("cpu", "cuda", "cuda:0", "cuda:1", "mps"):
        assert device_of(name) == name
    machine(mps=True)
    assert [device_of(choice) for choice in ("auto", "mps")] == ["cpu", "mps"]  # by its name alone


@pytest.mark.parametrize(
    "choice", ["cuda", "cuda:0", "cuda:3", "cuda:-1", "cuda:", "mps", "mps:1", "gpu", "", "a\nb", "CPU"]
)
def test_a_device_that_is_not_here_is_told_those_that_are(choice: str, machine) -> None:
    machine()
    with pytest.raises(UserError) as caught:
        device_of(choice)
    words = "PyTorch sees no such device here; choose auto, cpu"
    assert str(caught.value) == f"--device {choice.encode('unicode_escape').decode()}: {words}"
    if choice not in ("cuda", "cuda:0", "mps"):
        machine(gpus=2, mps=True)
        with pytest.raises(UserError, match=r"; choose auto, cpu, cuda, cuda:0, cuda:1, mps$"):
            device_of(choice)


def test_a_precision_that_is_said_is_taken_everywhere() -> None:
    for device in ("cpu", "cuda", "cuda:1", "mps"):
        for precision in ("fp32", "bf16", "fp16"):
            assert precision_of(precision, device) == precision


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, "bf16"), ({"bf16": True}, "bf16"), ({"avx512_bf16": False}, "fp32")],
)
def test_a_processor_without_bf16_units_computes_in_float32(
    capabilities: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert precision_of("auto", "cpu") == expected


def test_a_pytorch_without_onednn_computes_in_float32(without_onednn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True})
    assert precision_of("auto", "cpu") == "fp32"


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((7, 0), "fp16"), ((6, 1), "fp32")],
)
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_without_bf16_takes_fp16_if_it_multiplies_in_that(
    capability: tuple[int, int], expected: str, device: str, machine
) -> None:
    machine(gpus=2, capability=capability)
    assert precision_of("auto", device) == expected
    machine(gpus=2, capability=capability, hip="6.0")
    assert precision_of("auto", device) == "bf16"
    machine(mps=True)
    assert precision_of("auto", "mps") == "fp32"
    assert precision_of("auto", device) == "fp32"  # of another machine


def test_only_cuda_lets_the_host_go_on_before_a_copy_is_done() -> None:
    calls: list[tuple[str, bool]] = []
    tensor = SimpleNamespace(to=lambda device, non_blocking: calls.append((str(device), non_blocking)))
    for device in ("cpu", "cuda:1", "mps"):
        moved(tensor, torch.device(device))  # pyright: ignore[reportArgumentType]
    assert calls == [("cpu", False), ("cuda:1", True), ("mps", False)]
    values = torch.arange(3)
    assert moved(values, torch.device("cpu")) is values


def test_every_copy_that_may_not_wait_goes_through_one_place() -> None:
    source = Path(__file__).parents[2] / "src" / "fieldmark"
    places = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if "non_blocking" in path.read_text("utf-8")
    }
    assert places == {"core/device.py", "training/nonfinite.py"}  # the second one from CUDA alone, with an event
