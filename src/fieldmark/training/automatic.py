"""What a run is made of where the user does not say: backbone, size, epochs and rates for this machine and these data.

The rules depend on the kind of device, on its memory in coarse steps and on the number of photos, never on a measured
speed, so that two machines of a kind choose alike. They were found on validation splits (see docs/design.md), never on
a test split.
"""

import math
from dataclasses import dataclass, replace

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
from fieldmark.training.overrides import read_recipe, with_fields, with_model, with_settings
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


@dataclass(frozen=True)
class Draft:
    """A recipe before the photos are known.

    ``start`` is the recipe that is followed, or the program's own for a kind of machine, with the parts that the user
    said; ``settings`` are all that the user said; ``follows`` whether a recipe is followed.
    """

    start: Recipe
    settings: RecipeSettings
    follows: bool

    @property
    def recipe(self) -> Recipe:
        """With all that the user said; epochs and batches are not yet fitted to the photos.

        Raises:
            UserError: a setting that the recipe leaves no room for.
        """
        return with_fields(with_settings(self.start, self.settings), self.settings.set)

    def fitted(self, *, photos: int, classes: int) -> Recipe:
        """The recipe of the run: where none is followed, with epochs, batches and rate that suit the photos.

        What was said stays as it was said, and each ``--set`` comes last.

        Args:
            photos: in the training splits.
            classes: of the data; a paper's own batches get at most so many.
        """
        if self.follows:
            return self.recipe
        said, recipe = self.settings, with_settings(self.start, self.settings)
        (stage,), batches = recipe.stages, recipe.batches
        if said.epochs is None:
            low, high = EPOCHS
            epochs = min(max(round(VIEWS / max(photos, 1)), low), high)
            stage = replace(stage, epochs=epochs * (FROM_SCRATCH if recipe.model.weights == NONE else 1))
        if isinstance(batches, Balanced) and said.batch is None:
            batches = replace(batches, classes=min(batches.classes, classes))
        elif isinstance(batches, Shuffled):
            batches = replace(batches, size=min(batches.size, max(photos, 1)))
        if said.lr is None:
            rate = RATES[type(stage.optimiser)] * batches.size
            stage = replace(stage, optimiser=replace(stage.optimiser, lr=rate))
        return with_fields(replace(recipe, batches=batches, stages=(stage,)), said.set)


def draft_of(settings: RecipeSettings, *, device: str, external: Classes, recipe: Recipe | None = None) -> Draft:
    """What a run starts from; everything that needs no photos is checked.

    Args:
        settings: what the user said.
        device: "cpu" or "cuda".
        external: classes from elsewhere that parts may name.
        recipe: what to follow, in place of ``settings.recipe``.

    Raises:
        UserError: a name or an option that there is not, or parts that cannot go together.
    """
    if recipe is None and settings.recipe is not None:
        recipe = read_recipe(settings.recipe)
    follows = recipe is not None
    if recipe is None:
        start = _chosen(settings, device, external)
    else:
        recipe = from_plain(to_plain(recipe), Recipe)
        start = replace(recipe, model=with_model(recipe.model, settings))
    draft = Draft(start, settings, follows)
    refuse_parts(draft.recipe.model, external)
    return draft


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
