"""Networks by name: maps of the promised shape, no parameter left without use."""

import threading
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from fieldmark.core import networks
from fieldmark.core.networks import make_backbone, refuse_backbone
from fieldmark.core.weights import Remote
from fieldmark.errors import UserError

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)

# name, pixels a side, channels, stride, another size (height, width), statistics
FAMILIES = [
    ("resnet18", 64, 512, 32, (64, 96), IMAGENET),
    ("densenet121", 64, 1024, 32, (64, 96), IMAGENET),
    ("efficientnet_b0", 64, 1280, 32, (96, 64), IMAGENET),
    ("tf_efficientnet_lite0", 64, 1280, 32, (64, 96), HALF),
    ("mobilenetv3_small_050", 64, 288, 32, (64, 96), IMAGENET),
    ("convnext_atto", 64, 320, 32, (64, 96), IMAGENET),
    ("vit_tiny_patch16_224", 224, 192, 16, (64, 96), HALF),
    ("test_vit", 64, 64, 16, (32, 48), HALF),
    ("vit_small_patch14_reg4_dinov2", 56, 384, 14, (28, 42), IMAGENET),
    ("googlenet", 64, 1024, 32, (64, 96), HALF),
    ("vgg11", 64, 512, 16, (64, 96), IMAGENET),
    ("swin_tiny_patch4_window7_224", 64, 768, 32, None, IMAGENET),
    # layers after the maps that are called otherwise than in most networks
    ("ghostnet_050", 64, 480, 32, (64, 96), IMAGENET),
    ("repghostnet_050", 64, 480, 32, (64, 96), IMAGENET),
    ("lcnetv2_small", 64, 768, 32, (64, 96), IMAGENET),
    ("fasternet_t0", 64, 320, 32, (64, 96), IMAGENET),
    ("lowformer_b0", 64, 256, 32, (64, 96), IMAGENET),
    ("selecsls42", 128, 1280, 64, (128, 192), IMAGENET),
    ("vit_pe_core_tiny_patch16_384", 64, 192, 16, (64, 96), HALF),
    ("volo_d1_224", 64, 384, 16, None, IMAGENET),
    # norms in the head: after the maps, channels first or last, or within its own layers
    ("test_mambaout", 64, 64, 32, (64, 96), IMAGENET),
    ("convnext_zepto_rms", 64, 256, 32, (64, 96), HALF),
    ("inception_next_atto", 64, 320, 32, (64, 96), IMAGENET),
    pytest.param("sam2_hiera_tiny", 64, 768, 32, None, IMAGENET, marks=pytest.mark.slow),
    pytest.param("vit_base_patch16_siglip_224", 64, 768, 16, (64, 96), HALF, marks=pytest.mark.slow),
    pytest.param("maxvit_tiny_rw_224", 64, 512, 32, None, HALF, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "size", "channels", "stride", "other", "statistics"), FAMILIES)
def test_a_family(
    name: str,
    size: int,
    channels: int,
    stride: int,
    other: tuple[int, int] | None,
    statistics: tuple[list[float], list[float]],
):
    torch.manual_seed(0)
    backbone = make_backbone(name, weights="none", size=size)
    assert (backbone.channels, backbone.stride) == (channels, stride)
    torch.testing.assert_close(backbone.mean, torch.tensor(statistics[0]))
    torch.testing.assert_close(backbone.std, torch.tensor(statistics[1]))
    assert all(module.training for module in backbone.modules())
    maps = backbone(torch.randn(2, 3, size, size))
    assert maps.shape == (2, channels, size // stride, size // stride)
    maps.square().mean().backward()
    assert [key for key, parameter in backbone.named_parameters() if parameter.grad is None] == []
    if other:
        with torch.no_grad():
            shape = backbone(torch.randn(2, 3, *other)).shape
        assert shape == (2, channels, other[0] // stride, other[1] // stride)


@pytest.mark.parametrize("name", ["test_convnext", "test_mambaout"])
def test_the_final_norm_in_the_head_stays_and_is_applied(name: str):
    backbone = make_backbone(name, weights="none", size=64)
    assert any(key.endswith("head.norm.weight") for key in backbone.state_dict())
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 64, 64))
    assert maps.mean(1).abs().max() < 1e-4
    assert maps.var(1, unbiased=False).mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("stride", "side"), [(0, 4), (32, 4), (16, 7), (8, 14)])
def test_an_output_stride_keeps_the_positions_of_the_last_stages(stride: int, side: int):
    with torch.no_grad():
        maps = make_backbone("test_resnet", weights="none", size=112, output_stride=stride)(torch.zeros(1, 3, 112, 112))
    assert maps.shape[2:] == (side, side)


@pytest.mark.parametrize(("name", "stride"), [("test_vit", 16), ("vgg11", 16), ("test_resnet", 5)])
def test_a_network_without_such_an_output_stride_says_so(name: str, stride: int):
    with pytest.raises(UserError, match=f"{name} cannot be built with an output_stride of {stride}; leave it out"):
        make_backbone(name, weights="none", size=64, output_stride=stride)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("resnet5000", 64, "no backbone is called 'resnet5000'; did you mean"),
        (
            "resnet18.nobody",
            64,
            "no backbone is called 'resnet18.nobody'; did you mean resnet18 or resnet18.tv_in1k or resn",
        ),
        ("no-such-thing", 64, "use one of timm's names"),
        ("resnet5O", 64, "did you mean resnet50 or "),
        ("resnet5O.a1_in1k", 64, "did you mean resnet50 or "),
        ("resnet50.a1_in1K", 64, "did you mean resnet50.a1_in1k or "),
        ("ResNet50", 64, "did you mean resnet50 or "),
        ("efficentnet_lite0", 64, "did you mean efficientnet_lite0 or "),
        ("convnext-tiny", 64, "did you mean convnext_tiny or "),
        ("googlenett", 64, r"did you mean googlenet\?"),
        ("vit", 64, "did you mean vit_"),
        ("", 64, "no backbone is called ''"),
        ("vit_tiny_patch16_224", 50, "cannot be built for images of 50 px .*choose another --size"),
        ("coat_tiny", 64, "coat_tiny gives no single map; choose another backbone"),
        ("crossvit_9_240", 240, "crossvit_9_240 gives no single map"),
        ("efficientvim_m1", 64, "efficientvim_m1 gives no single map"),
        ("test_resnet+pit_ti_224", 224, "pit_ti_224 gives no single map"),
        ("levit_128s", 64, "cannot be built for images of 64 px .*choose another --size"),
    ],
)
def test_mistakes_get_one_line(name: str, size: int, message: str):
    with pytest.raises(UserError, match=message) as caught:
        make_backbone(name, weights="none", size=size)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400


def test_a_network_that_turns_out_to_have_no_map_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(networks, "_WITHOUT_MAP", ())
    with pytest.raises(UserError, match="crossvit_9_240 gives no single map; choose another backbone"):
        make_backbone("crossvit_9_240", weights="none", size=240)


def test_names_and_where_their_weights_lie_are_known_at_once(monkeypatch: pytest.MonkeyPatch):
    def built(*_: object, **__: object) -> None:
        raise AssertionError("a network was built")

    calls: list[tuple[str, str, Remote | None]] = []
    monkeypatch.setattr(networks.timm, "create_model", built)
    monkeypatch.setattr(
        networks, "refuse_source", lambda source, *, name, hub, outline: calls.append((source, name, hub))
    )
    for name, message in (
        ("resnet18.nobody", "did you mean resnet18"),
        ("no-such-thing", "use one of timm's names"),
        ("coat_tiny", "coat_tiny gives no single map"),
    ):
        for weights in ("hub", "none"):
            with pytest.raises(UserError, match=message):
                refuse_backbone(name, weights=weights)
    assert calls == []
    for name in ("resnet18.a1_in1k", "gcvit_tiny", "googlenet", "botnet50ts_256"):
        refuse_backbone(name, weights="hub")
    hub, address, googlenet, nowhere = (remote for _, _, remote in calls)
    assert hub is not None
    assert hub.repository == "timm/resnet18.a1_in1k"
    assert {"model.safetensors", "pytorch_model.bin"} <= set(hub.files)
    for remote in (address, googlenet):
        assert remote is not None
        assert not remote.repository
        assert remote.files[0].startswith("https://")
    assert nowhere is None
    calls.clear()
    refuse_backbone("resnet18", weights="some.safetensors")
    assert calls == [("some.safetensors", "resnet18", None)]


@pytest.mark.parametrize(
    "name",
    ["resnet18", "vit_tiny_patch16_224", "convnext_atto", "tf_efficientnet_lite0", "vit_tiny_r_s16_p8_224", "vgg11"],
)
def test_the_class_of_a_network_is_known_before_it_is_built(name: str) -> None:
    """Also of a hybrid, whose stem is built first; no random number is drawn, and all is as before afterwards."""
    state, whole = torch.get_rng_state(), nn.Module.__init__
    with torch.device("meta"):
        expected = type(timm.create_model(name))
    assert networks._class_of(name) is expected
    assert nn.Module.__init__ is whole
    assert torch.equal(torch.get_rng_state(), state)


def test_other_threads_build_modules_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[nn.Module] = []

    def create_model(name: str) -> nn.Module:
        thread = threading.Thread(target=lambda: built.append(nn.Linear(2, 3)))
        thread.start()
        thread.join()
        return timm_creates(name)

    timm_creates = timm.create_model
    monkeypatch.setattr(timm, "create_model", create_model)
    assert networks._class_of("resnet18").__name__ == "ResNet"
    assert [type(module) for module in built] == [nn.Linear]


@pytest.mark.parametrize("name", ["test_resnet", "googlenet", "test_vit", "test_vit_relpos"])
def test_a_file_that_does_not_fit_is_told_before_anything_slow(name: str, tmp_path: Path):
    """What fits is taken, also by a network whose tensors depend on the size of its images."""
    file, other = tmp_path / "own.safetensors", tmp_path / "other.safetensors"
    tensors = loadable(name)
    save_file(tensors, file)
    refuse_backbone(name, weights=str(file))
    save_file({key: value for key, value in tensors.items() if key != next(iter(tensors))}, other)
    with pytest.raises(UserError, match=rf"--weights .*: 1 tensors of {name} are not in it, such as "):
        refuse_backbone(name, weights=str(other))
    wider = {key: torch.cat([value, value]) if value.ndim == 4 else value for key, value in tensors.items()}
    save_file(wider, other)
    if name == "test_vit_relpos":
        refuse_backbone(name, weights=str(other))
    else:
        with pytest.raises(UserError, match="has another shape"):
            refuse_backbone(name, weights=str(other))


def loadable(name: str) -> dict[str, torch.Tensor]:
    """Tensors for a network's images of 128 px, as a file has them; GoogLeNet's of any."""
    network = make_backbone(name, weights="none", size=128 if name == "test_vit_relpos" else 64).network
    inner = network if name == "googlenet" else network.get_submodule("model")
    return {key: value.clone() for key, value in inner.state_dict().items()}
