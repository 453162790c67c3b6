"""What a user may say about a run; what is left unsaid is chosen for the machine and the data (``automatic.py``)."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fieldmark.errors import UserError


@dataclass(frozen=True)
class Choices:
    """Settings of ``fieldmark train``; None means "as the recipe says", or without one "choose for this machine".

    Parts (method, term, neck, pool, head) are given by name, with options after commas, as in
    ``pairwise-confusion,weight=5``, or as ``package.module:Class`` for a class of your own.

    Args:
        recipe: what to follow: a row of a paper's table, such as pc/cub-resnet50 (fieldmark recipes lists them), or a
            recipe.json. Settings beside it come in the place of its own.
        set: any field of the recipe by its path, as in stages.0.optimiser.lr=0.01; repeat the option for several.
        method: what is trained: plain (if not said), pc, mc-loss, api-net, cin, s3n, or a class of your own.
        term: a further loss; repeat the option for several.
        neck: a layer between backbone and pooling: self-channel-interaction, or channel-expansion.
        pool: average or maximum; maximum goes with the two-layer-head of Mutual-Channel Loss.
        head: linear, or two-layer-head.
        backbone: any name of timm's, or googlenet.
        weights: where the backbone starts: hub, lite0, none, or a .safetensors file.
        epochs: passes over the training photos; the steps of a recipe's only stage move along.
        batch: photos a step.
        size: pixels a side of the training views.
        lr: learning rate of the new layers; the backbone's is a fixed share of it.
        seed: of everything random; 0 if not said.
        fit: how a photo fills the square: crop (if not said), pad, stretch, or box (needs boxes).
        balance: against uneven classes: none (if not said), sampler, or logit-adjust.
        smoothing: label smoothing, 0 to 1.
        ema: decay a step of the weights' moving average; 0 keeps the last weights.
        clip: largest gradient norm; 0 (if not said) does not clip.
        precision: auto (if not said), fp32 or bf16.
        accumulate: pieces that a batch is worked in, to save memory; 1 if not said.
        train_on: the splits trained on, joined by "+", such as train+val; train if not said.
        annotation: which labels of a set that has several (FGVC-Aircraft: variant, family, manufacturer).
        device: auto, cpu or cuda.
        workers: processes that read photos ahead.
        start: how they start, fork or spawn.
        splits: the splits.csv of an earlier run, or its folder; its photos stay in the splits they were in.
        hold_out: share of the official training photos kept back as validation, where the data have none.
        strict: stop at damaged files instead of leaving them out.
    """

    recipe: str | Path | None = None
    set: tuple[str, ...] = ()
    method: str | None = None
    term: tuple[str, ...] = ()
    neck: str | None = None
    pool: str | None = None
    head: str | None = None
    backbone: str | None = None
    weights: str | None = None
    epochs: int | None = None
    batch: int | None = None
    size: int | None = None
    lr: float | None = None
    seed: int | None = None
    fit: Literal["crop", "pad", "stretch", "box"] | None = None
    balance: Literal["none", "sampler", "logit-adjust"] | None = None
    smoothing: float | None = None
    ema: float | None = None
    clip: float | None = None
    precision: Literal["auto", "fp32", "bf16"] | None = None
    accumulate: int | None = None
    train_on: str | None = None
    annotation: str = "variant"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int | None = None
    start: Literal["fork", "spawn"] | None = None
    splits: Path | None = None
    hold_out: float = 0.0
    strict: bool = False


@dataclass(frozen=True)
class Destination:
    """Where a run goes.

    Args:
        out: the run's folder; runs/NAME, after the data's name, if not said.
        resume: go on with the run that lies there; start it if there is none.
        overwrite: delete the run that lies there first.
    """

    out: Path | None = None
    resume: bool = False
    overwrite: bool = False

    def folder(self, data: Path) -> Path:
        """The run's folder for these data."""
        return self.out or Path("runs") / (data.resolve().stem or "run")


def refuse_numbers(choices: Choices) -> None:
    """Raises ``UserError`` for the first number that is out of its range."""
    for name in ("epochs", "batch", "size", "accumulate"):
        value = getattr(choices, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} {value}: at least 1")
    for name in ("seed", "workers", "clip"):
        value = getattr(choices, name)
        if value is not None and not 0 <= value < math.inf:
            raise UserError(f"--{name} {value}: at least 0")
    for name in ("smoothing", "ema", "hold_out"):
        value = getattr(choices, name)
        if value is not None and not 0 <= value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value}: from 0 to below 1")
    if choices.lr is not None and not 0 < choices.lr < math.inf:
        raise UserError(f"--lr {choices.lr}: above 0")
