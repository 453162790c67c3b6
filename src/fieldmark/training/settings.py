"""What a user can set for a run; the rest is chosen for the machine and the photos (``automatic.py``).

Settings of the recipe, of the data and of the machine are kept apart: only the first change the recipe.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypedDict

from fieldmark.errors import UserError, printable
from fieldmark.plain import BelowOne, Count, Natural, NotNegative, Positive, did_you_mean, from_plain, to_plain
from fieldmark.recipe import Fit, Precision

Balance = Literal["none", "sampler", "logit-adjust"]
OptimizerName = Literal["sgd", "adamw"]
StartWord = Literal["auto", "probe", "zero"]
StartMethod = Literal["fork", "spawn"]


@dataclass(frozen=True)
class RecipeSettings:
    """Settings that change the recipe; None means "as the recipe says", or without one "choose for this machine".

    Parts (method, term, neck, pool, head) are given by name, with options after commas, as in
    ``pairwise-confusion,weight=5``, or as ``package.module:Class`` for a class of your own.

    Args:
        recipe: a row of a paper's table to follow, such as pc/cub-resnet50 (fieldmark recipes lists them), or a
            recipe.json. Other settings override its own.
        set: any field of the recipe by its path, such as stages.0.optimiser.lr=0.01; repeat the option for several.
        method: how to train: plain (the default), pc, mc-loss, api-net, cin, s3n; a system that these are compared with
            (nts, mamc, triplet, b-cnn, se, non-local, cgnl, center-loss, focal, lmcl, a-softmax, coco, lgm); or a class
            of your own.
        term: an additional loss; repeat the option for several.
        neck: a layer between backbone and pooling: self-channel-interaction, channel-expansion, squeeze-excitation,
            non-local or generalized-non-local.
        pool: average, bilinear, compact-bilinear-pool, multi-excitation, hidden-maximum, or maximum (with
            two-layer-head, as in Mutual-Channel Loss).
        head: linear, two-layer-head, or one of those with a margin: large-margin-cosine, angular-softmax,
            congenerous-cosine, gaussian-mixture.
        criterion: cross-entropy, or focal-loss.
        backbone: any timm model that ends in one map, googlenet, or two that give their channels together
            (vgg16+resnet18). Of several, separated by commas, train takes the one whose frozen features tell the
            training photos apart best.
        weights: initial weights of the backbone: hub, lite0, none, a .safetensors file, or the folder of a run (its
            backbone, and its neck if it is the same part).
        start: what the head starts as: probe (a logistic regression on the pretrained features), zero, or auto (the
            default: probe where backbone, neck, pool and head allow it).
        quick: stop after fitting the probe, without training the backbone: a run like any other, in about a minute.
        epochs: passes over the training photos, by default as the probe decides; the schedule of a recipe with one
            stage is stretched to fit. With --resume, those of the whole run from now on.
        batch: photos per step; class-balanced batches keep their number of photos per class.
        size: height and width of the network's input, in pixels.
        optimizer: sgd or adamw; by default what suits the backbone (adamw for those without batch norms). The rate
            of a recipe with the other one is translated: as many times what is usual.
        lr: learning rate of the new layers; the backbone's is a fixed fraction of it (the same when training from
            scratch).
        seed: the seed of all random draws; 0 by default.
        fit: how a photo fills the square: crop (the default), pad, stretch, or box (needs boxes).
        balance: remedy for uneven classes: none (the default), sampler, or logit-adjust.
        smoothing: label smoothing, from 0 to below 1; 0.1 by default, none with --method pc.
        ema: decay per step of the weights' moving average; 0 keeps the last weights.
        clip: the largest gradient norm; 0 (the default) means no clipping.
        precision: fp32, bf16, fp16, or auto (half precision where the device computes in it); by default fp32 for rows
            of papers, auto for all else.
        accumulate: the number of pieces that a batch is computed in, each with losses of its own, to save memory; 1 by
            default.
        micro_batch: the number of photos whose activations are held at once, to save memory, while losses still compare
            the whole batch; takes about a third longer; 0 (the default) means the whole batch.
        train_on: the splits trained on, joined by "+", such as train+val; train by default.
        all: train on every photo, including val and test where Fieldmark divided the data: for the final model, whose
            accuracy is estimated out of fold, as training reports.
    """

    recipe: str | None = None
    set: tuple[str, ...] = ()
    method: str | None = None
    term: tuple[str, ...] = ()
    neck: str | None = None
    pool: str | None = None
    head: str | None = None
    criterion: str | None = None
    backbone: str | None = None
    weights: str | None = None
    start: StartWord | None = None
    quick: bool = False
    epochs: Count | None = None
    batch: Count | None = None
    size: Count | None = None
    optimizer: OptimizerName | None = None
    lr: Positive | None = None
    seed: Natural | None = None
    fit: Fit | None = None
    balance: Balance | None = None
    smoothing: BelowOne | None = None
    ema: BelowOne | None = None
    clip: NotNegative | None = None
    precision: Precision | None = None
    accumulate: Count | None = None
    micro_batch: Natural | None = None
    train_on: str | None = None
    all: bool = False

    @property
    def external_names(self) -> tuple[str, ...]:
        """The parts that are classes of the user's own, as "package.module:Class"."""
        texts = (self.method, self.neck, self.pool, self.head, *self.term)
        names = ((text or "").split(",")[0] for text in texts)
        return tuple(name for name in names if ":" in name)


@dataclass(frozen=True)
class DataSettings:
    """How the photos are read and split.

    Args:
        annotation: which labels to use of a dataset that has several (FGVC-Aircraft: variant, family, manufacturer).
        splits: the splits.csv of an earlier run, or its folder; its photos stay in their splits.
        hold_out: share of the official training photos held out for validation, where the data have no such split.
        strict: stop at damaged files instead of leaving them out.
        groups: a CSV with a column class and one for each level of groups above the classes, the finest first; NABirds,
            FGVC-Aircraft and iNaturalist 2021 have levels of their own.
        corrections: a list of corrected labels, as check --apply writes it, that does not lie with the photos.
    """

    annotation: str = "variant"
    splits: Path | None = None
    hold_out: BelowOne = 0.0
    strict: bool = False
    groups: Path | None = None
    corrections: Path | None = None

    @property
    def list_of_corrections(self) -> str:
        """The place of the list that was named, for ``run.json``; "" for none."""
        return str(self.corrections.resolve()) if self.corrections else ""


@dataclass(frozen=True)
class MachineSettings:
    """How a run is computed, which does not change the recipe, but for the epochs that there is time for.

    Args:
        device: auto (a CUDA GPU if there is one, else cpu), cpu, cuda, cuda:N (the GPU of that number), or mps
            (Apple's).
        workers: the number of processes that read photos ahead.
        start_method: how those processes start, fork or spawn.
        time: how long the whole command may take on this machine, such as 90s, 10m, 1h30m (or a number of seconds): as
            many epochs as fit, at least one, at most the recipe's. Not with --epochs or --quick.
        keep_epochs: epochs, such as 0,1,5,20 (0 is the start), after which the weights are also kept in RUN/epochs, for
            fieldmark figures; each file is as large as the model.
    """

    device: str = "auto"
    workers: Natural | None = None
    start_method: StartMethod | None = None
    time: str | int | float | None = None
    keep_epochs: str | int | None = None

    @property
    def epochs_kept(self) -> tuple[int, ...]:
        """``keep_epochs`` in order; raises ``UserError`` where it lists no epochs."""
        if self.keep_epochs is None:
            return ()
        words = str(self.keep_epochs)
        if not re.fullmatch(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", words):
            raise UserError(f"--keep-epochs {printable(words)}: write it as 0,1,5,20; epoch 0 is the start")
        return tuple(sorted({int(word) for word in words.split(",")}))

    @property
    def seconds(self) -> float | None:
        """``time`` in seconds; raises ``UserError`` where it is no time."""
        if self.time is None:
            return None
        words = str(self.time).strip().lower()
        words = re.sub(r"h(\d+)$", r"h\1m", words)  # 1h30
        parts = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", words)
        try:
            hours, minutes, seconds = (float(part or 0) for part in parts.groups()) if parts else (0, 0, 0)
        except ValueError:  # such as 1.2.3
            hours = minutes = seconds = 0
        if (total := 3600 * hours + 60 * minutes + seconds) > 0 and math.isfinite(total):
            return total
        raise UserError(f"--time {printable(words)}: write it as 90s, 10m, 2h or 1h30m")


@dataclass(frozen=True)
class Settings:
    """All settings of a run."""

    recipe: RecipeSettings = field(default_factory=RecipeSettings)
    data: DataSettings = field(default_factory=DataSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    def checked(self) -> "Settings":
        """The same settings; raises ``UserError`` for the first value of the wrong type or out of range."""
        recipe, data, machine = (to_plain(part) for part in (self.recipe, self.data, self.machine))
        return settings_of(recipe | data | machine)


class Keywords(TypedDict, total=False):
    """The settings as keywords of ``fieldmark.train``; the classes above say what each means."""

    set: tuple[str, ...]
    method: str
    term: tuple[str, ...]
    neck: str
    pool: str
    head: str
    criterion: str
    backbone: str
    weights: str
    start: StartWord
    quick: bool
    epochs: int
    batch: int
    size: int
    optimizer: OptimizerName
    lr: float
    seed: int
    fit: Fit
    balance: Balance
    smoothing: float
    ema: float
    clip: float
    precision: Precision
    accumulate: int
    micro_batch: int
    train_on: str
    all: bool
    annotation: str
    splits: str | Path
    hold_out: float
    strict: bool
    groups: str | Path
    corrections: str | Path
    device: str
    workers: int
    start_method: StartMethod
    time: str | int | float
    keep_epochs: str | int


def settings_of(keywords: Mapping[str, Any]) -> Settings:
    """Settings from keywords, checked; a value of None stands for the default.

    Raises:
        UserError: an unknown keyword, or a value of the wrong type or out of range.
    """
    values = {name: value for name, value in keywords.items() if value is not None}
    kinds = {"recipe": RecipeSettings, "data": DataSettings, "machine": MachineSettings}
    names = {part: [setting.name for setting in fields(kind)] for part, kind in kinds.items()}
    known = [name for part in names.values() for name in part]
    if unknown := [name for name in keywords if name not in known]:
        raise UserError(f"there is no setting {unknown[0]!r}; {did_you_mean(unknown[0], known)}")
    parts = {part: {name: values[name] for name in names[part] if name in values} for part in kinds}
    return Settings(**{part: from_plain(parts[part], kind) for part, kind in kinds.items()})


@dataclass(frozen=True)
class Destination:
    """Where a run goes.

    Args:
        out: the run's folder; by default runs/NAME, after the data's name.
        resume: continue the run in that folder; start it if there is no run. With --epochs N it becomes N epochs long.
        overwrite: delete the run in that folder first; photos stay in its train, val and test, if it cut them.
    """

    out: Path | None = None
    resume: bool = False
    overwrite: bool = False

    def folder(self, data: Path) -> Path:
        """The run's folder for these data."""
        place = data.resolve()
        return self.out or Path("runs") / ((place.name if place.is_dir() else place.stem) or "run")
