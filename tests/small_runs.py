"""Small folders of photos and small runs, for the tests of training and of what follows it."""

import ctypes
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fieldmark.training.automatic import draft_of
from fieldmark.training.preparing import Prepared, prepare_new
from fieldmark.training.runlog import RunLog
from fieldmark.training.session import train
from fieldmark.training.settings import Destination, Keywords, Settings, settings_of

QUIET = Console(quiet=True)
BACKBONE = "test_resnet"
KEYWORDS: Keywords = {
    "backbone": BACKBONE, "weights": "none", "size": 64, "epochs": 2, "batch": 8, "workers": 0, "precision": "fp32",
    "device": "cpu", "lr": 0.05,
}  # fmt: skip
SMALL = settings_of(KEYWORDS)
WORDS = {
    "--backbone": BACKBONE, "--weights": "none", "--size": "64", "--epochs": "2", "--batch": "8", "--workers": "0",
    "--precision": "fp32", "--device": "cpu", "--lr": "0.05",
}  # fmt: skip
"""The same on the command line."""


def small(**changes: Any) -> Settings:
    """``SMALL`` with other values for some settings; None leaves one unsaid."""
    return settings_of({**KEYWORDS, **changes})


def spelt(*changes: str) -> list[str]:
    """``WORDS`` as arguments, with other values for the options in ``changes`` (option, value, option, value, ...)."""
    pairs = WORDS | dict(zip(changes[::2], changes[1::2], strict=True))
    return [word for pair in pairs.items() for word in pair]


def write_photo(path: Path, *, label: int, number: int, size: tuple[int, int] = (80, 64)) -> Path:
    """A coarse pattern of its own for each number (so that no two are near-duplicates), tinted by its label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((label, number))
    pixels = rng.integers(0, 256, (8, 10, 3)).astype(np.float64)
    pixels[:, :, label % 3] /= 4
    image = Image.fromarray(pixels.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    image.save(path, quality=90)
    return path


def write_photos(root: Path, *, classes: Iterable[str] = ("ant", "bee", "cat"), photos: int = 10) -> Path:
    """A folder of class folders, ``photos`` in each."""
    for label, name in enumerate(classes):
        for number in range(photos):
            write_photo(root / name / f"{number}.jpg", label=label, number=number)
    return root


def prepare_small(
    data: Path,
    run: Path,
    settings: Settings = SMALL,
    *,
    pinned: Mapping[str, str] | None = None,
    console: Console = QUIET,
) -> Prepared:
    """The recipe and the data of a new run, as ``train`` makes them before it trains."""
    draft = draft_of(settings.recipe, device="cpu", external={})
    return prepare_new(data, run, settings, drafts=[draft], pinned=dict(pinned or {}), console=console)


def train_small(data: Path, run: Path, settings: Settings = SMALL, *, resume: bool = False) -> list[str]:
    """Trains, and returns the lines that were told."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=400, file=nowhere)
        try:
            train(data, Destination(run, resume=resume), settings, console=console)
        finally:
            told = console.export_text().splitlines()
    return told


def without_privileges() -> None:
    """In a process that is about to become a program: root, too, is held to the permissions of files (Linux)."""
    drop, override, search = 24, 1, 2  # PR_CAPBSET_DROP; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    for capability in (override, search):
        if os.geteuid() == 0 and ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0):
            raise OSError("privileges cannot be given up")


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """From the given step of this session on (the first is 1), Ctrl-C reaches the run once."""
    seen: list[int] = []
    step = RunLog.step

    def counted(self: RunLog, images: int, at: int, seconds: float) -> None:
        step(self, images, at, seconds)
        seen.append(at)
        if len(seen) == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RunLog, "step", counted)
