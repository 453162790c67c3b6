"""The systems of ``peers.py``, each a function that trains on given photos for a number of epochs."""

import importlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from timm.loss.cross_entropy import LabelSmoothingCrossEntropy
from timm.optim._optim_factory import create_optimizer_v2
from timm.scheduler.cosine_lr import CosineLRScheduler
from timm.utils.random import random_seed
from torch import Tensor
from torch.utils.data import DataLoader

import fieldmark
from fieldmark.core.device import device_of
from fieldmark.data.dataset import Photo, labels_of
from fieldmark.runs.folder import read_run
from fieldmark.training.settings import Keywords

BATCH = 16
FASTAI = "fastai.vision.all"


@dataclass(frozen=True)
class Task:
    """What all systems get.

    ``data`` holds the photos of ``train`` and ``test``, of which ``train_on`` names the splits that are trained on;
    ``weights`` is a .safetensors file; ``size`` is in pixels; ``workers`` are the processes that read photos, None for
    as many as a system likes.
    """

    data: Path
    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    test: tuple[Photo, ...]
    backbone: str
    weights: Path
    size: int
    workers: int | None = None
    seed: int = 0

    @property
    def train_on(self) -> str:
        """The splits of the training photos."""
        return "+".join(sorted({photo.split for photo in self.train}))

    @property
    def readers(self) -> int:
        """The processes of the other systems: as many as fastai takes by itself."""
        return min(16, os.cpu_count() or 1) if self.workers is None else self.workers


class Trained(NamedTuple):
    """How often a classifier saw the training photos, and what gives its classes of the test photos, (N,)."""

    epochs: int
    predicted: Callable[[], np.ndarray]


Train = Callable[[Task, int, Callable[[], None]], Trained]
"""Trains for a number of epochs, and calls the function at the end of each."""


def train_fieldmark(task: Task, _: int, __: Callable[[], None]) -> Trained:
    """Fieldmark's own choice of all but backbone, weights and size."""
    keywords: Keywords = {"backbone": task.backbone, "weights": str(task.weights), "size": task.size, "seed": task.seed}
    keywords["train_on"] = task.train_on
    if task.workers is not None:
        keywords["workers"] = task.workers
    folder = tempfile.TemporaryDirectory()
    run = fieldmark.train(task.data, Path(folder.name) / "run", **keywords)
    epochs = read_run(run)[0].epochs

    def predicted() -> np.ndarray:
        with folder:
            evaluation = fieldmark.evaluate(run, task.data)
        assert evaluation.names == tuple(photo.name for photo in task.test)
        return evaluation.logits.argmax(1)

    return Trained(epochs, predicted)


def train_fastai(task: Task, epochs: int, passed: Callable[[], None]) -> Trained:
    """fastai's ``fine_tune``: an epoch with a frozen backbone, then the others."""
    fastai = importlib.import_module(FASTAI)
    fastai.set_seed(task.seed)

    def pairs(photos: Sequence[Photo]) -> list[tuple[Path, str]]:
        return [(photo.path, task.classes[label]) for photo, label in zip(photos, labels_of(photos), strict=True)]

    block = fastai.DataBlock(
        blocks=(fastai.ImageBlock, fastai.CategoryBlock(vocab=list(task.classes), sort=False)),
        get_x=fastai.ItemGetter(0),
        get_y=fastai.ItemGetter(1),
        splitter=fastai.IndexSplitter([]),  # nothing is validated, which would take time and decide nothing
        item_tfms=fastai.RandomResizedCrop(task.size, min_scale=0.5),
        batch_tfms=fastai.aug_transforms(),
    )
    loaders = block.dataloaders(pairs(task.train), bs=min(64, len(task.train)), num_workers=task.readers)
    learner = fastai.vision_learner(
        loaders,
        task.backbone,
        cbs=fastai.Callback(after_epoch=lambda _: passed()),
        pretrained_cfg_overlay={"file": str(task.weights)},
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs - 1)

    def predicted() -> np.ndarray:
        with learner.no_bar():
            return learner.get_preds(dl=loaders.test_dl(pairs(task.test)))[0].argmax(1).numpy()

    return Trained(epochs, predicted)


def train_timm(task: Task, epochs: int, passed: Callable[[], None]) -> Trained:
    """A loop with timm's parts, and the settings of its script."""
    random_seed(task.seed)
    device, count, file = device_of("auto"), len(task.classes), {"file": str(task.weights)}
    model = timm.create_model(task.backbone, pretrained=True, pretrained_cfg_overlay=file, num_classes=count).to(device)
    views = resolve_data_config({"img_size": task.size}, model=model)
    optimiser = create_optimizer_v2(model, "sgd", lr=0.1 * BATCH / 256, momentum=0.9, weight_decay=2e-5)
    schedule = CosineLRScheduler(optimiser, epochs, warmup_t=min(5, epochs // 4), warmup_lr_init=1e-5)
    criterion = LabelSmoothingCrossEntropy(0.1)
    loader = _loader(task.train, create_transform(**views, is_training=True, color_jitter=0.0), task.readers, True)
    model.train()
    for epoch in range(epochs):
        for images, labels in loader:
            criterion(model(images.to(device)), labels.to(device)).backward()
            optimiser.step()
            optimiser.zero_grad()
        schedule.step(epoch + 1)
        passed()

    def predicted() -> np.ndarray:
        loader = _loader(task.test, create_transform(**views), task.readers, False)
        model.eval()
        with torch.inference_mode():
            return torch.cat([model(images.to(device)).cpu() for images, _ in loader]).argmax(1).numpy()

    return Trained(epochs, predicted)


def _loader(photos: tuple[Photo, ...], view: Any, workers: int, shuffle: bool) -> DataLoader:
    batch = partial(_batch, view=view)
    return DataLoader(photos, BATCH, shuffle, num_workers=workers, collate_fn=batch)  # pyright: ignore[reportArgumentType]


def _batch(photos: Sequence[Photo], view: Any) -> tuple[Tensor, Tensor]:
    """Images (B, 3, S, S) and labels (B,), read as a plain script does."""
    images = [view(Image.open(photo.path).convert("RGB")) for photo in photos]
    return torch.stack(images), torch.tensor(labels_of(photos))


class System(NamedTuple):
    """What trains, and for how many epochs; where ``timed_by`` names a system, for as many as fit, by its epochs."""

    train: Train
    epochs: int = 0
    timed_by: str = ""


SYSTEMS = {
    "fieldmark": System(train_fieldmark),
    "fastai-8": System(train_fastai, epochs=9),
    "fastai-time": System(train_fastai, timed_by="fastai-8"),
    "timm-style": System(train_timm, epochs=20),
    "timm-time": System(train_timm, timed_by="timm-style"),
}
