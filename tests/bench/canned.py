"""Results as runs leave them, without any run; and a small plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.bench.results import DONE, FAILED, Answers, Asked, Result, Session, write_result

SESSION = Session("a" * 40, False, "d" * 16, "a processor, 2 threads", host="one")
ORDER = ("plain", "pc", "cin", "probe")
PLAN = """
format_version = 1
title = "Small things"
data = ["photos"]
seeds = [10, 11]
[settings]
backbone = "test_resnet"
weights = "none"
size = 32
epochs = 2
batch = 8
precision = "fp32"
lr = 0.05
"""


def result_of(
    entry: str, seed: int = 10, *, data: str = "birds", trial: int | None = None, top1: float = 0.5
) -> Result:
    """A run that is done; of a trial if one is named."""
    name = f"{data}-{entry}" + ("" if trial is None else f"-trial{trial}")
    return Result(
        key=f"{name}-seed{seed}",
        title="Birds",
        entry=entry,
        order=ORDER.index(entry),
        kind="probe" if entry == "probe" else "train",
        baseline="plain",
        data=data,
        phase="final" if trial is None else "tune",
        seed=seed,
        status=DONE,
        asked=Asked(() if trial is None else ({"smoothing": trial / 10},)),
        command="fieldmark bench run birds.toml --out birds",
        data_digest="e" * 64,
        trial=trial,
        recipe={"model": {"weights": "w.safetensors"}, "seed": seed, "penalty": 0.01},
        sessions=(SESSION,),
        device=SESSION.device,
        versions={"torch": "2.0"},
        seconds=100.0 + seed,
        measured_on="test" if trial is None else "val",
        photos={"measured": 20, "classes": 2, "trained": 30},
        metrics={"top1": top1, "top5": 1.0, "mean_per_class": top1, "macro_f1": top1},
        test_openings=1 if trial is None else 0,
    )


def failed(result: Result, reason: str) -> Result:
    """The same run, failed."""
    return replace(result, status=FAILED, reason=reason, metrics={}, photos={}, recipe={})


def answers_of(right: Sequence[bool] | np.ndarray) -> Answers:
    """Answers of a run that was right on these photos, of two classes."""
    labels = np.arange(len(right)) % 2
    said = np.where(right, labels, 1 - labels)
    logits = np.eye(2, dtype=np.float32)[said]
    return Answers(np.array([f"{at:03}.jpg" for at in range(len(right))]), labels, logits)


def write_finals(folder: Path, right: Mapping[str, np.ndarray], *, seeds: Sequence[int] = (10, 11, 12)) -> None:
    """Final runs of entries: for each, bool (S, I), whether each photo was right with each seed."""
    for entry, table in right.items():
        for seed, row in zip(seeds, table, strict=False):
            done = replace(result_of(entry, seed, top1=float(row.mean())), photos=photos_of(len(row)))
            write_result(folder, done, answers_of(row))


def photos_of(count: int) -> dict[str, Any]:
    """A result's counts."""
    return {"measured": count, "classes": 2, "trained": 30}
