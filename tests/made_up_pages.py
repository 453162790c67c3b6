"""Pages about runs that never were: made-up answers, and small pictures of noise."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.evaluation.evaluate import Evaluation
from fieldmark.evaluation.metrics import measure
from fieldmark.reports.findings import Known
from fieldmark.reports.measured import mistakes_of, pairs_of
from fieldmark.reports.page import Content, Measured, rendered
from fieldmark.reports.pictures import Gallery, Pictured, jpeg, wanted_photos

HOSTILE = (
    "<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "\"' onload='alert(3)", "</style></svg>&amp;",
    "{{ 7 * 7 }}",
)  # fmt: skip
HISTORY = [{"epoch": at, "loss": 2 / (at + 1), "train_top1": 1 - 0.5**at, "val_top1": 0.8} for at in range(6)]


def answers(classes: Sequence[str], *, photos: int = 60, easy: float = 1.5, seed: int = 0) -> Evaluation:
    """Random answers, the truer the larger ``easy`` is; photos are named after their class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(photos) % len(classes)
    logits = rng.normal(size=(photos, len(classes))).astype(np.float32)
    logits[np.arange(photos), labels] += easy
    names = [f"{classes[label]}/{at}.jpg" for at, label in enumerate(labels.tolist())]
    return Evaluation(
        split="test",
        data=Path("photos"),
        classes=tuple(classes),
        photos=tuple(Photo(name, Path(name), int(label), "test") for name, label in zip(names, labels, strict=True)),
        logits=logits,
        labels=labels,
        metrics=measure(logits, labels),
        unread=(),
        headline="top1",
    )


def shown(result: Evaluation, *, side: int = 24) -> Measured:
    """All that a page shows of answers, with pictures of noise."""
    pairs, mistakes = pairs_of(result), mistakes_of(result)
    rng = np.random.default_rng(1)
    noise = [jpeg(rng.integers(0, 256, (side, side, 3), dtype=np.uint8), 70) for _ in range(8)]
    wanted = wanted_photos(result, pairs, mistakes)
    pictures = {each: Pictured(noise[at % 8], noise[(at + 1) % 8]) for at, each in enumerate(wanted)}
    return Measured(result, tuple(pairs), tuple(mistakes), Gallery(pictures, side, ""))


def content(measured: Measured | None, *, classes: Sequence[str] = ("ant", "bee"), problem: str = "") -> Content:
    """A page's content around what was measured."""
    classes = measured.result.classes if measured else classes
    return Content(
        run=Path("runs") / "made up",
        classes=classes,
        known=Known(trained=dict.fromkeys(classes, 9)),
        history=HISTORY,
        recipe=[("Network", "test_resnet")],
        provenance=[("Run", "runs/made up")],
        settings={"seed": 0},
        measured=measured,
        problem=problem,
    )


def page(classes: Sequence[str], *, photos: int = 60, easy: float = 1.5, side: int = 24) -> str:
    """The page about made-up answers."""
    return rendered(content(shown(answers(classes, photos=photos, easy=easy), side=side)))
