"""Defaults for what the user leaves open: backbone, size, epochs and learning rates for this machine and these data.

The rules depend on the kind of device, on its memory in coarse steps and on the number of photos, never on a measured
speed, so that two machines of a kind choose alike. They were tuned on validation splits (see docs/design.md), never on
a test split.
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import torch

from fieldmark.batches import Balanced, Shuffled
from fieldmark.building import Classes, class_of, refuse_parts
from fieldmark.core.classifier import Average, IdentityNeck, Linear, Maximum
from fieldmark.core.device import precision_of
from fieldmark.core.networks import GOOGLENET, refuse_unknown
from fieldmark.core.two_streams import located, streams_of
from fieldmark.core.weights import HUB, LITE0, LITE0_BACKBONE, WORDS, lite0_is_installed
from fieldmark.errors import UserError
from fieldmark.ops.zoo import timm
from fieldmark.plain import from_plain, to_plain
from fieldmark.recipe import AdamW, Model, OneCycle, Pixels, Recipe, Sgd, Stage, Start
from fieldmark.recipes.naming import composition_of
from fieldmark.training.overrides import OPTIMISERS, RATES, read_recipe, with_fields, with_model, with_settings
from fieldmark.training.settings import RecipeSettings

BACKBONE = {Sgd: 0.1, AdamW: 0.05}
"""The backbone's learning rate, as a share of that of the new layers."""
AUTO: Start = "probe"
"""What ``--start auto`` is where both are possible."""
PROBE_RATES = {Sgd: 0.01 / 16, AdamW: 1e-3 / 16}
"""Learning rates of new layers, per photo of a batch, where the head starts as a probe."""
PROBE_HEAD = 0.1
"""The head's rate then, as a share: it is good already."""
PROBE_BACKBONE = {"depthwise": 1.0, "batch norms": 0.2, "other": 0.05}
"""The backbone's rate then, as a share, for AdamW, whose steps do not know how large weights are: those of networks of
depthwise convolutions and batch norms are about five times as large as those of ResNets or VGG."""
PROBE_BACKBONE_SGD = 0.3
"""The same for SGD."""
PROBE_CLIP = 1.0
"""The largest gradient norm then: at fixed statistics of the norms, a single large step may be one too many."""
PROBE_AVERAGE = 2.0
"""The degree of the polynomial average of the weights that is kept then: on the way it answers far better than the last
weights, and at the end as well, mostly with a lower log loss."""
FROZEN_STAGES = 3
"""Stages that never change then, of backbones with batch norms and five stages: up to an eighth of the side."""
BATCH = 16
VIEWS, EPOCHS = 12_000, (8, 40)
"""Training views in a whole fine-tuning run from a head at zero, and the bounds of its epochs."""
PROBE_VIEWS, PROBE_EPOCHS = (6_500, 22_000), (12, 40)
"""Views after a probe that is always right and after one that never is, and the bounds of their epochs."""
FROM_SCRATCH = 5  # times as many epochs
ROOMY = ((12e9, 32, 448), (7.2e9, 16, 448), (4.5e9, 8, 448), (0, 16, 224))
"""(bytes of GPU memory, batch, size): what fits in at least that much memory, in half precision. ResNet-50 at 448 px
takes about 10 GB in batches of 32; a card's memory is never all free."""
MOST_FEATURES = 4096
"""Numbers per embedding up to which a regression on them is fitted."""
FLOAT32 = 1.8  # times the memory of half precision


@dataclass(frozen=True)
class Draft:
    """A recipe before the photos are known.

    ``start`` is the recipe that is followed, or the default one for a kind of machine, with the parts that the user
    chose; ``settings`` are all of the user's; ``follows`` says whether a recipe is followed.
    """

    start: Recipe
    settings: RecipeSettings
    follows: bool

    @property
    def recipe(self) -> Recipe:
        """With all of the user's settings; epochs and batches are not yet fitted to the photos.

        Raises:
            UserError: a setting that does not go with the recipe.
        """
        return with_fields(with_settings(self.start, self.settings), self.settings.set)

    def fitted(self, *, photos: int, classes: int) -> Recipe:
        """The recipe of the run; unless one is followed, epochs, batches and learning rate are fitted to the photos.

        The user's settings stay as they are, and each ``--set`` comes last.

        Args:
            photos: in the training splits.
            classes: of the data; a paper's own batches get at most this many.
        """
        if self.follows:
            return self.recipe
        settings, recipe = self.settings, with_settings(self.start, self.settings)
        batches = recipe.batches
        stage = (*recipe.stages, Stage())[0]
        if settings.epochs is None:
            epochs = epochs_after(0.0, photos=photos) if recipe.length_by_start else _clamped(VIEWS, photos, EPOCHS)
            stage = replace(stage, epochs=epochs * (FROM_SCRATCH if recipe.model.from_scratch else 1))
        if isinstance(batches, Balanced) and settings.batch is None:
            batches = replace(batches, classes=min(batches.classes, classes))
        elif isinstance(batches, Shuffled):
            batches = replace(batches, size=min(batches.size, max(photos, 1)))
        if settings.lr is None:
            rate = self.start.stages[0].optimiser.lr * batches.size / self.start.batches.size
            if self.start.start == "probe":
                rate *= rate_share(photos * stage.epochs)
            stage = replace(stage, optimiser=replace(stage.optimiser, lr=rate))
        stages = (stage,) if recipe.stages else ()
        return with_fields(replace(recipe, batches=batches, stages=stages), settings.set)


def epochs_after(share: float, *, photos: int) -> int:
    """How many epochs to train from a probe that is right on a share of the photos, out of fold.

    Args:
        share: between 0 and 1.
        photos: trained on.
    """
    least, most = PROBE_VIEWS
    return _clamped(most + (least - most) * share, photos, PROBE_EPOCHS)


def rate_share(views: int) -> float:
    """The share of the learning rate for a short run from a probe: with the root of what it is shorter.

    At the whole rate it would leave the start and not arrive.

    Args:
        views: of training photos in the whole run.
    """
    return min(1.0, math.sqrt(views / PROBE_VIEWS[0]))


def _clamped(views: float, photos: int, bounds: tuple[int, int]) -> int:
    """Epochs for so many views, within bounds."""
    least, most = bounds
    return min(max(round(views / max(photos, 1)), least), most)


def draft_of(settings: RecipeSettings, *, device: str, external: Classes, recipe: Recipe | None = None) -> Draft:
    """The recipe that a run starts from; everything that can be checked without photos is checked.

    Args:
        settings: those of the user.
        device: as ``device_of`` gives it.
        external: classes from elsewhere that parts may name.
        recipe: what to follow, in place of ``settings.recipe``.

    Raises:
        UserError: an unknown name or option, or parts that do not go together.
    """
    if recipe is None and settings.recipe is not None:
        recipe = read_recipe(settings.recipe)
    follows = recipe is not None
    if recipe is None:
        start = _chosen(settings, device, external)
    else:
        recipe = from_plain(to_plain(recipe), Recipe)
        start = replace(recipe, model=with_model(recipe.model, settings))
    model = start.model
    weights = located(model.weights, streams_of(model.backbone), words=WORDS)
    draft = Draft(replace(start, model=replace(model, weights=weights)), settings, follows)
    refuse_parts(draft.recipe, external)
    if draft.recipe.start == "probe" and (obstacle := _obstacle_to_probe(draft.recipe.model, external)):
        raise UserError(f"--start probe: {obstacle}; use --start zero")
    return draft


def _chosen(settings: RecipeSettings, device: str, external: Classes) -> Recipe:
    """The default recipe for a kind of machine."""
    backbone = settings.backbone or (LITE0_BACKBONE if device == "cpu" else "resnet50")
    packaged = settings.backbone is None and backbone == LITE0_BACKBONE and lite0_is_installed()
    start = Model(backbone=backbone, weights=settings.weights or (LITE0 if packaged else HUB))
    model = with_model(start, replace(settings, method=settings.method or "plain"))
    refuse_unknown(model.backbone)
    batch, side = _room(settings.precision or "auto", device)
    size = settings.size or _size(model.backbone, side)
    batches = composition_of(settings.method or "plain").batches or Shuffled(batch)
    wish = AUTO if settings.start in (None, "auto") else settings.start
    as_probe = (settings.quick or wish == "probe") and not _obstacle_to_probe(model, external)
    network = _Network.of(model.backbone)
    kind = OPTIMISERS[settings.optimizer or ("sgd" if network.has_batch_norms and not as_probe else "adamw")]
    rate, shares = (RATES[kind], {} if model.from_scratch else {"backbone": BACKBONE[kind]})
    if as_probe:
        rate, shares = PROBE_RATES[kind], network.shares_after_probe(kind)
    scales = shares | _rates_of_parts(model, external)
    stage = Stage(EPOCHS[1], kind(rate * batches.size, scales=scales), OneCycle())
    recipe = Recipe(model, Pixels(size, size), batches, stages=(stage,))
    if not as_probe:
        return recipe
    frozen = FROZEN_STAGES if network.has_batch_norms and network.stages == 5 else 0
    return replace(
        recipe,
        start="probe",
        length_by_start=True,
        clip=PROBE_CLIP,
        frozen_stages=frozen,
        frozen_norms=network.has_batch_norms,
        average_degree=PROBE_AVERAGE,
    )


def _room(precision: str, device: str) -> tuple[int, int]:
    """The batch and the image size; 448 px, which shows fine details, needs a GPU."""
    if device == "cpu":
        return BATCH, 224
    return fitting(_memory(device), half=precision_of(precision, device) != "fp32")


def fitting(memory: float, *, half: bool) -> tuple[int, int]:
    """The batch and the image size that a GPU has room for.

    Args:
        memory: of the GPU, in bytes.
        half: whether feature maps are in half precision.
    """
    room = memory if half else memory / FLOAT32
    return next((batch, side) for least, batch, side in ROOMY if room >= least)


def _memory(device: str) -> float:
    """Bytes of the GPU's memory; infinite where the GPU is in another machine."""
    if device == "mps":
        return torch.mps.recommended_max_memory()
    return torch.cuda.get_device_properties(device).total_memory if torch.cuda.is_available() else math.inf


def _size(backbone: str, side: int) -> int:
    """Networks built for one size keep theirs; of two, the first that is built so says it."""
    if backbone == GOOGLENET:
        return 224
    configs = [timm.get_pretrained_cfg(name) for name in streams_of(backbone) if name != GOOGLENET]
    return next((config.input_size[-1] for config in configs if config and config.fixed_input_size), side)


def _rates_of_parts(model: Model, external: Classes) -> dict[str, float]:
    """Shares of the learning rate for a neck and terms whose class has a ``rate``; the least one for all terms."""
    rates: dict[str, float] = {}
    for place, part in model.parts:
        group = {"neck": "neck", "term": "terms"}.get(place)
        rate = getattr(class_of(part, external, place=place), "rate", None)
        if group and rate is not None:
            rates[group] = min(rate, rates.get(group, rate))
    return rates


def _obstacle_to_probe(model: Model, external: Classes) -> str:
    """Why no regression on pretrained features can stand in this model's head; "" where it can."""
    kinds = {place: class_of(part, external, place=place) for place, part in model.parts if place != "term"}
    if model.from_scratch:
        return "the backbone is not pretrained"
    if "neck" in kinds and not issubclass(kinds["neck"], IdentityNeck):
        return f"{kinds['neck'].__name__} cannot begin as the identity"
    if not (issubclass(kinds["head"], Linear) and issubclass(kinds["pool"], Average | Maximum)):
        return "it needs a linear head on average or maximum pooling"
    width = _Network.of(model.backbone).features
    return f"{width:,} features are too many" if width > MOST_FEATURES else ""


class _Network(NamedTuple):
    """What the choices depend on: ``features`` of the last maps, ``stages``, and which layers there are.

    Networks without batch norms (with layer norms instead) are always trained with AdamW in publications.
    """

    features: int
    stages: int
    has_batch_norms: bool
    is_depthwise: bool = False

    def shares_after_probe(self, kind: type[Sgd | AdamW]) -> dict[str, float]:
        """Shares of the learning rate, by parameter group, where the head starts as a probe."""
        if kind is Sgd:
            return {"backbone": PROBE_BACKBONE_SGD}
        family = "batch norms" if self.has_batch_norms else "other"
        family = "depthwise" if self.has_batch_norms and self.is_depthwise else family
        return {"backbone": PROBE_BACKBONE[family], "head": PROBE_HEAD}

    @staticmethod
    @cache
    def of(backbone: str) -> "_Network":
        """That of a name; no numbers are made. Two networks have the features of both, and no stages together."""
        streams = streams_of(backbone)
        if len(streams) > 1:
            both = [_Network.of(name) for name in streams]
            return _Network(
                sum(network.features for network in both),
                0,
                any(network.has_batch_norms for network in both),
                any(network.is_depthwise for network in both),
            )
        if backbone == GOOGLENET:
            return _Network(1024, 0, has_batch_norms=True)
        with torch.device("meta"):
            network = timm.create_model(backbone)
        modules = [*network.modules()]
        convolutions = [module for module in modules if isinstance(module, torch.nn.Conv2d)]
        return _Network(
            getattr(network, "num_features", 0),
            len(getattr(network, "feature_info", ())),
            any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in modules),
            any(module.groups == module.in_channels > 1 for module in convolutions),
        )
