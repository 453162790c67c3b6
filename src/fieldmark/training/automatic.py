"""What a run is made of where the user does not say: backbone, size, epochs and rates for this machine and these data.

The rules depend on the kind of device, on its memory in coarse steps and on the number of photos, never on a measured
speed, so that two machines of a kind choose alike. They were found on validation splits (see docs/design.md), never on
a test split.
"""

import math
from dataclasses import replace

import timm
import torch

from fieldmark.batches import Balanced, Batches, Shuffled
from fieldmark.core.backbone import GOOGLENET, refuse_unknown
from fieldmark.core.weights import HUB, LITE0, LITE0_BACKBONE, NONE, lite0_is_installed
from fieldmark.errors import UserError
from fieldmark.recipe import AdamW, Model, OneCycle, Pixels, Recipe, Sgd, Stage
from fieldmark.recipes.composition import Composition
from fieldmark.recipes.naming import composition_of
from fieldmark.training.overrides import filled, with_fields, with_parts
from fieldmark.training.ranges import refuse_numbers_of
from fieldmark.training.settings import Choices

SGD_RATE, SGD_BACKBONE, SGD_BATCH = 0.1, 0.1, 16
ADAM_RATE, ADAM_BACKBONE, ADAM_BATCH = 1e-3, 0.05, 32
VIEWS = 12_000
"""Training views that fine-tuning sees in all, within the bounds of ``EPOCHS``."""
EPOCHS = (8, 40)
FROM_SCRATCH = 5  # times as many epochs
ROOMY = ((12e9, 32, 448), (7.2e9, 16, 448), (4.5e9, 8, 448), (0, 16, 224))
"""From so many bytes of a GPU's memory on, in half precision: the batch and the size. ResNet-50 at 448 px takes about
10 GB in batches of 32; a card's memory is never all free."""
FLOAT32 = 1.8  # times the memory of half precision
DEVICES = ("auto", "cpu", "cuda")


def choose(choices: Choices, *, photos: int, device: str, classes: int | None = None) -> Recipe:
    """The recipe of a run that follows none.

    Args:
        choices: what the user said; its ``set`` is done last.
        photos: in the training splits.
        device: "cpu" or "cuda".
        classes: of the data; a paper's own batches get at most so many.

    Raises:
        UserError: a name that is none, or parts that cannot go together.
    """
    composition = composition_of(choices.method or "plain")
    model = _model(choices, composition, device)
    refuse_unknown(model.backbone)
    batch, side = _room(choices.precision or "auto", device)
    size = choices.size or _size(model.backbone, side)
    batches = _batches(choices, composition, photos=photos, batch=batch, classes=classes)
    recipe = Recipe(
        model=model,
        pixels=filled(Pixels(size, size), choices.fit),
        batches=batches,
        stages=(_stage(choices, model, batches=batches, photos=photos),),
        smoothing=0.1 if choices.smoothing is None else choices.smoothing,
        balance=choices.balance or "none",
        clip=choices.clip or 0.0,
        ema=choices.ema or 0.0,
        precision=choices.precision or "auto",
        accumulate=choices.accumulate or 1,
        seed=choices.seed or 0,
        train_on=tuple((choices.train_on or "train").split("+")),
    )
    recipe = with_fields(recipe, choices.set)
    refuse_numbers_of(recipe)
    return recipe


def _model(choices: Choices, composition: Composition, device: str) -> Model:
    backbone = choices.backbone or (LITE0_BACKBONE if device == "cpu" else "resnet50")
    packaged = choices.backbone is None and backbone == LITE0_BACKBONE and lite0_is_installed()
    model = Model(
        method=composition.method,
        pool=composition.pool,
        head=composition.head,
        backbone=backbone,
        weights=choices.weights or (LITE0 if packaged else HUB),
        neck=composition.neck,
        terms=composition.terms,
    )
    return with_parts(model, choices)


def _room(precision: str, device: str) -> tuple[int, int]:
    """The batch and the pixels a side; 448 px, where fine marks are seen, needs a GPU."""
    if device == "cpu":
        return SGD_BATCH, 224
    return fitting(_memory(), half=_is_half(precision, device))


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


def _batches(choices: Choices, composition: Composition, *, photos: int, batch: int, classes: int | None) -> Batches:
    even, own = choices.balance == "sampler", composition.batches
    if own is not None and choices.batch is None:
        if even:
            raise UserError(f"--balance sampler: {composition.name} makes balanced batches of its own; leave it out")
        if isinstance(own, Balanced) and classes is not None:
            return replace(own, classes=min(own.classes, classes))
        return own
    return Shuffled(min(choices.batch or batch, max(photos, 1)), even=even)


def _stage(choices: Choices, model: Model, *, batches: Batches, photos: int) -> Stage:
    low, high = EPOCHS
    epochs = min(max(round(VIEWS / max(photos, 1)), low), high)
    scratch = model.weights == NONE
    epochs = choices.epochs or epochs * (FROM_SCRATCH if scratch else 1)
    adam = _likes_adam(model.backbone)
    scales = {} if scratch else {"backbone": ADAM_BACKBONE if adam else SGD_BACKBONE}
    scales |= _rates_of_parts(model)
    if adam:
        return Stage(epochs, AdamW(choices.lr or ADAM_RATE * batches.size / ADAM_BATCH, scales=scales), OneCycle())
    return Stage(epochs, Sgd(choices.lr or SGD_RATE * batches.size / SGD_BATCH, scales=scales), OneCycle())


def _rates_of_parts(model: Model) -> dict[str, float]:
    """For the neck and the terms whose class says a ``rate``, its share of the learning rate; of terms the least."""
    parts = {"neck": [model.neck] if model.neck else [], "terms": model.terms}
    rates = {name: [part.kind.rate for part in some if hasattr(part.kind, "rate")] for name, some in parts.items()}
    return {name: min(found) for name, found in rates.items() if found}


def _likes_adam(backbone: str) -> bool:
    """Networks with layer norms in place of batch norms are trained with AdamW by all who publish them."""
    if backbone == GOOGLENET:
        return False
    with torch.device("meta"):
        network = timm.create_model(backbone)
    return not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in network.modules())


def device_of(choice: str) -> str:
    """The device for "auto", "cpu" or "cuda".

    Raises:
        UserError: "cuda" where there is none.
    """
    if choice not in DEVICES:
        raise UserError(f"--device {choice}: choose {', '.join(DEVICES)}")
    there = torch.cuda.is_available()
    if choice == "cuda" and not there:
        raise UserError("--device cuda: PyTorch sees no GPU here; use --device cpu")
    return ("cuda" if there else "cpu") if choice == "auto" else choice


def precision_of(recipe: Recipe, device: str) -> str:
    """The fabric's word for the recipe's precision: bf16 where the processor computes in it, else float32."""
    return "bf16-mixed" if _is_half(recipe.precision, device) else "32-true"


def _is_half(precision: str, device: str) -> bool:
    if precision != "auto":
        return precision == "bf16"
    if device == "cuda":  # emulated, as on a T4 or a V100, it is slower than float32
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and _has_bf16_units()


def _has_bf16_units() -> bool:
    """Whether the processor multiplies bf16 itself; emulated, it is slower than float32."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("bf16"))
