"""onnxruntime, opened for one network: its devices, and what it cannot use, in words."""

import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fieldmark.errors import UserError
from fieldmark.ship.session import computing
from tiny_models import CLASSES, MANIFEST_OF_TINY, OUTPUTS, SIDE, WIDTH, answered, manifest, network

IMAGES = np.random.default_rng(0).normal(size=(5, 3, SIDE, SIDE)).astype(np.float32)


def said_of(model: onnx.ModelProto | bytes, **options: str) -> str:
    """The refusal of a network."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    with pytest.raises(UserError) as caught:
        computing(content, MANIFEST_OF_TINY, name="m.onnx", **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_outputs_by_name_in_any_order() -> None:
    compute = computing(network().SerializeToString(), MANIFEST_OF_TINY, name="m", device="cpu", threads=1)
    expected = answered(IMAGES)
    for names in (OUTPUTS, OUTPUTS[::-1], ("embedding",)):
        for name, found in zip(names, compute(names, IMAGES), strict=True):
            np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-5)
            assert found.dtype == np.float32
    assert compute(["logits"], IMAGES[:0])[0].shape == (0, 3)


def test_a_network_of_half_precision() -> None:
    half = network()
    for each in (*half.graph.input, *half.graph.output):
        each.type.tensor_type.elem_type = TensorProto.FLOAT16
    for tensor in half.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    compute = computing(half.SerializeToString(), MANIFEST_OF_TINY, name="m", threads=1)
    (found,) = compute(["logits"], IMAGES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, answered(IMAGES)["logits"], atol=0.02)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network().SerializeToString()
    for device in ("auto", "cpu"):
        assert computing(model, MANIFEST_OF_TINY, name="m", device=device)
    for wrong in ("gpu", "mps", "cuda:x", "cpu:0", "auto:1", "", "cuda:-1"):
        assert f"--device {wrong}: an exported model runs on auto, cpu, cuda or cuda:N" in said_of(model, device=wrong)
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    for device in ("cuda", "cuda:1"):
        assert said_of(model, device=device).endswith("has no CUDA: pip install onnxruntime-gpu")


def test_without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert said_of(b"") == "exported models need onnxruntime: pip install 'fieldmark[serve]'"


def test_what_onnxruntime_cannot_use() -> None:
    assert "m.onnx: onnxruntime" in said_of(b"no network")
    newer = network()
    newer.opset_import[0].version = 1000
    assert "m.onnx: onnxruntime" in said_of(newer)
    unknown = network()
    unknown.graph.node[2].op_type = "NoSuchOperator"
    assert "NoSuchOperator" in said_of(unknown)
    torn = network()
    torn.graph.node[2].input[0] = "nowhere"
    assert "m.onnx: onnxruntime" in said_of(torn)


def test_a_network_that_is_not_the_manifest_s() -> None:
    others = [
        network(manifest(classes=(*CLASSES, "dog"))),
        network(manifest(outputs=OUTPUTS[:3])),
        network(manifest(pixels=type(MANIFEST_OF_TINY.pixels)(size=64, eval_size=64))),
    ]
    two = network()
    two.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    renamed = network()
    renamed.graph.input[0].name = renamed.graph.node[0].input[0] = "pictures"
    for model in (*others, two, renamed):
        assert "its network is not the one that its manifest tells of" in said_of(model)
    with pytest.raises(UserError, match="that its manifest tells of"):
        computing(network().SerializeToString(), manifest(embedding=WIDTH + 1), name="m")


def test_images_that_do_not_fit() -> None:
    compute = computing(network().SerializeToString(), MANIFEST_OF_TINY, name="m.onnx")
    with pytest.raises(UserError, match=r"^m\.onnx: onnxruntime cannot compute \(1, 3, 8, 8\): ") as caught:
        compute(["logits"], np.zeros((1, 3, 8, 8), np.float32))
    assert len(str(caught.value).splitlines()) == 1
