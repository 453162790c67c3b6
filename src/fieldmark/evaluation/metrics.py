"""Accuracy of logits against labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
)

from fieldmark.data.dataset import is_uneven

Headline = Literal["top1", "mean_per_class"]


class Figures(Protocol):
    """Further figures of an evaluation, which another room measures."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        ...


@dataclass(frozen=True)
class Metrics:
    """Shares in [0, 1] over ``n`` photos; means over classes leave out classes without a photo.

    ``top5`` is None below six classes, of which five are nearly all; ``confusion`` (C, C) counts photos by true class
    (row) and predicted class (column).
    """

    n: int
    top1: float
    top5: float | None
    mean_per_class: float
    macro_f1: float
    confusion: np.ndarray


def measure(logits: np.ndarray, labels: np.ndarray) -> Metrics:
    """Metrics of float logits (N, C) against int labels (N,), N at least 1."""
    scores, truth = torch.from_numpy(logits), torch.from_numpy(labels)
    count, classes = scores.shape
    assert count, "no photos, of which no figure can be given"
    present = truth.unique()

    def top(k: int) -> float:
        return float(multiclass_accuracy(scores, truth, classes, average="micro", top_k=k))

    return Metrics(
        n=count,
        top1=top(1),
        top5=top(5) if classes > 5 else None,
        # torchmetrics' own mean counts a class without a photo as soon as it is predicted once
        mean_per_class=float(multiclass_accuracy(scores, truth, classes, average="none")[present].mean()),
        macro_f1=float(multiclass_f1_score(scores, truth, classes, average="none")[present].mean()),
        confusion=multiclass_confusion_matrix(scores, truth, classes).numpy(),
    )


def headline(counts: Sequence[int]) -> Headline:
    """The figure to look at first, given the photos per class: "top1" or, for uneven classes, "mean_per_class"."""
    return "mean_per_class" if is_uneven(counts) else "top1"


def confused_pairs(confusion: np.ndarray, count: int = 10) -> list[tuple[int, int, int]]:
    """The unordered pairs of classes most often confused: (class, class, photos), most frequent first."""
    both = np.triu(confusion + confusion.T, 1)
    order = np.argsort(-both, axis=None, kind="stable")[:count]
    pairs = zip(*np.unravel_index(order, both.shape), strict=True)
    return [(int(i), int(j), int(both[i, j])) for i, j in pairs if both[i, j]]


def per_class(confusion: np.ndarray, classes: Sequence[str]) -> list[dict[str, object]]:
    """One row per class: its photos, recall, precision, F1, and the class it is most often taken for."""
    hits, truth, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    wrong = confusion - np.diag(hits)
    rows: list[dict[str, object]] = []
    for i, name in enumerate(classes):
        worst = int(wrong[i].argmax())
        rows.append(
            {
                "class": name,
                "photos": int(truth[i]),
                "recall": _share(hits[i], truth[i]),
                "precision": _share(hits[i], predicted[i]),
                "f1": _share(2 * hits[i], truth[i] and truth[i] + predicted[i]),
                "most_taken_for": classes[worst] if wrong[i, worst] else "",
                "times": int(wrong[i, worst]),
            }
        )
    return rows


def _share(part: float, whole: float) -> float | str:
    return round(float(part / whole), 4) if whole else ""
