"""A recipe that is followed, and what is said beside it."""

import dataclasses
import json
import math
import typing
from dataclasses import replace
from pathlib import Path

import pytest

from fieldmark.batches import Balanced, Batches, ExhaustivePairs, Shuffled, ShuffledPairs
from fieldmark.core.device import precision_of
from fieldmark.errors import UserError
from fieldmark.recipe import AdamW, Cosine, Model, OneCycle, Part, Pixels, Recipe, Sgd, Stage, StepDecay, recipe_to_json
from fieldmark.recipes import ROWS
from fieldmark.recipes.composition import UNSMOOTHED, Composition
from fieldmark.training import overrides
from fieldmark.training.automatic import Draft
from fieldmark.training.overrides import read_recipe, with_fields, with_model
from fieldmark.training.settings import RecipeSettings, settings_of

TERM = Part("PairwiseConfusion", {"weight": 3.0})
PER_CLASS = Part("PairwiseConfusion", {"weight": None, "per_class": 0.05})
ADJUSTED = Part("CrossEntropy", {"smoothing": 0.1, "adjust": True})
MODEL = Model(backbone="test_resnet", weights="none", terms=(TERM,))
STAGE = Stage(100, Sgd(0.01, scales={"backbone": 0.1}), StepDecay((20, 40, 60), 0.5, 2.0), ("backbone",), 8)
RECIPE = Recipe(
    MODEL,
    pixels=Pixels(448, 512, fit="pad"),
    batches=Balanced(30, 4),
    stages=(STAGE,),
    seed=5,
    clip=1.0,
    ema=0.9,
    train_on=("train", "val"),
)
TWO_STAGES = replace(RECIPE, stages=(STAGE, Stage(3)))


def written(recipe: Recipe, folder: Path) -> Path:
    file = folder / "recipe.json"
    file.write_text(recipe_to_json(recipe), "utf-8")
    return file


def said(recipe: Recipe = RECIPE, **settings: object) -> Recipe:
    wanted = settings_of(settings).recipe
    return Draft(replace(recipe, model=with_model(recipe.model, wanted)), wanted, follows=True).recipe


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    (line,) = str(error.value).splitlines()
    return line


# What is followed


def test_a_file_is_read(tmp_path: Path) -> None:
    assert read_recipe(str(written(RECIPE, tmp_path))) == RECIPE
    assert said(strict=True, workers=0, device="cpu") == RECIPE


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_followed_by_its_name(name: str) -> None:
    assert read_recipe(name) is ROWS[name].recipe
    overridden = said(read_recipe(name), backbone="test_resnet", weights="none", size=64, seed=2)
    assert (overridden.model.backbone, overridden.model.weights) == ("test_resnet", "none")
    assert (overridden.pixels.size, overridden.pixels.eval_size, overridden.seed) == (64, 64, 2)
    assert overridden.stages == ROWS[name].recipe.stages


@pytest.mark.parametrize("name", ROWS)
def test_a_row_runs_in_float32_unless_told_otherwise(name: str) -> None:
    recipe = said(read_recipe(name))
    assert {precision_of(recipe.precision, device) for device in ("cpu", "cuda", "mps")} == {"fp32"}
    for settings in ({"precision": "bf16"}, {"set": ("precision=bf16",)}):
        assert said(recipe, **settings) == replace(recipe, precision="bf16")


def test_what_is_no_recipe(tmp_path: Path) -> None:
    for name, message in (
        ("pc/cub-resnet5", r"no such file, and no such row of a paper; did you mean pc/cub-resnet50"),
        ("x", r"no such file, and no such row of a paper; choose one of \d+, such as pc/"),
        (str(tmp_path), "cannot be read"),
    ):
        with pytest.raises(UserError, match=message) as error:
            read_recipe(name)
        assert one_line(error).startswith("--recipe ")
    for text in ("[]", "{", '{"format_version": 2, "modell": {}}', '{"format_version": 9}'):
        (tmp_path / "no.json").write_text(text)
        with pytest.raises(UserError, match=r"not a recipe|no setting 'modell'; did you mean model") as error:
            read_recipe(str(tmp_path / "no.json"))
        assert one_line(error).startswith(f"--recipe {tmp_path / 'no.json'}: ")


# Settings


def test_nothing_said_changes_nothing() -> None:
    assert said() == RECIPE
    assert said(TWO_STAGES) == TWO_STAGES


@pytest.mark.parametrize(
    ("name", "value", "changed"),
    [
        ("backbone", "vgg16", {"model": replace(MODEL, backbone="vgg16")}),
        ("weights", "hub", {"model": replace(MODEL, weights="hub")}),
        ("neck", "channel-expansion", {"model": replace(MODEL, neck=Part("ChannelExpansion"))}),
        ("pool", "maximum", {"model": replace(MODEL, pool=Part("Maximum"))}),
        ("head", "linear,a=1", {"model": replace(MODEL, head=Part("Linear", {"a": 1}))}),
        ("criterion", "focal-loss,gamma=1", {"model": replace(MODEL, criterion=Part("FocalLoss", {"gamma": 1}))}),
        (
            "term",
            ("pairwise-confusion,weight=5",),
            {"model": replace(MODEL, terms=(TERM, Part("PairwiseConfusion", {"weight": 5})))},
        ),
        ("method", "plain", {"model": replace(MODEL, terms=())}),
        ("method", "pc", {"model": replace(MODEL, terms=(PER_CLASS,), criterion=UNSMOOTHED)}),
        ("method", "mc-loss", {"model": replace(MODEL, terms=(Part("MutualChannelLoss", {"weight": 1.5}),))}),
        ("size", 96, {"pixels": replace(RECIPE.pixels, size=96, eval_size=96)}),
        ("fit", "crop", {"pixels": replace(RECIPE.pixels, fit="crop")}),
        ("batch", 40, {"batches": Balanced(10, 4)}),
        ("lr", 0.5, {"stages": (replace(STAGE, optimiser=replace(STAGE.optimiser, lr=0.5)),)}),
        (
            "optimizer",
            "adamw",
            {"stages": (replace(STAGE, optimiser=AdamW(pytest.approx(5e-5), scales={"backbone": 0.1})),)},
        ),
        ("seed", 0, {"seed": 0}),
        ("balance", "logit-adjust", {"model": replace(MODEL, criterion=ADJUSTED)}),
        ("smoothing", 0.0, {"model": replace(MODEL, criterion=Part("CrossEntropy", {"smoothing": 0.0}))}),
        ("clip", 0.0, {"clip": 0.0}),
        ("ema", 0.0, {"ema": 0.0}),
        ("precision", "fp32", {"precision": "fp32"}),
        ("accumulate", 2, {"accumulate": 2}),
        ("micro_batch", 2, {"micro_batch": 2}),
        ("train_on", "train", {"train_on": ("train",)}),
        ("all", True, {"train_on": ("train", "val", "test")}),
        ("start", "probe", {"start": "probe"}),
        ("quick", True, {"start": "probe", "stages": ()}),
        ("start", "auto", {}),
    ],
)
def test_each_setting_replaces_its_own_field(name: str, value: object, changed: dict[str, typing.Any]) -> None:
    assert said(**{name: value}) == replace(RECIPE, **changed)


def test_a_method_without_label_smoothing_takes_it_away_unless_it_is_said() -> None:
    assert said(method="pc", smoothing=0.2).model.criterion == Part("CrossEntropy", {"smoothing": 0.2})
    adjusted = replace(RECIPE, model=replace(MODEL, criterion=ADJUSTED))
    assert said(adjusted, method="pc").model.criterion.options == {"smoothing": 0.0, "adjust": True}
    bare = replace(RECIPE, model=replace(MODEL, criterion=Part("mine:Own")))
    assert said(bare, method="pc").model.criterion == Part("mine:Own")
    for method in ("plain", "mc-loss", "cin"):
        assert said(method=method).model.criterion == MODEL.criterion


@pytest.mark.parametrize(("weights", "mu"), [("none", {"weight": 1.5}), ("hub", {}), ("w.safetensors", {})])
def test_mutual_channel_loss_from_scratch_has_the_paper_s_weight(weights: str, mu: dict[str, float]) -> None:
    assert said(method="mc-loss", weights=weights).model.terms == (Part("MutualChannelLoss", mu),)
    changed = said(method="mc-loss", weights=weights, set=("model.terms.0.weight=0.3",))
    assert changed.model.terms == (Part("MutualChannelLoss", {"weight": 0.3}),)
    own = Part("MutualChannelLoss", {"weight": 0.2})
    assert said(weights=weights, term=("mutual-channel-loss,weight=0.2",)).model.terms == (TERM, own)
    row = ROWS["mc-loss/cub-resnet50"].recipe
    assert said(row, weights=weights).model.terms == row.model.terms, "a recipe that is followed is not adapted"


def test_every_setting_of_a_run_has_a_meaning_beside_a_recipe() -> None:
    """Those of the table above, and epochs below."""
    marks = test_each_setting_replaces_its_own_field.pytestmark  # pyright: ignore[reportFunctionMemberAccess]
    tried = {row[0] for row in marks[0].args[1]} | {"epochs", "set", "recipe"}
    assert {field.name for field in dataclasses.fields(RecipeSettings)} == tried


def test_what_happens_at_an_epoch_moves_along() -> None:
    (short,) = said(epochs=10).stages
    assert short == replace(STAGE, epochs=10, schedule=StepDecay((2, 4, 6), 0.5, 0.2), frozen_epochs=0)
    (long,) = said(epochs=150).stages
    assert long == replace(STAGE, epochs=150, schedule=StepDecay((30, 60, 90), 0.5, 3.0), frozen_epochs=12)
    (one,) = said(epochs=1).stages
    assert [one.schedule.at(epoch, 1) for epoch in (0.5, 0.99)] == [1.0, 1.0]
    smooth = Stage(10, AdamW(), Cosine(2.0, 0.1))
    assert said(replace(RECIPE, stages=(smooth,)), epochs=5).stages == (Stage(5, AdamW(), Cosine(1.0, 0.1)),)
    cycle = Stage(10, AdamW(), OneCycle())
    assert said(replace(RECIPE, stages=(cycle,)), epochs=5).stages == (replace(cycle, epochs=5),)
    assert said(epochs=100) == RECIPE


@pytest.mark.parametrize(
    ("name", "value", "example"),
    [("epochs", 3, "--set stages.0.epochs=3"), ("lr", 0.1, "--set stages.0.optimiser.lr=0.1")],
)
def test_with_several_stages_one_has_to_say_which(name: str, value: float, example: str) -> None:
    with pytest.raises(UserError) as error:
        said(TWO_STAGES, **{name: value})
    assert one_line(error) == f"--{name}: the recipe has 2 stages; name one, as in {example}"
    assert with_fields(TWO_STAGES, ("stages.1.epochs=9",)).stages == (STAGE, Stage(9))


@pytest.mark.parametrize(
    ("batches", "resized"),
    [
        (Shuffled(32, True), Shuffled(8, True)),
        (ShuffledPairs(32), ShuffledPairs(8)),
        (ExhaustivePairs(32, 3), ExhaustivePairs(8, 3)),
        (Balanced(10, 2), Balanced(4, 2)),
    ],
)
def test_another_size_keeps_the_kind_of_batches(batches: Batches, resized: Batches) -> None:
    assert said(replace(RECIPE, batches=batches), batch=8).batches == resized


def test_another_optimiser_in_all_stages_gets_a_rate_that_is_as_bold() -> None:
    bold = Sgd(
        0.2, momentum=0.8, weight_decay=1e-5, decayed="all", scales={"neck": 0.1}
    )  # twice what is usual for batches of 16
    two = replace(RECIPE, stages=(replace(STAGE, optimiser=bold), replace(STAGE, optimiser=AdamW(1e-3))))
    first, second = (stage.optimiser for stage in said(two, optimizer="adamw").stages)
    assert first == AdamW(pytest.approx(1e-3), decayed="all", scales={"neck": 0.1})
    assert second == AdamW(1e-3)
    back = said(two, optimizer="sgd").stages
    assert back[0].optimiser == bold
    assert back[1].optimiser == Sgd(pytest.approx(0.2))
    assert said(optimizer="adamw", lr=3e-4).stages[0].optimiser.lr == 3e-4
    changed = said(optimizer="adamw", set=("stages.0.optimiser.weight_decay=0.3",))
    assert changed.stages[0].optimiser.weight_decay == 0.3


def test_a_size_that_balanced_batches_cannot_have() -> None:
    with pytest.raises(UserError, match=r"--batch 10: the recipe has 4 images of each class") as error:
        said(batch=10)
    assert "--set batches.classes=N" in one_line(error)
    with pytest.raises(UserError, match="--balance sampler: the recipe has its own kind of batches, Balanced") as error:
        said(balance="sampler")
    one_line(error)


def test_balance_says_how_batches_are_drawn() -> None:
    drawn = replace(RECIPE, batches=Shuffled(8))
    even = said(drawn, balance="sampler")
    assert even == replace(drawn, batches=Shuffled(8, even=True))
    assert said(even, balance="none") == drawn


def test_balance_and_smoothing_change_the_criterion_s_options() -> None:
    focal = Part("elsewhere:Focal", {"gamma": 2.0, "adjust": True})
    own = replace(RECIPE, model=replace(MODEL, criterion=focal))
    smooth = said(own, smoothing=0.2).model.criterion
    assert smooth == replace(focal, options={**focal.options, "smoothing": 0.2})
    assert said(own, balance="none").model.criterion == replace(focal, options={"gamma": 2.0})
    assert said(own, balance="logit-adjust") == own
    assert focal.options == {"gamma": 2.0, "adjust": True}


def test_a_method_brings_all_of_its_parts_and_its_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Composition("p", neck=Part("ChannelExpansion"), pool=Part("Maximum"), terms=(Part("PairwiseConfusion"),))
    monkeypatch.setattr(overrides, "composition_of", lambda _: paper)
    model = replace(MODEL, neck=Part("ChannelExpansion"), pool=Part("Average"), terms=(Part("PairwiseConfusion"),))
    assert said(method="p", pool="average") == replace(RECIPE, model=model)
    monkeypatch.setattr(overrides, "composition_of", lambda _: replace(paper, batches=Balanced(5, 4)))
    assert said(method="p").batches == Balanced(5, 4)
    assert said(method="p", batch=8).batches == Balanced(2, 4)


# Fields


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("stages.0.optimiser.lr=0.5", replace(STAGE, optimiser=replace(STAGE.optimiser, lr=0.5))),
        ("stages.0.optimiser.lr=1", replace(STAGE, optimiser=replace(STAGE.optimiser, lr=1.0))),
        (
            "stages.0.optimiser.scales.head=10",
            replace(STAGE, optimiser=replace(STAGE.optimiser, scales={"backbone": 0.1, "head": 10.0})),
        ),
        ('stages.0.optimiser={"type": "AdamW", "lr": 0.001}', replace(STAGE, optimiser=AdamW(0.001))),
        ("stages.0.optimiser.type=AdamW", replace(STAGE, optimiser=AdamW())),
        ("stages.0.schedule.epochs=[15, 22]", replace(STAGE, schedule=StepDecay((15, 22), 0.5, 2.0))),
        ("stages.0.frozen_epochs=null", replace(STAGE, frozen_epochs=None)),
        ("stages.0.frozen=[]", replace(STAGE, frozen=())),
    ],
)
def test_fields_of_a_stage(change: str, expected: Stage) -> None:
    found = with_fields(RECIPE, (change,))
    assert found == replace(RECIPE, stages=(expected,))
    assert [type(value) for value in vars(found.stages[0].optimiser).values()] == [
        type(value) for value in vars(expected.optimiser).values()
    ]


def test_fields_of_everything_else_one_after_another() -> None:
    changes = (
        "seed=7",
        "pixels.flip=false",
        "pixels.fit=stretch",
        "model.backbone=vgg16",
        "model.weights=none",
        "model.terms.0.weight=2.5",
        "model.terms.0.on=logits",
        'model.neck={"type": "ChannelExpansion"}',
        "model.pool.type=Maximum",
        "model.criterion.smoothing=0.3",
        'batches={"type": "ShuffledPairs", "size": 8}',
        "batches.size=16",
        'train_on=["train"]',
        'stages=[{"epochs": 2}, {"epochs": 3}]',
        "stages.1.epochs=4",
    )
    terms = (Part("PairwiseConfusion", {"weight": 2.5, "on": "logits"}),)
    assert with_fields(RECIPE, changes) == replace(
        RECIPE,
        model=replace(
            MODEL,
            backbone="vgg16",
            neck=Part("ChannelExpansion"),
            pool=Part("Maximum"),
            terms=terms,
            criterion=Part("CrossEntropy", {"smoothing": 0.3}),
        ),
        pixels=replace(RECIPE.pixels, flip=False, fit="stretch"),
        batches=ShuffledPairs(16),
        stages=(Stage(2), Stage(4)),
        seed=7,
        train_on=("train",),
    )
    assert with_fields(RECIPE, ()) is RECIPE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs", "--set epochs: write a path and a value, such as stages.0.epochs=10"),
        ("epochs=3", "no setting 'epochs'; choose model, pixels, batches, stages"),
        ("pixels.sise=3", "pixels has no setting 'sise'; did you mean size"),
        ("format_version=4", "it has format 4"),
        ("=3", "no setting ''"),
        ("stages.0.rate=3", "stages.0 has no setting 'rate'; choose epochs, optimiser, schedule, frozen, frozen_ep"),
        ("stages.0.optimiser.rate=3", "'rate'; choose lr, momentum, nesterov, weight_decay, decayed, scales"),
        ("stages.0.optimiser.type=Adam", "stages.0.optimiser.type is 'Adam'; did you mean AdamW"),
        ("stages.1.epochs=3", "'1'"),
        ("stages.-1.epochs=3", "'-1'"),
        ("stages.epochs=3", "'epochs'"),
        ("stage.0.epochs=3", "there is no 'stage'; did you mean stages"),
        ("seed.x=3", "which has no settings"),
        ("model.neck.scale=2", "None, which has no settings"),
        ("stages.0.optimiser.scales.head.x=2", "there is no 'head'"),
        ("model.terms.0.weight.x=2", "3.0, which has no settings"),
        ("model.terms.0.colour.x=2", "there is no 'colour'"),
        ("model.terms.0=PairwiseConfusion", "model.terms.0 is 'PairwiseConfusion'; it must be a table such as"),
        ("stages.0.optimiser.lr=fast", "stages.0.optimiser.lr is 'fast'; it must be a number"),
        ("stages.0.optimiser.lr=NaN", "is 'NaN'; it must be a number"),
        ("stages.0.optimiser.lr=true", "is True; it must be a number"),
        ("stages.0.epochs=2.5", "is 2.5; it must be a whole number"),
        ("pixels.flip=yes", "is 'yes'; it must be true or false"),
        ("pixels.fit=squash", "pixels.fit is 'squash'; choose crop, pad, stretch, box"),
        ("model.backbone=5", "is 5; it must be a text"),
        ("train_on=train+val", "train_on is 'train+val'; it must be a list"),
        ('batches={"type": "Lion"}', "choose Shuffled, Balanced, ShuffledPairs, ExhaustivePairs"),
        ("a\nb=3", "no setting 'a\\nb'"),
    ],
)
def test_mistakes_get_one_line_that_names_what_there_is(change: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        with_fields(RECIPE, (change,))
    assert one_line(error).startswith("--set ")
    assert message in one_line(error)


def test_classes_from_elsewhere_need_no_module_here() -> None:
    own = replace(RECIPE, model=replace(MODEL, pool=Part("no_such_module:Pool", {"power": 3})))
    assert with_fields(own, ("seed=1",)) == replace(own, seed=1)
    change = "model.pool=" + json.dumps({"type": "no_such_module:Pool", "power": 3})
    assert said(set=(change,)) == own


def test_settings_come_before_fields() -> None:
    assert said(epochs=10, set=("stages.0.schedule.epochs=[7]",)) == replace(
        RECIPE, stages=(replace(STAGE, epochs=10, schedule=StepDecay((7,), 0.5, 0.2), frozen_epochs=0),)
    )


def test_of_several_values_for_a_field_the_last_counts() -> None:
    assert said(seed=1, set=("seed=2", "seed=3")).seed == 3


def test_pictures_that_fit_otherwise_are_seen_as_far_as_that_way_asks() -> None:
    cropped = replace(RECIPE, pixels=Pixels(96, 96, eval_crop=0.5))
    assert said(cropped) == cropped
    assert said(cropped, fit="stretch").pixels == Pixels(96, 96, fit="stretch", eval_crop=1.0)
    assert said(cropped, fit="pad").pixels == Pixels(96, 96, fit="pad", eval_crop=0.875)


# Ranges

STAGES = (STAGE, Stage(10, AdamW(), Cosine(1.0, 0.1)), Stage(10, AdamW(), OneCycle()))
THREE_STAGES = replace(RECIPE, stages=STAGES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("seed=-1", "at least 0"),
        ("accumulate=0", "at least 1"),
        ("clip=-1", "at least 0"),
        ("clip=1e999", "at least 0"),
        ("ema=1", "at least 0 and below 1"),
        ("train_on=[]", "at least one entry"),
        ("stages=[]", "at least one entry"),
        ("pixels.size=0", "at least 1"),
        ("pixels.eval_size=-1", "at least 1"),
        ("pixels.eval_crop=0", "above 0 and at most 1"),
        ("pixels.eval_crop=1.1", "above 0 and at most 1"),
        ("pixels.min_scale=0", "above 0 and at most 1"),
        ("pixels.max_scale=0.2", "at most max_scale, 0.2"),
        ("pixels.max_scale=1.5", "above 0 and at most 1"),
        ("pixels.ratio=0.9", "at least 1"),
        ("pixels.megapixels=0", "above 0"),
        ("batches.classes=0", "at least 1"),
        ("batches.images=0", "at least 1"),
        ("stages.0.epochs=0", "at least 1"),
        ("stages.0.optimiser.lr=-1", "at least 0"),
        ("stages.0.optimiser.weight_decay=-1", "at least 0"),
        ("stages.0.optimiser.momentum=-1", "at least 0 and below 1"),
        ("stages.0.optimiser.momentum=1.0", "at least 0 and below 1"),
        ("stages.0.optimiser.scales.backbone=-1.0", "at least 0"),
        ("stages.0.optimiser.scales.backbone=1e999", "at least 0"),
        ("stages.0.schedule.epochs=[3, -2]", "at least 0"),
        ("stages.0.schedule.warmup=-1.0", "at least 0"),
        ("stages.0.schedule.warmup=1e999", "at least 0"),
        ("stages.0.schedule.factor=-0.1", "at least 0"),
        ("stages.0.frozen_epochs=-3", "at least 0"),
        ("stages.1.schedule.warmup=-1.0", "at least 0"),
        ("stages.1.schedule.floor=1.5", "at least 0 and at most 1"),
        ("stages.1.schedule.floor=-0.5", "at least 0 and at most 1"),
        ("stages.2.optimiser.scales.head=-0.5", "at least 0"),
        ("stages.2.schedule.start=0.0", "above 0"),
        ("stages.2.schedule.end=0.0", "above 0"),
        ("stages.2.schedule.rise=1.1", "at least 0 and at most 1"),
        ("stages.2.schedule.rise=-0.1", "at least 0 and at most 1"),
    ],
)
def test_numbers_out_of_range_are_told_with_their_place(change: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        said(THREE_STAGES, set=(change,))
    line, place = one_line(error), change.partition("=")[0]
    assert line.startswith(f"--set {place.rpartition('.')[0]}")
    assert line.endswith(f"it must {'have' if 'entry' in words else 'be'} {words}")


@pytest.mark.parametrize(
    "change",
    [
        *("clip=0", "ema=0", "pixels.eval_crop=1", "pixels.min_scale=1", "pixels.max_scale=1", "pixels.ratio=1"),
        *("stages.0.optimiser.momentum=0", "stages.0.optimiser.scales.backbone=0", "stages.0.frozen_epochs=0"),
        *("stages.0.schedule.warmup=0", "stages.0.schedule.factor=0", "stages.1.schedule.floor=0"),
        *("stages.1.schedule.floor=1", "stages.2.schedule.rise=0", "stages.2.schedule.rise=1"),
        *("stages.2.schedule.start=0.5", "stages.2.schedule.end=1"),
    ],
)
def test_the_ends_of_the_ranges_pass_and_give_rates(change: str) -> None:
    for stage in said(THREE_STAGES, set=(change,)).stages:
        shares = [stage.schedule.at(epoch, stage.epochs) for epoch in (0, 0.5, stage.epochs / 2, stage.epochs)]
        assert all(math.isfinite(share) and share >= 0 for share in shares)
