"""What is chosen where the user does not say."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from fieldmark.batches import Balanced, Shuffled, ShuffledPairs
from fieldmark.errors import UserError
from fieldmark.papers.pairwise_confusion import PairwiseConfusion
from fieldmark.recipe import AdamW, Recipe, Sgd
from fieldmark.recipes.composition import Composition
from fieldmark.training import automatic
from fieldmark.training.automatic import choose, device_of, fitting, precision_of
from fieldmark.training.settings import Choices


def chosen(photos: int = 1000, device: str = "cpu", **said: object) -> Recipe:
    return choose(replace(Choices(), **said), photos=photos, device=device)


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the GPU of the machine that it runs on."""
    monkeypatch.setattr(automatic, "_memory", lambda: math.inf)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)


def test_the_machine_decides_backbone_and_size() -> None:
    laptop, server = chosen(), chosen(device="cuda")
    assert (laptop.model.backbone, laptop.pixels.size) == ("tf_efficientnet_lite0", 224)
    assert (server.model.backbone, server.model.weights, server.pixels.size) == ("resnet50", "hub", 448)
    assert chosen(backbone="googlenet", device="cuda").pixels.size == 224
    assert chosen(backbone="test_vit", device="cuda").pixels.size == 160
    assert chosen(backbone="test_vit", size=96).pixels.size == 96


def test_the_packaged_weights_are_taken_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "lite0_is_installed", lambda: True)
    assert chosen().model.weights == "lite0"
    assert chosen(backbone="tf_efficientnet_lite0").model.weights == "hub"
    monkeypatch.setattr(automatic, "lite0_is_installed", lambda: False)
    assert chosen().model.weights == "hub"
    assert chosen(weights="none").model.weights == "none"


def test_few_photos_are_seen_more_often() -> None:
    low, high = automatic.EPOCHS
    middle = automatic.VIEWS // (low + high) * 2
    for photos, epochs in ((1, high), (middle, (low + high) // 2), (10**6, low)):
        assert chosen(photos).epochs == epochs
        assert chosen(photos, backbone="resnet18", weights="none").epochs == automatic.FROM_SCRATCH * epochs
        assert chosen(photos, epochs=3, weights="none").epochs == 3


def test_the_optimiser_follows_the_norms_of_the_backbone() -> None:
    sgd = chosen(backbone="test_resnet", batch=32).stages[0].optimiser
    assert sgd == Sgd(2 * automatic.SGD_RATE, scales={"backbone": automatic.SGD_BACKBONE})
    adam = chosen(backbone="test_vit", batch=32).stages[0].optimiser
    assert adam == AdamW(automatic.ADAM_RATE, scales={"backbone": automatic.ADAM_BACKBONE})
    assert isinstance(chosen(backbone="test_convnext").stages[0].optimiser, AdamW)
    assert isinstance(chosen(backbone="googlenet").stages[0].optimiser, Sgd)
    scratch = chosen(backbone="test_resnet", weights="none", lr=0.5).stages[0].optimiser
    assert scratch == Sgd(0.5)


def test_batches() -> None:
    assert chosen().batches == Shuffled(16)
    assert chosen(device="cuda").batches == Shuffled(32)
    assert chosen(photos=5).batches == Shuffled(5)
    assert chosen(batch=7, balance="sampler").batches == Shuffled(7, even=True)


@pytest.mark.parametrize(
    ("gigabytes", "half", "whole"),
    [
        (4, (16, 224), (16, 224)),
        (6, (8, 448), (16, 224)),
        (8, (16, 448), (8, 448)),
        (10, (16, 448), (8, 448)),
        (12, (32, 448), (8, 448)),
        (16, (32, 448), (16, 448)),
        (24, (32, 448), (32, 448)),
        (80, (32, 448), (32, 448)),
    ],
)
def test_batch_and_size_fit_the_gpu(gigabytes: int, half: tuple[int, int], whole: tuple[int, int]) -> None:
    for reported in (0.95, 1.0):  # a card keeps some for itself
        memory = reported * gigabytes * 2**30
        assert fitting(memory, half=True) == half
        assert fitting(memory, half=False) == whole
        needed = 1e9 + 0.28e9 * half[0] * (half[1] / 448) ** 2
        assert needed < memory


def test_the_rate_follows_the_batch_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "_memory", lambda: 8.3e9)
    recipe = chosen(device="cuda")
    assert (recipe.batches, recipe.pixels.size) == (Shuffled(16), 448)
    assert recipe.stages[0].optimiser.lr == pytest.approx(automatic.SGD_RATE * 16 / automatic.SGD_BATCH)
    assert chosen(device="cuda", precision="fp32").batches == Shuffled(8)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    recipe = chosen(device="cuda", backbone="test_convnext")
    assert recipe.batches == Shuffled(8)
    assert recipe.stages[0].optimiser.lr == pytest.approx(automatic.ADAM_RATE * 8 / automatic.ADAM_BATCH)
    recipe = chosen(device="cuda", batch=64, size=96)
    assert (recipe.batches, recipe.pixels.size) == (Shuffled(64), 96)
    assert chosen().batches == Shuffled(automatic.SGD_BATCH)


def test_a_gpu_is_asked_for_all_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert automatic._memory() == math.inf
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    properties = (SimpleNamespace(total_memory=6e9), SimpleNamespace(total_memory=8e9))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: properties[number])
    assert automatic._memory() == 8e9


@pytest.mark.parametrize("name", ["resnet18.nobody", "no_such_network", "resnet18.", "googlenet.tv_in1k"])
def test_a_name_that_is_none(name: str) -> None:
    for size in (None, 64):
        for device in ("cpu", "cuda"):
            with pytest.raises(UserError, match="no backbone is called"):
                chosen(device=device, backbone=name, size=size)


def test_a_paper_with_batches_of_its_own_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    paired = Composition("paired", batches=Balanced(3, 2))
    monkeypatch.setattr(automatic, "composition_of", lambda _: paired)
    assert chosen().batches == Balanced(3, 2)
    assert chosen(batch=8).batches == Shuffled(8)
    with pytest.raises(UserError, match="balanced batches of its own"):
        chosen(balance="sampler")


def test_parts_that_say_a_rate_get_it() -> None:
    scales = chosen(method="cin").stages[0].optimiser.scales
    assert scales == {"backbone": automatic.SGD_BACKBONE, "neck": 0.1, "terms": 0.1}
    assert chosen(method="cin", weights="none").stages[0].optimiser.scales == {"neck": 0.1, "terms": 0.1}
    own = chosen(method="pc", neck="self-channel-interaction").stages[0].optimiser.scales
    assert own == {"backbone": automatic.SGD_BACKBONE, "neck": 0.1}
    soft = chosen(term=("soft-channel-labels",), device="cpu").stages[0].optimiser
    assert soft.scales == {"backbone": automatic.SGD_BACKBONE, "terms": 0.1}
    assert soft.lr * soft.scales["terms"] == pytest.approx(0.01)  # the paper's
    both = chosen(method="mc-loss", term=("soft-channel-labels",), weights="none").stages[0].optimiser.scales
    assert both == {"terms": 0.1}
    expanded = chosen(method="mc-loss", neck="channel-expansion").stages[0].optimiser.scales
    assert expanded == {"backbone": automatic.SGD_BACKBONE}


def test_parts_by_name() -> None:
    recipe = chosen(method="pc", term=("pairwise-confusion,weight=5",), pool="maximum")
    assert [part.kind for part in recipe.model.terms] == [PairwiseConfusion] * 2
    assert [dict(part.options) for part in recipe.model.terms] == [{}, {"weight": 5}]
    assert recipe.model.pool.kind.__name__ == "Maximum"


def test_zero_is_a_choice_too() -> None:
    recipe = chosen(smoothing=0.0, ema=0.0)
    assert (recipe.smoothing, recipe.ema) == (0.0, 0.0)
    assert chosen(ema=0.9).ema == 0.9


def test_devices() -> None:
    assert device_of("cpu") == "cpu"
    assert device_of("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UserError, match="--device tpu: choose auto, cpu, cuda"):
        device_of("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="--device cpu"):
            device_of("cuda")


def test_precision() -> None:
    assert precision_of(chosen(precision="fp32"), "cpu") == "32-true"
    assert precision_of(chosen(precision="bf16"), "cpu") == "bf16-mixed"
    assert precision_of(chosen(), "cpu") in ("32-true", "bf16-mixed")


def test_a_gpu_that_only_emulates_bf16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    assert precision_of(chosen(), "cuda") == "bf16-mixed"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert precision_of(chosen(), "cuda") == "32-true"
    assert precision_of(chosen(precision="bf16"), "cuda") == "bf16-mixed"


def test_a_paper_s_own_batches_have_no_more_classes_than_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    paired = Composition("paired", batches=Balanced(30, 4))
    monkeypatch.setattr(automatic, "composition_of", lambda _: paired)
    for classes, expected in ((None, 30), (200, 30), (30, 30), (7, 7)):
        recipe = choose(Choices(backbone="test_resnet"), photos=1000, device="cpu", classes=classes)
        assert recipe.batches == Balanced(expected, 4)
        rate = automatic.SGD_RATE * expected * 4 / automatic.SGD_BATCH
        assert recipe.stages[0].optimiser.lr == pytest.approx(rate)
    monkeypatch.setattr(automatic, "composition_of", lambda _: Composition("pairs", batches=ShuffledPairs(8)))
    assert choose(Choices(), photos=1000, device="cpu", classes=2).batches == ShuffledPairs(8)


def test_any_field_can_be_set() -> None:
    recipe = chosen(method="pc", set=("stages.0.epochs=3", "model.terms.0.weight=5", "pixels.flip=false"))
    assert (recipe.epochs, recipe.pixels.flip) == (3, False)
    assert recipe.model.terms[0].options == {"weight": 5}
    with pytest.raises(UserError, match="epochs is 0; it has to be at least 1"):
        chosen(set=("stages.0.epochs=0",))
