"""What a user may say about a run; what is left unsaid is chosen for the machine and the photos (``automatic.py``).

Settings of the recipe, of the data and of the machine are three values: the first go into the recipe and no further.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypedDict

from fieldmark.errors import UserError
from fieldmark.plain import BelowOne, Count, Natural, NotNegative, Positive, did_you_mean, from_plain, to_plain
from fieldmark.recipe import Fit, Precision

Balance = Literal["none", "sampler", "logit-adjust"]
Device = Literal["auto", "cpu", "cuda"]
Start = Literal["fork", "spawn"]


@dataclass(frozen=True)
class RecipeSettings:
    """Settings that the recipe takes up; None means "as the recipe says", or without one "choose for this machine".

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
        batch: photos per step; batches of so many photos per class keep that number.
        size: pixels a side of the views.
        lr: learning rate of the new layers; the backbone's is a fixed share of it.
        seed: of everything random; 0 if not said.
        fit: how a photo fills the square: crop (if not said), pad, stretch, or box (needs boxes).
        balance: against uneven classes: none (if not said), sampler, or logit-adjust.
        smoothing: label smoothing, 0 to 1.
        ema: decay per step of the weights' moving average; 0 keeps the last weights.
        clip: largest gradient norm; 0 (if not said) does not clip.
        precision: auto (if not said), fp32 or bf16.
        accumulate: pieces that a batch is worked in, to save memory; 1 if not said.
        train_on: the splits trained on, joined by "+", such as train+val; train if not said.
    """

    recipe: str | None = None
    set: tuple[str, ...] = ()
    method: str | None = None
    term: tuple[str, ...] = ()
    neck: str | None = None
    pool: str | None = None
    head: str | None = None
    backbone: str | None = None
    weights: str | None = None
    epochs: Count | None = None
    batch: Count | None = None
    size: Count | None = None
    lr: Positive | None = None
    seed: Natural | None = None
    fit: Fit | None = None
    balance: Balance | None = None
    smoothing: BelowOne | None = None
    ema: BelowOne | None = None
    clip: NotNegative | None = None
    precision: Precision | None = None
    accumulate: Count | None = None
    train_on: str | None = None

    @property
    def classes_said(self) -> tuple[str, ...]:
        """The classes from elsewhere that are said as parts, as "package.module:Class"."""
        texts = (self.method, self.neck, self.pool, self.head, *self.term)
        names = ((text or "").split(",")[0] for text in texts)
        return tuple(name for name in names if ":" in name)


@dataclass(frozen=True)
class DataSettings:
    """Settings of how the photos are read and split.

    Args:
        annotation: which labels of a set that has several (FGVC-Aircraft: variant, family, manufacturer).
        splits: the splits.csv of an earlier run, or its folder; its photos stay in the splits they were in.
        hold_out: share of the official training photos kept back as validation, where the data have none.
        strict: stop at damaged files instead of leaving them out.
    """

    annotation: str = "variant"
    splits: Path | None = None
    hold_out: BelowOne = 0.0
    strict: bool = False


@dataclass(frozen=True)
class MachineSettings:
    """Settings that change nothing but how a run is worked.

    Args:
        device: auto, cpu or cuda.
        workers: processes that read photos ahead.
        start: how they start, fork or spawn.
    """

    device: Device = "auto"
    workers: Natural | None = None
    start: Start | None = None


@dataclass(frozen=True)
class Settings:
    """All that a user says about a run, by what it is about."""

    recipe: RecipeSettings = field(default_factory=RecipeSettings)
    data: DataSettings = field(default_factory=DataSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    def checked(self) -> "Settings":
        """The same; raises ``UserError`` for the first value of another kind or out of its range."""
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
    backbone: str
    weights: str
    epochs: int
    batch: int
    size: int
    lr: float
    seed: int
    fit: Fit
    balance: Balance
    smoothing: float
    ema: float
    clip: float
    precision: Precision
    accumulate: int
    train_on: str
    annotation: str
    splits: str | Path
    hold_out: float
    strict: bool
    device: Device
    workers: int
    start: Start


def settings_of(keywords: Mapping[str, Any]) -> Settings:
    """Settings from keywords, checked; a value of None says nothing.

    Raises:
        UserError: an unknown keyword, or a value of another kind or out of its range.
    """
    said = {name: value for name, value in keywords.items() if value is not None}
    kinds = {"recipe": RecipeSettings, "data": DataSettings, "machine": MachineSettings}
    names = {part: [setting.name for setting in fields(kind)] for part, kind in kinds.items()}
    known = [name for part in names.values() for name in part]
    if unknown := [name for name in keywords if name not in known]:
        raise UserError(f"there is no setting {unknown[0]!r}; {did_you_mean(unknown[0], known)}")
    parts = {
        part: from_plain({name: said[name] for name in names[part] if name in said}, kind)
        for part, kind in kinds.items()
    }
    return Settings(**parts)


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
