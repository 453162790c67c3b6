"""What is chosen where the user does not say."""

from dataclasses import replace

import pytest
import torch

from fieldmark.data.batches import Balanced, Shuffled, ShuffledPairs
from fieldmark.errors import UserError
from fieldmark.papers.pairwise_confusion import PairwiseConfusion
from fieldmark.recipe import AdamW, Recipe, Sgd
from fieldmark.recipes.composition import Composition
from fieldmark.training import automatic
from fieldmark.training.automatic import choose, device_of, precision_of
from fieldmark.training.choices import Choices


def chosen(photos: int = 1000, device: str = "cpu", **said: object) -> Recipe:
    return choose(replace(Choices(), **said), photos=photos, device=device)


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
