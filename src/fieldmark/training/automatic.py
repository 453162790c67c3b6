"""What a run is made of where the user does not say: backbone, size, epochs and rates for this machine and these data.

The rules depend on the kind of device, on its memory in coarse steps and on the number of photos, never on a measured
speed, so that two machines of a kind choose alike. They were found on validation splits (see docs/design.md), never on
a test split.
"""

import math
from dataclasses import replace

import timm
import torch

from fieldmark.batches import Balanced, Shuffled
from fieldmark.building import Classes, class_of, refuse_parts
from fieldmark.core.backbone import GOOGLENET, refuse_unknown
from fieldmark.core.device import is_half
from fieldmark.core.weights import HUB, LITE0, LITE0_BACKBONE, NONE, lite0_is_installed
from fieldmark.plain import from_plain, to_plain
from fieldmark.recipe import AdamW, Model, OneCycle, Pixels, Recipe, Sgd, Stage
from fieldmark.recipes.naming import composition_of
from fieldmark.training.overrides import followed, read_recipe, with_fields, with_model, with_settings
from fieldmark.training.settings import RecipeSettings

RATES = {Sgd: 0.1 / 16, AdamW: 1e-3 / 32}
"""Learning rates of the new layers, per photo of a batch."""
SGD_BACKBONE, ADAM_BACKBONE = 0.1, 0.05
"""The backbone's share of them."""
BATCH = 16
VIEWS = 12_000
"""Training views that fine-tuning sees in all, within the bounds of ``EPOCHS``."""
EPOCHS = (8, 40)
FROM_SCRATCH = 5  # times as many epochs
ROOMY = ((12e9, 32, 448), (7.2e9, 16, 448), (4.5e9, 8, 448), (0, 16, 224))
"""From so many bytes of a GPU's memory on, in half precision: the batch and the size. ResNet-50 at 448 px takes about
10 GB in batches of 32; a card's memory is never all free."""
FLOAT32 = 1.8  # times the memory of half precision


def recipe_of(settings: RecipeSettings, *, device: str, external: Classes, recipe: Recipe | None = None) -> Recipe:
    """The recipe of a run as far as it does not depend on the photos, with all that the user said.

    It follows ``recipe`` or ``settings.recipe``, or is chosen for this kind of machine.

    Args:
        settings: what the user said.
        device: "cpu" or "cuda".
        external: classes from elsewhere that parts may name.
        recipe: what to follow.

    Raises:
        UserError: a name or an option that there is not, or parts that cannot go together.
    """
    if recipe is None and settings.recipe is not None:
        recipe = read_recipe(settings.recipe)
    if recipe is not None:
        recipe = followed(from_plain(to_plain(recipe), Recipe), settings)
    else:
        recipe = with_fields(with_settings(_chosen(settings, device, external), settings), settings.set)
    refuse_parts(recipe.model, external)
    return recipe


def fitted(recipe: Recipe, settings: RecipeSettings, *, photos: int, classes: int) -> Recipe:
    """A recipe that was chosen, not followed, with epochs and batches that suit the photos, where nobody said them.

    Args:
        recipe: as ``recipe_of`` gave it.
        settings: what the user said.
        photos: in the training splits.
        classes: of the data; a paper's own batches get at most so many.
    """
    if settings.recipe is not None:
        return recipe
    (stage, *rest), batches = recipe.stages, recipe.batches
    if settings.epochs is None and not _is_set(settings, "stages.0.epochs"):
        low, high = EPOCHS
        epochs = min(max(round(VIEWS / max(photos, 1)), low), high)
        # not stretched: what --set says happens at an epoch happens at that epoch
        stage = replace(stage, epochs=epochs * (FROM_SCRATCH if recipe.model.weights == NONE else 1))
    if isinstance(batches, Balanced) and settings.batch is None and not _is_set(settings, "batches.classes"):
        batches = replace(batches, classes=min(batches.classes, classes))
    elif isinstance(batches, Shuffled) and not _is_set(settings, "batches.size"):
        batches = replace(batches, size=min(batches.size, max(photos, 1)))
    if settings.lr is None and not _is_set(settings, "stages.0.optimiser.lr"):
        rate = RATES[type(stage.optimiser)] * batches.size
        stage = replace(stage, optimiser=replace(stage.optimiser, lr=rate))
    return replace(recipe, batches=batches, stages=(stage, *rest))


def _is_set(settings: RecipeSettings, place: str) -> bool:
    """Whether a ``--set`` says what stands at a place, or around it."""
    paths = (change.partition("=")[0] for change in settings.set)
    return any(place == path or place.startswith(f"{path}.") for path in paths)


def _chosen(settings: RecipeSettings, device: str, external: Classes) -> Recipe:
    """The program's own recipe for a kind of machine."""
    backbone = settings.backbone or (LITE0_BACKBONE if device == "cpu" else "resnet50")
    packaged = settings.backbone is None and backbone == LITE0_BACKBONE and lite0_is_installed()
    start = Model(backbone=backbone, weights=settings.weights or (LITE0 if packaged else HUB))
    model = with_model(start, replace(settings, method=settings.method or "plain"))
    refuse_unknown(model.backbone)
    batch, side = _room(settings.precision or "auto", device)
    size = settings.size or _size(model.backbone, side)
    batches = composition_of(settings.method or "plain").batches or Shuffled(batch)
    kind, share = (AdamW, ADAM_BACKBONE) if _likes_adam(model.backbone) else (Sgd, SGD_BACKBONE)
    scales = ({} if model.weights == NONE else {"backbone": share}) | _rates_of_parts(model, external)
    stage = Stage(EPOCHS[1], kind(RATES[kind] * batches.size, scales=scales), OneCycle())
    return Recipe(model, Pixels(size, size), batches, stages=(stage,))


def _room(precision: str, device: str) -> tuple[int, int]:
    """The batch and the pixels a side; 448 px, where fine marks are seen, needs a GPU."""
    if device == "cpu":
        return BATCH, 224
    return fitting(_memory(), half=is_half(precision, device))


def fitting(memory: float, *, half: bool) -> tuple[int, int]:
    """The batch and the pixels a side that a GPU has room for.

    Args:
        memory: all that the GPU has, in bytes.
        half: whether maps are kept in half precision.
    """
    room = memory if half else memory / FLOAT32
    return next((batch, side) for least, batch, side in ROOMY if room >= least)


def _memory() -> float:
    """Bytes of the GPU's memory; without limit where the GPU is another machine's."""
    if not torch.cuda.is_available():
        return math.inf
    return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory


def _size(backbone: str, side: int) -> int:
    """Networks built for one size keep theirs."""
    if backbone == GOOGLENET:
        return 224
    config = timm.get_pretrained_cfg(backbone)
    return config.input_size[-1] if config and config.fixed_input_size else side


def _rates_of_parts(model: Model, external: Classes) -> dict[str, float]:
    """For the neck and the terms whose class says a ``rate``, its share of the learning rate; of terms the least."""
    parts = {"neck": [model.neck] if model.neck else [], "terms": model.terms}
    kinds = {group: [class_of(part, external) for part in members] for group, members in parts.items()}
    rates = {group: [kind.rate for kind in some if hasattr(kind, "rate")] for group, some in kinds.items()}
    return {group: min(shares) for group, shares in rates.items() if shares}


def _likes_adam(backbone: str) -> bool:
    """Networks with layer norms in place of batch norms are trained with AdamW by all who publish them."""
    if backbone == GOOGLENET:
        return False
    with torch.device("meta"):
        network = timm.create_model(backbone)
    return not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in network.modules())
