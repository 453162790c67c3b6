"""What is chosen where the user does not say."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from fieldmark.batches import Balanced, Batches, Shuffled, ShuffledPairs
from fieldmark.errors import UserError
from fieldmark.recipe import CROSS_ENTROPY, AdamW, OneCycle, Part, Recipe, Sgd, Stage, StepDecay
from fieldmark.recipes import ROWS
from fieldmark.recipes.composition import UNSMOOTHED, Composition
from fieldmark.training import automatic, overrides
from fieldmark.training.automatic import draft_of, epochs_after, fitting, rate_share
from fieldmark.training.settings import settings_of


def chosen(photos: int = 1000, device: str = "cpu", classes: int = 200, **said: object) -> Recipe:
    return draft_of(settings_of(said).recipe, device=device, external={}).fitted(photos=photos, classes=classes)


def from_zero(photos: int = 1000, device: str = "cpu", classes: int = 200, **said: object) -> Recipe:
    return chosen(photos, device, classes, start="zero", **said)


def of_paper(batches: Batches, patch: pytest.MonkeyPatch) -> None:
    """Lets every ``--method`` be a paper with batches of its own."""
    for module in (automatic, overrides):
        patch.setattr(module, "composition_of", lambda _: Composition("own", batches=batches))


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the GPU of the machine that it runs on."""
    monkeypatch.setattr(automatic, "_memory", lambda _: math.inf)
    monkeypatch.setattr(automatic, "precision_of", lambda said, _: "bf16" if said == "auto" else said)


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
        assert from_zero(photos).epochs == epochs
        assert from_zero(photos, backbone="resnet18", weights="none").epochs == automatic.FROM_SCRATCH * epochs
        assert from_zero(photos, epochs=3, weights="none").epochs == 3


def test_the_optimiser_follows_the_norms_of_the_backbone() -> None:
    sgd = from_zero(backbone="test_resnet", batch=32).stages[0].optimiser
    assert sgd == Sgd(0.2, scales={"backbone": 0.1})
    adam = from_zero(backbone="test_vit", batch=32).stages[0].optimiser
    assert adam == AdamW(0.001, scales={"backbone": 0.05})
    assert isinstance(from_zero(backbone="test_convnext").stages[0].optimiser, AdamW)
    assert isinstance(from_zero(backbone="googlenet").stages[0].optimiser, Sgd)
    scratch = from_zero(backbone="test_resnet", weights="none", lr=0.5).stages[0].optimiser
    assert scratch == Sgd(0.5)


def test_a_head_that_starts_as_a_probe_has_frozen_norms_and_rates_that_suit_them() -> None:
    assert chosen().start == chosen(start="auto").start == "probe"
    assert chosen(start="zero").start == chosen(weights="none").start == "zero"
    recipe = chosen(backbone="resnet18", batch=32)
    assert (recipe.start, recipe.frozen_stages, recipe.frozen_norms) == ("probe", 3, True)
    assert (recipe.clip, recipe.average_degree, recipe.length_by_start) == (1.0, 2.0, True)
    assert recipe.stages[0].optimiser == AdamW(0.002, scales={"backbone": 0.2, "head": 0.1})
    assert chosen().stages[0].optimiser == AdamW(0.001, scales={"backbone": 1.0, "head": 0.1})  # depthwise
    sgd = chosen(optimizer="sgd").stages[0].optimiser
    assert sgd == Sgd(0.01, scales={"backbone": 0.3})
    for backbone in ("test_vit", "test_convnext"):
        layer_norms = chosen(backbone=backbone)
        assert (layer_norms.start, layer_norms.frozen_stages, layer_norms.frozen_norms) == ("probe", 0, False)
        assert layer_norms.stages[0].optimiser.scales == {"backbone": 0.05, "head": 0.1}
    assert chosen(backbone="resnet18", method="cin").stages[0].optimiser.scales["neck"] == 0.1
    row = chosen(recipe="pc/cub-resnet50")
    assert (row.start, row.frozen_stages, row.frozen_norms, row.average_degree) == ("zero", 0, False, 0.0)


def test_the_better_the_probe_the_shorter_the_training() -> None:
    low, high = automatic.PROBE_EPOCHS
    epochs = [epochs_after(share, photos=600) for share in (0.0, 0.45, 0.84, 1.0)]
    assert epochs == [37, 25, 15, 12]
    assert (epochs_after(0.5, photos=20), epochs_after(0.5, photos=10**6)) == (high, low)
    assert chosen(600).epochs == epochs[0]


def test_a_short_run_from_a_probe_has_a_smaller_rate() -> None:
    def rate(photos: int = 600, **said: object) -> float:
        return chosen(photos, **said).stages[0].optimiser.lr

    enough = automatic.PROBE_VIEWS[0]
    assert rate() == rate(enough, epochs=1) == rate(10**6, epochs=1) == 0.001
    assert rate(enough, epochs=4, batch=32) == 0.002
    assert rate(enough // 4, epochs=1) == pytest.approx(0.0005)
    assert rate(enough // 100, epochs=4) == pytest.approx(0.0002)
    assert rate(epochs=1, lr=0.003) == 0.003
    assert from_zero(epochs=1).stages[0].optimiser.lr == from_zero().stages[0].optimiser.lr
    assert rate_share(enough) == rate_share(2 * enough) == 1


@pytest.mark.parametrize(
    "said",
    [
        {"epochs": 7},
        {"quick": True},
        {"start": "zero"},
        {"set": ("stages.0.epochs=7",)},
        {"set": ('stages=[{"epochs": 7}]',)},
        {"set": ("start=zero",)},
    ],
)
def test_epochs_that_are_said_are_not_left_to_the_probe(said: dict[str, object]) -> None:
    assert chosen(set=("stages.0.optimiser.lr=0.01",)).length_by_start
    assert chosen(set=("start=probe",)).length_by_start
    assert not chosen(**said).length_by_start


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
    monkeypatch.setattr(automatic, "_memory", lambda _: 8.3e9)
    recipe = from_zero(device="cuda")
    assert (recipe.batches, recipe.pixels.size) == (Shuffled(16), 448)
    assert recipe.stages[0].optimiser.lr == pytest.approx(0.1)
    assert from_zero(device="cuda", precision="fp32").batches == Shuffled(8)
    monkeypatch.setattr(automatic, "precision_of", lambda *_: "fp32")
    recipe = from_zero(device="cuda", backbone="test_convnext")
    assert recipe.batches == Shuffled(8)
    assert recipe.stages[0].optimiser.lr == pytest.approx(0.001 / 4)
    recipe = from_zero(device="cuda", batch=64, size=96)
    assert (recipe.batches, recipe.pixels.size) == (Shuffled(64), 96)
    assert from_zero().batches == Shuffled(16)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext"])
def test_an_optimiser_that_is_named_gets_its_own_usual_rates(backbone: str) -> None:
    sgd, adamw = (from_zero(backbone=backbone, optimizer=name).stages[0].optimiser for name in ("sgd", "adamw"))
    assert sgd == Sgd(pytest.approx(0.1), scales={"backbone": 0.1})
    assert adamw == AdamW(pytest.approx(5e-4), scales={"backbone": 0.05})
    assert from_zero(backbone=backbone).stages[0].optimiser == {"test_resnet": sgd, "test_convnext": adamw}[backbone]
    assert from_zero(backbone=backbone, optimizer="adamw", lr=2e-3, batch=64).stages[0].optimiser.lr == 2e-3
    assert from_zero(backbone=backbone, optimizer="adamw", batch=64).stages[0].optimiser.lr == pytest.approx(2e-3)


def test_a_gpu_is_asked_for_all_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert automatic._memory("cuda") == math.inf
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    properties = {"cuda": SimpleNamespace(total_memory=6e9), "cuda:1": SimpleNamespace(total_memory=8e9)}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties[device])
    assert [automatic._memory(device) for device in properties] == [6e9, 8e9]
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 11e9)
    assert automatic._memory("mps") == 11e9


@pytest.mark.parametrize("name", ["resnet18.nobody", "no_such_network", "resnet18.", "googlenet.tv_in1k"])
def test_a_name_that_is_none(name: str) -> None:
    for size in (None, 64):
        for device in ("cpu", "cuda"):
            with pytest.raises(UserError, match="no backbone is called"):
                chosen(device=device, backbone=name, size=size)


def test_a_paper_with_batches_of_its_own_keeps_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    of_paper(Balanced(3, 2), monkeypatch)
    assert from_zero(method="own").batches == Balanced(3, 2)
    assert from_zero(method="own", batch=8).batches == Balanced(4, 2)
    assert from_zero(method="own", batch=8).stages[0].optimiser.lr == pytest.approx(0.1 * 8 / 16)
    with pytest.raises(UserError, match="--batch 9: the recipe has 2 images of each class"):
        from_zero(method="own", batch=9)
    with pytest.raises(UserError, match="--balance sampler: the recipe has its own kind of batches, Balanced"):
        from_zero(method="own", balance="sampler")


def test_parts_that_say_a_rate_get_it() -> None:
    scales = from_zero(method="cin").stages[0].optimiser.scales
    assert scales == {"backbone": 0.1, "neck": 0.1, "terms": 0.1}
    assert from_zero(method="cin", weights="none").stages[0].optimiser.scales == {"neck": 0.1, "terms": 0.1}
    own = from_zero(method="pc", neck="self-channel-interaction").stages[0].optimiser.scales
    assert own == {"backbone": 0.1, "neck": 0.1}
    soft = from_zero(term=("soft-channel-labels",), device="cpu").stages[0].optimiser
    assert soft.scales == {"backbone": 0.1, "terms": 0.1}
    assert soft.lr * soft.scales["terms"] == pytest.approx(0.01)  # the paper's
    both = from_zero(method="mc-loss", term=("soft-channel-labels",), weights="none").stages[0].optimiser.scales
    assert both == {"terms": 0.1}
    expanded = from_zero(method="mc-loss", neck="channel-expansion").stages[0].optimiser.scales
    assert expanded == {"backbone": 0.1}


def test_parts_by_name() -> None:
    recipe = chosen(method="pc", term=("pairwise-confusion,weight=5",), pool="maximum")
    composed, added = recipe.model.terms
    assert composed == Part("PairwiseConfusion", {"weight": None, "per_class": 0.05})
    assert added == Part("PairwiseConfusion", {"weight": 5})
    assert recipe.model.pool == Part("Maximum")


def test_zero_is_a_choice_too() -> None:
    recipe = chosen(smoothing=0.0, ema=0.0)
    assert (recipe.model.criterion, recipe.ema) == (Part("CrossEntropy", {"smoothing": 0.0}), 0.0)
    for decay in (0.0, 0.9):
        recipe = chosen(ema=decay)
        assert (recipe.ema, recipe.average_degree) == (decay, 0.0)


def test_the_criterion_adjusts_if_asked() -> None:
    assert chosen().model.criterion == CROSS_ENTROPY
    assert chosen(method="pc").model.criterion == UNSMOOTHED
    adjusted = chosen(balance="logit-adjust", smoothing=0.2)
    assert adjusted.model.criterion == Part("CrossEntropy", {"smoothing": 0.2, "adjust": True})
    assert adjusted.batches == Shuffled(16)


def test_a_paper_s_own_batches_have_no_more_classes_than_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    of_paper(Balanced(30, 4), monkeypatch)
    for classes, expected in ((200, 30), (30, 30), (7, 7)):
        recipe = from_zero(classes=classes, method="own", backbone="test_resnet")
        assert recipe.batches == Balanced(expected, 4)
        assert recipe.stages[0].optimiser.lr == pytest.approx(0.1 * expected * 4 / 16)
    of_paper(ShuffledPairs(8), monkeypatch)
    assert from_zero(classes=2, method="own").batches == ShuffledPairs(8)


def test_any_field_can_be_set() -> None:
    recipe = chosen(method="pc", set=("stages.0.epochs=3", "model.terms.0.weight=5", "pixels.flip=false"))
    assert (recipe.epochs, recipe.pixels.flip) == (3, False)
    assert recipe.model.terms[0].options == {"weight": 5, "per_class": 0.05}
    with pytest.raises(UserError, match="epochs is 0; it must be at least 1"):
        chosen(set=("stages.0.epochs=0",))


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("stages.0.epochs=3", {"epochs": 3}),
        ("stages.0.optimiser.lr=0.25", {"optimiser": Sgd(0.25, scales={"backbone": 0.1})}),
        ('stages.0.optimiser={"type": "AdamW", "lr": 0.5}', {"optimiser": AdamW(0.5)}),
        ("stages.0.frozen_epochs=5", {"frozen_epochs": 5}),
        ('stages.0.schedule={"type": "StepDecay", "epochs": [5]}', {"schedule": StepDecay((5,))}),
    ],
)
def test_what_is_set_for_the_stage_is_not_fitted_to_the_photos(change: str, kept: dict[str, object]) -> None:
    fitted_stage = Stage(12, Sgd(0.1, scales={"backbone": 0.1}), OneCycle())
    assert from_zero(1000).stages == (fitted_stage,)
    assert from_zero(1000, set=(change,)).stages == (replace(fitted_stage, **kept),)


def test_whole_stages_and_batches_that_are_set_stay() -> None:
    changes = ('stages=[{"epochs": 2}, {"epochs": 3}]', 'batches={"type": "Balanced", "classes": 30, "images": 2}')
    recipe = chosen(50, classes=4, set=changes)
    assert recipe.stages == (Stage(2), Stage(3))
    assert recipe.batches == Balanced(30, 2)
    assert chosen(50, set=("batches.size=64",)).batches == Shuffled(64)
    assert chosen(50, classes=3, method="api-net", set=("batches.classes=4",)).batches == Balanced(4, 4)
    assert chosen(50, classes=3, method="api-net", set=("batches.images=2",)).batches == Balanced(3, 2)


def test_what_is_said_is_not_fitted_to_the_photos() -> None:
    recipe = from_zero(10**6, classes=3, epochs=50, lr=0.7, method="api-net", batch=20)
    assert recipe.stages == (Stage(50, Sgd(0.7, scales={"backbone": 0.1}), OneCycle()),)
    assert recipe.batches == Balanced(5, 4)


def test_a_recipe_that_is_followed_is_not_fitted() -> None:
    settings = settings_of({"recipe": "api-net/cub-resnet101"}).recipe
    draft = draft_of(settings, device="cpu", external={})
    assert draft.recipe == ROWS["api-net/cub-resnet101"].recipe == draft.fitted(photos=30, classes=3)


CHOSEN = [
    ({}, "cpu", 30, 3, Shuffled(16), 40, 0.1, {"backbone": 0.1}),
    ({"weights": "none"}, "cpu", 600, 3, Shuffled(16), 100, 0.1, {}),
    ({"batch": 64}, "cuda", 30, 3, Shuffled(30), 40, 0.1875, {"backbone": 0.1}),
    ({"method": "pc"}, "cuda", 12000, 200, Shuffled(32), 8, 0.2, {"backbone": 0.1}),
    ({"method": "mc-loss", "backbone": "test_vit"}, "cuda", 600, 3, Shuffled(32), 20, 0.001, {"backbone": 0.05}),
    ({"method": "api-net"}, "cpu", 600, 3, Balanced(3, 4), 20, 0.075, {"backbone": 0.1}),
    ({"method": "cin"}, "cuda", 30, 200, Balanced(4, 5), 40, 0.125, {"backbone": 0.1, "neck": 0.1, "terms": 0.1}),
    ({"method": "s3n", "weights": "none"}, "cuda", 12000, 200, Shuffled(32), 40, 0.2, {}),
]


@pytest.mark.parametrize(("said", "device", "photos", "classes", "batches", "epochs", "lr", "scales"), CHOSEN)
def test_choices_of_earlier_versions_stay(
    said: dict[str, object],
    device: str,
    photos: int,
    classes: int,
    batches: Batches,
    epochs: int,
    lr: float,
    scales: dict[str, float],
) -> None:
    """As an earlier version chose them, so that a command with ``--start zero`` means what it meant without."""
    recipe = from_zero(photos, device, classes, **said)
    (stage,) = recipe.stages
    assert recipe.batches == batches
    assert (stage.epochs, stage.optimiser.scales, stage.schedule) == (epochs, scales, OneCycle())
    assert stage.optimiser.lr == pytest.approx(lr, rel=1e-12)
